"""Enqueueing: one by one, from several producers, in bulk."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import statistics
import time
from pathlib import Path

from bench.places import fresh_app, place
from bench.report import Figure, Report
from dray.model import ids

# The floor for bulk: the same row, with the same indexes, by executemany in one transaction.
TABLE = """
create table job (seq integer primary key, id blob not null, task text not null, queue text not null,
    executor integer not null, rank integer not null, due integer not null, state integer not null,
    max_attempts integer not null, enqueued integer not null, args blob not null);
create unique index job_id on job (id);
create index job_ready on job (queue, executor, rank, due) where state = 1;
"""
INSERT = """
insert into job (id, task, queue, executor, rank, due, state, max_attempts, enqueued, args)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def bare(path: Path) -> sqlite3.Connection:
    """A bare connection with the durability of a store."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("pragma wal_autocheckpoint = 4000")
    return connection


def row(id: bytes, now: int) -> tuple[object, ...]:
    """A job's row."""
    return (id, "bench.tasks.noop", "default", 0, 0, now, 1, 20, now, b'{"n":1}')


def insert_committed(connection: sqlite3.Connection, n: int) -> list[float]:
    """Seconds of each of `n` committed inserts of one row."""
    times = []
    for _ in range(n):
        began = time.perf_counter()
        id_ = ids.new_id()
        connection.execute("begin immediate")
        connection.execute(INSERT, row(id_, time.time_ns() // 1000))
        connection.execute("commit")
        times.append(time.perf_counter() - began)
    return times


def single(report: Report, quick: bool) -> None:
    """One producer, blocking and not, in turns with the bare engine."""
    rounds, n = (4, 100) if quick else (20, 200)
    with place() as folder, fresh_app(folder) as app:
        from bench.tasks import noop

        connection = bare(folder / "bare.db")
        connection.executescript(TABLE)
        floor: list[float] = []
        sync: list[float] = []
        coroutine: list[float] = []

        async def enqueue() -> None:
            for _ in range(n):
                began = time.perf_counter()
                await noop.aenqueue(1)
                coroutine.append(time.perf_counter() - began)

        for _ in range(rounds):
            floor += insert_committed(connection, n)
            for _ in range(n):
                began = time.perf_counter()
                noop.enqueue(1)
                sync.append(time.perf_counter() - began)
            asyncio.run(enqueue())
        base = statistics.median(floor) * 1e6
        for name, times in (("blocking", sync), ("coroutine, one at a time", coroutine)):
            value = statistics.median(times) * 1e6
            bar = "≤ 1.3 × bare" if times is sync else ""
            report.add(Figure(f"single enqueue, {name}, median", value, "µs", base, bar, value <= 1.3 * base if bar else None))

        async def crowd() -> float:
            began = time.perf_counter()
            await asyncio.gather(*(noop.aenqueue(i) for i in range(rounds * n)))
            return rounds * n / (time.perf_counter() - began)

        report.add(Figure("single enqueue, coroutines, all at once (group commit)", asyncio.run(crowd()), "jobs/s", 1e6 / base))
        _ = app


def _producer(url: str, n: int, gate: multiprocessing.synchronize.Barrier, out: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    from bench.tasks import app, noop

    app._url = url
    _ = app.store
    gate.wait()
    began = time.perf_counter()
    for i in range(n):
        noop.enqueue(i)
    out.put(n / (time.perf_counter() - began))


def _coroutine_producer(url: str, n: int, gate: multiprocessing.synchronize.Barrier, out: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    from bench.tasks import app, noop

    async def produce() -> None:
        for i in range(n):
            await noop.aenqueue(i)

    app._url = url
    _ = app.store
    gate.wait()
    began = time.perf_counter()
    asyncio.run(produce())
    out.put(n / (time.perf_counter() - began))


def _bare_producer(path: str, n: int, gate: multiprocessing.synchronize.Barrier, out: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    connection = bare(Path(path))
    gate.wait()
    began = time.perf_counter()
    insert_committed(connection, n)
    out.put(n / (time.perf_counter() - began))


def producers(report: Report, quick: bool) -> None:
    """Four producing processes on one file, beside four bare ones."""
    n, count = (200 if quick else 1000), 4
    spawn = multiprocessing.get_context("spawn")
    with place() as folder, fresh_app(folder) as app:
        bare(folder / "bare.db").executescript(TABLE)
        rates: dict[str, list[float]] = {}
        kinds = (
            ("bare", _bare_producer, str(folder / "bare.db")), ("blocking", _producer, app.url),
            ("coroutines", _coroutine_producer, app.url),
        )  # fmt: skip
        for name, target, where in kinds:
            gate, out = spawn.Barrier(count), spawn.Queue()
            running = [spawn.Process(target=target, args=(where, n, gate, out)) for _ in range(count)]
            for process in running:
                process.start()
            rates[name] = [out.get() for _ in running]
            for process in running:
                process.join()
        fair = {name: min(found) / max(found) for name, found in rates.items()}
        # All have the same to do: they are through when the slowest is.
        through = {name: count * min(found) for name, found in rates.items()}
        for kind in ("blocking", "coroutines"):
            note = f"slowest/fastest {fair[kind]:.2f}, bare {fair['bare']:.2f}"
            report.add(Figure(f"single enqueue, 4 processes, {kind}, in all", through[kind], "jobs/s", through["bare"], note=note))


def bulk(report: Report, quick: bool) -> None:
    """100,000 at once."""
    n = 20_000 if quick else 100_000
    with place() as folder, fresh_app(folder) as app:
        from bench.tasks import noop

        rates, floors = [], []
        for turn in range(3):
            connection = bare(folder / f"bare{turn}.db")
            connection.executescript(TABLE)
            now = time.time_ns() // 1000
            began = time.perf_counter()
            connection.execute("begin immediate")
            connection.executemany(INSERT, (row(id_, now) for id_ in ids.new_ids(n)))
            connection.execute("commit")
            floors.append(n / (time.perf_counter() - began))
            connection.close()
            began = time.perf_counter()
            app.enqueue_many(noop.call(i) for i in range(n))
            rates.append(n / (time.perf_counter() - began))
        value = statistics.median(rates)
        report.add(
            Figure("bulk enqueue, checked arguments and handles included", value, "jobs/s", statistics.median(floors),
                   "≥ 100,000", value >= 100_000)
        )  # fmt: skip
