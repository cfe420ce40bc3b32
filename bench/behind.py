"""The same drain with a million other rows in the store: those that are ready, those that are not yet, those that are done."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

from bench.places import app_at
from bench.report import percentile
from bench.run import Run
from bench.turns import Rates, turn, two_stores, workers
from dray import Dray


def behind(run: Run) -> None:
    """Each crowd by itself, in turns with an empty store; with statistics as they should be, and with those of an empty table."""
    many = run.of(1_000_000)
    million = "1 million" if many == 1_000_000 else f"{many:,}"
    cases = [
        (f"{million} ready", {"ready": many}), (f"{million} future", {"future": many}), (f"{million} finished", {"finished": many}),
    ]  # fmt: skip
    if run.ground.name == "SQLite":
        cases.append((f"{million} finished and {million} future", {"finished": many, "future": many}))
    for name, rows in cases:
        beside(run, name, rows)
        if run.ground.name == "PostgreSQL":
            beside(run, f"{name}, stale statistics", {**rows, "analyze": False})


def beside(run: Run, name: str, crowd: Mapping[str, int]) -> None:
    """A store with a crowd and one without."""
    claims: dict[str, list[float]] = {"empty": [], "full": []}
    found: Rates = {}
    with two_stores(run, ("empty", "full")) as urls:
        for url in urls.values():
            claim_times(app_at(url), 1)  # the queue is known now
        run.ground.fill(app_at(urls["full"]), **crowd)
        watched = hasattr(run.ground, "watch")
        if watched:
            run.ground.watch()
        for number in range(2 if run.quick else 6):
            for which in sorted(urls, reverse=bool(number % 2)):
                claims[which] += claim_times(app_at(urls[which]), 20)
        with workers(run, urls) as made:
            for number in range(2 if run.quick else 6):
                turn(run, urls, made, run.of(50_000), number, found)
        if watched:
            slowest = run.ground.slowest()
            run.add(f"slowest script, {name}", slowest, "ms", bar="≤ 5", ok=slowest <= 5)
    empty, full = (statistics.median(rate for rate, _ in found[which]) for which in ("empty", "full"))
    run.add(f"drain, {name}", full, "jobs/s", floor=empty, bar="≥ 0.8 × empty", ok=full >= 0.8 * empty,
            note="bare = an empty store here")  # fmt: skip
    for share in (0.5, 0.99):
        was, now = percentile(claims["empty"], share) * 1e3, percentile(claims["full"], share) * 1e3
        bar = "≤ 2 × empty" if share == 0.99 else ""
        ok = now <= 2 * was if bar else None
        run.add(f"  claim of 100 jobs, p{share * 100:.0f}, {name}", now, "ms", floor=was, bar=bar, ok=ok)


def claim_times(app: Dray, rounds: int) -> list[float]:
    """Seconds of claims of 100 jobs, which are settled between."""
    from bench.tasks import noop
    from dray.model.job import Executor
    from dray.model.lifecycle import decide_for
    from dray.model.outcome import Returned
    from dray.store.values import NodeEntry, Want

    store = app.store
    app.enqueue_many(noop.call(i) for i in range(100 * rounds))
    node = store.run(store.plans.enter, NodeEntry("bench", "bench", 0))
    want = Want({Executor.ASYNC: 100}, None, frozenset(app.tasks))
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        catch = store.run(store.plans.claim, want, node)
        times.append(time.perf_counter() - began)
        store.run(store.plans.settle, [decide_for(job, Returned()) for job in catch.jobs])
    store.run(store.plans.leave, node)
    return times
