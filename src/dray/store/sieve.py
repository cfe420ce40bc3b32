"""What an engine can test of a filter, so that few jobs are left for the exact `matches`. Pure, and the same for every store.

Each check lets through all jobs that match, and perhaps more; `exact` says that there are no more.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Literal

from msgspec import Struct

from dray.model import filter as model
from dray.model.filter import Filter, Glob, Range, Term
from dray.model.job import State


class Named(Struct, frozen=True):
    """The task or the schedule is as one of the ways says: "is", "starts", "ends" or "has", and a text."""

    column: Literal["task", "schedule"]
    ways: tuple[tuple[str, str], ...]
    without: bool = False


class Counted(Struct, frozen=True):
    """A number is within one of the ranges. Times are microseconds: `enqueued` since 1970, `took` and `wait` lengths."""

    column: Literal["attempt", "priority", "enqueued", "took", "wait"]
    ranges: tuple[Range, ...]


class Holding(Struct, frozen=True):
    """Some bytes stand in what is kept of the job: any of them. `either` is the arguments or the error."""

    column: Literal["args", "error", "tags", "either"]
    any: tuple[bytes, ...]


class Identified(Struct, frozen=True):
    """The id of the job or of its parent lies within one of the ranges, both ends included."""

    column: Literal["id", "parent"]
    ranges: tuple[tuple[bytes, bytes], ...]


class RunBy(Struct, frozen=True):
    """One of these worker processes ran it last."""

    nodes: tuple[int, ...]


Check = Named | Counted | Holding | Identified | RunBy


class Sieve(Struct, frozen=True):
    """All checks of a filter. `queues` are those that there are and that match (None: every one)."""

    states: frozenset[State] | None
    queues: tuple[str, ...] | None
    checks: tuple[Check, ...]
    exact: bool

    @property
    def empty(self) -> bool:
        """Whether nothing can match."""
        return self.states == frozenset() or self.queues == () or RunBy(()) in self.checks

    @property
    def plain(self) -> bool:
        """Whether states and queues are all that matters."""
        return self.exact and not self.checks

    @property
    def quick(self) -> bool:
        """Whether only short columns are looked at."""
        return self.exact and not any(isinstance(check, Holding) for check in self.checks)

    def total(self, counts: Mapping[str, Mapping[str, int]]) -> int:
        """How many jobs are in its states and queues, by the kept counters."""
        queues = counts if self.queues is None else [queue for queue in self.queues if queue in counts]
        states = list(State) if self.states is None else self.states
        return sum(counts[queue].get(state, 0) for queue in queues for state in states)


def sieve_of(what: Filter, now: int, queues: Collection[str], workers: Mapping[int, str]) -> Sieve:
    """The sieve of a filter. `queues`: those of which jobs are kept; `workers`: the names of those that are known. Raises
    ConfigurationError."""
    kept: list[str] | None = None
    checks: list[Check] = []
    exact = True
    for term in what.every():
        model.check(term)
        if term.key == "queue":
            globs = [Glob(value) for value in term.values]
            fit = [name for name in queues if any(glob.fits(name) for glob in globs) is not term.without]
            kept = fit if kept is None else [name for name in kept if name in fit]
            continue
        found, whole = _check_of(term, now, workers)
        exact &= whole
        if found is not None:
            checks.append(found)
    return Sieve(what.states, None if kept is None else tuple(kept), tuple(checks), exact)


def _check_of(term: Term, now: int, workers: Mapping[int, str]) -> tuple[Check | None, bool]:
    """The check of a term, and whether it is exact."""
    if term.key in ("task", "schedule"):
        globs = [Glob(value) for value in term.values] if term.key == "task" else []
        ways = [(glob.how if glob.how != "other" else "has", glob.literal) for glob in globs] or [("is", v) for v in term.values]
        exact = all(glob.how != "other" for glob in globs)
        return (None if term.without and not exact else Named(term.key, tuple(ways), term.without)), exact  # type: ignore[arg-type]
    if term.without:
        return None, False
    match term.key:
        case "attempt" | "priority" | "took" | "wait":
            return Counted(term.key, tuple(model.ranges(term))), True
        case "age":
            return Counted("enqueued", tuple((_minus(now, high), _minus(now, low)) for low, high in model.ranges(term))), True
        case "id" | "parent":
            return Identified(term.key, tuple(model.id_ranges(term))), True
        case "worker":
            globs = [Glob(value) for value in term.values]
            by_name = [node for node, name in workers.items() if any(glob.fits(name) for glob in globs)]
            by_number = [int(value) for value in term.values if value.isdecimal() and len(value) < 16 and str(int(value)) == value]
            return RunBy(tuple(sorted({*by_name, *by_number}))), True
    needles = [_needle(term, value) for value in term.values]
    if any(needle is None for needle in needles):
        return None, False
    column = {"tag": "tags", "args": "args", "text": "either"}.get(term.key, "error")
    return Holding(column, tuple(some for needle in needles for some in needle or ())), term.key == "text"  # type: ignore[arg-type]


def _minus(now: int, length: int | None) -> int | None:
    return None if length is None else now - length


def _needle(term: Term, value: str) -> tuple[bytes, ...] | None:
    """Bytes of which some stand in the JSON of each job that matches; None: that cannot be said."""
    if term.key in ("text", "fingerprint"):
        return _forms(value)
    glob = Glob(value)
    literal = glob.literal
    if term.key == "error":  # type and message stand apart there
        literal = max(literal.split(": "), key=len)
    elif term.path and not term.path[-1].isdecimal():
        keys = [b'"' + key + b'"' for key in _forms(term.path[-1])]
        if glob.how not in ("is", "starts") or not literal:
            return tuple(keys)
        # The value itself, a text, a list of them; and JSON that was written with blanks.
        starts = [start for form in _forms(literal) for start in (b":" + form, b':"' + form)]
        return tuple(key + start for key in keys for start in (*starts, b":[", b": ", b" "))
    return _forms(literal) if literal else None


def _forms(text: str) -> tuple[bytes, ...]:
    """How a text may stand in JSON: as it is, or in ASCII only."""
    return tuple(dict.fromkeys((model.encoded(text), json.dumps(text)[1:-1].encode())))
