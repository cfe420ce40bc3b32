"""Finding jobs: what differs from other SQL stores. Final jobs stand in a table of their own, queues are told by lanes, and only
what is scheduled, blocked or running is listed without a look at all that waits."""

from __future__ import annotations

from typing import Any

from dray.model.filter import Range
from dray.model.job import FINAL, State
from dray.store.plan import Plan, Query, Row
from dray.store.postgres.text import storable
from dray.store.sieve import Sieve
from dray.store.sql import find
from dray.store.sql.conditions import Conditions
from dray.store.sql.find import END, Search


class Open(Conditions):
    """Conditions on what is not final, `j`. Its lanes may stand there below zero."""

    took = "(case when j.state = 2 then {now} - j.started end)"
    wait = "greatest(0, coalesce(j.started, {now}) - j.due)"

    def __init__(self, sieve: Sieve, now: int, lanes: list[Row]) -> None:
        self._lanes = lanes
        super().__init__(sieve, now)

    def put(self, value: Any, kind: str) -> str:
        """A parameter."""
        name = f"p{len(self.params)}"
        self.params[name] = storable(value) if kind == "text" else value
        return f"%({name})s::{kind}"

    def queues(self, queues: tuple[str, ...]) -> str:
        """The job is in a lane of one of them."""
        return self._in([lane for lane, queue, *_ in self._lanes if queue in queues])

    def ranked(self, ranges: tuple[Range, ...]) -> str:
        """It is in a lane of one of the priorities."""
        within = [(-END if low is None else low, END if high is None else high) for low, high in ranges]
        return self._in([lane for lane, _, _, rank, _ in self._lanes if any(low <= -rank <= high for low, high in within)])

    def _in(self, lanes: list[int]) -> str:
        return f"abs(j.lane) = any ({self.put(lanes, 'int[]')})"

    def starts(self, column: str, text: str) -> str:
        """A text begins with another one."""
        return f"starts_with({column}, {self.put(text, 'text')})"

    def ends(self, column: str, text: str) -> str:
        """A text ends with another one."""
        return f"right({column}, {len(text)}) = {self.put(text, 'text')}"

    def has(self, column: str, what: str) -> str:
        """Something stands in a column."""
        return f"position({what} in {column}) > 0"


class Done(Open):
    """Conditions on what is final."""

    took = "(j.finished - j.started)"
    wait = "greatest(0, coalesce(j.started, j.finished, {now}) - j.due)"


class FindPlans(find.FindPlans):
    """Finding, over PostgreSQL."""

    looks_at = (50_000, 100_000, 150_000)
    rare = frozenset({State.SCHEDULED, State.RUNNING, State.BLOCKED})

    def _prepare(self, search: Search, now: int) -> Plan[None]:
        lanes: list[Row] = []
        if search.sieve.queues is not None or any(getattr(check, "column", "") == "priority" for check in search.sieve.checks):
            lanes = yield Query(self.say.lanes)
        states = search.sieve.states
        search.where |= {"open": states is None or not states <= FINAL, "final": states is None or not states.isdisjoint(FINAL)}
        search.conditions = {"/* and open */": Open(search.sieve, now, lanes), "/* and final */": Done(search.sieve, now, lanes)}
        for conditions in search.conditions.values():
            search.where |= conditions.params

    def _skims(self, search: Search) -> bool:
        return False

    def _numbers(self, seqs: list[int]) -> Any:
        return seqs
