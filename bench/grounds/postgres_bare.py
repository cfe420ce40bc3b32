"""Bare psycopg: the floors of PostgreSQL. Imported by the bare producers too, so nothing of a server is here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from psycopg import sql

from dray.model import ids
from dray.store.plan import Bulk
from dray.store.postgres.edge import BEGIN, copy_statement, cursors
from dray.store.postgres.enqueue import COLUMNS
from dray.store.postgres.lines import Lines
from dray.store.postgres.marks import SLACK
from dray.store.postgres.place import place_of
from dray.store.postgres.plans import PostgresPlans

BATCH = 500  # as many as a busy worker claims at once
DAY = 86_400_000_000
INSERT = """
insert into public.bare_job (id, task, lane, due, state, max_attempts, enqueued, args)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
#: Rows as the store writes them. The ids are far from those of the benchmark's own jobs.
FILL_JOBS = """
insert into dray.dray_job (id, task, lane, due, later, state, max_attempts, enqueued, args)
select decode(lpad(to_hex(%(base)s::bigint + i), 32, '0'), 'hex'), 'bench.tasks.noop', %(lane)s, due,
       case when %(state)s = 0 then due end, %(state)s, 20, %(now)s, '{"n":1}'
from (select i, %(due)s::bigint + i as due from generate_series(1, %(n)s) i) t
"""
FILL_DONE = """
insert into dray.dray_done (seq, due, enqueued, started, finished, prune_after, node, lane, claim, attempt, losses, max_attempts,
                            state, id, task, args)
select -i - %(start)s, %(now)s, %(now)s, %(now)s, %(now)s, %(now)s + %(keep)s + i, 0, %(lane)s, 1, 1, 0, 20, 5,
       decode(lpad(to_hex(%(base)s::bigint + i), 32, '0'), 'hex'), 'bench.tasks.noop', '{"n":1}'
from generate_series(1, %(n)s) i
"""


def make_table(connection: psycopg.Connection[Any]) -> None:
    """`bare_job`: the columns, the indexes and the settings of the store's table of unfinished jobs."""
    (options,) = connection.execute("select reloptions from pg_class where oid = 'dray.dray_job'::regclass").fetchone() or ([],)
    connection.execute("drop table if exists public.bare_job")
    connection.execute(f"create table public.bare_job (like dray.dray_job including all) with ({', '.join(options)})")


class Inserter:
    """Commits rows one by one, or many by COPY."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True, application_name="bare")
        self._cursor, _ = cursors(self.connection)

    def one(self) -> None:
        """One committed insert of a job's row: one statement, prepared."""
        now = time.time_ns() // 1000
        self._cursor.execute(INSERT, (ids.new_id(), "bench.tasks.noop", 1, now, 1, 20, now, b'{"n":1}'), prepare=True)

    def many(self, n: int) -> float:
        """Seconds of `n` rows by binary COPY; the rows are made before."""
        now = time.time_ns() // 1000
        rows = [
            (id_, "bench.tasks.noop", 1, now, None, 1, 20, now, b'{"n":1}', None, None, None, None, None) for id_ in ids.new_ids(n)
        ]
        statement = copy_statement("public", Bulk("bare_job", COLUMNS, ()))
        began = time.perf_counter()
        with self._cursor.copy(statement) as target:
            target.set_types(list(COLUMNS.values()))
            for row in rows:
                target.write_row(row)
        return time.perf_counter() - began

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


