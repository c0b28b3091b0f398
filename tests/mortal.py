"""A world in which everything may end: the agent between commits, the keeper with or without its ledger, the host."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator

from hypothesis import note

from supervisor.lifecycle import Effect, Emptied, Event, Exited, Keep, Spawn, Spawned, Stop
from supervisor.model import DesiredStatus, ExitStatus, Identity, LastStatus, PastRun, Task
from supervisor.recovery import PERHAPS, recover
from tests import tally
from tests.lives import asked_for
from tests.model_keeper import WINDOW, ModelKeeper, Move, Run
from tests.world import STOPPED, World, check_record

UNKNOWN = "nobody has kept its status"


class MortalKeeper(ModelKeeper):
    """With processes that outlive it: those in ``orphans`` are no keeper's."""

    def __init__(self) -> None:
        super().__init__()
        self.orphans: dict[str, Run] = {}

    def do(self, effect: Effect) -> None:
        if isinstance(effect, Spawn) and effect.run_id not in self.live:
            self._spawn(effect)
        elif isinstance(effect, Stop) and (run := self.live.get(effect.run_id)) is not None:
            asked, run.asked = run.asked, True
            end = self.ticks + (WINDOW if effect.timeout is None else effect.timeout)
            run.deadline = end if run.deadline is None else min(run.deadline, end)
            if not asked and not run.starting:
                self._signal(effect.run_id, 15)

    def _spawn(self, effect: Spawn) -> None:
        run_id, run = effect.run_id, self.orphans.pop(effect.run_id, None)
        if run is None and effect.living in (None, PERHAPS):
            self.live[run_id] = Run()
            self.starts[run_id] += 1
            return
        assert effect.living is not None, "a second copy of what lives"
        if effect.living == PERHAPS:
            self.events.append(Spawned(run_id, self.wall, Identity(42, 7), clock=self.ticks))
        if run is None or not run.main_lives:
            self.exits.setdefault(run_id, ExitStatus())
            self.events.append(Exited(run_id, self.wall, ExitStatus(), False, UNKNOWN, clock=self.ticks))
        if run is None:
            self.events.append(Emptied(run_id, self.wall, clock=self.ticks))
            return
        self.live[run_id] = run
        run.asked, run.deadline, run.kills = False, None, 0
        if not run.main_lives:
            run.deadline = self.ticks + WINDOW
            self._signal(run_id, 15)

    def die(self, *, begun: bool) -> None:
        """What was forked and not executed ends with it, or had come to its exec just before."""
        for run_id, run in list(self.live.items()):
            if run.starting and begun:
                self._start(run_id)
            elif run.starting:
                del self.live[run_id]
                del self.starts[run_id]

    def lose_ledger(self) -> None:
        """The next keeper knows of nothing."""
        self.orphans |= self.live
        self.live = {}
        self.events = []
        self.starts = Counter(dict.fromkeys(self.orphans, 1))  # what is over untold may begin once more

    def end_orphan(self, run_id: str, *, wholly: bool) -> None:
        """Its main process ends, and nobody sees how."""
        self.orphans[run_id].main_lives = False
        if wholly:
            del self.orphans[run_id]
            del self.starts[run_id]  # where nobody was told that it had begun, it may begin once more


