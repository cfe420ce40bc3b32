"""A session that is idle in a transaction while jobs pass: what is dead cannot be removed, and must not be walked over.

Two databases of one server with a worker each take turns; in one of them somebody has a snapshot. (What a snapshot holds back is a
matter of its own database.)
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator

import psycopg

from bench.drain import through, warm_up
from bench.places import app_at, worker
from bench.report import percentile
from bench.run import Run

PARTS = 10
LONG = 600.0  # seconds for which the transaction is open


@contextlib.contextmanager
def snapshot(url: str) -> Iterator[psycopg.Connection]:  # type: ignore[type-arg]
    """A session that has looked at the jobs in a REPEATABLE READ transaction, and has forgotten to end it."""
    with psycopg.connect(url, application_name="forgotten") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("select count(*) from dray.dray_job")
        yield connection
        connection.rollback()


def old_transaction(run: Run) -> None:
    """Half a million jobs in ten parts, spread over ten minutes (--quick: 100,000 at once)."""
    from bench.tasks import noop

    part = 10_000 if run.quick else 50_000
    rates: dict[str, list[float]] = {"held": [], "free": []}
    costs: dict[str, list[float]] = {"held": [], "free": []}
    with contextlib.ExitStack() as stack:
        urls = {kind: stack.enter_context(run.ground.empty()) for kind in rates}
        workers = {}
        for kind, url in urls.items():
            app = app_at(url)
            workers[kind] = stack.enter_context(worker(app))
            warm_up(run, app, noop, 2000)
        held = stack.enter_context(snapshot(urls["held"]))
        began = time.monotonic()
        for number in range(PARTS):
            for kind in sorted(urls, reverse=bool(number % 2)):
                app = app_at(urls[kind])
                rate, cost = through(run, app, noop, part, [workers[kind].pid])
                rates[kind].append(rate)
                costs[kind].append(cost)
            if not run.quick:
                time.sleep(max(0.0, began + LONG * (number + 1) / PARTS - time.monotonic()))
        open_for = time.monotonic() - began
        dead = {kind: dead_rows(url) for kind, url in urls.items()}
        assert held.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        app_at(urls["held"])  # the workers' ends are not awaited by its store
    note = f"bare = without; open for {open_for:.0f} s, {dead['held']:,} dead rows of jobs (without: {dead['free']:,})"
    for number in range(PARTS):
        ratio = rates["held"][number] / rates["free"][number]
        tail = f"{rates['held'][number] / rates['held'][0]:.2f} of the first tenth"
        run.add(f"  old transaction, tenth {number + 1}", rates["held"][number], "jobs/s", floor=rates["free"][number],
                note=f"{tail}; ratio {ratio:.2f}")  # fmt: skip
    last, other = statistics.median(rates["held"][-3:]), statistics.median(rates["free"][-3:])
    run.add(f"drain under an old transaction, last 3 of {PARTS * part:,} jobs' tenths", last, "jobs/s", floor=other,
            bar="≥ 0.8 × without", ok=last >= 0.8 * other, note=note)  # fmt: skip
    run.add("  its CPU time per job", percentile(costs["held"], 0.5), "µs", floor=percentile(costs["free"], 0.5))


def dead_rows(url: str) -> int:
    """Of the table of unfinished jobs, as far as the server knows."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select n_dead_tup from pg_stat_user_tables where relname = 'dray_job'").fetchone()
    return int(row[0]) if row else 0
