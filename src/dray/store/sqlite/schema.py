"""The schema of a SQLite store: numbered migrations, each applied once, all that are missing in one transaction.

Which code works with which schema: see `dray.store.migrations`.
"""

from __future__ import annotations

import functools
import sqlite3
from pathlib import Path

from dray.errors import NotAStore
from dray.store import migrations as rules
from dray.store.migrations import Migration

FOLDER = Path(__file__).parent / "migrations"


@functools.cache
def migrations() -> list[Migration]:
    """(number, name, SQL) of each, in order."""
    return rules.load(FOLDER)


def newest() -> int:
    """The schema that this code is written for."""
    return max(number for number, _, _ in migrations())


def version(connection: sqlite3.Connection) -> int:
    """The schema that the database has; 0 if it has none of ours."""
    return rules.version_in(meta(connection))[0]


def meta(connection: sqlite3.Connection) -> dict[str, str]:
    """What the store says of itself: "schema", "oldest", and when each migration was applied, as "applied:1" (ISO 8601, UTC);
    nothing if there is no store."""
    has_meta = connection.execute("select 1 from sqlite_master where type = 'table' and name = 'dray_meta'").fetchone()
    return dict(connection.execute("select key, value from dray_meta").fetchall()) if has_meta else {}


def check(connection: sqlite3.Connection, where: str) -> int:
    """The schema that the database has. Raises SchemaMismatch if it is too new for this code, NotAStore if it is no database."""
    try:
        found, oldest = rules.version_in(meta(connection))
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise NotAStore(
            f"{where} is not an SQLite database ({error}); name another file, or move this one away."
        ) from None
    rules.refuse_newer(where, found, oldest, newest())
    return found


def require(connection: sqlite3.Connection, where: str) -> None:
    """Raises SchemaMismatch unless the database has a schema that this code can work with, without changing anything."""
    rules.refuse_older(where, check(connection, where), newest())


def pending(found: int) -> list[Migration]:
    """The migrations that a database with schema `found` lacks."""
    return [migration for migration in migrations() if migration[0] > found]


def script(found: int) -> str:
    """The SQL that brings a database with schema `found` up to date, for the `sqlite3` shell."""
    parts = ["begin immediate;"]
    for number, name, text in pending(found):
        parts += [f"-- {number:04} {name}", text.strip(), _mark(number, text)]
    return "\n\n".join([*parts, "commit;"]) + "\n"


def migrate(connection: sqlite3.Connection, where: str) -> list[int]:
    """Bring the schema up to date; the numbers of the migrations applied. The connection must be in autocommit mode."""
    if check(connection, where) >= newest():
        return []
    connection.execute("begin immediate")
    try:
        found = version(connection)  # another process may have been faster
        applied = []
        for number, _, text in pending(found):
            for statement in (*split(text), _mark(number, text)):
                connection.execute(statement)
            applied.append(number)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return applied


def split(text: str) -> list[str]:
    """The statements of a script. (`executescript` would commit first, and a migration must be one transaction.)"""
    found, current = [], ""
    for line in text.splitlines():
        current += line + "\n"
        if sqlite3.complete_statement(current):
            found.append(current.strip())
            current = ""
    if current.strip():
        found.append(current.strip())
    return found


def _mark(number: int, text: str) -> str:
    rows = (
        f"('schema', '{number}'), ('oldest', '{rules.oldest_for(number, text)}'), "
        f"('applied:{number}', strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))"
    )
    return f"insert into dray_meta (key, value) values {rows} on conflict (key) do update set value = excluded.value;"
