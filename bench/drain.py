"""Draining: how many jobs a worker process gets through, and what each costs it."""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

from bench import rival
from bench.places import until, worker
from bench.processes import cpu_seconds
from bench.run import Run
from dray import Dray


def succeeded(app: Dray) -> int:
    """How many have."""
    return sum(counts.get("succeeded", 0) for counts in app.insight.counts().values())


def measure(
    run: Run, app: Dray, task: str, n: int, *, concurrency: int = 100, processes: int = 1, url: str | None = None
) -> tuple[float, float]:
    """(jobs per second, CPU µs per job of supervisor, worker processes and their children) over `n` jobs, by workers that have
    just been started."""
    from bench import tasks

    job = getattr(tasks, task)
    with worker(app, concurrency=concurrency, processes=processes, url=url) as process:
        warm_up(run, app, job, max(200, n // 50))
        return through(run, app, job, n, process.pid)


def warm_up(run: Run, app: Dray, job: Any, n: int) -> None:
    """Let some jobs pass: pools are started, caches filled."""
    before = succeeded(app)
    app.enqueue_many(job.call(i) for i in range(n))
    until(lambda: succeeded(app) >= before + n, 120, every=run.ground.every)


def through(run: Run, app: Dray, job: Any, n: int, pid: int) -> tuple[float, float]:
    """Let `n` more jobs pass through the workers under process `pid`, which have nothing to do before and after."""
    pause(run, app)
    before = succeeded(app)
    app.enqueue_many(job.call(i) for i in range(n))
    cpu, began = cpu_seconds([pid]), time.perf_counter()
    app.insight.resume("default")
    until(lambda: succeeded(app) >= before + n, 300, every=run.ground.every)
    took, used = time.perf_counter() - began, cpu_seconds([pid]) - cpu
    done = succeeded(app) - before  # where there are others behind them, some more
    pause(run, app)
    return n / took, used / max(n, done) * 1e6


def pause(run: Run, app: Dray) -> None:
    """Until it is over with what runs."""
    app.insight.pause("default")
    until(lambda: not app.insight.counts().get("default", {}).get("running", 0), every=run.ground.every)


CASES = (
    # task, what it is, jobs, processes, jobs/s that are asked for
    ("noop", "async, 1 worker", 100_000, 1, 30_000),
    ("noop_thread", "threads, 1 worker", 60_000, 1, 15_000),
    ("noop_process", "child processes, 1 worker", 40_000, 1, 8_000),
    ("noop", "async, 2 workers", 100_000, 2, None),
)


def drains(run: Run) -> None:
    """No-op jobs of each kind, in turns with the bare loop and the rival, each in a fresh store."""
    from bench.tasks import noop

    on_postgres = run.ground.name == "PostgreSQL"
    rounds = 1 if run.quick else 3
    setup = rival.best_setup(run.ground.empty, run.of(50_000)) if on_postgres and rival.python() else None
    if setup is not None:
        print(f"     PgQueuer 1.6: {rival.told(setup)}")
    single = 0.0
    for task, name, many, processes, least in CASES:
        n = run.of(many)
        own: list[tuple[float, float]] = []
        floors, rivals = [], []
        for _ in range(rounds):
            with run.ground.fresh() as app:
                own.append(measure(run, app, task, n, processes=processes))
            with run.ground.fresh() as app:
                app.enqueue_many(noop.call(i) for i in range(n))
                floors.append(run.ground.floor_drain(app, n))
            if setup is not None and task == "noop":
                with run.ground.empty() as url:
                    rivals.append(rival.drain(url, n, setup, processes))
        rate, cpu = statistics.median(r for r, _ in own), statistics.median(c for _, c in own)
        floor = statistics.median(floors)
        other = statistics.median(one["rate"] for one in rivals) if rivals else None
        bar, ok = bars(run, rate, floor, other, least)
        if task == "noop" and processes == 1:
            single = rate
        note = "bare: one connection" if processes == 2 else ""
        run.add(f"drain of no-op jobs, {name}", rate, "jobs/s", floor=floor, bar=bar, ok=ok, rival=other, note=note)
        limit = "≤ 25" if task == "noop" and processes == 1 and not on_postgres else ""
        run.add(
            f"  its CPU time per job, {name}", cpu, "µs", bar=limit, ok=cpu <= 25 if limit else None,
            rival=statistics.median(one["cpu"] for one in rivals) if rivals else None,
        )  # fmt: skip
        if processes == 2 and single:
            enough = (os.cpu_count() or 1) >= 4
            note = "" if enough else f"{os.cpu_count()} cores, which the server shares: no bar"
            run.add("  2 workers over 1", rate / single, "×", bar="≥ 1.5 with 4 cores", ok=rate >= 1.5 * single if enough else None,
                    note=note)  # fmt: skip
    if on_postgres:
        floor_of_two(run)


def bars(run: Run, rate: float, floor: float, other: float | None, least: int | None) -> tuple[str, bool | None]:
    """What a drain must reach."""
    if least is None:
        return "", None
    if run.ground.name != "PostgreSQL":
        return f"≥ {least:,}", rate >= least
    if least != 30_000:  # only asked of coroutines
        return "", None
    ok = rate >= least and rate >= 0.4 * floor and (other is None or rate >= 2.5 * other)
    return f"≥ {least:,}, ≥ 0.4 × bare" + (", ≥ 2.5 × PgQueuer" if other else ""), ok


def floor_of_two(run: Run) -> None:
    """What a second bare connection adds, in a thread of the same process."""
    from bench.tasks import noop

    n = run.of(100_000)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(1 if run.quick else 3):
        for loops, found in rates.items():
            with run.ground.fresh() as app:
                app.enqueue_many(noop.call(i) for i in range(n))
                found.append(run.ground.drain_rate(app, loops))
    run.add("bare drain, 2 connections in 2 threads", statistics.median(rates[2]), "jobs/s", floor=statistics.median(rates[1]),
            note="no figure of ours; bare = 1 connection")  # fmt: skip


def ten_ms(run: Run) -> None:
    """Jobs that take 10 ms, a hundred at a time: 10,000 a second would be ideal."""
    with run.ground.fresh() as app:
        rate, cpu = measure(run, app, "ten_ms", run.of(50_000))
        note = f"bare = the ideal; {cpu:.0f} µs of CPU each"
        run.add("jobs of 10 ms, concurrency 100", rate, "jobs/s", floor=10_000, bar="≥ 9,000", ok=rate >= 9_000, note=note)
