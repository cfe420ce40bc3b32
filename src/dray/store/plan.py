"""Plans: what a store should do, said without doing it.

A store verb is a generator that yields steps and is sent their answers. It does no I/O and has no colour: a session drives it
on a connection, blocking or not. The same verb thus runs in a web request, in a worker, and on the caller's own connection
inside the caller's transaction. One verb is one transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

Row = tuple[Any, ...]


class Query:
    """Run one statement; the answer is its rows. `alone`: it is the whole plan, so that no transaction need be opened for it.
    `quiet`: its answer is of no interest, so that it may be sent together with the end of the transaction."""

    __slots__ = ("alone", "params", "quiet", "sentence")

    def __init__(
        self, sentence: str, params: Mapping[str, Any] | None = None, *, alone: bool = False, quiet: bool = False
    ) -> None:
        self.sentence = sentence
        self.params = params or {}
        self.alone = alone
        self.quiet = quiet


class Together:
    """Run several statements of which none needs another's answer, in one round trip; the answer is the list of their rows."""

    __slots__ = ("queries",)

    def __init__(self, queries: Sequence[Query]) -> None:
        self.queries = queries


class Call:
    """Run one script, whole or not at all, on one shard of the store; the answer is what it returns."""

    __slots__ = ("args", "script", "shard")

    def __init__(self, script: Any, args: Sequence[bytes | str | int], shard: int = 0) -> None:
        self.script = script
        self.args = args
        self.shard = shard


class Calls:
    """Run several scripts of which none needs another's answer, in one round trip; the answer is the list of theirs."""

    __slots__ = ("calls",)

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls


class Many:
    """Run one statement for each tuple of parameters; the answer is the number of rows changed in all."""

    __slots__ = ("rows", "sentence")

    def __init__(self, sentence: str, rows: Sequence[tuple[Any, ...]] | Iterable[tuple[Any, ...]]) -> None:
        self.sentence = sentence
        self.rows = rows


class Bulk:
    """Write many rows into some columns of a table in the quickest way that there is; the answer is their number."""

    __slots__ = ("columns", "rows", "table")

    def __init__(self, table: str, columns: Mapping[str, str], rows: Iterable[tuple[Any, ...]]) -> None:
        self.table = table
        self.columns = columns  # and their types
        self.rows = rows


class Apart:
    """Carry out another plan in a transaction of its own, before this one if nothing has been asked yet; the answer is its answer,
    and whether it is committed whatever becomes of this one."""

    __slots__ = ("args", "verb")

    def __init__(self, verb: Callable[..., Plan[Any]], *args: Any) -> None:
        self.verb = verb
        self.args = args


class Again:
    """Ask whether this is another try after one of which it is not known whether it was carried out."""

    __slots__ = ()


class Now:
    """Ask the store's clock; the answer is microseconds since 1970."""

    __slots__ = ()


class Steady:
    """Ask for the time that leases are measured by; the answer is (boot, microseconds)."""

    __slots__ = ()


class Ring:
    """Once this transaction is committed, wake those who listen for `kind` ("work", "done" or "orders")."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


Step = Query | Together | Call | Calls | Many | Bulk | Apart | Again | Now | Steady | Ring
Plan = Generator[Step, Any, T]


def drive(plan: Plan[T], do: Callable[[Step], Any]) -> T:
    """Run a plan with a blocking edge."""
    answer: Any = None
    resume: Callable[[Any], Step] = plan.send
    while True:
        try:
            step = resume(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            answer, resume = do(step), plan.send
        except Exception as error:  # a plan may catch what the edge raised
            answer, resume = error, plan.throw


async def adrive(plan: Plan[T], do: Callable[[Step], Awaitable[Any]]) -> T:
    """Run a plan with an asynchronous edge."""
    answer: Any = None
    resume: Callable[[Any], Step] = plan.send
    while True:
        try:
            step = resume(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            answer, resume = await do(step), plan.send
        except Exception as error:
            answer, resume = error, plan.throw


def repeatable(verb: F) -> F:
    """Mark a verb that may safely be carried out again when it is not known whether it has been."""
    verb.repeatable = True  # type: ignore[attr-defined]
    return verb


def once_more(verb: Callable[..., Plan[T]]) -> Callable[..., Plan[T]]:
    """`verb` for another try, after one of which it is not known whether it was carried out; see `Again`."""
    retry = partial(verb)
    retry.again = True  # type: ignore[attr-defined]
    return retry


def within(seconds: float) -> Callable[[F], F]:
    """Say how long a verb may take before it is given up, where it is not the usual time."""

    def mark(verb: F) -> F:
        verb.within = seconds  # type: ignore[attr-defined]
        return verb

    return mark


def reads(verb: F) -> F:
    """Mark a verb that only reads, so that a session need not take the write lock for it."""
    verb.reads = True  # type: ignore[attr-defined]
    return verb
