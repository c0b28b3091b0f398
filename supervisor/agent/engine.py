"""The one writer. Everything that changes a task comes through here: event → ``step`` → commit → effects.

Changes that arrive while a commit is under way share the next one. Nothing is visible, done or acknowledged before
the commit that stored it: readers see the last committed records, effects go to the keeper after it, and so does the
``Forget`` of the events that it stored. A crash between any two of these loses nothing: the keeper repeats what was
not forgotten, and ``recovery`` asks again for what was stored and not done.

One exception: while nothing can be stored (``outage``) stops are carried out all the same. On a host whose disk is full
somebody must be able to stop what fills it. Such a stop is not acknowledged: its caller hears that it is under way and
not recorded, and it is stored when there is room again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec

from supervisor import lifecycle, recovery, wire
from supervisor.agent import outage
from supervisor.agent.draft import Draft, Tasks
from supervisor.agent.events import entries, moment, narrate, narrate_hook, translate
from supervisor.agent.inbox import Change, Happening, Item, Passed
from supervisor.agent.outage import Outage
from supervisor.agent.spawning import spawn_request
from supervisor.agent.timetable import Timetable
from supervisor.clock import Clock
from supervisor.errors import IllegalTransition, StoreError, SupervisorError
from supervisor.log import get_logger
from supervisor.model import LastStatus, Task
from supervisor.store import Store

T = TypeVar("T")

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
        self._inbox: deque[Item] = deque()
        self._outage = Outage(clock, send)
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

    async def submit(self, change: Callable[[Draft], T], *, urgent: bool = False) -> T:
        """Have a change made. What it returns comes back after the commit; what it raises, at once.

        ``urgent``: where it cannot be stored its stops are carried out all the same. ``StoreError`` says so then; the
        change is made again and again until it is stored.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(Change(change, answer, urgent=urgent))
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
        unfinished = self._store.load_unfinished()
        instance = self._store.instance()
        restarted = instance is not None and instance.boot_id not in ("", boot_id)
        for task in unfinished:
            self._hold(task)
            self._tell_observers(task)

        def take_up(draft: Draft) -> None:
            if instance is not None and instance.boot_id != boot_id:
                draft.resources.append(msgspec.structs.replace(instance, boot_id=boot_id))
            now = self._clock.wall()
            for task in unfinished:
                draft.put(*recovery.recover(task, frozenset(held), now, draft.clock, restarted=restarted))

        _log.info("tasks_recovered", tasks=len(unfinished), runs_held=len(held), host_restarted=restarted)
        change = Change(take_up, asyncio.get_running_loop().create_future(), urgent=True)
        with contextlib.suppress(StoreError):  # what it could not store it has kept, to be stored before all else
            await self._make_or_keep([change])
            await change.answer

    async def run(self) -> None:
        """Make changes until told to end, or cancelled."""
        while not self._ending:
            await self._wait()
            while self._gather():
                batch = list(self._inbox)
                self._inbox.clear()
                if not await self._make_or_keep(batch):
                    await asyncio.sleep(outage.SPACING)
                    break

    def end(self) -> None:
        """``run`` returns between two commits, with nothing half done."""
        self._ending = True
        self._arrived.set()

    async def _make_or_keep(self, batch: list[Item]) -> bool:
        """Make the changes; False where they could not be stored, and those that are not refused wait in the inbox."""
        try:
            await self._make(batch)
        except StoreError as exc:
            self._refuse(batch, exc)
            return False
        return True

    def _put(self, item: Item) -> None:
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
        retry_at = self._outage.retry_at if self._inbox else None
        instants = [at for at in (self._timetable.next_at(), retry_at) if at is not None]
        return max(min(instants) - self._clock.monotonic(), 0.0) if instants else None

    async def _make(self, batch: list[Item]) -> None:
        draft, made = self._draft(batch, self)
        await self._commit(draft, made)
        if forget := max((item.seq for item in batch if not isinstance(item, Change | Happening)), default=0):
            self._send(wire.Forget(forget))
        for change in made:
            change.succeed()

    def _draft(self, batch: list[Item], base: Tasks) -> tuple[Draft, list[Change]]:
        """The changes made, not stored, and those that were requests. What must wait for them goes back."""
        draft = Draft(base, self._clock.monotonic())
        made: list[Change] = []
        for number, item in enumerate(batch):
            part = Draft(draft, draft.clock)
            try:
                if isinstance(item, Change):
                    item.result = item.change(part)
                    made.append(item)
                elif isinstance(item, Happening):
                    self._let_happen(part, item)
                elif not isinstance(item, Passed) and not self._follow(part, item, draft):
                    batch[number] = Passed(item.seq)
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
                self._inbox.extendleft(reversed(batch[number + 1 :]))
                del batch[number + 1 :]
                break
        return draft, made

    def _follow(self, part: Draft, event: wire.Event, draft: Draft) -> bool:
        """False where it concerns no task."""
        if isinstance(event, wire.Draining) or self.take_aside(event):
            return False
        task_id = self._by_run.get(event.run)
        task = draft.task(task_id) if task_id is not None else None
        container = task.container_of_run(event.run) if task is not None else None
        if task is None or container is None:
            _log.info("event_of_unknown_run", run=event.run, kind=type(event).__name__)  # stored before a crash
            return False
        if (kept := moment(task, container, event)) is not None:
            part.kept.append(kept)
        if isinstance(event, wire.HookEnded):
            part.lines.append(narrate_hook(task, container, event))
        if (translated := translate(event, container)) is not None:
            part.follow(task, translated, self._clock.wall())
        return True

    def _let_happen(self, part: Draft, item: Happening) -> None:
        task = part.task(item.task_id)
        if task is not None:
            part.follow(task, item.event, self._clock.wall())

    def _report(self, item: Item, error: Exception) -> None:
        if isinstance(item, Change):
            item.fail(error)
        elif isinstance(error, IllegalTransition):
            _log.error("event_refused", refused=repr(item), error=str(error))

    def _refuse(self, batch: list[Item], error: StoreError, base: Tasks | None = None) -> None:
        """It cannot be stored: requests hear of it, events wait for the next commit. Stops are carried out."""
        self._outage.begin(error)
        kept: list[Item] = [item for item in batch if not isinstance(item, Change) or item.urgent]  # what was due, too
        for item in batch:
            if isinstance(item, Change):
                item.fail(outage.unrecorded(error) if item.urgent else error)
        with contextlib.suppress(StoreError):
            self._pass_on(self._draft(kept, base or self)[0])
        self._inbox.extendleft(reversed(kept))

    def _pass_on(self, draft: Draft) -> None:
        """Have the keeper carry out what stops something, and nothing else, before it is stored."""
        stops = [effect for _, effect in draft.effects if isinstance(effect, lifecycle.Stop)]
        self._outage.stop(wire.Stop(stop.run_id, stop.timeout) for stop in stops)

    async def _saved(self, saving: asyncio.Future[None], draft: Draft, made: list[Change]) -> None:
        """Wait for the disk. One that hangs delays no stop: neither those of this commit, nor those that come now."""
        if not (await asyncio.wait({saving}, timeout=outage.PATIENCE))[0]:
            error = StoreError(f"cannot write {self._store.path}: its disk has not answered for {outage.PATIENCE:g} s")
            self._pass_on(draft)
            for change in made:
                if change.urgent:
                    change.fail(outage.unrecorded(error))
            while not saving.done():
                self._arrived.clear()
                batch = list(self._inbox)
                self._inbox.clear()
                self._refuse(batch, error, draft)
                arrived = asyncio.ensure_future(self._arrived.wait())
                either: list[asyncio.Future[Any]] = [saving, arrived]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                arrived.cancel()
        saving.result()

    async def _commit(self, draft: Draft, made: list[Change]) -> None:
        # Whatever can fail comes before the save: an effect of what is stored must not be lost.
        requests = [self._request(task, effect) for task, effect in draft.effects]
        changed = {task_id: task for task_id, task in draft.tasks.items() if self.task(task_id) != task}
        if changed or draft.resources or draft.kept:
            told = entries(draft.versions, self._clock.wall())
            saving = asyncio.get_running_loop().run_in_executor(
                self._writer, self._store.save, list(changed.values()), draft.resources, told, draft.kept
            )
            await self._saved(saving, draft, made)
            self._outage.end()
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
