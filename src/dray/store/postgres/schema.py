"""The schema of a PostgreSQL store: numbered migrations, each applied once, all that are missing in one transaction under a lock.

Which code works with which schema: see `dray.store.migrations`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import tuple_row

from dray.errors import StoreBusy
from dray.store import migrations as rules
from dray.store.migrations import Migration
from dray.store.postgres.place import Place
from dray.store.postgres.plans import in_schema, quoted
from dray.store.postgres.trouble import as_ours

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x_44_52_41_59  # "DRAY"; the second half of the advisory lock is the schema's own
PATIENCE = 40.0  # seconds to wait for others, in all
#: A statement that waits for a table's lock makes everybody wait who comes after it: so not for long, and then again.
TABLE_LOCK = 3.0
PAUSE = 1.0
WAITS_FOR = """
    select l.pid, coalesce(nullif(a.application_name, ''), 'unnamed'), coalesce(a.state, 'a prepared transaction'),
           coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::float8
    from pg_locks l left join pg_stat_activity a on a.pid = l.pid
    where l.granted and l.pid is distinct from pg_backend_pid()
"""
MIGRATING = WAITS_FOR + "and l.locktype = 'advisory' and l.classid = %s and l.objid = hashtext(%s)::bigint & 4294967295 limit 1"
USING = WAITS_FOR + (
    "and l.locktype = 'relation' and l.database = (select oid from pg_database where datname = current_database()) "
    "and l.relation in (select oid from pg_class where relnamespace = (select oid from pg_namespace where nspname = %s)) "
    "order by a.xact_start limit 1"
)


@functools.cache
def migrations() -> list[Migration]:
    """(number, name, SQL for the schema `dray`) of each, in order."""
    return rules.load(FOLDER)


def newest() -> int:
    """The schema that this code is written for."""
    return max(number for number, _, _ in migrations())


def version(connection: psycopg.Connection[Any], place: Place) -> tuple[int, int]:
    """The schema that the database has (0: none of ours), and the oldest code that can work with it. Raises StoreError."""
    return rules.version_in(meta(connection, place))


def meta(connection: psycopg.Connection[Any], place: Place) -> dict[str, str]:
    """What the store says of itself: "schema", "oldest", and when each migration was applied, as "applied:1" (ISO 8601, UTC);
    nothing if there is no store. Raises StoreError."""
    try:
        # Looked up in the catalogue first: inside a transaction a missing table would end it.
        there = _ask(
            connection, "select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "where n.nspname = %s and c.relname = 'dray_meta'", (place.schema,),
        )  # fmt: skip
        return dict(_ask(connection, f"select key, value from {quoted(place.schema)}.dray_meta")) if there else {}
    except (errors.UndefinedTable, errors.InvalidSchemaName):  # it has gone in between
        return {}
    except psycopg.Error as error:
        raise as_ours(error, place.where) from error


def check(connection: psycopg.Connection[Any], place: Place) -> int:
    """The schema that the database has. Raises SchemaMismatch if it is too new for this code."""
    found, oldest = version(connection, place)
    rules.refuse_newer(place.where, found, oldest, newest())
    return found


def require(connection: psycopg.Connection[Any], place: Place) -> None:
    """Raises SchemaMismatch unless the database has a schema that this code can work with, without changing anything."""
    rules.refuse_older(place.where, check(connection, place), newest())


def pending(found: int) -> list[Migration]:
    """The migrations that a database with schema `found` lacks."""
    return [migration for migration in migrations() if migration[0] > found]


def script(found: int, place: Place) -> str:
    """The SQL that brings a database with schema `found` up to date, for `psql` or any other client. It is one transaction, and
    takes the lock that `migrate` takes."""
    schema = quoted(place.schema)
    literal = place.schema.replace("'", "''")
    parts = [f"-- The schema of Dray in {schema}, from {found} to {newest()}.", "begin;"]
    parts.append(f"select pg_advisory_xact_lock({LOCK}, hashtext('{literal}'));")
    if found == 0:
        parts.append(f"create schema if not exists {schema};")
    for number, name, text in pending(found):
        parts += [f"-- {number:04} {name}", in_schema(text, place.schema).strip(), in_schema(_mark(number, text), place.schema)]
    parts.append("commit;")
    parts.append(
        "-- If the workers and the application log in as another role than the one that runs this:\n"
        f"-- grant usage on schema {schema} to ROLE;\n"
        f"-- grant select, insert, update, delete on all tables in schema {schema} to ROLE;\n"
        f"-- grant usage on all sequences in schema {schema} to ROLE;"
    )
    return "\n\n".join(parts) + "\n"


def migrate(
    connection: psycopg.Connection[Any], place: Place, *, keep: bool = True, patience: float = PATIENCE,
    tell: Callable[[str], object] | None = None,
) -> list[int]:  # fmt: skip
    """Bring the schema up to date; the numbers of the migrations applied. The connection must be in autocommit mode.

    `keep` False: do everything and take it back, which shows whether it can be done. `patience`: seconds to wait for another
    process that migrates, or that uses what is to be changed. `tell` is called with one sentence if there is something to wait
    for. Raises StoreError; then nothing has been changed.
    """
    if check(connection, place) >= newest():
        return []
    until = time.monotonic() + patience
    waits = _Waits(connection, place, tell)
    while True:
        try:
            return _apply(connection, place, keep, until, waits)
        except errors.LockNotAvailable as error:
            waits.for_users()
            if time.monotonic() + PAUSE > until:
                raise StoreBusy(
                    f"The schema of {place.where} could not be changed within {patience:.0f} seconds: {waits.last}; nothing was "
                    "changed. Let that end, and try again."
                ) from error
            time.sleep(PAUSE)
        except psycopg.Error as error:
            raise as_ours(error, place.where) from error


class _Waits:
    """Says what a migration waits for, each thing once."""

    def __init__(self, connection: psycopg.Connection[Any], place: Place, tell: Callable[[str], object] | None) -> None:
        self._connection = connection
        self._place = place
        self._tell = tell
        self.last = "others use it"

    def for_another(self) -> None:
        """Another process is at it."""
        self._say("another process is migrating it", _ask(self._connection, MIGRATING, (LOCK, self._place.schema)))

    def for_users(self) -> None:
        """Others hold locks on the tables."""
        self._say("a transaction uses its tables", _ask(self._connection, USING, (self._place.schema,)))

    def _say(self, what: str, rows: list[Any]) -> None:
        said = what
        for pid, name, state, age in rows:
            said = f"{what} (pid {pid}, application {name}, {state}, for {age:.0f} seconds)"
        if self._tell is not None and what not in self.last:
            self._tell(f"The schema of {self._place.where} cannot be changed yet: {said}; waiting for it.")
        self.last = said


def _apply(connection: psycopg.Connection[Any], place: Place, keep: bool, until: float, waits: _Waits) -> list[int]:
    applied: list[int] = []
    with connection.transaction(force_rollback=not keep):
        _locked(connection, place, until, waits)
        connection.execute(f"set local lock_timeout = '{TABLE_LOCK:.0f}s'; set local statement_timeout = '0'")
        found = check(connection, place)  # another process may have been faster
        if found == 0 and not _ask(connection, "select 1 from pg_namespace where nspname = %s", (place.schema,)):
            connection.execute(f"create schema {quoted(place.schema)}")
        for number, _, text in pending(found):
            connection.execute(in_schema(text, place.schema))
            connection.execute(in_schema(_mark(number, text), place.schema))
            applied.append(number)
    return applied


def _locked(connection: psycopg.Connection[Any], place: Place, until: float, waits: _Waits) -> None:
    """Take the lock of all migrations of this schema, until the end of the transaction."""
    key = (LOCK, place.schema)
    if _ask(connection, "select pg_try_advisory_xact_lock(%s, hashtext(%s))", key)[0][0]:
        return
    waits.for_another()
    connection.execute(f"set local lock_timeout = '{max(1, int(until - time.monotonic()))}s'; set local statement_timeout = '0'")
    try:
        connection.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", key)
    except errors.LockNotAvailable as error:
        raise StoreBusy(
            f"The schema of {place.where} is needed, and {waits.last}; that has not ended in time. Nothing was changed here: wait "
            "for it, or end that process, and try again."
        ) from error


def _ask(connection: psycopg.Connection[Any], text: str, params: tuple[object, ...] | None = None) -> list[Any]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(text, params).fetchall()


def _mark(number: int, text: str) -> str:
    rows = (
        f"('schema', '{number}'), ('oldest', '{rules.oldest_for(number, text)}'), "
        f"('applied:{number}', to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))"
    )
    return f"insert into dray.dray_meta (key, value) values {rows} on conflict (key) do update set value = excluded.value;"
