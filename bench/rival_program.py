"""Run by the rival's interpreter: `rival_program.py fill URL N` and `rival_program.py drain URL CONNECTIONS BATCH MOST`."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.domain.types import QueueExecutionMode
from pgqueuer.queries import Queries

AT_ONCE = 1000


async def fill(url: str, n: int) -> None:
    """Install it, and enqueue `n` jobs."""
    connection = await asyncpg.connect(url)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    for start in range(0, n, AT_ONCE):
        many = min(AT_ONCE, n - start)
        await queries.enqueue(["noop"] * many, [b'{"n":1}'] * many, [0] * many)
    await connection.close()


async def drain(url: str, connections: int, batch: int, most: int) -> None:
    """Run what there is, and say when the first and the last was run, how many they were, and what they cost."""
    count, first, last, cpu = 0, 0.0, 0.0, 0.0
    queuers = []
    for _ in range(connections):
        pgq = PgQueuer(AsyncpgDriver(await asyncpg.connect(url)))

        @pgq.entrypoint("noop")
        async def noop(job: object) -> None:
            nonlocal count, first, last, cpu
            if not count:
                first, cpu = time.time(), time.process_time()
            count += 1
            last = time.time()

        queuers.append(pgq)
    drained = QueueExecutionMode.drain
    await asyncio.gather(
        *(pgq.qm.run(batch_size=batch, max_concurrent_tasks=most or None, mode=drained) for pgq in queuers)
    )
    # `last`: its way of ending, which waits for timers, is not held against it; nor that some outcomes are not written by then.
    print(json.dumps({"n": count, "first": first, "last": last, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    verb, where, *numbers = sys.argv[1:]
    uvloop.run({"fill": fill, "drain": drain}[verb](where, *map(int, numbers)))
