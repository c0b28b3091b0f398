"""How a command fails: each failure is one line of text and an exit status.

::

    CommandError           1
      - AgentRefused       1   the agent answered with an ECS error
      - UpgradeFailed      1   the version that was to take over did not
      - WaiterFailed       1   what was waited for did not, or can no longer, come
      - AgentUnreachable   3   nobody answers at the socket
      - AgentNotStarted    3   a command's own agent did not become ready
      - NotTried           3   it could not be tried whether the command stops

Wrong usage (status 2) is click's ``UsageError``.
"""

from __future__ import annotations

from typing import ClassVar

from supervisor.errors import SupervisorError

START_IT = "start it with 'supervisor agent', or name its socket with --socket or SUPERVISOR_SOCKET"


class CommandError(SupervisorError):
    """The command was understood and could not be carried out."""

    exit_status: ClassVar[int] = 1


class AgentRefused(CommandError):
    """The agent answered with an error; the text is that of the stock ``aws`` command."""

    def __init__(self, error_code: str, message: str, operation: str) -> None:
        what = f"An error occurred ({error_code}) when calling the {operation} operation"
        super().__init__(f"{what}: {message}")
        self.error_code = error_code
        self.message = message
        self.operation = operation


class UpgradeFailed(CommandError):
    """The installed version was to take over, and has not; the text says why."""


class WaiterFailed(CommandError):
    """``waiter`` is the ECS name, such as ``TasksStopped``; ``why`` says which task is how."""

    def __init__(self, waiter: str, why: str) -> None:
        super().__init__(f"Waiter {waiter} failed: {why}")
        self.why = why


class AgentUnreachable(CommandError):
    """No answer at ``path``; ``why`` is the reason alone, ``remedy`` what the reader can do."""

    exit_status = 3

    def __init__(
        self,
        path: str,
        why: str,
        remedy: str = START_IT,
    ) -> None:
        super().__init__(f"cannot reach the agent at {path}: {why}; {remedy}")
        self.path = path
        self.why = why


class AgentNotStarted(CommandError):
    """The private agent of a command did not become ready; the text says why."""

    exit_status = 3


class NotTried(CommandError):
    """``check-stop`` could not try what it was asked to; the text says why."""

    exit_status = 3
