"""What a job costs the server: bytes of its write-ahead log, and whether updates stay on their page."""

from __future__ import annotations

from collections.abc import Callable

from bench.drain import succeeded, warm_up
from bench.places import until, worker
from bench.run import Run
from dray import Dray


def wal(run: Run) -> None:
    """Bytes of log for enqueueing one by one, in bulk, and for a claim and its settling; then the share of HOT updates."""
    from bench.tasks import noop

    ones, many = run.of(2_000), run.of(50_000)
    with run.ground.fresh() as app, run.ground.bare(app) as where, run.ground.ask(app) as connection:

        def bytes_of(act: Callable[[], object], n: int) -> float:
            (before,) = connection.execute("select pg_current_wal_insert_lsn()").fetchone()
            act()
            (spent,) = connection.execute("select pg_current_wal_insert_lsn() - %s::pg_lsn", (before,)).fetchone()
            return float(spent) / n

        bare = run.ground.Inserter(where)
        noop.enqueue(0)
        bare.one()
        single = bytes_of(lambda: [noop.enqueue(i) for i in range(ones)], ones)
        floor = bytes_of(lambda: [bare.one() for _ in range(ones)], ones)
        run.add("log of the server per single enqueue", single, "bytes", floor=floor)
        bulk = bytes_of(lambda: app.enqueue_many(noop.call(i) for i in range(many)), many)
        run.add("log of the server per job in bulk", bulk, "bytes", floor=bytes_of(lambda: bare.many(many), many))
        bare.close()
        all_ = ones + many + 1
        drained = bytes_of(lambda: drain(run, app, all_), all_)
        run.add("log of the server per claim and success", drained, "bytes")
        shares(run, app, all_)


def drain(run: Run, app: Dray, n: int) -> None:
    """Work off what is there."""
    with worker(app):
        until(lambda: succeeded(app) >= n, 120, every=run.ground.every)


def shares(run: Run, app: Dray, n: int) -> None:
    """How many of the updates were heap-only: freshly, and once the table has been used for a while."""
    from bench.tasks import noop

    report(run, app, n, "freshly filled table")
    with worker(app):
        for _ in range(4):
            warm_up(run, app, noop, run.of(50_000))
            with run.ground.ask(app) as connection:
                connection.execute("vacuum dray.dray_job")
    report(run, app, n + 4 * run.of(50_000), "after 4 rounds and vacuums")


def report(run: Run, app: Dray, n: int, when: str) -> None:
    """By the statistics of the server, which arrive some time later."""
    sql = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'dray_job'"
    with run.ground.ask(app) as connection:
        until(lambda: connection.execute(sql).fetchone()[0] >= n, 20, every=0.2)
        updates, hot = connection.execute(sql).fetchone()
    share = 100 * hot / updates
    run.add(f"HOT share of updates of jobs, {when}", share, "%", bar="≥ 99", ok=share >= 99, note=f"{updates:,} updates")
