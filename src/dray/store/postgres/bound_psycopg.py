"""Plans on the caller's own psycopg connection, inside the caller's transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types import array, none, numeric, string
from psycopg.types import bool as booleans

from dray.store.plan import Again, Apart, Bulk, Many, Now, Plan, Query, Ring, Row, Steady, Step, Together, adrive, drive
from dray.store.postgres import bound as common
from dray.store.postgres.edge import NOW, copy, copy_statement, fetched, ringing
from dray.store.postgres.plans import KINDS
from dray.store.postgres.trouble import as_ours

if TYPE_CHECKING:
    from dray.store.postgres.store import PostgresStore

T = TypeVar("T")

#: Whatever the caller has made of types on his connection: what the statements are made for.
DUMPERS: tuple[tuple[type, Any], ...] = (
    (int, numeric.Int8Dumper), (int, numeric.Int8BinaryDumper), (str, string.StrDumper), (str, string.StrBinaryDumper),
    (bytes, string.BytesDumper), (bytes, string.BytesBinaryDumper), (list, array.ListDumper), (list, array.ListBinaryDumper),
    (bool, booleans.BoolDumper), (bool, booleans.BoolBinaryDumper), (NoneType, none.NoneDumper),
)  # fmt: skip
LOADERS: tuple[tuple[str, Any], ...] = (
    ("int2", numeric.Int2BinaryLoader), ("int4", numeric.Int4BinaryLoader), ("int8", numeric.Int8BinaryLoader),
    ("text", string.TextBinaryLoader), ("bytea", string.ByteaBinaryLoader), ("bool", booleans.BoolBinaryLoader),
)  # fmt: skip


class Part:
    """One verb's part of the caller's transaction: what both colours know of it."""

    def __init__(self, store: PostgresStore, connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
        self.store = store
        self.open_with, self.close_with, self.undo_with = opening(store, connection)
        self.opened = False
        self.closed = False
        self.now = 0
        self.rings: set[str] = set()

    def simple(self, step: Step) -> tuple[bool, Any]:
        """Whether a step needs nothing of the connection, and then its answer."""
        kind = type(step)
        clock = self.store.plans.clock
        if kind is Ring:
            self.rings.add(step.kind)  # type: ignore[union-attr]
            return True, None
        if kind is Again:
            return True, False
        if kind is Now and clock is not None:
            return True, clock.wall()
        if kind is Steady and clock is not None:
            return True, (clock.boot, clock.steady())
        return False, None

    @property
    def ending(self) -> str:
        """What ends it well, with the notifications: they go out with the caller's commit, if there is one."""
        plans = self.store.plans
        return f"{ringing(plans.area, plans.channels, KINDS, self.rings)}; {self.close_with}" if self.rings else self.close_with


