"""What goes wrong in SQLite, in our words."""

from __future__ import annotations

import sqlite3

from dray.errors import DrayError, NotAStore, SchemaMismatch, StoreBusy, StoreUnavailable

BUSY_AFTER = 30.0  # seconds that a write waits for others before it is refused


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else has the lock."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def busy(where: str) -> StoreBusy:
    """The error for it."""
    return StoreBusy(
        f"The store {where} was kept locked by another connection for {BUSY_AFTER:.0f} seconds; keep transactions on this file "
        "short, and do not enqueue outside `app.bind(connection)` while your own transaction on it is open."
    )


class translated:
    """Errors of sqlite3 become ours, with the place and what to do."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise as_ours(error, self._where) from error


def as_ours(error: sqlite3.Error, where: str) -> DrayError:
    """The error of ours that says what an error of sqlite3 means for the user."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return busy(where)
    if code == sqlite3.SQLITE_NOTADB:
        return NotAStore(f"{where} is not an SQLite database; name another file, or move this one away.")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreUnavailable(f"The store {where} is damaged ({error}); restore it from a backup, or use `.recover` of sqlite3.")
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(f"The disk of the store {where} is full; nothing was written. Free some space and try again.")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreUnavailable(f"The store {where} cannot be written ({error}); check the permissions of the file and its folder.")
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreUnavailable(f"The store {where} cannot be opened ({error}); check the path and the permissions of its folder.")
    if code == sqlite3.SQLITE_IOERR:
        return StoreUnavailable(f"The disk of the store {where} failed ({error}); nothing was written.")
    if "no such table: dray_" in str(error) or "no such column" in str(error):
        return SchemaMismatch(f"The database {where} has no Dray schema, or an old one ({error}); run `dray migrate` on it.")
    return StoreUnavailable(f"The store {where} refused a statement: {error}.")
