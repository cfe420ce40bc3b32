"""Plans on the caller's own asyncpg connection, inside the caller's transaction."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg  # type: ignore[import-untyped]
import psycopg

from dray.errors import DrayError, StoreUnavailable
from dray.store.plan import Again, Apart, Bulk, Many, Now, Plan, Query, Ring, Row, Steady, Step, Together, adrive
from dray.store.postgres import bound as common
from dray.store.postgres.edge import NOW, ringing
from dray.store.postgres.plans import KINDS
from dray.store.postgres.trouble import as_ours

if TYPE_CHECKING:
    from dray.store.postgres.store import PostgresStore

T = TypeVar("T")

NAMED = re.compile(r"%\((\w+)\)s|%s|%%")
ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


@functools.cache
def numbered(sentence: str) -> tuple[str, tuple[str, ...]]:
    """A sentence as asyncpg takes it, and the names of its parameters in their order; of those without a name, their places.

    >>> numbered("select %(a)s + %(b)s - %(a)s")
    ('select $1 + $2 - $1', ('a', 'b'))
    """
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        name = found[1] or str(len(names))
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return NAMED.sub(number, sentence), tuple(names)


class AsyncpgBound(common.Ringing):
    """Runs plans on an `asyncpg.Connection`, also one of a pool. Each verb is a savepoint; nothing of the caller's is committed or
    rolled back."""

    def __init__(self, store: PostgresStore, connection: Any) -> None:
        super().__init__(store)
        self._connection = connection
        self._proof = getattr(connection, "_con", None) or connection  # the pool's proxy is another one each time

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Refused: the connection is async."""
        raise common.use_async(self._store)

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb as part of the caller's transaction. Raises StoreError; the transaction can go on all the same."""
        if self._connection.is_closed():
            raise common.closed(self._store)
        nested = self._connection.is_in_transaction()
        begin, commit, undo = common.NESTED if nested else common.WHOLE
        edge = _Edge(self._store, self._connection)
        try:
            await self._connection.execute(begin)
            try:
                if not common.is_proven(self._store, self._proof):
                    await self._prove(edge)
                answer = await adrive(verb(*args), edge.do)
                await self._connection.execute(f"{edge.ringing}{commit}")
            except BaseException:
                with contextlib.suppress(*ERRORS):
                    await self._connection.execute(undo)
                raise
        except ERRORS as error:
            raise translated(self._store, error) from error
        self._rings |= edge.rings
        if not nested:
            self.committed()
        return answer

    async def _prove(self, edge: _Edge) -> None:
        rows = await edge.query(common.which(self._store))
        common.compare(self._store, self._proof, rows[0], await self._store.arun(common.ours, self._store))

    def left(self) -> None:
        """The caller left `bind`: if the transaction is over, whoever waits for what was in it may be woken."""
        with contextlib.suppress(asyncpg.InterfaceError):  # the pool has it back
            if not self._connection.is_closed() and self._connection.is_in_transaction():
                return
        self.committed()


class _Edge:
    """Carries out the steps of one verb."""

    def __init__(self, store: PostgresStore, connection: Any) -> None:
        self._store = store
        self._connection = connection
        self._now = 0
        self._rung = False  # by a sentence that rings by itself
        self.rings: set[str] = set()

    @property
    def ringing(self) -> str:
        """The notifications: they go out with the caller's commit, if there is one."""
        plans = self._store.plans
        return ringing(plans.area, plans.channels, KINDS, self.rings) + "; " if self.rings and not self._rung else ""

    async def do(self, step: Step) -> Any:
        """The answer to one step."""
        if isinstance(step, Query):
            self._rung = self._rung or step.alone
            return await self.query(step)
        if isinstance(step, Together):
            return [await self.query(query) for query in step.queries]
        if isinstance(step, Ring):
            self.rings.add(step.kind)
            return None
        if isinstance(step, Again):
            return False
        if isinstance(step, Apart):
            return await self._store.arun(step.verb, *step.args), True
        if isinstance(step, Now | Steady):
            return await self._time(step)
        if isinstance(step, Many):
            rows = list(step.rows)
            await self._connection.executemany(numbered(step.sentence)[0], rows)
            return len(rows)
        assert isinstance(step, Bulk), "scripts are for another store"
        return await self._copy(step)

    async def query(self, step: Query) -> list[Row]:
        """The rows of one statement."""
        sentence, names = numbered(step.sentence)
        found = await self._connection.fetch(sentence, *[step.params[name] for name in names], record_class=asyncpg.Record)
        return [tuple(record) for record in found]

    async def _time(self, step: Now | Steady) -> Any:
        clock = self._store.plans.clock
        if clock is not None:
            return clock.wall() if isinstance(step, Now) else (clock.boot, clock.steady())
        if not self._now:
            self._now = await self._connection.fetchval(NOW)
        return self._now if isinstance(step, Now) else ("server", self._now)

    async def _copy(self, bulk: Bulk) -> int:
        done: str = await self._connection.copy_records_to_table(
            bulk.table, records=bulk.rows, columns=list(bulk.columns), schema_name=self._store.plans.schema
        )
        return int(done.rpartition(" ")[2])


def translated(store: PostgresStore, error: BaseException) -> DrayError:
    """The error of ours that says what an error of asyncpg on the caller's connection means for the user."""
    if getattr(error, "sqlstate", None) == "25P02":
        return common.aborted(store)
    known = translated_for(store.where, error)
    if known is not None:
        return known
    text = str(error).rstrip(".") or type(error).__name__
    if "operation is in progress" in text:
        return common.occupied(store, "in the middle of another statement")
    if isinstance(error, OSError) or "closed" in text or "released" in text:
        return common.closed(store)
    return StoreUnavailable(f"The connection that bind() was given cannot be used for {store.where}: {text}.")


def translated_for(where: str, error: BaseException) -> DrayError | None:
    """The same for what the server said; None if it was not the server."""
    state = getattr(error, "sqlstate", None)
    if not state:
        return None
    try:
        kind = psycopg.errors.lookup(state)
    except KeyError:
        return StoreUnavailable(f"The store {where} refused a statement: {error}.")
    return as_ours(kind(str(error)), where)
