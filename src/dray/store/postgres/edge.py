"""The edge where steps meet a psycopg connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from dray.model.clock import Clock
from dray.store.plan import Again, Apart, Bulk, Many, Now, Query, Ring, Steady, Step, Together, drive

BEGIN = "begin; select (extract(epoch from clock_timestamp()) * 1000000)::bigint"
NOW = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint"


def ringing(area: int, channels: Mapping[str, str], kinds: Mapping[str, int], rung: set[str]) -> str:
    """`rings` in one text."""
    return "; ".join(rings(area, channels, kinds, rung))


def rings(area: int, channels: Mapping[str, str], kinds: Mapping[str, int], rung: set[str]) -> list[str]:
    """The statements that wake whoever sleeps and waits for one of `rung`: who does holds a shared lock, for which is asked
    without waiting."""
    return [
        f"select case when pg_try_advisory_lock({area}, {kinds[kind]}) then pg_advisory_unlock({area}, {kinds[kind]})::text "
        f"else pg_notify('{channels[kind].replace(chr(39), chr(39) * 2)}', '')::text end"
        for kind in sorted(rung)
    ]


class Edge:
    """Carries out steps on one connection in autocommit mode. A transaction is begun with the first step that needs one."""

    __slots__ = (
        "_again", "_apart", "_begin_with", "_clock", "_fast", "_more", "_plain", "_reads", "_schema", "_trailing", "begun",
        "now", "rings", "sent",
    )  # fmt: skip

    def __init__(
        self, fast: psycopg.Cursor[Any], plain: psycopg.Cursor[Any], more: list[psycopg.Cursor[Any]], *, schema: str,
        clock: Clock | None, apart: Callable[[Apart], Any], begin: str = BEGIN, reads: bool = False, again: bool = False,
    ) -> None:
        self._fast = fast
        self._more = more
        self._plain = plain
        self._schema = schema
        self._clock = clock
        self._apart = apart
        self._begin_with = begin
        self._reads = reads
        self._again = again
        self._trailing: list[Query] = []
        self.begun = False
        self.sent = False  # a statement that is a transaction by itself has been sent
        self.now = 0
        self.rings: set[str] = set()

    def do(self, step: Step) -> Any:
        """The answer to one step."""
        kind = type(step)
        if kind is Query:
            return self._query(step)  # type: ignore[arg-type]
        if kind is Together:
            return self._together(step.queries)  # type: ignore[union-attr]
        if kind is Ring:
            self.rings.add(step.kind)  # type: ignore[union-attr]
            return None
        if kind is Now:
            return self._now()
        if kind is Steady:
            return ("server", self._now()) if self._clock is None else (self._clock.boot, self._clock.steady())
        if kind is Apart:
            if self.begun:
                return drive(step.verb(*step.args), self.do), False  # type: ignore[union-attr]
            return self._apart(step), True  # type: ignore[arg-type]
        if kind is Again:
            return self._again
        if not self.begun:
            self._begin()
        if kind is Many:
            self._fast.executemany(step.sentence, list(step.rows))  # type: ignore[union-attr]
            return max(0, self._fast.rowcount)
        if kind is Bulk:
            return copy(self._fast, self._schema, step)  # type: ignore[arg-type]
        raise TypeError(f"no such step: {step!r}")

    def _query(self, query: Query) -> list[Any]:
        if self.begun:
            if query.quiet:
                self._trailing.append(query)
                return []
        elif self._reads or query.alone:
            self.sent = True
        else:
            self._begin()
        return fetched(self._fast.execute(query.sentence, query.params))

    def _together(self, queries: Sequence[Query]) -> list[list[Any]]:
        if self._reads or self._begin_with != BEGIN:  # behind a pooler a transaction begins with several statements
            return [self.do(query) for query in queries]
        connection = self._fast.connection
        while len(self._more) < len(queries) - 1:
            self._more.append(cursors(connection)[0])
        answers = [self._fast, *self._more][: len(queries)]
        with connection.pipeline():
            if not self.begun:
                self._plain.execute("begin")
            for cursor, query in zip(answers, queries, strict=True):
                cursor.execute(query.sentence, query.params)
        self.begun = True
        return [fetched(cursor) for cursor in answers]

    def finish(self, ringing: Sequence[str]) -> None:
        """Commit, if a transaction was begun; `ringing`: what is to be said before, see `rings`."""
        if not self.begun:
            return
        if not self._trailing:
            self._plain.execute("; ".join([*ringing, "commit"]))
            return
        with self._fast.connection.pipeline():
            for query in self._trailing:
                self._fast.execute(query.sentence, query.params)
            for statement in ringing:
                self._plain.execute(statement)
            self._plain.execute("commit")

    def _begin(self) -> None:
        self._plain.execute(self._begin_with)
        self.begun = True
        while self._plain.nextset():
            pass
        self.now = int(self._plain.fetchone()[0])  # type: ignore[index]

    def _now(self) -> int:
        if self._clock is not None:
            return self._clock.wall()
        if self._reads:
            return int(self._plain.execute(NOW).fetchone()[0])  # type: ignore[index]
        if not self.begun:
            self._begin()
        if not self.now:  # it was begun together with statements
            self.now = int(self._plain.execute(NOW).fetchone()[0])  # type: ignore[index]
        return self.now


def fetched(cursor: psycopg.Cursor[Any]) -> list[Any]:
    """The rows of a statement, if it has any."""
    result = cursor.pgresult  # (`description` describes each column anew)
    return cursor.fetchall() if result is not None and result.nfields else []


def copy(cursor: psycopg.Cursor[Any], schema: str, bulk: Bulk) -> int:
    """Write rows by COPY."""
    n = 0
    with cursor.copy(copy_statement(schema, bulk)) as target:
        target.set_types(list(bulk.columns.values()))
        for row in bulk.rows:
            target.write_row(row)
            n += 1
    return n


def copy_statement(schema: str, bulk: Bulk) -> sql.Composed:
    """The COPY of a bulk."""
    return sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier(schema, bulk.table), sql.SQL(", ").join(map(sql.Identifier, bulk.columns))
    )


def cursors(connection: psycopg.Connection[Any]) -> tuple[psycopg.Cursor[Any], psycopg.Cursor[Any]]:
    """The two cursors that an edge needs, whatever the caller has made of rows and types on his connection: one that gets its
    answers in binary form, and one that may be given several statements at once."""
    fast = psycopg.Cursor(connection, row_factory=tuple_row)
    fast.format = psycopg.pq.Format.BINARY
    plain = psycopg.Cursor(connection, row_factory=tuple_row)
    for cursor in (fast, plain):
        cursor.adapters.register_dumper(int, Int8Dumper)  # a statement has the same types each time, and is prepared once
        cursor.adapters.register_dumper(int, Int8BinaryDumper)
    return fast, plain