class MortalWorld(World):
    """Steps wait for their commit, and effects for that; the agent's death takes along what had none."""

    keeper: MortalKeeper

    def __init__(self, task: Task) -> None:
        self.stored = task
        self.pending: list[Effect] = []
        self.heard = 0
        self.told: tuple[dict[str, PastRun], Counter[str]] = ({}, Counter())
        super().__init__(task, may_crash=True, keeper=MortalKeeper())
        self.commit()

    def hear(self, event: Event) -> None:
        note(f"heard {event}")
        waiting, self.requests = self.requests, []
        super().hear(event)
        self.pending += self.requests
        self.requests = waiting

    def commit(self) -> None:
        note("committed")
        self.stored, self.heard = self.task, self.delivered
        self.told = (dict(self.kept), Counter(self.spawns))
        self.requests += self.pending
        self.pending = []

    def forget(self) -> None:
        """Only what is stored."""
        self.commit()
        super().forget()
        self.heard = 0

    def moves(self) -> list[Move]:
        return [*([self.commit] if self.pending else []), *super().moves()]

    def accidents(self) -> list[Move]:
        lose = [functools.partial(self.keeper.end_orphan, one, wholly=True) for one in self.keeper.orphans]
        part = [functools.partial(self.keeper.end_orphan, one, wholly=False) for one in self.keeper.orphans]
        ends = [
            functools.partial(self.end_keeper, ledger, begun) for ledger in (True, False) for begun in (True, False)
        ]
        return [*super().accidents(), *lose, *part, *ends, self.restart_host]

    def crash(self, sent: int) -> None:
        """The agent ends; so many of its requests have come to the keeper."""
        note(f"the agent ends, of {self.requests} came {sent}")
        tally.count("recovery", agent_crashes=1)
        for effect in self.requests[:sent]:
            self.keeper.do(effect)
        self.take_up()

    def end_keeper(self, ledger: bool, begun: bool) -> None:
        """With it ends the agent; the ledger may be gone as well."""
        note(f"the keeper ends, {ledger=}, {begun=}")
        tally.count("recovery", keeper_crashes=1, without_ledger=int(not ledger))
        self.keeper.die(begun=begun)
        if not ledger:
            self.end_the_unknown()
            self.keeper.lose_ledger()
            self.forget_unstored_exits()
        self.take_up()

    def end_the_unknown(self) -> None:
        """Of a task that is to stop, a run that no ledger and no record has as started is not looked for."""
        if self.stored.desired_status is DesiredStatus.STOPPED:
            for one in self.stored.containers:
                if one.running_since is None and one.run_id is not None:
                    self.keeper.live.pop(one.run_id, None)
                    self.keeper.orphans.pop(one.run_id, None)

    def restart_host(self) -> None:
        note("the host ends")
        tally.count("recovery", restarts_of_the_host=1)
        self.keeper.lose_ledger()
        self.keeper.orphans = {}
        self.keeper.ticks = 1.0
        self.forget_unstored_exits()
        self.take_up(restarted=True)
        assert self.task.last_status is STOPPED
        assert self.requests == []

    def forget_unstored_exits(self) -> None:
        """Nobody will ever tell of them."""
        stored = {run_id: run.exit for run_id, run in self.told[0].items()}
        stored |= {
            one.run_id: one.exit
            for one in self.stored.containers
            if one.run_id is not None and one.run_id not in stored and one.running_since is not None
        }
        self.keeper.exits = {run_id: end for run_id, end in stored.items() if end is not None}

    def take_up(self, *, restarted: bool = False) -> None:
        """The next agent, with the record as it is stored."""
        before, held = self.stored, self.keeper.held()
        note(f"taken up: {self.keeper.held()=}, {list(self.keeper.orphans)=}")
        self.kept, self.spawns = dict(self.told[0]), Counter(self.told[1])
        self.pending = []
        self.task, effects = recover(before, held, self.keeper.wall, self.keeper.ticks, restarted=restarted)
        self.keep(effects)
        self.requests = asked_for(effects)
        check_record(self.task)
        for one in before.containers:
            assert one.last_status is not STOPPED or self.task.container(one.name) == one
        for effect in effects:
            if isinstance(effect, Spawn):
                assert self.task.desired_status is DesiredStatus.RUNNING or effect.living not in (None, PERHAPS)
                self.spawns[effect.run_id] = 1
        again = recover(self.task, held, self.keeper.wall + 1, self.keeper.ticks, restarted=restarted)
        assert again == (self.task, [one for one in effects if not isinstance(one, Keep)]), "once is enough"
        self.delivered = 0
        self.commit()

    def check(self, before: Task) -> None:
        super().check(before)
        for one in self.task.containers:
            assert one.last_status is not STOPPED or one.run_id not in self.keeper.orphans, "it lives"

    def check_deadlines(self) -> None:
        """Of a stop whose deadline is stored it does not become later, whoever ends."""
        for one in self.stored.containers:
            run = self.keeper.live.get(one.run_id or "")
            if run is not None and run.asked and one.stop_asked and None not in (run.deadline, one.deadline):
                assert run.deadline is not None
                assert one.deadline is not None
                assert run.deadline <= one.deadline + 1e-6

    def live(self, choices: Iterator[int]) -> None:
        super().live(self.watched(choices))
        self.commit()

    def watched(self, choices: Iterator[int]) -> Iterator[int]:
        for choice in choices:
            yield choice
            self.check_deadlines()

    def check_end(self) -> None:
        assert self.keeper.orphans == {}
        super().check_end()
        for one in self.task.containers:
            unknown = one.started_at is not None and one.exit in (None, ExitStatus())
            assert not unknown or one.reason, "what cannot be known is said"
        assert self.task.last_status is LastStatus.STOPPED