class DrainLoop:
    """One connection that says what a busy worker says, and does nothing between."""

    def __init__(self, url: str) -> None:
        place = place_of(url)
        plans = PostgresPlans(place.schema)
        self._say = plans.say
        self._connection = Lines(place).connect()  # with the settings of the store's sessions
        self._fast, self._plain = cursors(self._connection)
        until = time.time_ns() // 1000 + 10**12
        enter = {"name": "bare", "host": "bare", "pid": 0, "boot": "server", "until": until, "now": until, "info": b"{}"}
        (row,) = self._ask(self._say.enter, enter)
        self._node = row[0]
        self._lane = self._ask(self._say.lanes, {})[0][0]
        self._low = (0, 0)

    def run(self) -> int:
        """Until nothing is left; how many it were."""
        say, done, batch = self._say, 0, []
        while True:
            now = self._begin()
            counts = []
            if batch:
                claims = {"seqs": [row[0] for row in batch], "claims": [row[5] for row in batch], "keeps": [DAY] * len(batch)}
                written = len(self._ask(say.succeed, {**claims, "now": now}))
                done += written
                counts += [(2, -written), (5, written)]
            self._ask(say.survey, {"node": self._node, "boot": "server", "now": None, "low": now})
            low, after = self._low
            wanted = {"lanes": [self._lane], "lows": [low], "afters": [after], "now": now, "node": self._node, "n": BATCH}
            batch = self._ask(say.claim, wanted)
            if batch:
                self._low = min(max((row[9], row[0]) for row in batch), (now - SLACK, 0))
                counts += [(1, -len(batch)), (2, len(batch))]
            if counts:
                states, ns = zip(*counts, strict=True)
                self._ask(say.ledger, {"queues": ["default"] * len(counts), "states": list(states), "ns": list(ns)})
            self._plain.execute("commit")
            if not batch:
                return done

    def close(self) -> None:
        """Leave, and hang up."""
        self._ask(self._say.leave, {"node": self._node})
        self._connection.close()

    def _begin(self) -> int:
        self._plain.execute(BEGIN)
        while self._plain.nextset():
            pass
        return int(self._plain.fetchone()[0])  # type: ignore[index]

    def _ask(self, sentence: str, params: dict[str, Any]) -> list[Any]:
        self._fast.execute(sentence, params)
        return self._fast.fetchall() if self._fast.description else []


def drain_rate(url: str, loops: int = 1) -> float:
    """Jobs per second of so many loops, each in a thread and on a connection of its own."""
    made = [DrainLoop(url) for _ in range(loops)]
    with ThreadPoolExecutor(loops) as threads:
        began = time.perf_counter()
        done = sum(threads.map(DrainLoop.run, made))
        took = time.perf_counter() - began
    for loop in made:
        loop.close()
    return done / took


def fill(connection: psycopg.Connection[Any], *, ready: int, future: int, finished: int, analyze: bool) -> None:
    """Write rows by the million, in pieces that a transaction should have."""
    lane = connection.execute("select min(id) from dray.dray_lane where queue = 'default'").fetchone()[0]  # type: ignore[index]
    now = time.time_ns() // 1000
    tables = ("dray.dray_job", "dray.dray_done")
    for table in tables:
        connection.execute(sql.SQL("alter table {} set (autovacuum_enabled = off)").format(sql.SQL(table)))
    connection.execute("set synchronous_commit = off")
    for state, many, base, due in ((0, future, 1 << 41, now + DAY), (1, ready, 1 << 42, now), (5, finished, 1 << 40, now)):
        for start, n in pieces(many):
            params = {
                "n": n, "base": base + start, "now": now, "due": due + start, "state": state, "keep": DAY + start,
                "start": start, "lane": -lane if state == 0 else lane,
            }  # fmt: skip
            connection.execute(FILL_DONE if state == 5 else FILL_JOBS, params)
        if many:
            connection.execute("insert into dray.dray_tally (queue, state, n) values ('default', %s, %s)", (state, many))
    if analyze:
        for table in tables:
            connection.execute(sql.SQL("alter table {} reset (autovacuum_enabled)").format(sql.SQL(table)))
            connection.execute(sql.SQL("vacuum analyze {}").format(sql.SQL(table)))
    connection.execute("checkpoint")


def pieces(n: int, size: int = 250_000) -> Iterator[tuple[int, int]]:
    """(start, length) of pieces of `n`."""
    for start in range(0, n, size):
        yield start, min(size, n - start)
