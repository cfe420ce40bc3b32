"""`dray migrate`: the schema of the store."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import click
from msgspec import Struct

from dray.cli import output
from dray.cli.options import file_of, is_file, store_options, store_url
from dray.errors import SchemaMismatch, StoreUnavailable
from dray.store.migrations import Migration, version_in
from dray.store.open import REDIS, open_store, scheme_of

if TYPE_CHECKING:
    from pathlib import Path

NOT_SO = 1  # not up to date, or not usable
WAIT = 60.0  # seconds for others who migrate, or who use what is to be changed


class Schema(Protocol):
    """The schema of one store, to be looked at and changed."""

    where: str
    newest: int

    def meta(self) -> dict[str, str]: ...
    def pending(self, found: int) -> list[Migration]: ...
    def script(self, found: int) -> str: ...
    def migrate(self, keep: bool) -> list[int]: ...


class Found(Struct, frozen=True):
    """What the store has."""

    version: int
    oldest: int
    applied: dict[int, str]  # when each migration was

    @classmethod
    def of(cls, meta: dict[str, str]) -> Found:
        """From what it says of itself."""
        applied = {int(key.partition(":")[2]): value for key, value in meta.items() if key.startswith("applied:")}
        return cls(*version_in(meta), applied)


@click.command()
@click.option("--status", "mode", flag_value="status", help="Only say which schema there is; exits with 1 if it is to be migrated.")
@click.option("--sql", "mode", flag_value="sql", help="Only print the SQL of what is missing, for psql or sqlite3.")
@click.option(
    "--dry-run", "mode", flag_value="dry-run",
    help="Change nothing: name what would be applied, and on PostgreSQL try it in a transaction that is rolled back.",
)  # fmt: skip
@store_options
def migrate(mode: str | None, url: str | None, as_json: bool) -> int:
    """Make the store, or bring its schema up to date.

    Two at once apply each migration once: one waits for the other. Redis has no schema, and nothing to migrate.
    """
    chosen = store_url(url)
    if not is_file(chosen) and scheme_of(chosen) in REDIS:
        _nothing(chosen, mode, as_json)
        return 0
    with _schema(chosen) as schema:
        found = Found.of(schema.meta())
        missing = schema.pending(found.version)
        if mode == "status":
            _status(schema, found, missing, as_json)
            return NOT_SO if missing or found.oldest > schema.newest else 0
        if mode == "sql":
            _sql(schema, found, missing, as_json)
            return 0
        applied = schema.migrate(keep=mode is None)
        if mode is None:
            missing = [step for step in missing if step[0] in applied]  # another process may have done some of it
        now = found.version if mode else Found.of(schema.meta()).version
    steps = [f"{number:04} {name}" for number, name, _ in missing]
    if as_json:
        output.emit({"store": schema.where, "schema": now, "newest": schema.newest, ("pending" if mode else "applied"): steps})
        return 0
    for step in steps:
        click.echo(f"{'would apply' if mode else 'applied'} {step}")
    if mode is None or not steps:
        click.echo(f"{schema.where} is up to date (schema {now}).")
    return 0


def _nothing(url: str, mode: str | None, as_json: bool) -> None:
    """Of a store without a schema: open it, which tells what is wrong with it. Raises StoreError, ConfigurationError."""
    store = open_store(url, migrate=False)
    store.close()
    if as_json:
        output.emit({"store": store.where, "schema": None, "newest": None, ("pending" if mode else "applied"): []})
    else:
        click.echo(f"{'-- ' if mode == 'sql' else ''}{store.where} has no schema, so there is nothing to migrate.")


def _status(schema: Schema, found: Found, missing: list[Migration], as_json: bool) -> None:
    since = found.applied.get(found.version)
    if as_json:
        output.emit({
            "store": schema.where, "schema": found.version, "newest": schema.newest, "oldest": found.oldest, "since": since,
            "applied": {str(number): at for number, at in sorted(found.applied.items())},
            "pending": [f"{number:04} {name}" for number, name, _ in missing],
        })  # fmt: skip
        return
    if not found.version:
        click.echo(f"{schema.where}: there is no store yet: dray migrate")
        return
    told = f" since {since}" if since else ""
    if missing:
        state = f"{len(missing)} to apply: dray migrate"
    elif found.version > schema.newest:
        works = f"it serves code from schema {found.oldest} on"
        state = f"newer than this version of Dray, {works}: {'usable' if found.oldest <= schema.newest else 'upgrade Dray'}"
    else:
        state = "up to date"
    click.echo(f"{schema.where}: schema {found.version} of {schema.newest}{told}, {state}")
    for number, name, _ in missing:
        click.echo(f"  pending {number:04} {name}")


def _sql(schema: Schema, found: Found, missing: list[Migration], as_json: bool) -> None:
    script = schema.script(found.version) if missing else ""
    if as_json:
        steps = [f"{number:04} {name}" for number, name, _ in missing]
        output.emit({
            "store": schema.where, "schema": found.version, "newest": schema.newest, "pending": steps, "sql": script,
        })  # fmt: skip
    else:
        click.echo(script or "-- up to date", nl=not script)


@contextlib.contextmanager
def _schema(url: str) -> Iterator[Schema]:
    if is_file(url):
        yield SqliteSchema(url, file_of(url))
        return
    schema = PostgresSchema(url)
    try:
        yield schema
    finally:
        schema.close()


class SqliteSchema:
    """A file; looking at it does not make it."""

    def __init__(self, url: str, path: Path) -> None:
        from dray.store.sqlite import schema

        self._of = schema
        self._url = url
        self._path = path
        self.where = str(path)
        self.newest = schema.newest()

    def meta(self) -> dict[str, str]:
        """What the store says of itself. Raises StoreError."""
        if not self._path.exists():
            return {}
        try:
            with contextlib.closing(sqlite3.connect(f"file:{quote(self.where)}?mode=ro", uri=True)) as connection:
                with contextlib.suppress(SchemaMismatch):  # to be told, not to be refused
                    self._of.check(connection, self.where)
                return self._of.meta(connection)
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"The store {self.where} cannot be read ({error}); check the path and its permissions."
            ) from None

    def pending(self, found: int) -> list[Migration]:
        """What is missing."""
        return self._of.pending(found)

    def script(self, found: int) -> str:
        """Its SQL."""
        return self._of.script(found)

    def migrate(self, keep: bool) -> list[int]:
        """Apply it, if it is to be kept; a trial would make the file. The numbers of what was applied."""
        before = Found.of(self.meta()).version
        if keep:
            open_store(self._url, migrate=True).close()
        return [number for number, _, _ in self.pending(before)]


class PostgresSchema:
    """A schema in a database, over a connection of its own, which has no deadline."""

    def __init__(self, url: str) -> None:
        from dray.store.open import need_postgres

        need_postgres(url)
        from dray.store.postgres import schema
        from dray.store.postgres.lines import Lines
        from dray.store.postgres.place import place_of

        self._of = schema
        self._place = place_of(url)
        self.where = self._place.where
        self.newest = schema.newest()
        self._connection: Any = Lines(self._place).connect()

    def meta(self) -> dict[str, str]:
        """What the store says of itself. Raises StoreError."""
        return self._of.meta(self._connection, self._place)

    def pending(self, found: int) -> list[Migration]:
        """What is missing."""
        return self._of.pending(found)

    def script(self, found: int) -> str:
        """Its SQL."""
        return self._of.script(found, self._place)

    def migrate(self, keep: bool) -> list[int]:
        """Apply it; take it back unless it is to be kept. The numbers of what was applied."""
        return self._of.migrate(
            self._connection, self._place, keep=keep, patience=WAIT, tell=lambda sentence: output.say(sentence, "yellow")
        )

    def close(self) -> None:
        """Done with it."""
        self._connection.close()


COMMANDS = (migrate,)
