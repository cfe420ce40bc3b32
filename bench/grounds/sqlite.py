"""SQLite, with synchronous=FULL, and the bare engine under it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from bench.places import app_at, place
from dray import Dray
from dray.model import ids

BATCH = 500
# The floor for inserts: the same row, with the same indexes.
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
FILL = """
insert into dray_job (id, task, queue, executor, rank, due, state, max_attempts, enqueued, args, claim, attempt, started,
                      finished, prune_after)
with recursive n (i) as (select 1 union all select i + 1 from n where i < :n)
select cast(printf('%016d', :base + i) as blob), 'bench.tasks.noop', 'default', 0, 0, :due + i, :state, 20, :now, '{"n":1}',
       :claim, :claim, iif(:claim, :now, null), iif(:claim, :now, null), iif(:claim, :now + 86400000000, null)
from n
"""


def file_of(app: Dray) -> str:
    """The file of the app's store."""
    assert app.store.where
    return app.store.where


def connect(path: str | Path) -> sqlite3.Connection:
    """A bare connection with the durability of a store."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("pragma wal_autocheckpoint = 4000")
    return connection


def row_of(id: bytes, now: int) -> tuple[object, ...]:
    """A job's row."""
    return (id, "bench.tasks.noop", "default", 0, 0, now, 1, 20, now, b'{"n":1}')


class Inserter:
    """Commits rows one by one."""

    def __init__(self, path: str) -> None:
        self._connection = connect(path)

    def one(self) -> None:
        """One committed insert."""
        self._connection.execute("begin immediate")
        self._connection.execute(INSERT, row_of(ids.new_id(), time.time_ns() // 1000))
        self._connection.execute("commit")

    def many(self, n: int) -> float:
        """Seconds of `n` rows in one transaction."""
        now, began = time.time_ns() // 1000, time.perf_counter()
        self._connection.execute("begin immediate")
        self._connection.executemany(INSERT, (row_of(id_, now) for id_ in ids.new_ids(n)))
        self._connection.execute("commit")
        return time.perf_counter() - began

    def close(self) -> None:
        """Done."""
        self._connection.close()


class SqliteGround:
    """A file in a folder of its own, each time."""

    name = "SQLite"
    Inserter = Inserter
    every = 0.002

    def __enter__(self) -> SqliteGround:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def describe(self) -> dict[str, object]:
        """What is measured."""
        return {"sqlite": sqlite3.sqlite_version, "sqlite_settings": {"synchronous": "full"}}

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Dray]:
        """The app over a new file."""
        with place() as folder:
            app = app_at(f"sqlite:///{folder / 'bench.db'}")
            try:
                yield app
            finally:
                app.close()

    @contextlib.contextmanager
    def bare(self, app: Dray) -> Iterator[str]:
        """The path of a file with a table like the store's."""
        with place() as folder:
            path = str(folder / "bare.db")
            connect(path).executescript(TABLE)
            yield path

    def floor_drain(self, app: Dray, n: int) -> float:
        """Jobs per second of a bare loop of the store's own claim and settle statements, in batches of 500, a transaction each."""
        from dray.store.sqlite.store import sentences

        say = sentences()
        connection = connect(file_of(app))
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

    def fill(self, app: Dray, *, ready: int = 0, future: int = 0, finished: int = 0) -> None:
        """Put jobs into the store, by the million."""
        connection = connect(file_of(app))
        connection.execute("pragma synchronous = off")
        now = time.time_ns() // 1000
        day = 86_400_000_000
        for state, n, base, due in ((5, finished, 1 << 40, now), (0, future, 1 << 41, now + day), (1, ready, 1 << 42, now)):
            if n:
                connection.execute(FILL, {"n": n, "base": base, "due": due, "state": state, "now": now, "claim": int(state == 5)})
                connection.execute(
                    "insert into dray_tally values ('default', ?, ?) on conflict do update set n = n + excluded.n", (state, n)
                )
        connection.close()
