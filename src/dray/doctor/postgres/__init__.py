"""The server and the tables of a PostgreSQL store: each question apart, so that one that may not be asked spoils no other."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.postgres import server, sessions, tables
from dray.doctor.postgres.asking import Asking, connected
from dray.errors import SchemaMismatch, StoreError
from dray.store.postgres import schema
from dray.store.postgres.place import place_of
from dray.store.postgres.trouble import words

Check = Callable[[Asking], list[Finding]]

SERVER: tuple[Check, ...] = (
    server.version, server.writable, server.durability, server.clock_offset, server.connections, server.pooler, server.wraparound,
    server.notifications, server.slots,
)  # fmt: skip
SESSIONS: tuple[Check, ...] = (sessions.horizon, sessions.slow)
TABLES: tuple[Check, ...] = (
    tables.autovacuum, tables.dead_rows, tables.settings, tables.indexes, tables.hot_updates, tables.bloat, tables.history,
    tables.ledger,
)  # fmt: skip


def examine_server(url: str) -> tuple[list[Finding], bool]:
    """The findings, and whether the store can be opened to look into it. Raises ConfigurationError for a URL that is none."""
    place = place_of(url)
    try:
        context = connected(place)
    except StoreError as error:
        return [wrong("server-reachable", str(error), "Nothing else can be examined until this is corrected.")], False
    with context as ask:
        found = [finding for check in (*SERVER, *SESSIONS) for finding in _answers(ask, check)]
        usable, said = _schema(ask)
        found.append(said)
        if usable:
            found += [finding for check in TABLES for finding in _answers(ask, check)]
    return found, usable


def _answers(ask: Asking, check: Check) -> list[Finding]:
    try:
        return check(ask)
    except psycopg.Error as error:
        name = check.__name__.replace("_", "-")
        message = f"The question about {name.replace('-', ' ')} was not answered: {words(error)}."
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return [note(name, message, "Grant the role pg_monitor to the user of the URL, or ask as another one.")]
        return [note(name, message, "Ask again; if it is so each time, please report it.")]


def _schema(ask: Asking) -> tuple[bool, Finding]:
    newest, found, oldest = schema.newest(), 0, 0
    try:
        found, oldest = schema.version(ask.connection, ask.place)
        schema.require(ask.connection, ask.place)
    except SchemaMismatch as error:
        if found > newest:
            return False, wrong("schema", str(error), "Upgrade Dray.")
        return False, wrong("schema", str(error), "Bring it up to date.", "dray migrate")
    except StoreError as error:
        return False, wrong("schema", str(error), "Grant the user of the URL what it lacks.")
    if found < newest:
        message = f"The schema is {found}, this version of Dray is written for {newest}; it works with both."
        return True, note("schema", message, "Bring it up to date.", "dray migrate")
    if found > newest:
        message = f"The schema is {found}, newer than the {newest} of this Dray; it serves code from schema {oldest} on."
        return True, note("schema", message, "Finish the roll-out of the newer version.")
    return True, ok("schema", f"The schema is up to date ({found}).")
