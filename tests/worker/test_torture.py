"""Thousands of jobs, and every second a process is killed that works on them."""

from __future__ import annotations

import random
import time

import pytest
from harness import Place, Worker, alive, kill, overlaps

CODE = """
def run(n, ms, owner):
    mark("start", n, owner, current_job().claim)
    time.sleep(ms / 1000)
    mark("end", n, owner, current_job().claim)

@app.task
def threaded(n, ms): run(n, ms, os.getpid())

@app.task
async def coroutine(n, ms):
    mark("start", n, os.getpid(), current_job().claim)
    await asyncio.sleep(ms / 1000)
    mark("end", n, os.getpid(), current_job().claim)

@app.task(executor="process")
def pooled(n, ms): run(n, ms, os.getppid())
"""


class Chaos:
    """Kills, and keeps the number of workers up."""

    def __init__(self, place: Place, seed: int, *, orphans: bool) -> None:
        self.place = place
        self.dice = random.Random(seed)
        self.orphans = orphans
        self.workers = [self._start() for _ in range(2)]
        self.left_alone: list[int] = []
        self.killed: dict[int, float] = {}  # by process, at the latest before that time it lived
        self.kills = 0

    def _start(self) -> Worker:
        return self.place.start("--concurrency", "5", "--process-slots", "1", "--grace", "5", ready=False)

    def strike(self) -> None:
        """Kill one process."""
        number = self.dice.randrange(len(self.workers))
        worker = self.workers[number]
        children = worker.children()
        old = [pid for pid in self.left_alone if alive(pid)]
        if self.orphans and old and self.dice.random() < 0.5:
            self._kill(self.dice.choice(old))
        elif self.dice.random() < 0.3:
            self._kill(worker.pid)
            worker.wait()
            self.left_alone += children
            if self.orphans and children and self.dice.random() < 0.5:
                self._kill(children[0])
            self.workers[number] = self._start()
        elif children:
            self._kill(self.dice.choice(children))

    def _kill(self, pid: int) -> None:
        self.killed[pid] = time.monotonic()
        self.kills += 1
        kill(pid)


def torture(
    place: Place, jobs: int, *, every: float, least: int, within: float, orphans: bool, seed: int, longest: int = 60
) -> None:
    place.code(CODE)
    chaos = Chaos(place, seed, orphans=orphans)
    dice = random.Random(seed)
    kinds = [dice.choice(["threaded", "threaded", "coroutine", "coroutine", "coroutine", "pooled"]) for _ in range(jobs)]
    handles = []
    for kind in sorted(set(kinds)):
        mine = [(n, dice.randint(0, longest)) for n, other in enumerate(kinds) if other == kind]
        handles += list(zip(mine, place.calls(kind, mine), strict=True))
    began = time.monotonic()
    left = {handle.id for _, handle in handles}
    while left:
        assert time.monotonic() - began < within, f"after {chaos.kills} kills: {place.app.insight.counts()}"
        began_round = time.monotonic()
        if chaos.kills < least or len(left) > jobs // 10:
            chaos.strike()
        while time.monotonic() - began_round < every:
            time.sleep(0.02)
        counts = place.app.insight.counts()["default"]
        if sum(counts.get(state, 0) for state in ("succeeded", "failed")) == jobs:
            left.clear()

    marks = place.marks()
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for word, _, _, n, *_ in marks:
        found = starts if word == "start" else ends
        found[int(n)] = found.get(int(n), 0) + 1
    losses = 0
    for (n, _), handle in handles:
        info = handle.refresh().info
        lost = [run for run in place.app.insight.history(handle.id) if run.word == "lost"] if info.losses else []
        losses += info.losses
        assert info.losses == len(lost)
        assert starts.get(n, 0) <= info.losses + 1, f"job {n}: a loss was not counted"
        if info.state == "succeeded":
            assert (info.attempt, ends.get(n, 0) >= 1) == (1, True), f"job {n} did not run to its end"
        else:
            assert (info.state, info.losses) == ("failed", 3)
    with_owner = [[word, owner, at, f"{n}"] for word, _, at, n, owner, _ in marks]
    assert overlaps(with_owner, "start", "end", chaos.killed.get) == []
    assert chaos.kills >= least
    assert sum(starts.values()) > jobs, "no kill has hit anything"
    assert losses >= sum(starts.values()) - jobs
    assert place.app.insight.counts() == place.app.insight.recount()
    print(f"{jobs} jobs, {chaos.kills} kills, {losses} losses, {time.monotonic() - began:.0f} s")


def test_a_few_hundred_jobs_under_kills(place: Place) -> None:
    torture(place, 600, every=0.5, least=3, within=60, orphans=False, seed=7, longest=160)


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_ten_thousand_jobs_under_a_kill_every_second(place: Place) -> None:
    torture(place, 10_000, every=1.0, least=20, within=800, orphans=True, seed=int(time.time()))
