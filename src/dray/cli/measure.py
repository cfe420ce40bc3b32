"""The measurements of `dray bench`: the statements of Dray through its plans, and the bare ones that do the least of the same."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from msgspec import Struct

from dray.app import Dray
from dray.model.job import Executor, State
from dray.model.lifecycle import Move
from dray.store.values import NodeEntry, Want

SINGLES = 300
ROUNDS = 3  # each is measured so often, in turns; the best counts: everything else the machine did can only add
BATCH = 200
ARGS = b'{"user_id":12345,"template":"hello"}'


class Result(Struct, frozen=True):
    """One figure, and the bare one beside it, in jobs per second."""

    name: str
    what: str
    ours: float
    bare: float

    @property
    def ratio(self) -> float:
        """Time of Dray over time of bare SQLite."""
        return self.bare / self.ours if self.ours else 0.0


def measure(folder: str, jobs: int, synchronous: str) -> Iterator[Result]:
    """The figures, one by one. The temporary folder inside `folder` is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="dray-bench-", dir=folder) as place:
        root = Path(place).absolute()
        app = Dray(f"sqlite:///{root / 'dray.db'}?synchronous={synchronous}")
        bare = _bare(root / "bare.db", synchronous)
        try:

            @app.task(name="bench.noop")
            def noop(user_id: int, template: str) -> None:
                return None

            def singles() -> None:
                for n in range(SINGLES):
                    noop.enqueue(n, template="hello")

            def bulk() -> None:
                app.enqueue_many(noop.call(n, template="hello") for n in range(jobs))

            yield _pair("single_enqueue", "single enqueue", SINGLES, singles, lambda: _bare_singles(bare))
            yield _pair("bulk_enqueue", "bulk enqueue", jobs, bulk, lambda: _bare_bulk(bare, jobs))
            ready = SINGLES * ROUNDS + jobs * ROUNDS
            part = min(jobs, ready // ROUNDS) // BATCH * BATCH or BATCH
            for name, what, n, batch in (
                ("claim_settle", f"claim and settle, {BATCH} at once", part, BATCH),
                ("claim_settle_single", "claim and settle, one by one", SINGLES, 1),
            ):
                yield _pair(name, what, n, partial(_drain, app, n, batch), partial(_bare_drain, bare, n, batch))
        finally:
            app.close()
            bare.close()


def _pair(name: str, what: str, n: int, ours: Callable[[], object], bare: Callable[[], object]) -> Result:
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for at, work in enumerate((ours, bare)):
            start = time.perf_counter()
            work()
            best[at] = min(best[at], time.perf_counter() - start)
    return Result(name, what, n / best[0], n / best[1])


def _drain(app: Dray, n: int, batch: int = BATCH) -> None:
    """What a busy worker does all day: settle what is done and claim the next, in one transaction."""
    store = app.store
    node = store.run(store.plans.enter, NodeEntry("bench", "here", os.getpid()))
    want = Want({Executor.THREAD: batch}, None, frozenset(app.tasks))
    moves: list[Move] = []
    left = n
    while left > 0:
        _, catch = store.run(store.plans.exchange, moves, want, node)
        claimed = catch.jobs if catch is not None else []
        moves = [Move(job.seq, job.claim, job.queue, State.SUCCEEDED, "returned") for job in claimed]
        left -= len(claimed)
        if not claimed:
            break
    store.run(store.plans.exchange, moves, None, node)
    store.run(store.plans.leave, node)


def _bare(path: Path, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute(f"pragma synchronous = {synchronous}")
    connection.execute(
        "create table job (seq integer primary key, id blob unique, task text, queue text, state integer, due integer, args blob)",
    )
    connection.execute("create index job_ready on job (queue, due) where state = 1")
    return connection


INSERT = "insert into job (id, task, queue, state, due, args) values (?, 'bench.noop', 'default', 1, ?, ?)"


def _bare_singles(connection: sqlite3.Connection) -> None:
    for n in range(SINGLES):
        connection.execute(INSERT, (os.urandom(16), n, ARGS))


def _bare_bulk(connection: sqlite3.Connection, jobs: int) -> None:
    for start in range(0, jobs, 10_000):
        connection.execute("begin immediate")
        connection.executemany(INSERT, [(os.urandom(16), n, ARGS) for n in range(start, min(start + 10_000, jobs))])
        connection.execute("commit")


def _bare_drain(connection: sqlite3.Connection, n: int, batch: int) -> None:
    done: list[tuple[int]] = []
    for _ in range(n // batch):
        connection.execute("begin immediate")
        connection.executemany("update job set state = 5 where seq = ? and state = 2", done)
        done = connection.execute(
            "update job set state = 2 where seq in (select seq from job indexed by job_ready where state = 1 and queue = 'default' "
            "order by due limit ?) returning seq",
            (batch,),
        ).fetchall()
        connection.execute("commit")
    connection.execute("begin immediate")
    connection.executemany("update job set state = 5 where seq = ? and state = 2", done)
    connection.execute("commit")
