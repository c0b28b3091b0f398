"""The one writer. Everything that changes a task comes through here: event → ``step`` → commit → effects.

Changes that arrive while a commit is under way share the next one. Nothing is visible, done or acknowledged before
the commit that stored it: readers see the last committed records, effects go to the keeper after it, and so does the
``Forget`` of the events that it stored. A crash between any two of these loses nothing: the keeper repeats what was
not forgotten, and ``recovery`` asks again for what was stored and not done.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from supervisor import lifecycle, recovery, wire
from supervisor.agent.draft import Draft
from supervisor.agent.events import entries, moment, narrate, narrate_hook, translate
from supervisor.agent.inbox import Change, Happening
from supervisor.agent.spawning import spawn_request
from supervisor.agent.timetable import Timetable
from supervisor.clock import Clock
from supervisor.errors import IllegalTransition, StoreError, SupervisorError
from supervisor.log import get_logger
from supervisor.model import LastStatus, Task
from supervisor.store import Store

T = TypeVar("T")

_STORE_RETRY = 1.0
"""Seconds until events that could not be stored are tried again."""

_log = get_logger("agent")


class Engine:
    """Tasks that are not STOPPED yet, in memory; all others are the store's. Only ``run`` changes anything."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        send: Callable[[wire.Request], None],
        environ: Callable[[Task, str], dict[str, str]] | None = None,
    ) -> None:
        """``environ``: what a container of a task finds in its environment beside what its definition says."""
        self._store = store
        self._clock = clock
        self._send = send
        self._environ = environ or (lambda *_: {})
        self._live: dict[str, Task] = {}
        self._by_run: dict[str, str] = {}
        self._inbox: deque[Change | Happening | wire.Event] = deque()
        self._arrived = asyncio.Event()
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._followers: set[asyncio.Event] = set()
        self._timetable = Timetable()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._ending = False
        self.observers: list[Callable[[Task], None]] = []
        """Called with every task that has changed, after the commit, and at the start with each that is not STOPPED."""
        self.take_aside: Callable[[wire.RunEvent], bool] = lambda _: False
        """Takes an event of a run that is no container's; False where it is not its own either."""
        self.draining = False
        """No new tasks any more."""
        self.emptied = asyncio.Event()
        """Set whenever no task is left that is not STOPPED."""

    # what others ask

    async def submit(self, change: Callable[[Draft], T]) -> T:
        """Have a change made. What it returns comes back after the commit; what it raises, at once."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(Change(change, answer))
        return await answer

    def happen(self, event: lifecycle.OfRun) -> None:
        """Something was found out about a run; nothing where no task has that run any more."""
        task_id = self._by_run.get(event.run_id)
        if task_id is not None:
            self._put(Happening(task_id, event))

    def take(self, event: wire.Event) -> None:
        """An event of the keeper; it is forgotten there once it is stored here."""
        self._put(event)

    def task(self, task_id: str) -> Task | None:
        """The task as last committed."""
        return self._live.get(task_id) or self._store.task(task_id)

    def tasks(self, ids: Collection[str]) -> dict[str, Task]:
        """Those that exist, as last committed."""
        live = {task_id: self._live[task_id] for task_id in ids if task_id in self._live}
        stored = self._store.tasks(task_id for task_id in ids if task_id not in live)
        return stored | live

    def live(self) -> Mapping[str, Task]:
        """The tasks that are not STOPPED, by id, as last committed."""
        return self._live

    @contextlib.contextmanager
    def watching(self, ids: Collection[str]) -> Iterator[asyncio.Event]:
        """An event that is set at every change of one of these tasks; the watcher clears it."""
        changed = asyncio.Event()
        for task_id in ids:
            self._watchers.setdefault(task_id, set()).add(changed)
        try:
            yield changed
        finally:
            for task_id in ids:
                self._watchers[task_id].discard(changed)
                if not self._watchers[task_id]:
                    del self._watchers[task_id]

    @contextlib.contextmanager
    def following(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever the journal has grown; the follower clears it, and reads from the store."""
        grown = asyncio.Event()
        self._followers.add(grown)
        try:
            yield grown
        finally:
            self._followers.discard(grown)

    # the writer

    async def recover(self, held: Collection[str], boot_id: str = "") -> None:
        """Take up what the store says was under way. ``held``: the runs that the keeper has."""
        clock = self._clock.monotonic()
        draft = Draft(self, clock)
        instance = self._store.instance()
        restarted = instance is not None and instance.boot_id not in ("", boot_id)
        if instance is not None and instance.boot_id != boot_id:
            draft.resources.append(msgspec.structs.replace(instance, boot_id=boot_id))
        for task in self._store.load_unfinished():
            self._hold(task)
            self._tell_observers(task)
            recovered = recovery.recover(task, frozenset(held), self._clock.wall(), clock, restarted=restarted)
            draft.put(*recovered)
        _log.info("tasks_recovered", tasks=len(draft.tasks), runs_held=len(held), host_restarted=restarted)
        await self._commit(draft)

    async def run(self) -> None:
        """Make changes until told to end, or cancelled."""
        while not self._ending:
            await self._wait()
            while self._gather():
                batch = list(self._inbox)
                self._inbox.clear()
                try:
                    await self._make(batch)
                except StoreError as exc:
                    self._refuse(batch, exc)
                    await asyncio.sleep(_STORE_RETRY)

    def end(self) -> None:
        """``run`` returns between two commits, with nothing half done."""
        self._ending = True
        self._arrived.set()

    def _put(self, item: Change | Happening | wire.Event) -> None:
        self._inbox.append(item)
        self._arrived.set()

    async def _wait(self) -> None:
        """Until something has arrived, or is due."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._time_left()):
                await self._arrived.wait()
        self._arrived.clear()

    def _gather(self) -> bool:
        """Have what is due in the inbox too, also where requests never end; whether there is anything to be made."""
        self._inbox.extend(itertools.starmap(Happening, self._timetable.take_due(self._clock.monotonic())))
        return bool(self._inbox) and not self._ending

    def _time_left(self) -> float | None:
        """Seconds until something is due, None if nothing is."""
        due_at = self._timetable.next_at()
        return None if due_at is None else max(due_at - self._clock.monotonic(), 0.0)

    async def _make(self, batch: list[Change | Happening | wire.Event]) -> None:
        draft = Draft(self, self._clock.monotonic())
        made: list[Change] = []
        forget = 0
        for number, item in enumerate(batch, 1):
            part = Draft(draft, draft.clock)
            try:
                if isinstance(item, Change):
                    item.result = item.change(part)
                    made.append(item)
                elif isinstance(item, Happening):
                    self._let_happen(part, item)
                else:
                    forget = item.seq
                    self._follow(part, item, draft)
            except StoreError:
                raise
            except SupervisorError as exc:
                self._report(item, exc)
            except Exception as exc:  # noqa: BLE001  a bug in one change is that caller's error, not everybody's
                _log.exception("change_failed")
                self._report(item, exc)
            else:
                draft.absorb(part)
            if draft.resources:  # the changes that follow read them from the store
                self._inbox.extendleft(reversed(batch[number:]))
                del batch[number:]
                break
        await self._commit(draft)
        if forget:
            self._send(wire.Forget(forget))
        for change in made:
            if not change.answer.done():  # its caller may have gone away; the change is made all the same
                change.answer.set_result(change.result)

    def _follow(self, part: Draft, event: wire.Event, draft: Draft) -> None:
        if isinstance(event, wire.Draining) or self.take_aside(event):
            return
        task_id = self._by_run.get(event.run)
        task = draft.task(task_id) if task_id is not None else None
        container = task.container_of_run(event.run) if task is not None else None
        if task is None or container is None:
            _log.info("event_of_unknown_run", run=event.run, kind=type(event).__name__)  # stored before a crash
            return
        if (kept := moment(task, container, event)) is not None:
            part.kept.append(kept)
        if isinstance(event, wire.HookEnded):
            part.lines.append(narrate_hook(task, container, event))
        if (translated := translate(event, container)) is not None:
            part.follow(task, translated, self._clock.wall())

    def _let_happen(self, part: Draft, item: Happening) -> None:
        task = part.task(item.task_id)
        if task is not None:
            part.follow(task, item.event, self._clock.wall())

    def _report(self, item: Change | Happening | wire.Event, error: Exception) -> None:
        if isinstance(item, Change):
            item.fail(error)
        elif isinstance(error, IllegalTransition):
            _log.error("event_refused", refused=repr(item), error=str(error))

    def _refuse(self, batch: list[Change | Happening | wire.Event], error: StoreError) -> None:
        """Nothing was stored: requests hear of it, events stay, for the next commit."""
        _log.error("store_failed", error=str(error))
        for item in batch:
            if isinstance(item, Change):
                item.fail(error)
        self._inbox.extendleft(item for item in reversed(batch) if not isinstance(item, Change))  # what was due, too

    async def _commit(self, draft: Draft) -> None:
        # Whatever can fail comes before the save: an effect of what is stored must not be lost.
        requests = [self._request(task, effect) for task, effect in draft.effects]
        changed = {task_id: task for task_id, task in draft.tasks.items() if self.task(task_id) != task}
        if changed or draft.resources or draft.kept:
            told = entries(draft.versions, self._clock.wall())
            await asyncio.get_running_loop().run_in_executor(
                self._writer, self._store.save, list(changed.values()), draft.resources, told, draft.kept
            )
        for level, event, facts in draft.lines:
            getattr(_log, level)(event, **facts)
        for task in changed.values():
            self._publish(task)
        for request in requests:
            self._send(request)
        if draft.versions:
            for grown in self._followers:
                grown.set()
        if not self._live:
            self.emptied.set()

    def _publish(self, task: Task) -> None:
        before = self._live.get(task.task_id)
        for level, event, facts in narrate(before, task):
            getattr(_log, level)(event, **facts)
        if task.last_status is LastStatus.STOPPED:
            self._live.pop(task.task_id, None)
            self._timetable.enter(task)
            for container in task.containers:
                self._by_run.pop(container.run_id or "", None)
        else:
            self.emptied.clear()
            self._hold(task)
        self._tell_observers(task)
        for changed in self._watchers.get(task.task_id, ()):
            changed.set()

    def _tell_observers(self, task: Task) -> None:
        for observe in self.observers:
            try:
                observe(task)
            except Exception:  # noqa: BLE001  what goes on beside must not undo what is committed
                _log.exception("observer_failed")

    def _hold(self, task: Task) -> None:
        before = self._live.get(task.task_id)
        self._live[task.task_id] = task
        if before is not None:
            now = {container.run_id for container in task.containers}
            for container in before.containers:
                if container.run_id not in now:  # a run that another one has followed
                    self._by_run.pop(container.run_id or "", None)
        for container in task.containers:
            if container.run_id is not None:
                self._by_run[container.run_id] = task.task_id
        self._timetable.enter(task)

    def request_of(self, task: Task, container: str, run_id: str) -> wire.Spawn:
        """What the keeper is asked for to start that container. ``StoreError`` without its definition."""
        definition = self._store.definition(task.family, task.revision)
        if definition is None:
            raise StoreError(f"cannot start {container!r}: its task definition is not in the store")
        return spawn_request(task, definition, container, run_id, self._environ(task, container))

    def _request(self, task: Task, effect: lifecycle.Spawn | lifecycle.Stop) -> wire.Request:
        """What the keeper is asked for an effect."""
        if isinstance(effect, lifecycle.Stop):
            return wire.Stop(effect.run_id, effect.timeout)
        request = self.request_of(task, effect.container, effect.run_id)
        living = effect.living
        return request if living is None else request._replace(living=(living.pid, living.start_time))

    async def prune(self, before: float, limit: int) -> list[str]:
        """Drop records of tasks that stopped before that Unix time, between two commits; their ids."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._store.prune, before, limit)

    async def prune_events(self, before: float, limit: int) -> int:
        """Drop events of the journal from before that Unix time, between two commits; how many."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._store.prune_events, before, limit)
