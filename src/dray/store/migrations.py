"""Migrations of SQL stores: numbered files, each applied once, and the rule which code works with which schema.

Expand, then contract. A migration adds what the next code needs and leaves what the code before it uses, so that while a new
version is being rolled out both work on one database: code N, and code N-1, on schema N. What nobody uses any more is taken away by
a later migration. The database says itself which code it still serves: a migration sets `oldest` to the schema before its own,
unless a line `-- oldest: 3` in it says otherwise. For the same reason new code goes on with the schema before its own where it must
not migrate (`LEEWAY`).
"""

from __future__ import annotations

import re
from pathlib import Path

from dray.errors import SchemaMismatch

Migration = tuple[int, str, str]  # number, name, SQL

LEEWAY = 1  # how many schemas before its own a code works with
NONE = (0, 0)  # the version of a database without a schema of ours


def load(folder: Path) -> list[Migration]:
    """The migrations of a folder (`0002_name.sql`), in order."""
    found = []
    for file in sorted(folder.glob("*.sql")):
        number, _, name = file.stem.partition("_")
        found.append((int(number), name, file.read_text(encoding="utf-8")))
    return found


def oldest_for(number: int, text: str) -> int:
    """The schema that code must know at least to work with schema `number`."""
    told = re.search(r"^-- oldest: (\d+)\s*$", text, re.MULTILINE)
    return int(told[1]) if told else max(1, number - LEEWAY)


def version_in(meta: dict[str, str]) -> tuple[int, int]:
    """The schema of a database and the oldest code for it, from the rows of `dray_meta`."""
    if "schema" not in meta:
        return NONE
    found = int(meta["schema"])
    return found, int(meta.get("oldest", max(1, found - LEEWAY)))


def refuse_newer(where: str, found: int, oldest: int, newest: int) -> None:
    """Raises SchemaMismatch if the database is too new for code that knows the schemas up to `newest`."""
    if found > newest and oldest > newest:
        raise SchemaMismatch(
            f"The store {where} has schema {found}, this version of Dray knows schemas up to {newest}, and that one needs a Dray "
            f"that knows schema {oldest}; install the newer Dray that wrote it, or use another store."
        )


def refuse_older(where: str, found: int, newest: int) -> None:
    """Raises SchemaMismatch if the database is too old for code that is written for schema `newest`, or has no schema at all."""
    if found == 0:
        raise SchemaMismatch(f"The database {where} has no Dray schema; run `dray migrate` on it.")
    if found < newest - LEEWAY:
        raise SchemaMismatch(
            f"The store {where} has schema {found}, this version of Dray needs {newest - LEEWAY} or {newest}; run "
            "`dray migrate` on it."
        )
