"""What goes wrong in Redis, in our words."""

from __future__ import annotations

import re

from redis import exceptions
from redis._parsers.base import BaseParser

from dray.errors import ConfigurationError, DrayError, NotAStore, StoreBusy, StoreUnavailable

#: Answers after which nothing has been carried out, and which may be others in a moment: a server that starts, one that is a
#: replica (since a failover), a cluster that lacks a node, or a part of it that is moved.
NOT_NOW = re.compile(r"^(?:LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|UNBLOCKED)\b")
ELSEWHERE = re.compile(r"^(?:MOVED|ASK|CROSSSLOT)\b")
#: The first words of answers for which the driver has a class of its own. (Several for one class: only as told by its number.)
FIRST_WORDS = {kind: f"{word} " for word, kind in BaseParser.EXCEPTION_CLASSES.items() if isinstance(kind, type)}
#: How servers before 7.0 say that a command of a script failed.
WRAPPED = re.compile(r"Error running script \(call to \w+\): @user_script:\s*\d+: (?:@user_script:\s*\d+: )?-?(.+)", re.DOTALL)
LOGIN = re.compile(r"WRONGPASS|NOAUTH|invalid (?:username-password pair|password)|without any password", re.IGNORECASE)
ADVICE = (
    (re.compile(r"Name or service|resolve|nodename"), "check the name of the host in the URL"),
    (re.compile(r"refused"), "start the server, or correct host and port in the URL"),
    (re.compile(r"SSL|certificate|CERTIFICATE|TLS"), "correct rediss:// or redis:// and the certificates in the URL"),
    (re.compile(r"[Tt]imeout|timed out"), "check host, port and firewall"),
)

Trouble = exceptions.RedisError


class Gone(Exception):
    """The connection came to its end. `sent`: something had been sent, so that it is not known whether it was carried out."""

    def __init__(self, cause: BaseException, sent: bool, late: bool = False) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.sent = sent
        self.late = late


def unwrapped(error: exceptions.ResponseError) -> exceptions.ResponseError:
    """The error of a command within a script as if the script had been that command."""
    told = WRAPPED.match(str(error))
    if told is None:
        return error
    word, _, rest = told[1].partition(" ")
    return exceptions.ReadOnlyError(rest) if word == "READONLY" else exceptions.ResponseError(told[1])


def words(error: BaseException) -> str:
    """What an error says, on one line, without the number and the address that the driver puts in front."""
    return re.sub(r"^Error -?\d+ connecting to \S+ (?=\S)", "", " ".join(str(error).split()).rstrip("."))


def not_now(error: BaseException) -> bool:
    """Whether nothing has been carried out, and the same may well succeed in a moment."""
    return isinstance(error, exceptions.ResponseError) and bool(NOT_NOW.search(raw(error)))


def raw(error: exceptions.RedisError) -> str:
    """As the server said it: the driver takes the first word off what it knows."""
    return f"{FIRST_WORDS.get(type(error), '')}{error}"


def as_ours(error: BaseException, where: str) -> DrayError:
    """The error of ours that says what an error of Redis means for the user."""
    if isinstance(error, Gone):
        error = error.cause
    said = words(error)
    if isinstance(error, exceptions.AuthenticationError) or LOGIN.search(said):
        return StoreUnavailable(f"The server of {where} refused the login: {said}; check user and password in the URL.")
    if isinstance(error, exceptions.NoPermissionError) or said.startswith("NOPERM"):
        return StoreUnavailable(
            f"The user of {where} lacks a right: {said}; let it run scripts and publish, on all keys and channels of the namespace."
        )
    if "DB index" in said:
        return ConfigurationError(f"The server of {where} has no database of that number ({said}); correct the URL.")
    if isinstance(error, exceptions.OutOfMemoryError) or said.startswith("OOM"):
        return StoreUnavailable(
            f"The server of {where} is out of memory, and takes nothing new; raise its maxmemory, or let finished jobs be kept for "
            "less long (result_ttl)."
        )
    if said.startswith("MISCONF"):
        return StoreUnavailable(f"The server of {where} cannot write to its disk, and takes nothing more: {said}; see to its disk.")
    if other := _another(error, said, where):
        return other
    if isinstance(error, exceptions.ResponseError) and not_now(error):
        return StoreUnavailable(f"The store {where} takes nothing at present: {said}; look at the server with `dray doctor`.")
    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, OSError)):
        advice = next((f"; {text}" for sign, text in ADVICE if sign.search(said)), "")
        if where.startswith(("rediss", "valkeys")) and "refused" not in said:
            advice += ", and that the server speaks TLS there" if advice else "; does the server speak TLS there?"
        return StoreUnavailable(f"The store {where} cannot be reached: {said}{advice}.")
    return StoreUnavailable(f"The store {where} refused a script: {said}.")


def _another(error: BaseException, said: str, where: str) -> DrayError | None:
    """The error for a server that is not what the URL says."""
    if isinstance(error, exceptions.InvalidResponse):
        return NotAStore(f"What answers at {where} is no Redis server ({said}); correct host and port in the URL, or rediss://.")
    if not isinstance(error, exceptions.ResponseError):
        return None
    if ELSEWHERE.search(raw(error)):
        return StoreUnavailable(f"The server of {where} is a node of a cluster; write redis+cluster:// in the URL.")
    if said.startswith("WRONGTYPE"):
        return NotAStore(f"Something else keeps its own under the names that jobs have in {where}; choose another ?namespace=.")
    if isinstance(error, exceptions.ReadOnlyError) and "+" not in where.partition(":")[0]:
        return StoreUnavailable(
            f"The server of {where} is a replica, and takes no writes; name the primary in the URL, or the sentinels "
            "(redis+sentinel://), who know which it is."
        )
    return None


def too_late(where: str, seconds: float) -> StoreUnavailable:
    """The error for a call that was given up."""
    return StoreUnavailable(
        f"The store {where} did not answer within {seconds:.0f} seconds; the connection was given up, and whether it was carried "
        "out is not known."
    )


def busy(where: str, seconds: float) -> StoreBusy:
    """The error for a call that got no connection."""
    return StoreBusy(
        f"All connections to {where} were busy for {seconds:.0f} seconds; enqueue many jobs with enqueue_many, and look for what "
        "is slow with `dray doctor`."
    )
