"""Finding jobs, the newest first, in scripts that take some milliseconds each: nobody else is served meanwhile.

A search goes by ids from the newest on; by the set of those that failed or were cancelled; or, where the jobs of some states are
few, by the sets of these states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dray.errors import ConfigurationError
from dray.model import ids
from dray.model.filter import Filter, Test, matcher
from dray.model.job import JobInfo, State
from dray.store.plan import Call, Calls, Now, Plan, reads
from dray.store.redis.records import counters, info_from
from dray.store.redis.shards import ShardPlans
from dray.store.sieve import Check, Counted, Holding, Identified, Named, Sieve, sieve_of
from dray.store.sql.conditions import codes_of
from dray.store.sql.rows import STATES, by_queue
from dray.store.values import Page, Sifted

EFFORT = 2_500  # what one script may do, in about microseconds
EFFORT_IN_ALL = 30_000  # what one `find` has done before it says how far it has come
FEW = 1_000  # jobs that are listed by their states
READ = 2_500  # jobs that one `find` reads whole, because only `matches` can tell
AT_ONCE = 100  # jobs that one script reads whole
NEWEST = b"\xff" * 16  # behind all ids
LISTED = frozenset({State.SCHEDULED, State.READY, State.RUNNING, State.BLOCKED})

Found = tuple[bytes, int, int, int]  # id, number, state as it is written, shard


class Search:
    """How far a search has come."""

    __slots__ = ("at", "blob", "done", "found", "looked", "over", "source", "test")

    def __init__(self, blob: bytes, test: Test | None, source: str, before: bytes, shards: int) -> None:
        self.blob = blob
        self.test = test  # None: what the scripts let through does match
        self.source = source
        self.at: dict[int, bytes] = dict.fromkeys(range(shards), before)  # by shard: the id that was looked at last
        self.found: list[Found] = []  # what has been let through and was not taken yet
        self.looked = 0
        self.done = 0
        self.over = False

    @property
    def border(self) -> bytes:
        """Everything with an id from here on has been looked at."""
        return max(self.at.values(), default=b"")


class FindPlans(ShardPlans):
    """Finding, over Redis."""

    @reads
    def find(self, what: Filter, limit: int = 50, before: str | None = None) -> Plan[Page]:
        """Jobs that match, newest first; `before` is the `next` of the page before. Raises ConfigurationError."""
        search = yield from self._begin(what, before)
        found: list[JobInfo] = []
        read = 0
        while len(found) <= limit and not search.over and search.done < EFFORT_IN_ALL and read < READ:
            rows = yield from self._next(search, limit + 1 - len(found) if search.test is None else AT_ONCE)
            for start in range(0, len(rows), AT_ONCE):
                found += yield from self._read(rows[start : start + AT_ONCE], search)
                read += AT_ONCE if search.test else 0
                if len(found) > limit:
                    break
        if len(found) > limit:
            return Page(found[:limit], ids.from_text(found[limit - 1].id).hex())
        if search.over:
            return Page(found, None)
        return Page(found, search.border.hex(), search.looked if len(found) < limit else None)

    @reads
    def sift(self, what: Filter, looks: int = 10_000, before: str | None = None) -> Plan[Sifted]:
        """Ids and states of all that match among the next `looks` jobs or so, newest first. Raises ConfigurationError."""
        search = yield from self._begin(what, before)
        found: list[tuple[bytes, State]] = []
        while not search.over and search.looked < looks:
            rows = yield from self._next(search, looks)
            if search.test is not None:
                kept: set[bytes] = set()
                for start in range(0, len(rows), AT_ONCE):
                    jobs = yield from self._read(rows[start : start + AT_ONCE], search)
                    kept.update(ids.from_text(job.id) for job in jobs)
                rows = [row for row in rows if row[0] in kept]
            found += [(row[0], STATES[row[2]]) for row in rows]
        return Sifted(found, None if search.over else search.border.hex(), search.looked)

    def _begin(self, what: Filter, before: str | None) -> Plan[Search]:
        terms = what.every()
        start = NEWEST if before is None else _id(before)
        answers = yield from self.every(self.say.counts, ())
        counts = by_queue([row for answer in answers for row in counters(answer)])
        workers: dict[int, str] = {}
        if any(term.key == "worker" for term in terms):
            nodes = yield from self.every(self.say.nodes, (self.now(), self.steady(), self.boot()))
            workers = {row[0]: msgspec.msgpack.decode(row[-1])[0] for row in nodes[0]}
        now: int = (yield Now()) if terms else 0
        sieve = sieve_of(what, now, counts.keys(), workers)
        test = None if sieve.exact else matcher(what, now, workers)
        search = Search(_packed(sieve, now), test, _source(sieve, counts), start, self.count)
        search.over = sieve.empty or not sieve.total(counts)
        return search

    def _next(self, search: Search, n: int) -> Plan[list[Found]]:
        """What is let through of the next jobs, newest first."""
        border = search.border
        shards = [shard for shard, at in search.at.items() if at == border]  # the others are ahead
        told = (search.blob, search.source, border, n, EFFORT)
        answers = yield Calls([Call(self.say.find, told, shard) for shard in shards])
        for shard, (end, last, looked, done, *flat) in zip(shards, answers, strict=True):
            search.looked += looked
            search.done += done
            search.at[shard] = last
            fields = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
            search.found += [(id_, seq, state, shard) for id_, seq, state in fields if id_ < border]
            if end:
                del search.at[shard]
        search.over = not search.at
        border = search.border
        search.found.sort(reverse=True)
        ready = [row for row in search.found if row[0] >= border]  # what another shard has not looked at yet may be newer
        search.found = search.found[len(ready) :]
        return ready

    def _read(self, rows: list[Found], search: Search) -> Plan[list[JobInfo]]:
        """The jobs of some rows that do match, in their order."""
        by_shard: dict[int, list[int]] = {}
        for _, seq, _, shard in rows:
            by_shard.setdefault(shard, []).append(seq)
        answers = yield Calls([Call(self.say.found, seqs, shard) for shard, seqs in by_shard.items()])
        jobs = {job.id: job for answer in answers for job in map(info_from, answer)}
        kept = [jobs[text] for text in (ids.to_text(row[0]) for row in rows) if text in jobs]
        return [job for job in kept if search.test is None or search.test(job)]


def _source(sieve: Sieve, counts: Mapping[str, Mapping[str, int]]) -> str:
    if sieve.states is None:
        return "ids"
    if sieve.states <= {State.FAILED, State.CANCELLED}:
        return "ended"
    few = sum(queue.get(state, 0) for queue in counts.values() for state in sieve.states) <= FEW
    return "listed" if few and sieve.states <= LISTED else "ids"


def _packed(sieve: Sieve, now: int) -> bytes:
    """A sieve as the scripts want it: what is missing is left out, and an open end is false, as Lua has no holes in lists.
    (Its msgpack has no bytes either.)"""
    told: dict[str, Any] = {"checks": [_check(check) for check in sieve.checks], "now": now}
    if sieve.states is not None:
        told["states"] = codes_of(sieve.states)
    if sieve.queues is not None:
        told["queues"] = sieve.queues
    return msgspec.msgpack.encode(told)


def _check(check: Check) -> list[Any]:
    if isinstance(check, Named):
        return ["named", check.column, check.ways, check.without]
    if isinstance(check, Counted):
        return ["counted", check.column, [[False if end is None else end for end in range_] for range_ in check.ranges]]
    if isinstance(check, Holding):
        return ["holding", check.column, [needle.decode() for needle in check.any]]
    if isinstance(check, Identified):
        return ["identified", check.column, [[low.hex(), high.hex()] for low, high in check.ranges]]
    return ["run by", "node", [[node, node] for node in check.nodes]]


def _id(before: str) -> bytes:
    """The id before which to look. Raises ConfigurationError."""
    try:
        return ids.from_text(before)
    except ValueError:
        raise ConfigurationError(
            f"{before!r} is not where a page of jobs ended; give what the page before said under next."
        ) from None
