"""What goes wrong in PostgreSQL, in our words."""

from __future__ import annotations

import psycopg
from psycopg import errors

from dray.errors import DrayError, SchemaMismatch, StoreBusy, StoreUnavailable

#: The statement had no luck with others and has changed nothing: the same again may well succeed.
UNLUCKY = (errors.DeadlockDetected, errors.SerializationFailure)
#: The server is there and refuses for now, or this connection is of no use any more: on another one it may go better.
GONE = (
    psycopg.InterfaceError, errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.ReadOnlySqlTransaction,
    errors.ConnectionException, errors.IdleInTransactionSessionTimeout, errors.TooManyConnections,
)  # fmt: skip
#: A pooler gave us another server connection than the one that had prepared the statement.
POOLED = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)


def is_gone(error: BaseException) -> bool:
    """Whether the connection on which this happened is of no use any more."""
    if isinstance(error, GONE):
        return True
    return isinstance(error, psycopg.OperationalError) and error.sqlstate is None


def as_ours(error: psycopg.Error, where: str) -> DrayError:
    """The error of ours that says what an error of PostgreSQL means for the user."""
    said = " ".join(str(error).split())
    if isinstance(error, errors.InvalidPassword | errors.InvalidAuthorizationSpecification) or "authentication failed" in said:
        return StoreUnavailable(f"The server of {where} refused the login: {said}; check user and password in the URL.")
    if isinstance(error, errors.InvalidCatalogName) or ('database "' in said and "does not exist" in said):
        return StoreUnavailable(f"The database of {where} does not exist ({said}); create it with `createdb`, or correct the URL.")
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.InvalidSchemaName | errors.UndefinedObject):
        return SchemaMismatch(f"The database {where} has no Dray schema, or an old one ({said}); run `dray migrate` on it.")
    if isinstance(error, errors.InsufficientPrivilege):
        return StoreUnavailable(
            f"The user of {where} lacks a right: {said}; let its owner run `dray migrate`, and grant this user the rights on the "
            "schema."
        )
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return StoreUnavailable(
            f"The server of {where} only lets itself be read (a standby, or a primary that was demoted): {said}; name all servers "
            "in the URL (postgresql://host1,host2/db?target_session_attrs=read-write)."
        )
    if isinstance(error, errors.LockNotAvailable | errors.QueryCanceled):
        return StoreBusy(f"The store {where} did not answer in time ({said}); look for what holds it up with `dray doctor`.")
    if isinstance(error, errors.DiskFull):
        return StoreUnavailable(f"The disk of {where} is full ({said}); nothing was written. Free some space and try again.")
    if isinstance(error, errors.TooManyConnections):
        return StoreUnavailable(
            f"The server of {where} has no connection left ({said}); raise max_connections, or put a pooler such as PgBouncer "
            "before it."
        )
    if isinstance(error, UNLUCKY):
        return StoreBusy(f"The store {where} refused a transaction that got in the way of others ({said}); try again.")
    if is_gone(error):
        return StoreUnavailable(f"The store {where} cannot be reached: {said}.")
    return StoreUnavailable(f"The store {where} refused a statement: {said}.")


def too_late(where: str, seconds: float) -> StoreUnavailable:
    """The error for a call that was given up."""
    return StoreUnavailable(
        f"The store {where} did not answer within {seconds:.0f} seconds; the connection was given up, and whether it was carried "
        "out is not known."
    )
