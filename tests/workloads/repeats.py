"""Writes what it reads from the FIFO that its argument names, line by line, until a signal ends it."""

from __future__ import annotations

import os
import sys

from ready import say

fd = os.open(sys.argv[1], os.O_RDWR)  # held open for writing too, so that it has no end
say("main")
while True:
    os.write(1, os.read(fd, 65536))
