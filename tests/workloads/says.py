"""Writes a line to standard output and one to standard error, and exits."""

from __future__ import annotations

import sys

from ready import say

print("to standard output", flush=True)
print("to standard error", file=sys.stderr, flush=True)
say("main")
