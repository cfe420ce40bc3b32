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

from bench.run import Run
from bench.turns import Rates, turn, two_stores, workers

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
    part = 10_000 if run.quick else 50_000
    found: Rates = {}
    with two_stores(run, ("held", "free")) as urls, workers(run, urls) as made, snapshot(urls["held"]) as held:
        began = time.monotonic()
        for number in range(PARTS):
            turn(run, urls, made, part, number, found)
            if not run.quick:
                time.sleep(max(0.0, began + LONG * (number + 1) / PARTS - time.monotonic()))
        open_for = time.monotonic() - began
        dead = {which: dead_rows(url) for which, url in urls.items()}
        assert held.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    for number, ((rate, _), (free, _)) in enumerate(zip(found["held"], found["free"], strict=True)):
        note = f"{rate / found['held'][0][0]:.2f} of the first tenth; without: {free / found['free'][0][0]:.2f}"
        run.add(f"  old transaction, tenth {number + 1}", rate, "jobs/s", floor=free, note=note)
    rate, free = (statistics.median(rate for rate, _ in found[which][-3:]) for which in ("held", "free"))
    note = f"bare = without; open for {open_for:.0f} s, {dead['held']:,} dead rows of jobs (without: {dead['free']:,})"
    run.add(f"drain under an old transaction, the last 3 tenths of {PARTS * part:,} jobs", rate, "jobs/s", floor=free,
            bar="≥ 0.8 × without", ok=rate >= 0.8 * free, note=note)  # fmt: skip
    cost, usual = (statistics.median(cost for _, cost in found[which]) for which in ("held", "free"))
    run.add("  its CPU time per job", cost, "µs", floor=usual)


def dead_rows(url: str) -> int:
    """Of the table of unfinished jobs, as far as the server knows."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select n_dead_tup from pg_stat_user_tables where relname = 'dray_job'").fetchone()
    return int(row[0]) if row else 0
