"""The agent as the keeper's child: started, listened to, and started again when it dies."""

from __future__ import annotations

import functools
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

from supervisor import wire
from supervisor.errors import WireError
from supervisor.keeper import watchdog
from supervisor.keeper.ledger import Ledger
from supervisor.keeper.poller import Poller, Priority
from supervisor.keeper.report import Log
from supervisor.keeper.settings import Settings
from supervisor.posix import proc, process, rights, service

LINK_FD = 3
"""Where the agent finds its end of the link; the listening sockets follow."""

_CHUNK = 256 * 1024
_UNSENT_MOST = 1024 * 1024
"""Bytes that an agent has not taken, beyond which nothing more is answered until it has."""
_SPACING = 0.05
_BACKOFF_MOST = 10.0
_DOUBLINGS = 16  # beyond which a float would in the end overflow
"""Seconds between two starts: the first for an agent that had served, doubled up to the most for one that never did."""


class AgentProcess:
    """At most one agent at a time. ``handle`` gets each of its messages; what it raises ends the agent."""

    def __init__(
        self,
        poller: Poller,
        log: Log,
        settings: Settings,
        handle: Callable[[Any], None],
        ended: Callable[[], None],
        *,
        ledger: Ledger,
    ) -> None:
        self._poller = poller
        self._log = log
        self._settings = settings
        self._ledger = ledger
        self._predecessor: int | None = None
        """A pidfd of the agent of the keeper before, while it lives: two would write the same records."""
        self._handle = handle
        self._ended = ended
        self._watchdog = watchdog.Watchdog(watchdog.period(os.environ, os.getpid()))
        self._fruitless = 0
        self._pidfd = -1
        self._link: socket.socket | None = None
        self._decoder = wire.Decoder.at_keeper()
        self._unsent = bytearray()
        self._refused = False
        self._held = False
        """Some of what was received waits until the agent has taken what was answered before."""
        self._ended_asking = False
        self._turned_away = False
        self._mask = 0
        self.pid = 0
        self.greeted = False
        self.has_served = False
        self.start_at: float | None = None
        """Monotonic instant of the next start; None while one lives, or none is wanted."""
        self.status: process.Wait | None = None
        """How the last one ended."""

    def start(self) -> None:
        """Fork and exec an agent with a fresh link, when there is none left of the keeper before."""
        self.start_at = None
        if self._predecessor is not None:
            return
        self._turned_away = False
        self.greeted = False
        self._decoder = wire.Decoder.at_keeper()
        self._unsent.clear()
        self._refused = self._held = self._ended_asking = False
        try:
            ours, theirs = socket.socketpair()
        except OSError as exc:
            self._give_up(exc)
            return
        pid = 0
        try:
            pid = process.fork(functools.partial(self._become, os.getpid(), theirs.fileno()))
            self._pidfd = process.open_child(pid)
        except OSError as exc:
            ours.close()
            if pid:
                process.kill_child(pid)  # reaped with the orphans
            self._give_up(exc)
            return
        finally:
            theirs.close()
        self._follow(pid, ours)

    def resume(self, pid: int, link: int) -> None:
        """Go on with an agent that has outlived an upgrade of ours; with a new one, where it has not."""
        self.has_served = True
        if not pid:
            self.start()
            return
        ours = socket.socket(fileno=link)
        ours.set_inheritable(False)
        try:
            self._pidfd = process.open_child(pid)
        except OSError as exc:  # no descriptor left; our end of the link tells it to end
            ours.close()
            self._give_up(exc)
            return
        self._follow(pid, ours)

    def _follow(self, pid: int, link: socket.socket) -> None:
        self.pid = pid
        self._watchdog.started(time.monotonic(), self._fruitless)
        stat = proc.read_stat(pid)
        self._ledger.put("agent", (pid, stat.start_time if stat is not None else 0))
        link.setblocking(False)
        self._link = link
        self._poller.watch(self._pidfd, select.EPOLLIN, Priority.REQUEST, self._over)
        self._mask = 0
        self._watch_link()

    def outlive(self, pid: int, start_time: int) -> None:
        """End that agent, of the keeper before, if it lives; none is started before it is gone."""
        pidfd = process.open_identified(pid, start_time) if pid else None
        if pidfd is None:
            return
        self._predecessor = pidfd
        process.send(pidfd, signal.SIGKILL)
        self._poller.watch(pidfd, select.EPOLLIN, Priority.REQUEST, self._predecessor_over)

    def _predecessor_over(self) -> None:
        assert self._predecessor is not None
        self._poller.forget(self._predecessor)
        os.close(self._predecessor)
        self._predecessor = None
        self.start()

    def _become(self, keeper: int, link: int) -> NoReturn:
        os.setsid()  # a Ctrl-C at the terminal is the keeper's to answer
        process.die_with_parent(keeper)
        # Above all numbers in use first, so that no dup2 lands on a descriptor still to be placed.
        fds = [link, *self._settings.listen_fds]
        high = max(LINK_FD + len(fds), *fds) + 1
        for offset, fd in enumerate(fds):
            os.dup2(fd, high + offset)
        for offset in range(len(fds)):
            os.dup2(high + offset, LINK_FD + offset)
        process.close_from(LINK_FD + len(fds))
        process.reset_signals()
        if (ids := self._settings.agent_ids) is not None:
            rights.become(ids)
            process.forbid_new_privileges()
            process.die_with_parent(keeper)  # once more: the kernel has forgotten it with the change
        process.execute(self._settings.agent_argv, {**os.environ, **self._settings.agent_environ})

    def send(self, message: wire.Message) -> None:
        """Queue a message. It goes with ``flush``: an agent woken by each would take the CPU from the kills."""
        if self._link is not None:
            self._unsent += wire.encode(message)

    def flush(self) -> None:
        """Send what is queued; what the agent does not take yet waits for it."""
        if self._link is not None and self._unsent:
            self._flush()

    def _flush(self) -> None:
        assert self._link is not None
        try:
            while self._unsent:
                del self._unsent[: self._link.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()  # it died; every event is still kept, for the next one
        self._watch_link()

    def _watch_link(self) -> None:
        """Nothing more is read of an agent that was turned away, nor of one that asks and takes no answers.

        These would fill our memory, not its.
        """
        if self._link is None or self._ended_asking:
            return
        mask = 0 if self._turned_away or len(self._unsent) > _UNSENT_MOST else select.EPOLLIN
        if self._unsent or self._held:
            mask |= select.EPOLLOUT
        if mask == self._mask:
            return
        self._mask = mask
        if mask:
            self._poller.watch(self._link.fileno(), mask, Priority.REQUEST, self._serve)
        else:
            self._poller.forget(self._link.fileno())

    def _serve(self) -> None:
        if self._link is None:
            return
        self._flush()
        if not self._turned_away and len(self._unsent) <= _UNSENT_MOST:
            self._receive()
            self._watch_link()

    def _receive(self) -> bool:
        """Take a chunk of requests; False at the end of the link, and for ever after a frame that was refused."""
        assert self._link is not None
        if self._refused:
            return False
        if not self._held:
            try:
                data = self._link.recv(_CHUNK)
            except BlockingIOError:
                return False
            except OSError:
                data = b""
            if not data:
                self._ask_no_more()
                return False
            self._decoder.feed(data)
        try:
            self._take()
        except WireError as exc:
            self._log.warning("frame_refused", error=str(exc))
            self._refused = True
            self._ask_no_more()
            self.kill()
            return False
        return True

    def _take(self) -> None:
        """Carry out what was received, as long as the answers are taken."""
        self._held = False
        for message in self._decoder.messages():
            self._handle(message)
            if len(self._unsent) > _UNSENT_MOST:
                self._held = True
                return

    def _ask_no_more(self) -> None:
        assert self._link is not None
        self._ended_asking = True
        self._poller.forget(self._link.fileno())

    # an upgrade

    @property
    def has_all(self) -> bool:
        """Whether nothing that was sent waits for it; so it is too where there is none."""
        return not self._unsent

    def turn_away(self) -> None:
        """It has said its last word as the version that it is. What comes from now on is for the next keeper."""
        self.greeted = False
        self._watchdog.ended()
        self._turned_away = True
        self._watch_link()

    def turn_back(self) -> None:
        """There will be no next keeper: hear it again."""
        self._watchdog.serves(time.monotonic())
        self._turned_away = False
        self._watch_link()

    def hand_on(self) -> tuple[int, int]:
        """Its pid, 0 for none, and our end of the link, which an exec now leaves open."""
        if self._link is None:
            return 0, -1
        self._link.set_inheritable(True)
        return self.pid, self._link.fileno()

    def take_back(self) -> None:
        """There was no exec."""
        if self._link is not None:
            self._link.set_inheritable(False)

    def kill(self) -> None:
        """SIGKILL; ``ended`` follows when it is gone."""
        if self.pid:
            process.send(self._pidfd, signal.SIGKILL)

    def _over(self) -> None:
        wait = process.peek(self._pidfd)
        if wait is None:
            return
        assert self._link is not None
        # What it had asked for before it died was committed, perhaps acknowledged: carry it out before the next
        # agent asks what there is. Not more: whom it has left its end of the link to could write for ever.
        self._link.shutdown(socket.SHUT_RD)
        self._unsent.clear()
        while self._receive():
            self._unsent.clear()  # there is nobody to answer
        self._poller.forget(self._link.fileno())
        self._poller.forget(self._pidfd)
        self._link.close()
        self._link = None
        process.reap(self.pid)
        os.close(self._pidfd)
        self.pid = 0
        self._watchdog.ended()
        self.status = wait
        self._fruitless = 0 if self.greeted else self._fruitless + 1
        self.greeted = False
        self._try_later()
        self._ended()

    def _give_up(self, error: OSError) -> None:
        self._log.warning("agent_not_started", error=str(error))
        self._fruitless += 1
        self._try_later()

    def _try_later(self) -> None:
        delay = min(_SPACING * 2 ** min(self._fruitless, _DOUBLINGS), _BACKOFF_MOST)
        self.start_at = time.monotonic() + delay

    def greet(self) -> None:
        """It has said hello."""
        self.greeted = self.has_served = True
        self._watchdog.serves(time.monotonic())

    def answered(self, number: int) -> None:
        """It has answered a ping."""
        self._watchdog.answered(number, time.monotonic())

    def watch_at(self, owed: float | None, *, draining: bool) -> float | None:
        """The instant of the next ``watch``. ``owed``: since when there is an event that it has not stored."""
        return self._watchdog.next_at(owed, draining=draining)

    def watch(self, now: float, owed: float | None, *, draining: bool) -> None:
        """Give our sign of life, if it is due, and see that the agent gives its own."""
        for order in self._watchdog.tick(now, owed, draining=draining):
            if isinstance(order, watchdog.Beat):
                service.notify("WATCHDOG=1")
            elif isinstance(order, watchdog.Ask):
                self.send(wire.Ping(order.number))
            else:
                self._log.warning("agent_hangs", pid=self.pid, why=order.why, seconds=order.seconds)
                self.kill()
