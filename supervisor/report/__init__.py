"""What is told of a stop and of a task's runs: from the record and what the keeper told to JSON for people. Pure."""

from .history import build_history
from .stop import build_report

__all__ = ["build_history", "build_report"]
