"""A connection for questions."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from msgspec import Struct
from psycopg.rows import tuple_row

from dray.store.postgres.lines import Lines
from dray.store.postgres.place import Place
from dray.store.postgres.plans import quoted

DEADLINE = "10s"  # for each question: whoever looks for what is slow must not be slow himself


class Asking(Struct):
    """Where questions are asked."""

    place: Place
    connection: psycopg.Connection[Any]
    pooled: bool  # behind a pooler that gives each transaction another server connection
    version: int  # of the server, as 150018

    def rows(self, text: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question."""
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(text, params or None).fetchall()

    def row(self, text: str, params: Sequence[object] = ()) -> tuple[Any, ...]:
        """The one row of a question."""
        return self.rows(text, params)[0]

    def setting(self, name: str) -> str:
        """A setting of the server as it holds for this user in this database."""
        return str(self.row("select current_setting(%s)", (name,))[0])

    @property
    def schema(self) -> str:
        """The name of the store's schema."""
        return self.place.schema

    def named(self, table: str) -> str:
        """A table of the store, as SQL has it."""
        return f"{quoted(self.schema)}.{table}"

    def psql(self, statement: str) -> str:
        """The command that has a statement carried out in the store's database."""
        parts = urlsplit(self.place.dsn)
        user, at, host = parts.netloc.rpartition("@")
        url = f"postgresql://{user.partition(':')[0]}{at}{host}{parts.path}"
        return f"psql {shlex.quote(url)} -c {shlex.quote(statement)}"


def connected(place: Place) -> AbstractContextManager[Asking]:
    """Connect. Raises StoreError at once if that fails."""
    lines = Lines(place)
    connection = lines.connect()

    @contextmanager
    def context() -> Iterator[Asking]:
        with connection:
            connection.execute(f"set statement_timeout = '{DEADLINE}'; set lock_timeout = '3s'; set enable_seqscan = on")
            yield Asking(place, connection, lines.pooled, connection.info.server_version)

    return context()
