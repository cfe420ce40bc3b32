"""The same drain with a million other rows in the store: those that are ready, those that are not yet, those that are done."""

from __future__ import annotations

import statistics
import time

from bench.drain import measure
from bench.report import percentile
from bench.run import Run
from dray import Dray


def behind(run: Run) -> None:
    """Each crowd by itself, in turns with an empty store; with statistics as they should be, and with those of an empty table."""
    many = run.of(1_000_000, 100_000)
    million = "1 million" if many == 1_000_000 else f"{many:,}"
    n, rounds = run.of(100_000), 1 if run.quick else 2
    cases = [
        (f"{million} ready", {"ready": many}), (f"{million} future", {"future": many}), (f"{million} finished", {"finished": many}),
    ]  # fmt: skip
    if run.ground.name == "SQLite":
        cases.append((f"{million} finished and {million} future", {"finished": many, "future": many}))
    stale = [True, False] if run.ground.name == "PostgreSQL" else [True]
    for name, rows in cases:
        for analyze in stale:
            drain_beside(run, name if analyze else f"{name}, stale statistics", rows, n, rounds, analyze)


def drain_beside(run: Run, name: str, rows: dict[str, int], n: int, rounds: int, analyze: bool) -> None:
    """One crowd."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    claims: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(rounds):
        for full in (False, True):
            with run.ground.fresh() as app:
                first_lane(run, app)
                if full:
                    crowd = dict(rows)
                    later = {"ready": crowd.pop("ready")} if "ready" in crowd else {}
                    run.ground.fill(app, **crowd, **no_analyze(analyze))
                    claims[full] += claim_times(app, 20 if run.quick else 70)
                    rate, _ = measure(run, app, "noop", n, fill=lambda app=app, later=later: run.ground.fill(
                        app, **later, **no_analyze(analyze)) if later else None)  # fmt: skip
                    if later:
                        claims[full] += claim_times(app, 20 if run.quick else 70)
                else:
                    claims[full] += claim_times(app, 20 if run.quick else 70)
                    rate, _ = measure(run, app, "noop", n)
                rates[full].append(rate)
    empty, full_ = statistics.median(rates[False]), statistics.median(rates[True])
    run.add(f"drain, {name}", full_, "jobs/s", floor=empty, bar="≥ 0.8 × empty", ok=full_ >= 0.8 * empty,
            note="bare = an empty store here")  # fmt: skip
    for share in (0.5, 0.99):
        was, now = percentile(claims[False], share) * 1e3, percentile(claims[True], share) * 1e3
        bar = "≤ 2 × empty" if share == 0.99 else ""
        ok = now <= 2 * was if bar else None
        run.add(f"  claim of 100 jobs, p{share * 100:.0f}, {name}", now, "ms", floor=was, bar=bar, ok=ok)


def no_analyze(analyze: bool) -> dict[str, bool]:
    """How to say it to a ground that knows of it."""
    return {} if analyze else {"analyze": False}


def first_lane(run: Run, app: Dray) -> None:
    """One job has been there: the queue is known."""
    claim_times(app, 1)


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
