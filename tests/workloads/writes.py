"""Writes CHUNKS times as many numbered lines as fit into SIZE bytes, PAUSE seconds apart, and exits.

The exit code is 1 if a write was not taken whole, 2 if one took five seconds.
"""

from __future__ import annotations

import os
import sys
import time

from ready import say

chunks, size, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
number = 0
say("main")
for _ in range(chunks):
    lines: list[str] = []
    while len(lines) * 64 < size:
        lines.append(f"{number:<63}\n")
        number += 1
    data = "".join(lines).encode()
    begun = time.monotonic()
    if os.write(1, data) != len(data):
        sys.exit(1)
    if time.monotonic() - begun > 5:
        sys.exit(2)
    time.sleep(pause)