def opening(store: PostgresStore, connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> tuple[str, str, str]:
    """What opens, ends and undoes a part of the caller's transaction; all of one if there is none and none begins by itself.
    Raises StoreError if the connection takes no statement."""
    if connection.closed:
        raise common.closed(store)
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        raise common.occupied(store, "in pipeline mode")
    status = connection.pgconn.transaction_status
    if status == TransactionStatus.INERROR:
        raise common.aborted(store)
    if status == TransactionStatus.ACTIVE:
        raise common.occupied(store, "in the middle of another statement (a stream or a COPY)")
    return common.WHOLE if status == TransactionStatus.IDLE and connection.autocommit else common.NESTED


def fit(cursor: psycopg.Cursor[Row] | psycopg.AsyncCursor[Row]) -> None:
    """Make a cursor take and give what the statements are made for, in binary form."""
    for kind, dumper in DUMPERS:
        cursor.adapters.register_dumper(kind, dumper)
    for name, loader in LOADERS:
        cursor.adapters.register_loader(name, loader)


class PsycopgBound(common.Ringing):
    """Runs plans on a `psycopg.Connection`. Each verb is a savepoint; nothing of the caller's is committed or rolled back."""

    def __init__(self, store: PostgresStore, connection: psycopg.Connection[Any]) -> None:
        super().__init__(store)
        self._connection = connection
        self._plain = psycopg.Cursor(connection, row_factory=tuple_row)
        self._fast = psycopg.Cursor(connection, row_factory=tuple_row)
        self._fast.format = psycopg.pq.Format.BINARY
        fit(self._fast)
        if not common.is_proven(store, connection) and connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self._prove_between()

    # -- the right database

    def _prove_between(self) -> None:
        """There is no transaction, and there must be none afterwards: the caller may be about to begin his own."""
        opening(self._store, self._connection)
        try:
            try:
                self._prove()
            finally:
                if self._connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                    self._plain.execute("rollback", prepare=False)
        except psycopg.Error as error:
            raise as_ours(error, self._store.where) from error

    def _prove(self) -> None:
        question = common.which(self._store)
        rows = self._fast.execute(question.sentence, question.params, prepare=False).fetchall()
        common.compare(self._store, self._connection, rows[0], self._store.run(common.ours, self._store))

    # -- verbs

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb as part of the caller's transaction. Raises StoreError; the transaction can go on all the same."""
        part = Part(self._store, self._connection)
        try:
            try:
                if not common.is_proven(self._store, self._connection):
                    self._open(part)
                    self._prove()
                answer = drive(verb(*args), lambda step: self._do(part, step))
                if part.opened and not part.closed:
                    self._plain.execute(part.ending, prepare=False)
            except BaseException:
                self._undo(part)
                raise
        except psycopg.Error as error:
            raise as_ours(error, self._store.where) from error
        self._rings |= part.rings
        if part.close_with == "commit":
            self.committed()
        return answer

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines; the connection is a blocking one, and so the event loop waits for it."""
        return self.run(verb, *args)

    def left(self) -> None:
        """The caller left `bind`: if the transaction is over, whoever waits for what was in it may be woken."""
        if self._connection.closed or self._connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self.committed()

    def _do(self, part: Part, step: Step) -> Any:
        done, answer = part.simple(step)
        if done:
            return answer
        if isinstance(step, Query):
            return self._query(part, step)
        if isinstance(step, Together):
            return [self._query(part, query) for query in step.queries]
        if isinstance(step, Apart):
            return self._store.run(step.verb, *step.args), True
        if isinstance(step, Now | Steady):
            if not part.now:
                part.now = int((self._fast.execute(NOW).fetchone() or (0,))[0])
            return part.now if isinstance(step, Now) else ("server", part.now)
        self._open(part)
        if isinstance(step, Many):
            self._fast.executemany(step.sentence, list(step.rows))
            return max(0, self._fast.rowcount)
        assert isinstance(step, Bulk)
        return copy(self._fast, self._store.plans.schema, step)

    def _query(self, part: Part, step: Query) -> list[Row]:
        """One statement. What opens the part, and what ends it if there is nothing more to come, goes with it: on a network, a
        single enqueue would else wait three times instead of once."""
        if step.alone and part.open_with == "begin" and not part.opened:
            part.closed = True
            return fetched(self._fast.execute(step.sentence, step.params))
        if not _TOGETHER or (part.opened and not step.alone):
            self._open(part)
            return fetched(self._fast.execute(step.sentence, step.params))
        with self._connection.pipeline():
            self._open(part)
            self._fast.execute(step.sentence, step.params)
            if step.alone:  # it does its own ringing
                self._plain.execute(part.close_with, prepare=False)
        part.closed = step.alone
        return fetched(self._fast)

    def _open(self, part: Part) -> None:
        if not part.opened:
            part.opened = True
            self._plain.execute(part.open_with, prepare=False)

    def _undo(self, part: Part) -> None:
        if part.opened and not self._connection.closed:
            with contextlib.suppress(psycopg.Error):
                self._plain.execute(part.undo_with, prepare=False)


class AsyncPsycopgBound(common.Ringing):
    """The same on a `psycopg.AsyncConnection`."""

    def __init__(self, store: PostgresStore, connection: psycopg.AsyncConnection[Any]) -> None:
        super().__init__(store)
        self._connection = connection
        self._plain = psycopg.AsyncCursor(connection, row_factory=tuple_row)
        self._fast = psycopg.AsyncCursor(connection, row_factory=tuple_row)
        self._fast.format = psycopg.pq.Format.BINARY
        fit(self._fast)

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Refused: the connection is async."""
        raise common.use_async(self._store)

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb as part of the caller's transaction. Raises StoreError; the transaction can go on all the same."""
        part = Part(self._store, self._connection)
        try:
            try:
                if not common.is_proven(self._store, self._connection):
                    await self._open(part)
                    await self._prove()
                answer = await adrive(verb(*args), lambda step: self._do(part, step))
                if part.opened and not part.closed:
                    await self._plain.execute(part.ending, prepare=False)
            except BaseException:
                await self._undo(part)
                raise
        except psycopg.Error as error:
            raise as_ours(error, self._store.where) from error
        self._rings |= part.rings
        if part.close_with == "commit":
            self.committed()
        return answer

    def left(self) -> None:
        """The caller left `bind`: if the transaction is over, whoever waits for what was in it may be woken."""
        if self._connection.closed or self._connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self.committed()

    async def _prove(self) -> None:
        question = common.which(self._store)
        await self._fast.execute(question.sentence, question.params, prepare=False)
        rows = await self._fast.fetchall()
        common.compare(self._store, self._connection, rows[0], await self._store.arun(common.ours, self._store))

    async def _do(self, part: Part, step: Step) -> Any:
        done, answer = part.simple(step)
        if done:
            return answer
        if isinstance(step, Query):
            return await self._query(part, step)
        if isinstance(step, Together):
            return [await self._query(part, query) for query in step.queries]
        if isinstance(step, Apart):
            return await self._store.arun(step.verb, *step.args), True
        if isinstance(step, Now | Steady):
            if not part.now:
                await self._fast.execute(NOW)
                part.now = int((await self._fast.fetchone() or (0,))[0])
            return part.now if isinstance(step, Now) else ("server", part.now)
        await self._open(part)
        if isinstance(step, Many):
            await self._fast.executemany(step.sentence, list(step.rows))
            return max(0, self._fast.rowcount)
        assert isinstance(step, Bulk)
        return await self._copy(step)

    async def _query(self, part: Part, step: Query) -> list[Row]:
        if step.alone and part.open_with == "begin" and not part.opened:
            part.closed = True
            await self._fast.execute(step.sentence, step.params)
            return await self._fetched()
        if not _TOGETHER or (part.opened and not step.alone):
            await self._open(part)
            await self._fast.execute(step.sentence, step.params)
            return await self._fetched()
        async with self._connection.pipeline():
            await self._open(part)
            await self._fast.execute(step.sentence, step.params)
            if step.alone:
                await self._plain.execute(part.close_with, prepare=False)
        part.closed = step.alone
        return await self._fetched()

    async def _fetched(self) -> list[Row]:
        return await self._fast.fetchall() if self._fast.description else []

    async def _copy(self, bulk: Bulk) -> int:
        n = 0
        async with self._fast.copy(copy_statement(self._store.plans.schema, bulk)) as target:
            target.set_types(list(bulk.columns.values()))
            for row in bulk.rows:
                await target.write_row(row)
                n += 1
        return n

    async def _open(self, part: Part) -> None:
        if not part.opened:
            part.opened = True
            await self._plain.execute(part.open_with, prepare=False)

    async def _undo(self, part: Part) -> None:
        if part.opened and not self._connection.closed:
            with contextlib.suppress(psycopg.Error):
                await self._plain.execute(part.undo_with, prepare=False)


_TOGETHER = psycopg.Pipeline.is_supported()  # libpq 14
