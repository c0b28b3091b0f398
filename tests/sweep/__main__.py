"""``python -m tests.sweep``: kill -9 at every point, or at some of them; says how many were swept."""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import random
import secrets
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait

from tests.sweep.point import Outcome, live
from tests.sweep.points import PLACES, Plan

BEYOND = 3
"""So many points in a row that were not reached: there are no more of them."""


class Sweep:
    """Points of one seed and one way of tracking, ``jobs`` at a time, each in a process of its own."""

    def __init__(self, seed: int, tracking: str, jobs: int) -> None:
        self._seed = seed
        self._tracking = tracking
        self._jobs = jobs

    def count(self) -> dict[str, int]:
        """How many points agent and keeper have where nothing is killed. The number changes a little each time."""
        (outcome,) = self.outcomes([Plan("agent", [])])
        assert not outcome.violations, "\n".join([*outcome.violations, outcome.log])
        return {place: len(outcome.points[f"{place}-1"]) for place in ("agent", "keeper", "child")}

    def outcomes(self, plans: Iterable[Plan]) -> Iterator[Outcome]:
        """As they come."""
        plans = iter(plans)
        under_way: dict[Connection, multiprocessing.context.ForkProcess] = {}
        try:
            while True:
                for plan in itertools.islice(plans, self._jobs - len(under_way)):
                    under_way.update([self._start(plan)])
                if not under_way:
                    return
                for pipe in wait(list(under_way)):
                    assert isinstance(pipe, Connection)
                    outcome: Outcome = pipe.recv()
                    pipe.close()
                    under_way.pop(pipe).join()
                    yield outcome
        finally:
            for pipe, process in under_way.items():
                pipe.recv()
                process.join()

    def _start(self, plan: Plan) -> tuple[Connection, multiprocessing.context.ForkProcess]:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=lambda: theirs.send(live(plan, self._seed, self._tracking)))
        process.start()
        theirs.close()
        return ours, process

    def every(self, victim: str, before: list[int], first: int, last: int | None) -> Iterator[Outcome]:
        """Each point of a life from ``first`` on, until there are no more; ``before``: of the lives before it."""
        missed = 0
        numbers = itertools.count(first) if last is None else range(first, last + 1)
        for outcome in self.outcomes(Plan(victim, [*before, number]) for number in numbers):
            missed = 0 if outcome.reached else missed + 1
            yield outcome
            if missed == BEYOND:
                return

    def some(self, victim: str, points: int, most: int) -> Iterator[Outcome]:
        """So many, spread over all of them, beginning where the seed says."""
        step = max(most / points, 1.0)
        offset = random.Random(self._seed).random()
        numbers = (1 + int(step * (one + offset)) for one in range(points))
        yield from self.outcomes(Plan(victim, [number]) for number in numbers if number <= most)


def show(outcome: Outcome, seed: int, tracking: str) -> None:
    """A line, and what was violated."""
    victim, at = outcome.plan.victim, ",".join(map(str, outcome.plan.at))
    violated = len(outcome.violations)
    print(f"{tracking} {victim} {at}: {outcome.reached or 'not reached'}: {violated} violations", flush=True)
    if violated:
        again = f"make sweep SEED={seed} TRACKING={tracking} VICTIM={victim} AT={at}"
        print(outcome.log, *outcome.violations, f"again: {again}", sep="\n", flush=True)


def main() -> int:
    """1 where a promise was broken."""
    parser = argparse.ArgumentParser("make sweep", description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--tracking", choices=["cgroup", "descent"], action="append")
    parser.add_argument("--victim", choices=list(PLACES), action="append")
    parser.add_argument("--points", type=int, help="so many for each victim and tracking, spread over all")
    parser.add_argument("--at", help="this point alone: its number, or with commas one for each life")
    parser.add_argument("--after", type=int, help="sweep the life that follows on a kill at this point")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--last", type=int)
    parser.add_argument("--jobs", type=int, default=2, help="points lived through at a time")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else secrets.randbelow(2**32)
    print(f"SEED={seed}", flush=True)
    swept: Counter[str] = Counter()
    violations = 0
    for tracking in args.tracking or ["cgroup", "descent"]:
        sweep = Sweep(seed, tracking, args.jobs)
        counts = sweep.count() if args.points else {}
        for victim in args.victim or list(PLACES):
            if args.at:
                outcomes = sweep.outcomes([Plan(victim, [int(number) for number in args.at.split(",")])])
            elif args.points:
                outcomes = sweep.some(victim, args.points, counts[PLACES[victim]])
            else:
                before = [args.after] if args.after else []
                outcomes = sweep.every(victim, before, args.first, args.last)
            for outcome in outcomes:
                show(outcome, seed, tracking)
                swept[victim] += bool(outcome.reached)
                violations += len(outcome.violations)
    told = ", ".join(f"{victim} {swept[victim]}" for victim in PLACES)
    print(f"swept {swept.total()} points: {told}; {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
