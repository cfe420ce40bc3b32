"""The checks of a sieve as conditions of SQL, in the dialect of SQLite; others say what differs."""

from __future__ import annotations

from typing import Any

from dray.model.filter import Range
from dray.model.job import State
from dray.store.sieve import Check, Counted, Holding, Identified, Named, RunBy, Sieve
from dray.store.sql.rows import CODES, PARKED


class Conditions:
    """What is written behind the `where` of a search, each with its own parameters."""

    took = "(case when finished is not null then finished when state = 2 then {now} end - started)"
    wait = "max(0, coalesce(started, finished, {now}) - due)"

    def __init__(self, sieve: Sieve, now: int) -> None:
        self.params: dict[str, Any] = {}
        self._now = now
        parts = []
        if sieve.states is not None:
            parts.append(f"state in ({', '.join(map(str, codes_of(sieve.states)))})")
        if sieve.queues is not None:
            parts.append(self.queues(sieve.queues))
        parts += [self._said(check) for check in sieve.checks]
        self.text = "".join(f"\n  and {part}" for part in parts)

    def within(self, sentence: str, marker: str = "/* and */") -> str:
        """A sentence with these conditions where it has the marker."""
        return sentence.replace(marker, self.text)

    # -- what is another thing in other dialects

    def put(self, value: Any, kind: str) -> str:
        """A parameter. `kind` is its type as PostgreSQL calls it."""
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f":{name}"

    def queues(self, queues: tuple[str, ...]) -> str:
        """The job is in one of them."""
        return f"queue in ({', '.join(self.put(queue, 'text') for queue in queues)})"

    def ranked(self, ranges: tuple[Range, ...]) -> str:
        """Its priority is within one of the ranges."""
        return " or ".join(self._between("-rank", one) for one in ranges)

    def starts(self, column: str, text: str) -> str:
        """A text begins with another one."""
        return f"substr({column}, 1, {len(text)}) = {self.put(text, 'text')}"

    def ends(self, column: str, text: str) -> str:
        """A text ends with another one."""
        return f"substr({column}, -{len(text)}) = {self.put(text, 'text')}"

    def has(self, column: str, what: str) -> str:
        """Something stands in a column."""
        return f"instr({column}, {what}) > 0"

    # -- the checks

    def _said(self, check: Check) -> str:
        if isinstance(check, Named):
            text = " or ".join(self._way(check.column, how, literal) for how, literal in check.ways)
            return f"not coalesce({text}, false)" if check.without else f"({text})"
        if isinstance(check, Counted):
            if check.column == "priority":
                return f"({self.ranked(check.ranges)})"
            return f"({' or '.join(self._between(check.column, one) for one in check.ranges)})"
        if isinstance(check, Holding):
            columns = ("args", "error") if check.column == "either" else (check.column,)
            return f"({' or '.join(self._holds(column, needle) for needle in check.any for column in columns)})"
        if isinstance(check, RunBy):
            return f"node in ({', '.join(map(str, check.nodes))})"
        assert isinstance(check, Identified)
        return f"({' or '.join(self._id(check.column, low, high) for low, high in check.ranges)})"

    def _way(self, column: str, how: str, text: str) -> str:
        if how == "is":
            return f"{column} = {self.put(text, 'text')}"
        if not text:
            return f"{column} is not null"
        if how == "starts":
            return self.starts(column, text)
        return self.ends(column, text) if how == "ends" else self.has(column, self.put(text, "text"))

    def _between(self, column: str, range: Range) -> str:
        what = column
        if column in ("took", "wait"):
            what = getattr(self, column).format(now=self.put(self._now, "bigint"))
        low, high = range
        ends = [f"{what} {sign} {self.put(end, 'bigint')}" for sign, end in ((">=", low), ("<=", high)) if end is not None]
        return f"({' and '.join(ends)})"

    def _holds(self, column: str, needle: bytes) -> str:
        if column == "tags":
            return self.has(column, self.put(needle.decode(), "text"))
        return self.has(column, self.put(needle, "bytea"))

    def _id(self, column: str, low: bytes, high: bytes) -> str:
        return f"{column} between {self.put(low, 'bytea')} and {self.put(high, 'bytea')}"


def codes_of(states: frozenset[State]) -> list[int]:
    """How states are written; a ready job may be parked."""
    return sorted({CODES[state] for state in states} | ({PARKED} if State.READY in states else set()))
