"""Bare redis-py: the floors of Redis. Imported by the bare producers too, so nothing of a server is here."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis

from dray.model import ids
from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED
from dray.store.plan import Call
from dray.store.redis.claim import DONE, encode
from dray.store.redis.place import place_of
from dray.store.redis.plans import RedisPlans
from dray.store.redis.records import LIVE
from dray.store.redis.session import Edge, RedisSession
from dray.store.sql.renewal import LEASE
from dray.store.values import NodeEntry

BATCH = 250
DAY = 86_400 * SECOND
#: What a job costs at least: its data, and its place in a queue.
INSERT = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
"""
#: Finished jobs as the store keeps them. ARGV: how many, the first number, the head of an id, the body behind the times, the time.
FILL_DONE = """
local now = tonumber(ARGV[5])
for i = 1, tonumber(ARGV[1]) do
    local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
    local id = ARGV[3] .. struct.pack('>d', tonumber(ARGV[2]) + i)
    local body = struct.pack('>ddd', now, now, 0) .. string.sub(ARGV[4], 1, -39) .. id .. string.sub(ARGV[4], -22)
    redis.call('HSET', KEYS[2], seq, body)
    redis.call('HSET', KEYS[3], seq, struct.pack('>BBI4I4I4ddddd', 5, 0, 1, 1, 0, 1, now, now, now, now + 86400000000 + i))
    redis.call('ZADD', KEYS[4], 0, id .. struct.pack('>d', seq))
    redis.call('ZADD', KEYS[5], now + 86400000000 + i, seq)
end
redis.call('HINCRBY', KEYS[6], 'default\\0' .. '5', ARGV[1])
"""


class Inserter:
    """Calls a script for each job, as redis-py does it; or sends many in pipelines."""

    def __init__(self, url: str) -> None:
        place = place_of(url)
        self.client = redis.Redis(host=place.hosts[0][0], port=place.hosts[0][1], db=place.db, protocol=2)
        self._keys = [f"{{{place.namespace}-bare}}:body", f"{{{place.namespace}-bare}}:ready"]
        self._script = self.client.register_script(INSERT)

    def one(self) -> None:
        """One job by one script."""
        self._script(keys=self._keys, args=[ids.new_id(), b'bench.tasks.noop {"n":1} default 20'])

    def many(self, n: int) -> float:
        """Seconds of `n` jobs, two commands each, in pipelines of 500 jobs; the ids are made before."""
        made = ids.new_ids(n)
        began = time.perf_counter()
        for at in range(0, n, 500):
            pipe = self.client.pipeline(transaction=False)
            for id_ in made[at : at + 500]:
                pipe.hset(self._keys[0], id_, b'bench.tasks.noop {"n":1} default 20')  # type: ignore[arg-type]
                pipe.rpush(self._keys[1], id_)
            pipe.execute()
        return time.perf_counter() - began

    def close(self) -> None:
        """Hang up."""
        self.client.close()


class DrainLoop:
    """One connection that calls the scripts that a busy worker calls, and does nothing between."""

    def __init__(self, url: str) -> None:
        self._place = place_of(url)
        self._plans = RedisPlans(self._place.namespace)
        self._session = RedisSession(self._place, self._plans)
        self._node = self._session.run(self._plans.enter, NodeEntry("bare", "bare", 0))
        self._want = encode({
            "slots": [(0, BATCH)], "queues": None, "tasks": ["bench.tasks.noop"], "order": 0,
        })  # fmt: skip

    def run(self) -> int:
        """Until nothing is left; how many it were."""
        say, done, batch = self._plans.say, 0, []
        lease, keep = int(LEASE * SECOND), int(KEEP_CANCELLED * SECOND)
        claim = Call(say.claim, ("", "", "", self._node, lease, self._want, keep, "", "", 1000, 1000))
        while True:
            edge = Edge(self._session, time.monotonic(), 60.0, again=False, urgent=False, wait=0)
            calls = [Call(say.succeed, ("", "", 0, *batch))] if batch else []
            answer = edge._all([*calls, claim])[-1]
            done += len(batch)
            batch = [
                DONE.pack(answer[at], LIVE.unpack(answer[at + 2])[2], 0, DAY, 7) + b"default" for at in range(4, len(answer), 3)
            ]
            if not batch:
                return done

    def close(self) -> None:
        """Leave, and hang up."""
        self._session.run(self._plans.leave, self._node)
        self._session.close()


def drain_rate(url: str, loops: int = 1) -> float:
    """Jobs per second of so many loops, each in a thread and on a connection of its own."""
    made = [DrainLoop(url) for _ in range(loops)]
    with ThreadPoolExecutor(loops) as threads:
        began = time.perf_counter()
        done = sum(threads.map(DrainLoop.run, made))
        took = time.perf_counter() - began
    for loop in made:
        loop.close()
    return done / took


def fill(app: Any, client: Any, *, ready: int, future: int, finished: int) -> None:
    """Put jobs into the store, by the hundred thousand."""
    from bench.tasks import noop

    for many, call in ((ready, noop), (future, noop.using(delay="1d"))):
        for at in range(0, many, 100_000):
            app.enqueue_many(call.call(i) for i in range(min(100_000, many - at)))
    place = app.store.place
    tag = place.tag(0)
    keys = [f"{tag}:{name}" for name in ("meta", "body", "live", "ids", "prune", "counts")]
    script = client.register_script(FILL_DONE)
    body = b"\0\0\0\0\0\x14" + b"\0\7default" + b"\0\x10bench.tasks.noop" + b"i" * 16 + b"\0" * 11 + b'{"n":12345}'
    for at in range(0, finished, 5000):
        script(keys=keys, args=[min(5000, finished - at), at, b"bareids:", body, time.time_ns() // 1000])


