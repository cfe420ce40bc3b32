"""Which jobs are meant: a filter as a value, and the pure question whether a job matches it.

A filter is a set of states and terms that must all hold. What a term says is read from its values when it is asked, so that a
filter can be built, compared and written down again as the text that it came from (see `dray.search`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from dray.errors import ConfigurationError
from dray.model import ids
from dray.model.duration import seconds
from dray.model.job import JobInfo, State

#: What a term may ask about, and how that is told to people.
KEYS: dict[str, str] = {
    "state": "scheduled, ready, running, blocked, sleeping, succeeded, failed, cancelled",
    "queue": "the queue's name; * and ? stand for other characters",
    "task": "the task's name, such as send_*",
    "tag": "one of its tags",
    "error": "in the type or the message of its last error",
    "args": "in its arguments; args.user.id:42 is one of them",
    "id": "the beginning of its id",
    "age": "since it was enqueued: age:>5m, age:<1h",
    "took": "how long it ran: took:>2s",
    "wait": "how long it was due before it started: wait:>1m",
    "attempt": "how often it was tried: attempt:>3",
    "priority": "priority:>=5",
    "worker": "the name of the worker that ran it last",
    "schedule": "the schedule that fired it",
    "parent": "the id of the job that enqueued it",
    "fingerprint": "errors of one kind from one place",
}
LENGTHS = ("age", "took", "wait")
NUMBERS = ("attempt", "priority")

Range = tuple[int | None, int | None]  # both ends belong to it; None: there is none

_COMPARED = re.compile(r"(>=|<=|>|<|=)?\s*(.*)", re.DOTALL)
_FINGERPRINT = re.compile(r"[0-9a-f]{1,12}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")


class Term(Struct, frozen=True):
    """One condition: any of the values holds for what `key` names, or (`without`) none of them."""

    key: str  # of KEYS, or "text": in the arguments or the error
    values: tuple[str, ...]
    path: tuple[str, ...] = ()  # of `args`: which of them; () is anywhere
    without: bool = False


class Filter(Struct, frozen=True):
    """Which jobs are meant; what is None does not matter. Everything must hold. `queue`, `task`, `tag`, `schedule` and `text`
    are the terms of these names with one value, for those who build a filter in code."""

    states: frozenset[State] | None = None
    queue: str | None = None
    task: str | None = None
    tag: str | None = None
    schedule: str | None = None
    text: str | None = None  # in the arguments or the error
    terms: tuple[Term, ...] = ()

    def every(self) -> tuple[Term, ...]:
        """All its terms."""
        named = (("queue", self.queue), ("task", self.task), ("tag", self.tag), ("schedule", self.schedule), ("text", self.text))
        return (*(Term(key, (value,)) for key, value in named if value is not None), *self.terms)


class Glob:
    """A name in which * stands for any characters and ? for one. Upper and lower case differ. Takes time in proportion to the
    text, however many stars there are."""

    __slots__ = ("how", "literal", "pieces")

    def __init__(self, pattern: str) -> None:
        self.pieces = re.sub(r"\*+", "*", pattern).split("*")
        first, last = self.pieces[0], self.pieces[-1]
        #: "is", "starts", "ends", "has" with `literal` are all that it says; "other": what fits has `literal` in it, and more
        self.how, self.literal = "other", max((part for piece in self.pieces for part in piece.split("?")), key=len)
        if not any("?" in piece for piece in self.pieces):
            if len(self.pieces) == 1:
                self.how, self.literal = "is", first
            elif len(self.pieces) == 2 and not last:
                self.how, self.literal = "starts", first
            elif len(self.pieces) == 2 and not first:
                self.how, self.literal = "ends", last
            elif len(self.pieces) == 3 and not first and not last:
                self.how, self.literal = "has", self.pieces[1]

    def fits(self, text: str) -> bool:
        """Whether all of `text` is as the pattern says."""
        if len(self.pieces) == 1:
            return len(text) == len(self.pieces[0]) and _at(text, self.pieces[0], 0)
        first, *middle, last = self.pieces
        end = len(text) - len(last)
        if end < len(first) or not _at(text, first, 0) or not _at(text, last, end):
            return False
        place = len(first)
        for piece in middle:  # the leftmost place of each leaves the most room for the others
            place = _find(text, piece, place, end)
            if place < 0:
                return False
            place += len(piece)
        return True


def _at(text: str, piece: str, place: int) -> bool:
    if "?" not in piece:
        return text.startswith(piece, place)
    return len(text) >= place + len(piece) and all(
        sign in ("?", text[place + n]) for n, sign in enumerate(piece)
    )


def _find(text: str, piece: str, place: int, end: int) -> int:
    if "?" not in piece:
        return text.find(piece, place, end)
    return next((at for at in range(place, end - len(piece) + 1) if _at(text, piece, at)), -1)


# -- what terms say


def ranges(term: Term) -> list[Range]:
    """The numbers that a term with comparisons allows: attempts, priorities, or microseconds. Raises ConfigurationError."""
    return [_range(term.key, value) for value in term.values]


def _range(key: str, value: str) -> Range:
    match = _COMPARED.fullmatch(value)
    assert match is not None, "everything fits"
    sign, number = match[1], match[2]
    if key in LENGTHS:
        if sign in (None, "="):
            raise ConfigurationError(f"{key}:{value} says neither more nor less; write {key}:>5m or {key}:<5m.")
        n = round(seconds(number, f"{key}:") * 1_000_000)
    elif _WHOLE.fullmatch(number):
        n = int(number)
    else:
        raise ConfigurationError(f"{key}:{value} has no whole number; write {key}:3, {key}:>3 or {key}:<=3.")
    return {">": (n + 1, None), ">=": (n, None), "<": (None, n - 1), "<=": (None, n)}.get(sign, (n, n))


def id_ranges(term: Term) -> list[tuple[bytes, bytes]]:
    """The ids that a term of ids, or of beginnings of ids, allows. Raises ConfigurationError."""
    found = []
    for value in term.values:
        bounds = ids.prefix_range(value)
        if bounds is None:
            raise ConfigurationError(f"{term.key}:{value} is not the beginning of a job's id (hexadecimal digits and hyphens).")
        found.append(bounds)
    return found


def check(term: Term) -> None:
    """Raises ConfigurationError if its values say nothing."""
    if not all(term.values):
        name = ".".join((term.key, *term.path))
        raise ConfigurationError(f"{name}: is without a value; say what is looked for, such as {name}:{EXAMPLES[term.key]}.")
    if term.key in LENGTHS or term.key in NUMBERS:
        ranges(term)
    elif term.key in ("id", "parent"):
        id_ranges(term)
    elif term.key == "fingerprint":
        for value in term.values:
            if not _FINGERPRINT.fullmatch(value):
                raise ConfigurationError(f"fingerprint:{value} is no beginning of a fingerprint (up to 12 hexadecimal digits).")


EXAMPLES = {
    "queue": "mail", "task": "send_*", "tag": "vip", "error": "Timeout", "args": "ann", "schedule": "nightly", "worker": "web-1",
    "text": "word", "age": ">5m", "took": ">2s", "wait": ">1m", "attempt": ">3", "priority": ">=5", "id": "01a2", "parent": "01a2",
    "fingerprint": "ab12", "state": "failed",
}  # fmt: skip


def encoded(text: str) -> bytes:
    """A text as it stands inside kept JSON."""
    return msgspec.json.encode(text.encode("utf-8", "replace").decode())[1:-1]


def values_at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """What stands at a path: names of keys, and numbers of places in lists; a list without a number means each of its items."""
    if isinstance(value, list):
        if path and path[0].isdecimal():
            if int(path[0]) < len(value):
                yield from values_at(value[int(path[0])], path[1:])
            return
        for item in value:
            yield from values_at(item, path)
    elif isinstance(value, dict):
        if path and path[0] in value:
            yield from values_at(value[path[0]], path[1:])
    elif not path:
        yield value


def shown(leaf: Any) -> str:
    """A value in the arguments as it is compared: texts as they are, the rest as JSON has it."""
    return leaf if isinstance(leaf, str) else msgspec.json.encode(leaf).decode()


def told(error: Any) -> str:
    """A kept error as it is compared: "ValueError: no such user"."""
    if isinstance(error, dict):
        return f"{error.get('type', '')}: {error.get('message', '')}"
    return "" if error is None else str(error)


# -- whether a job matches

Test = Callable[[JobInfo], bool]


def matches(what: Filter, job: JobInfo, now: int, workers: Mapping[int, str] | None = None) -> bool:
    """Whether a job is meant. `now` is the store's time, `workers` the names of the worker processes that it knows. Raises
    ConfigurationError."""
    return matcher(what, now, workers)(job)


def matcher(what: Filter, now: int, workers: Mapping[int, str] | None = None) -> Test:
    """`matches` for many jobs. Raises ConfigurationError."""
    tests: list[Test] = []
    states = what.states
    if states is not None:
        tests.append(lambda job: job.state in states)
    for term in what.every():
        tests.append(_not(_test(term, now, workers or {})) if term.without else _test(term, now, workers or {}))
    return lambda job: all(test(job) for test in tests)


def _not(test: Test) -> Test:
    return lambda job: not test(job)


def _test(term: Term, now: int, workers: Mapping[int, str]) -> Test:
    check(term)
    if term.key in LENGTHS or term.key in NUMBERS:
        return _compared(term, now)
    if term.key in ("id", "parent"):
        wanted, of_parent = id_ranges(term), term.key == "parent"
        return lambda job: _within(job.parent if of_parent else job.id, wanted)
    globs = [Glob(value) for value in term.values]
    inside = [Glob(f"*{value}*") for value in term.values]
    match term.key:
        case "queue":
            return lambda job: _any(globs, job.queue)
        case "task":
            return lambda job: _any(globs, job.task)
        case "tag":
            return lambda job: any(_any(globs, tag) for tag in job.tags)
        case "schedule":
            return lambda job: job.schedule in term.values
        case "worker":
            nodes = {node for node, name in workers.items() if _any(globs, name)}
            return lambda job: job.node in nodes or str(job.node) in term.values
        case "error":
            return lambda job: job.error is not None and _any(inside, told(job.error))
        case "fingerprint":
            return lambda job: isinstance(job.error, dict) and str(job.error.get("fingerprint")).startswith(term.values)
        case "args" if term.path:
            return lambda job: any(_any(globs, shown(leaf)) for leaf in values_at(job.args, term.path))
        case "args":
            return lambda job: any(_any(inside, shown(leaf)) for leaf in _leaves(job.args))
        case "text":
            needles = [encoded(value) for value in term.values]
            return lambda job: any(needle in kept for kept in _kept(job) for needle in needles)
    raise ConfigurationError(f"{term.key}: is nothing that can be looked for; what can is {', '.join(KEYS)}.")


def _any(globs: list[Glob], text: str) -> bool:
    return any(glob.fits(text) for glob in globs)


def _within(id: str | None, wanted: list[tuple[bytes, bytes]]) -> bool:
    return id is not None and any(low <= ids.from_text(id) <= high for low, high in wanted)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value


def _kept(job: JobInfo) -> Iterator[bytes]:
    yield msgspec.json.encode(job.args)
    if job.error is not None:
        yield msgspec.json.encode(job.error)


def _compared(term: Term, now: int) -> Test:
    wanted = ranges(term)
    measure: dict[str, Callable[[JobInfo], int | None]] = {
        "attempt": lambda job: job.attempt, "priority": lambda job: job.priority, "age": lambda job: now - job.enqueued,
        "took": lambda job: took(job, now), "wait": lambda job: waited(job, now),
    }  # fmt: skip
    of = measure[term.key]

    def test(job: JobInfo) -> bool:
        n = of(job)
        return n is not None and any((low is None or n >= low) and (high is None or n <= high) for low, high in wanted)

    return test


def took(job: JobInfo, now: int) -> int | None:
    """For how long its last run ran, or has been running, in microseconds; None: it does not run and has not."""
    if job.started is None:
        return None
    if job.finished is not None:
        return job.finished - job.started
    return now - job.started if job.state is State.RUNNING else None


def waited(job: JobInfo, now: int) -> int:
    """For how long it was due before it started, or ended, or has been due, in microseconds."""
    end = job.started if job.started is not None else job.finished
    return max(0, (now if end is None else end) - job.due)
