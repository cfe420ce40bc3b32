"""What goes wrong in PostgreSQL, in our words."""

from __future__ import annotations

import re

import psycopg
from psycopg import errors

from dray.errors import ConfigurationError, DrayError, SchemaMismatch, StoreBusy, StoreUnavailable

#: The statement had no luck with others and has changed nothing: the same again may well succeed.
UNLUCKY = (errors.DeadlockDetected, errors.SerializationFailure)
#: The server is there and refuses for now, or this connection is of no use any more: on another one it may go better.
GONE = (
    psycopg.InterfaceError, errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.ReadOnlySqlTransaction,
    errors.ConnectionException, errors.IdleInTransactionSessionTimeout, errors.TooManyConnections,
)  # fmt: skip
#: A pooler gave us another server connection than the one that had prepared the statement.
POOLED = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)

# What is refused while connecting has no SQLSTATE in the driver, only words (in the language of the server, mostly English).
WRONG_URL = re.compile(
    r"invalid (?:\w+ value|integer value|percent-encoded|connection option|URI)|bad value for|forbidden value|sslmode value"
)
LOGIN = re.compile(r"authentication failed|no password supplied|role \".*\" does not exist|is not permitted to log in")
NO_DATABASE = re.compile(r"database \".*\" does not exist")
FULL = re.compile(r"too many clients|too many connections|remaining connection slots")
ADVICE = (
    (re.compile(r"resolve host|translate host name|Name or service"), "check the name of the host in the URL"),
    (re.compile(r"Connection refused|No such file"), "start the server, or correct host and port in the URL"),
    (re.compile(r"pg_hba\.conf"), "let the server accept this user from this machine: in its pg_hba.conf"),
    (re.compile(r"\bSSL\b"), "correct sslmode in the URL, or set up TLS on the server"),
    (re.compile(r"hot standby|read-only|read/write"), "correct target_session_attrs or the list of hosts in the URL"),
    (re.compile(r"timeout expired|timed out"), "check host, port and firewall"),
)
#: What drivers and libpq put around what they have to say.
NOISE = re.compile(
    r"connection (?:failed|is bad): |connection to server (?:at|on) .*?failed: |FATAL: +|ERROR: +|"
    r" ?Is the server running .*?\?| ?Multiple connection attempts failed\..*$"
)


def is_gone(error: BaseException) -> bool:
    """Whether the connection on which this happened is of no use any more."""
    if isinstance(error, GONE):
        return True
    return isinstance(error, psycopg.OperationalError) and error.sqlstate is None


def words(error: BaseException) -> str:
    """What an error says, on one line and without what surrounds it."""
    return NOISE.sub("", " ".join(str(error).split())).strip().rstrip(".")


def as_ours(error: psycopg.Error, where: str) -> DrayError:
    """The error of ours that says what an error of PostgreSQL means for the user."""
    said = words(error)
    while_connecting = error.sqlstate is None
    if while_connecting and WRONG_URL.search(said):
        return ConfigurationError(f"The URL of {where} cannot be used: {said}; correct it.")
    if isinstance(error, errors.InvalidPassword | errors.InvalidAuthorizationSpecification) or LOGIN.search(said):
        return StoreUnavailable(f"The server of {where} refused the login: {said}; check user and password in the URL.")
    if isinstance(error, errors.InvalidCatalogName) or NO_DATABASE.search(said):
        return StoreUnavailable(f"The database of {where} does not exist ({said}); create it with `createdb`, or correct the URL.")
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.InvalidSchemaName | errors.UndefinedObject):
        return SchemaMismatch(f"The database {where} has no Dray schema, or an old one ({said}); run `dray migrate` on it.")
    if isinstance(error, errors.InsufficientPrivilege):
        return StoreUnavailable(
            f"The user of {where} lacks a right: {said}; let a user who has it run what `dray migrate --sql` prints, with the "
            "grants at its end."
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
    if isinstance(error, errors.TooManyConnections) or (while_connecting and FULL.search(said)):
        return StoreUnavailable(
            f"The server of {where} has no connection left ({said}); raise max_connections, or put a pooler such as PgBouncer "
            "before it."
        )
    if isinstance(error, UNLUCKY):
        return StoreBusy(f"The store {where} refused a transaction that got in the way of others ({said}); try again.")
    if is_gone(error):
        advice = next((f"; {text}" for sign, text in ADVICE if sign.search(said)), "") if while_connecting else ""
        return StoreUnavailable(f"The store {where} cannot be reached: {said}{advice}.")
    return StoreUnavailable(f"The store {where} refused a statement: {said}.")


def too_late(where: str, seconds: float) -> StoreUnavailable:
    """The error for a call that was given up."""
    return StoreUnavailable(
        f"The store {where} did not answer within {seconds:.0f} seconds; the connection was given up, and whether it was carried "
        "out is not known."
    )
