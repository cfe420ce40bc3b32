"""Enqueueing from one process: one by one, from coroutines, in bulk."""

from __future__ import annotations

import asyncio
import statistics
import time

from bench.run import Run

AT_ONCE = 50  # coroutines


def single(run: Run) -> None:
    """One producer, blocking and not, in turns with the bare engine."""
    from bench.tasks import noop

    rounds, n = (4, 100) if run.quick else (20, 200)
    with run.ground.fresh() as app, run.ground.bare(app) as where:
        bare = run.ground.Inserter(where)
        noop.enqueue(0)
        bare.one()
        floor: list[float] = []
        sync: list[float] = []
        coroutine: list[float] = []
        crowd: list[float] = []

        async def enqueue() -> None:
            for _ in range(n):
                began = time.perf_counter()
                await noop.aenqueue(1)
                coroutine.append(time.perf_counter() - began)

        async def together() -> None:
            async def one() -> None:
                for _ in range(max(1, n // 10)):
                    await noop.aenqueue(1)

            began = time.perf_counter()
            await asyncio.gather(*(one() for _ in range(AT_ONCE)))
            crowd.append(AT_ONCE * max(1, n // 10) / (time.perf_counter() - began))

        for _ in range(rounds):
            floor += timed(bare.one, n)
            sync += timed(lambda: noop.enqueue(1), n)
            asyncio.run(enqueue())
            asyncio.run(together())
        bare.close()
    base = statistics.median(floor) * 1e6
    for name, times in (("blocking", sync), ("coroutine, one at a time", coroutine)):
        value = statistics.median(times) * 1e6
        bar = "≤ 1.3 × bare" if times is sync else ""
        run.add(f"single enqueue, {name}, median", value, "µs", floor=base, bar=bar, ok=value <= 1.3 * base if bar else None)
    run.add(f"single enqueue, {AT_ONCE} coroutines (group commit)", statistics.median(crowd), "jobs/s",
            floor=len(floor) / sum(floor), note="bare: one connection, one at a time")  # fmt: skip


def timed(call: object, n: int) -> list[float]:
    """Seconds of each of `n` calls."""
    times = []
    for _ in range(n):
        began = time.perf_counter()
        call()  # type: ignore[operator]
        times.append(time.perf_counter() - began)
    return times


def bulk(run: Run) -> None:
    """100,000 at once, in turns with the quickest way in that the engine has."""
    from bench.tasks import noop

    n, rounds = run.of(100_000, 20_000), 3 if run.quick else 7
    with run.ground.fresh() as app, run.ground.bare(app) as where:
        bare = run.ground.Inserter(where)
        app.enqueue_many(noop.call(i) for i in range(1000))
        rates, floors = [], []
        for _ in range(rounds):
            floors.append(n / bare.many(n))
            began = time.perf_counter()
            app.enqueue_many(noop.call(i) for i in range(n))
            rates.append(n / (time.perf_counter() - began))
        bare.close()
    value, floor = statistics.median(rates), statistics.median(floors)
    on_postgres = run.ground.name == "PostgreSQL"
    least = 60_000 if run.ground.name == "Redis" else 100_000
    bar = "≥ 0.5 × COPY" if on_postgres else f"≥ {least:,}"
    ok = value >= 0.5 * floor if on_postgres else value >= least
    note = {"PostgreSQL": "bare: binary COPY of rows made before", "Redis": "bare: pipelines of two commands a job"}.get(
        run.ground.name, ""
    )
    run.add("bulk enqueue, checked arguments and handles included", value, "jobs/s", floor=floor, bar=bar, ok=ok, note=note)
