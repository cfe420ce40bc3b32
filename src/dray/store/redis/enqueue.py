"""Enqueue: new jobs."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from dray.model.job import NewJob
from dray.store.plan import Call, Calls, Plan, Ring, repeatable
from dray.store.redis.records import packed
from dray.store.redis.shards import ShardPlans

JOBS_AT_ONCE = 250
BYTES_AT_ONCE = 1 << 20  # in one script: it is all in the server's memory twice for a moment
SCRIPTS_AT_ONCE = 16  # in one round trip
FENCE = struct.Struct(">ddd")


class EnqueuePlans(ShardPlans):
    """The Enqueue protocol over Redis."""

    @repeatable
    def add(self, jobs: Sequence[NewJob]) -> Plan[None]:
        """Write `jobs`. A job whose id is kept already is left as it is, so that an add may safely be sent again."""
        if len(jobs) == 1:  # by far the most frequent case, and one that a request waits for
            (job,) = jobs
            args = (self.now(), self.channels(), "", packed(job))
            answer = yield Call(self.say.add, args, self.shard_of(job.id))
            self.rung(answer[1])
        else:
            yield from self._add(jobs)
        yield Ring("work")

    def _add(self, jobs: Sequence[NewJob]) -> Plan[None]:
        waiting: list[Call] = []
        for call in self._lots(jobs, ""):
            waiting.append(call)
            if len(waiting) == SCRIPTS_AT_ONCE:
                yield Calls(waiting)
                waiting = []
        if waiting:
            yield Calls(waiting)

    def _lots(self, jobs: Sequence[NewJob], fence: bytes | str) -> Iterator[Call]:
        open_: dict[int, list[bytes]] = {}
        sizes: dict[int, int] = {}
        for job in jobs:
            shard, body = self.shard_of(job.id), packed(job)
            lot = open_.setdefault(shard, [])
            lot.append(body)
            sizes[shard] = sizes.get(shard, 0) + len(body)
            if len(lot) == JOBS_AT_ONCE or sizes[shard] >= BYTES_AT_ONCE:
                yield self._call(lot, fence, shard)
                open_[shard], sizes[shard] = [], 0
        for shard, lot in open_.items():
            if lot:
                yield self._call(lot, fence, shard)

    def _call(self, bodies: Sequence[bytes], fence: bytes | str, shard: int) -> Call:
        return Call(self.say.add, (self.now(), self.channels(), fence, *bodies), shard)

    @repeatable
    def add_child(self, jobs: Sequence[NewJob], seq: int, claim: int) -> Plan[bool]:
        """`add` for a run that enqueues: only if its claim is still valid; whether it was."""
        home, local = self.inner(seq)
        fence = FENCE.pack(local, claim, self.began(seq, claim))
        mine = [job for job in jobs if self.shard_of(job.id) == home]
        fenced = [*self._lots(mine, fence)] or [self._call([], fence, home)]
        for call in fenced:
            answer = yield call
            if answer[0] < 0:
                return False
        yield from self._add([job for job in jobs if self.shard_of(job.id) != home])
        yield Ring("work")
        return True
