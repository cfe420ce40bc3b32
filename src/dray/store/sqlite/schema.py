"""The schema of a SQLite store: numbered migrations, each applied once, in one transaction."""

from __future__ import annotations

import functools
import sqlite3
from pathlib import Path

from dray.errors import NotAStore, SchemaMismatch

FOLDER = Path(__file__).parent / "migrations"


@functools.cache
def migrations() -> list[tuple[int, str, str]]:
    """(number, name, SQL) of each, in order."""
    found = []
    for file in sorted(FOLDER.glob("*.sql")):
        number, _, name = file.stem.partition("_")
        found.append((int(number), name, file.read_text(encoding="utf-8")))
    return found


def newest() -> int:
    """The schema that this code is written for."""
    return max(number for number, _, _ in migrations())


def version(connection: sqlite3.Connection) -> int:
    """The schema that the database has; 0 if it has none of ours."""
    has_meta = connection.execute("select 1 from sqlite_master where type = 'table' and name = 'dray_meta'").fetchone()
    if not has_meta:
        return 0
    row = connection.execute("select value from dray_meta where key = 'schema'").fetchone()
    return int(row[0]) if row else 0


def check(connection: sqlite3.Connection, where: str) -> int:
    """The schema that the database has. Raises SchemaMismatch if it is newer than this code, NotAStore if it is no database."""
    try:
        found = version(connection)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise NotAStore(
            f"{where} is not an SQLite database ({error}); name another file, or move this one away."
        ) from None
    if found > newest():
        raise SchemaMismatch(
            f"The store {where} has schema {found}, this version of Dray knows schemas up to {newest()}; "
            "use the newer Dray that wrote it, or another file."
        )
    return found


def migrate(connection: sqlite3.Connection, where: str) -> list[int]:
    """Bring the schema up to date; the numbers of the migrations applied. The connection must be in autocommit mode."""
    if check(connection, where) == newest():
        return []
    connection.execute("begin immediate")
    try:
        found = version(connection)  # another process may have been faster
        applied = []
        for number, _, text in migrations():
            if number > found:
                for statement in split(text):
                    connection.execute(statement)
                connection.execute(
                    "insert into dray_meta (key, value) values ('schema', ?) "
                    "on conflict (key) do update set value = excluded.value",
                    (str(number),),
                )
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
