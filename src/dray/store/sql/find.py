"""Finding jobs, the newest first, in steps that are bounded whatever is asked for.

A search goes by the shortest list of jobs that holds all that match: those with an id, those of a rare state, those that failed or
were cancelled, else all, from the newest on. The engine lets through what may match (see `dray.store.sieve`); what it cannot say
exactly is asked of the few that are left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from dray.errors import ConfigurationError
from dray.model.filter import Filter, Test, matcher
from dray.model.job import JobInfo, State
from dray.store.plan import Now, Plan, Query, Row, reads
from dray.store.sieve import Identified, Sieve, sieve_of
from dray.store.sql.conditions import Conditions
from dray.store.sql.rows import STATES, by_queue, info_from
from dray.store.sql.sentences import Sentences
from dray.store.values import Page, Sifted

READ = 2_500  # jobs that one `find` reads whole, because only `matches` can tell
FEW = 5_000  # jobs that are listed by an index of their state, and then looked at
MANY = 400_000  # … of which an index tells the newest, if nothing else matters
ALIKE = 1_000  # ids that are listed by their beginning
GLANCE = 100  # jobs that are looked at first, to look at ten times as many each time that too few match
MOST = 20_000  # … and at most so many at once
PATIENCE = 0.04  # seconds after which a `find` looks no further, where reading takes long
NEWEST = 1_000  # jobs among which those of a state are looked for before they are by its index
AT_ONCE = 500  # jobs that one statement reads whole
END = 1 << 62  # behind all numbers

Found = tuple[int, bytes, int]  # number, id, state as it is written


class Search:
    """How far a search has come."""

    __slots__ = (
        "at", "bound", "conditions", "floor", "left", "listed", "looked", "most", "over", "sieve", "test", "total", "way", "where",
    )  # fmt: skip

    def __init__(self, sieve: Sieve, test: Test | None, at: int, bound: int) -> None:
        self.sieve = sieve
        self.test = test  # None: what the engine lets through does match
        self.at = at  # what stands before this number has not been looked at
        self.floor: int | None = None  # … and what stands behind this one is being looked at
        self.most = GLANCE if test is None else ALIKE  # how many jobs the next step looks at
        self.bound = bound  # how many jobs may be looked at
        self.looked = 0
        self.over = sieve.empty
        self.way = "find"  # the sentence; `…_floor` is the one that says how far so many jobs reach
        self.where: dict[str, Any] = {}  # its parameters
        self.conditions: dict[str, Conditions] = {}  # what stands for the marks in a sentence
        self.listed: list[int] | None = None  # the jobs that are left to be looked at, where they are known
        self.total = 0  # how many jobs are in its states and queues
        self.left: int | None = None  # how many are still to be found, where that is known


class FindPlans:
    """Finding, over SQL."""

    say: Sentences
    #: How many jobs one `find` looks at before it says how far it has come, so that it takes some 50 ms: where texts are looked at,
    #: where only short columns are, where these are only state and queue.
    looks_at = (50_000, 200_000, 320_000)
    #: states of which an index lists all jobs
    rare = frozenset(State) - {State.SUCCEEDED}

    @reads
    def find(self, what: Filter, limit: int = 50, before: str | None = None) -> Plan[Page]:
        """Jobs that match, newest first; `before` is the `next` of the page before. Raises ConfigurationError."""
        search = yield from self._begin(what, before)
        found: list[tuple[int, JobInfo]] = []
        read, until = 0, time.monotonic() + PATIENCE
        while len(found) <= limit and not search.over and search.looked < search.bound and read < READ:
            if search.looked and time.monotonic() > until:
                break
            rows = yield from self._next(search, limit + 1 - len(found))
            jobs = yield from self._read(rows, search, limit + 1 - len(found))
            found += jobs
            read += len(rows) if search.test else 0
        if len(found) > limit:
            return Page([job for _, job in found[:limit]], str(found[limit - 1][0]))
        if search.over:
            return Page([job for _, job in found], None)
        return Page([job for _, job in found], str(search.at), max(search.looked, read) if len(found) < limit else None)

    @reads
    def sift(self, what: Filter, looks: int = 10_000, before: str | None = None) -> Plan[Sifted]:
        """Ids and states of all that match among the next `looks` jobs or so, newest first. Raises ConfigurationError."""
        search = yield from self._begin(what, before)
        search.bound = search.most = looks
        found: list[tuple[bytes, State]] = []
        while not search.over and search.looked < looks:
            rows = yield from self._next(search, AT_ONCE if search.test else looks)
            if search.test is not None:
                kept = yield from self._read(rows, search, len(rows))
                passed = {seq for seq, _ in kept}
                rows = [row for row in rows if row[0] in passed]
            found += [(id_, STATES[state]) for _, id_, state in rows]
        return Sifted(found, None if search.over else str(search.at), search.looked)

    def _read(self, rows: Sequence[Found], search: Search, most: int) -> Plan[list[tuple[int, JobInfo]]]:
        """The jobs of some rows that do match, at most so many."""
        found: list[tuple[int, JobInfo]] = []
        for start in range(0, len(rows), AT_ONCE):
            seqs = [seq for seq, _, _ in rows[start : start + AT_ONCE]]
            kept: list[Row] = yield Query(self.say.find_rows, {"seqs": self._numbers(seqs)})
            for row in sorted(kept, key=itemgetter(0), reverse=True):
                job = info_from(row)
                if search.test is None or search.test(job):
                    found.append((row[0], job))
                    if len(found) == most:
                        return found
        return found

    def _begin(self, what: Filter, before: str | None) -> Plan[Search]:
        terms = what.every()
        rows: list[Row] = yield Query(self.say.counts)
        counts = by_queue(rows)
        workers: dict[int, str] = {}
        if any(term.key == "worker" for term in terms):
            nodes: list[Row] = yield Query(self.say.nodes)
            workers = {row[0]: row[1] for row in nodes}
        now: int = (yield Now()) if terms else 0
        sieve = sieve_of(what, now, counts.keys(), workers)
        test = None if sieve.exact else matcher(what, now, workers)
        search = Search(sieve, test, number(before), self.looks_at[2 if sieve.plain else 1 if sieve.quick else 0])
        search.total = sieve.total(counts)
        if not search.total:
            search.over = True
        if not search.over:
            yield from self._prepare(search, now)
            yield from self._choose(search, counts)
        return search

    def _choose(self, search: Search, counts: Mapping[str, Mapping[str, int]]) -> Plan[None]:
        """By which list to go."""
        sieve = search.sieve
        if sieve.plain and search.at == END:
            search.left = search.total
        for check in sieve.checks:
            if isinstance(check, Identified) and check.column == "id":
                search.listed = yield from self._alike(check)
                if search.listed is not None:
                    search.listed = [seq for seq in search.listed if seq < search.at]
                    return
        if sieve.states is None:
            return
        if sieve.states <= {State.FAILED, State.CANCELLED}:
            search.way = "find_ended"
            search.where |= {"failed": State.FAILED in sieve.states, "cancelled": State.CANCELLED in sieve.states}
            return
        of_states = sum(queue.get(state, 0) for queue in counts.values() for state in sieve.states)
        if sieve.states <= self.rare and of_states <= FEW:
            params = {**_flags(sieve.states), "before": END, "most": of_states + AT_ONCE}
            found: list[Row] = yield Query(self.say.find_listed, params)
            if len(found) >= of_states:
                search.listed = [seq for (seq,) in found if seq < search.at]

    def _alike(self, check: Identified) -> Plan[list[int] | None]:
        found: set[int] = set()
        for low, high in check.ranges:
            rows: list[Row] = yield Query(self.say.find_by_id, {"low": low, "high": high, "n": ALIKE + 1})
            if len(rows) > ALIKE:
                return None
            found.update(seq for (seq,) in rows)
        return sorted(found, reverse=True)

    def _next(self, search: Search, n: int) -> Plan[list[Found]]:
        """What the engine lets through of the next jobs, at most `n` of them where that is all that is wanted."""
        rows: list[Found]
        if search.listed is None and search.looked >= NEWEST and self._skims(search):
            newest: list[Row] = yield Query(
                self.say.find_listed, {**_flags(search.sieve.states), "before": search.at, "most": max(n, AT_ONCE)}
            )
            search.over = len(newest) < max(n, AT_ONCE)
            search.at = newest[-1][0] if newest else search.at
            search.looked += len(newest)
            rows = yield from self._among([seq for (seq,) in newest], search)
        elif search.listed is not None:
            lot, search.listed = search.listed[:FEW], search.listed[FEW:]
            rows = yield from self._among(lot, search)
            search.over = not search.listed
            search.at = lot[-1] if lot else search.at
            search.looked += len(lot)
        else:
            rows = yield from self._walk(search, n)
        if search.left is not None:
            search.left -= len(rows)
            search.over |= search.left <= 0
        return rows

    def _skims(self, search: Search) -> bool:
        """Whether an index of the state lists the newest quickly, where they are not among the newest of all."""
        states = search.sieve.states
        return (
            states is not None and states <= self.rare and search.way == "find" and search.sieve.plain
            and search.sieve.queues is None and search.total <= MANY
        )  # fmt: skip

    def _walk(self, search: Search, n: int) -> Plan[list[Found]]:
        if search.floor is None:
            most = min(search.most, max(1, search.bound - search.looked))
            floors: list[Row] = yield Query(
                getattr(self.say, f"{search.way}_floor"), {**search.where, "before": search.at, "most": most}
            )
            search.floor = floors[0][0] if floors else 0
            search.most = most
        n = n if search.test is None else AT_ONCE
        sentence = self._put(search, getattr(self.say, search.way))
        rows: list[Found] = yield Query(sentence, {**search.where, "before": search.at, "floor": search.floor, "n": n})
        if len(rows) == n:
            search.at = rows[-1][0]
        else:
            search.over = not search.floor
            search.at, search.floor = search.floor + 1, None
            search.looked += search.most
            if search.test is None or len(rows) < AT_ONCE // 5:
                search.most = min(search.most * 10, MOST)
        return rows

    def _among(self, seqs: list[int], search: Search) -> Plan[list[Found]]:
        sentence = self._put(search, self.say.find_among)
        rows: list[Found] = yield Query(sentence, {**search.where, "seqs": self._numbers(seqs)})
        return sorted(rows, reverse=True)

    def _put(self, search: Search, sentence: str) -> str:
        for mark, conditions in search.conditions.items():
            sentence = conditions.within(sentence, mark)
        return sentence

    # -- what is another thing in other dialects

    def _prepare(self, search: Search, now: int) -> Plan[None]:
        """Make the conditions of a search."""
        yield from ()
        made = Conditions(search.sieve, now)
        search.conditions = {"/* and */": made}
        search.where |= made.params

    def _numbers(self, seqs: list[int]) -> Any:
        """Numbers as one parameter."""
        return json.dumps(seqs)


def _flags(states: frozenset[State] | None) -> dict[str, bool]:
    wanted = states or frozenset()
    return {str(state): state in wanted for state in State}


def number(before: str | None) -> int:
    """The number before which to look. Raises ConfigurationError."""
    if before is None:
        return END
    if not (before.isascii() and before.isdecimal() and len(before) < 20):
        raise ConfigurationError(f"{before!r} is not where a page of jobs ended; give what the page before said under next.")
    return int(before)
