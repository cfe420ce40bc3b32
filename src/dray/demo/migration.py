"""The move of 200,000 rows from the old table to the new one, in batches that can be interrupted anywhere."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from dray.demo import db

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How far it is: the last id moved, the rows in all, batches committed, and how often it was started."""

    cursor: int
    total: int
    batches: int
    starts: int


def modern(row: tuple[int, str, str, str]) -> tuple[int, str, str, str, str]:
    """`(17, "LOVELACE, Ada", "(030) 555-000017", "17.03.1998")` as the new table has it."""
    number, name, phone, since = row
    family, given = name.split(", ")
    day, month, year = since.split(".")
    digits = "".join(c for c in phone if c.isdigit())
    return number, family.title(), given, f"+49{digits[1:]}", f"{year}-{month}-{day}"


def start(connection: sqlite3.Connection) -> Standing:
    """Count one more start and tell where to go on."""
    with db.writing(connection):
        connection.execute("update migration set starts = starts + 1 where name = 'contacts'")
    return standing(connection)


def standing(connection: sqlite3.Connection) -> Standing:
    row = connection.execute("select cursor, batches, starts from migration where name = 'contacts'").fetchone()
    total = connection.execute("select max(id) from legacy").fetchone()[0]
    return Standing(row[0], total, row[1], row[2])


def move_batch(connection: sqlite3.Connection) -> int:
    """Move the next rows and the cursor in one transaction: killed here, neither has moved.

    The cursor is read inside the transaction, so that even two of these at once move each row once. Gives the new
    cursor; nothing is left when it is the last row's id.
    """
    with db.writing(connection):
        cursor = standing(connection).cursor
        rows = connection.execute(
            "select id, name, phone, since from legacy where id > ? order by id limit ?", (cursor, BATCH)
        ).fetchall()
        if rows:
            cursor = int(rows[-1][0])
            connection.executemany("insert into contacts values (?, ?, ?, ?, ?)", map(modern, rows))
            connection.execute(
                "update migration set cursor = ?, batches = batches + 1 where name = 'contacts'", (cursor,)
            )
    return cursor
