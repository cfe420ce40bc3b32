"""Draining: how many jobs a worker process gets through, and what each costs it."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from bench.enqueue import bare
from bench.places import children, cpu_seconds, fill, fresh_app, place, until, worker
from bench.report import Figure, Report
from dray import Dray

BATCH = 500


def floor(app: Dray, n: int) -> float:
    """Jobs per second of a bare loop of the store's own claim and settle statements, in batches of 500, one transaction each."""
    from dray.store.sqlite.store import sentences

    say = sentences()
    assert app.store.where
    connection = bare(Path(app.store.where))
    done, batch, began = 0, [], time.perf_counter()
    while done < n:
        now = time.time_ns() // 1000
        connection.execute("begin immediate")
        if batch:
            connection.executemany(say.succeed, [(now, now + 86_400_000_000, None, seq, claim) for seq, claim in batch])
            done += len(batch)
        rows = connection.execute(
            say.claim, {"node": 0, "now": now, "queue": "default", "executor": 0, "n": BATCH}
        ).fetchall()
        batch = [(row[0], row[6]) for row in rows]
        connection.execute("commit")
    took = time.perf_counter() - began
    connection.close()
    return n / took


def succeeded(app: Dray) -> int:
    """How many have."""
    return sum(counts.get("succeeded", 0) for counts in app.insight.counts().values())


def measure(app: Dray, task: str, n: int, *, concurrency: int = 100, processes: int = 1) -> tuple[float, float]:
    """(jobs per second, CPU µs per job of the worker processes and their children) over the middle of the drain."""
    from bench import tasks

    before = succeeded(app)
    job = getattr(tasks, task)
    with worker(app, concurrency=concurrency, processes=processes) as process:
        # Warm up: pools started, caches filled.
        warm = max(200, n // 50)
        app.enqueue_many(job.call(i) for i in range(warm))
        until(lambda: succeeded(app) >= before + warm, 120)
        app.insight.pause("default")
        app.enqueue_many(job.call(i) for i in range(n))
        pids = children(process.pid)
        cpu, began = cpu_seconds(pids), time.perf_counter()
        app.insight.resume("default")
        until(lambda: succeeded(app) >= before + warm + n, 300)
        took = time.perf_counter() - began
        used = cpu_seconds(pids) - cpu
    return n / took, used / n * 1e6


def drains(report: Report, quick: bool) -> None:
    """No-op jobs of each kind, with the bare loop beside."""
    scale = 10 if quick else 1
    cases = [
        ("noop", "async, 1 worker", 100_000, 1, 30_000),
        ("noop_thread", "threads, 1 worker", 60_000, 1, 15_000),
        ("noop_process", "child processes, 1 worker", 40_000, 1, 8_000),
        ("noop", "async, 2 workers", 100_000, 2, None),
    ]
    for task, name, n, processes, bar in cases:
        n //= scale
        with place() as folder, fresh_app(folder) as app:
            from bench.tasks import noop

            app.enqueue_many(noop.call(i) for i in range(n))
            base = floor(app, n)
            runs = [measure(app, task, n, processes=processes) for _ in range(1 if quick else 3)]
            rate, cpu = statistics.median(r for r, _ in runs), statistics.median(c for _, c in runs)
            report.add(
                Figure(f"drain of no-op jobs, {name}", rate, "jobs/s", base, f"≥ {bar:,}" if bar else "",
                       rate >= bar if bar else None)
            )  # fmt: skip
            limit = "≤ 25" if task == "noop" and processes == 1 else ""
            report.add(Figure(f"  its CPU time per job, {name}", cpu, "µs", None, limit, cpu <= 25 if limit else None))


def ten_ms(report: Report, quick: bool) -> None:
    """Jobs that take 10 ms, a hundred at a time: 10,000 a second would be ideal."""
    n = 5_000 if quick else 50_000
    with place() as folder, fresh_app(folder) as app:
        rate, cpu = measure(app, "ten_ms", n)
        note = f"bare = the ideal; {cpu:.0f} µs of CPU each"
        report.add(Figure("jobs of 10 ms, concurrency 100", rate, "jobs/s", 10_000, "≥ 9,000", rate >= 9_000, note))


def behind(report: Report, quick: bool) -> None:
    """The same drain with a million finished and a million future jobs in the file; and the claim alone."""
    many = 50_000 if quick else 1_000_000
    n = 10_000 if quick else 100_000
    with place() as folder, fresh_app(folder) as app:
        empty_claim = claim_times(app, 40 if quick else 200)
        empty, _ = measure(app, "noop", n)
        fill(folder / "bench.db", many, many)
        full_claim = claim_times(app, 40 if quick else 200)
        full, _ = measure(app, "noop", n)
        report.add(
            Figure(f"drain with {many:,} finished and {many:,} future jobs", full, "jobs/s", empty, "≥ 0.8 × empty",
                   full >= 0.8 * empty, "bare = an empty store here")
        )  # fmt: skip
        report.add(
            Figure("claim of 100 jobs with them, p99", full_claim * 1e3, "ms", empty_claim * 1e3, "≤ 2 × empty",
                   full_claim <= 2 * empty_claim, "bare = an empty store here")
        )  # fmt: skip


def claim_times(app: Dray, rounds: int) -> float:
    """The 99th percentile of claims of 100 jobs, in seconds."""
    from bench.report import percentile
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
    return percentile(times, 0.99)


