"""The schema of a PostgreSQL store: numbered migrations, each applied once, all of them in one transaction under a lock."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors

from dray.errors import SchemaMismatch
from dray.store.postgres.place import Place
from dray.store.postgres.plans import in_schema, quoted
from dray.store.postgres.trouble import as_ours

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x_44_52_41_59  # "DRAY"; the second half is the schema's own


@functools.cache
def migrations() -> list[tuple[int, str, str]]:
    """(number, name, SQL for the schema `dray`) of each, in order."""
    found = []
    for file in sorted(FOLDER.glob("*.sql")):
        number, _, name = file.stem.partition("_")
        found.append((int(number), name, file.read_text(encoding="utf-8")))
    return found


def newest() -> int:
    """The schema that this code is written for."""
    return max(number for number, _, _ in migrations())


def version(connection: psycopg.Connection[Any], place: Place) -> tuple[int, int]:
    """The schema that the database has (0: none of ours), and the oldest code that can work with it."""
    try:
        rows = dict(
            connection.execute(f"select key, value from {quoted(place.schema)}.dray_meta").fetchall()
        )
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return 0, 0
    except psycopg.Error as error:
        raise as_ours(error, place.where) from error
    return int(rows.get("schema", 0)), int(rows.get("oldest", 1))


def check(connection: psycopg.Connection[Any], place: Place) -> int:
    """The schema that the database has. Raises SchemaMismatch if this code cannot work with it."""
    found, oldest = version(connection, place)
    if found > newest() and oldest > newest():
        raise SchemaMismatch(
            f"The store {place.where} has schema {found}, which needs a Dray that knows schema {oldest}; this one knows schemas up "
            f"to {newest()}. Install the newer Dray."
        )
    return found


def require(connection: psycopg.Connection[Any], place: Place) -> None:
    """Raises SchemaMismatch unless the database has a schema that this code can work with, without changing anything."""
    found = check(connection, place)
    if found == 0:
        raise SchemaMismatch(f"The database {place.where} has no Dray schema; run `dray migrate` on it.")
    if found < newest() - 1:
        raise SchemaMismatch(
            f"The store {place.where} has schema {found}, this version of Dray needs {newest() - 1} or {newest()}; run "
            "`dray migrate`."
        )


def pending(found: int) -> list[tuple[int, str, str]]:
    """The migrations that a database with schema `found` lacks."""
    return [migration for migration in migrations() if migration[0] > found]


def script(found: int, place: Place) -> str:
    """The SQL that brings a database with schema `found` up to date, to be run by hand."""
    parts = [f"create schema if not exists {quoted(place.schema)};"] if found == 0 else []
    for number, name, text in pending(found):
        parts += [f"-- {number}: {name}", in_schema(text, place.schema).strip(), in_schema(_mark(number), place.schema)]
    return "begin;\n\n" + "\n\n".join(parts) + "\n\ncommit;\n"


def migrate(connection: psycopg.Connection[Any], place: Place) -> list[int]:
    """Bring the schema up to date; the numbers of the migrations applied. The connection must be in autocommit mode."""
    if check(connection, place) >= newest():
        return []
    try:
        with connection.transaction():
            connection.execute("set local lock_timeout = '60s'; set local statement_timeout = '0'")
            connection.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, place.schema))
            found, _ = version_inside(connection, place)  # another process may have been faster
            if found == 0:
                exists = connection.execute("select 1 from pg_namespace where nspname = %s", (place.schema,)).fetchone()
                if not exists:
                    connection.execute(f"create schema {quoted(place.schema)}")
            applied = []
            for number, _, text in pending(found):
                connection.execute(in_schema(text, place.schema))
                connection.execute(in_schema(_mark(number), place.schema))
                applied.append(number)
            return applied
    except psycopg.Error as error:
        raise as_ours(error, place.where) from error


def version_inside(connection: psycopg.Connection[Any], place: Place) -> tuple[int, int]:
    """`version` in a transaction, which a missing table must not end."""
    found = connection.execute("select to_regclass(%s)", (f"{quoted(place.schema)}.dray_meta",)).fetchone()
    return (0, 0) if found is None or found[0] is None else version(connection, place)


def _mark(number: int) -> str:
    # A migration that takes away what older code needs raises `oldest` itself.
    return (
        f"insert into dray.dray_meta (key, value) values ('schema', '{number}') "
        "on conflict (key) do update set value = excluded.value;"
    )
