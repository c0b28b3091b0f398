"""The ``supervisor`` command: talks to people, and over HTTP on the unix socket to the agent.

A command's module is imported when that command is used, and rich only when something is drawn on a terminal.
"""

from .main import main as main
