"""What is rung for, and the advisory locks by which a producer sees whether anybody waits for it.

A lock has two numbers: the first is the schema's (`PostgresPlans.area`), the second says what for.
"""

from __future__ import annotations

import functools
import zlib

KINDS = {"work": 1, "done": 2, "orders": 3}
ANY = "any"  # work of whichever queue; who waits for that of some queues has a word, and a lock, for each of them instead
ANY_LOCK = 4
QUEUE = "queue:"
QUEUE_LOCKS = 1 << 30  # from here on


def lock_of(word: str) -> int:
    """The second number for one of KINDS, for ANY, or for QUEUE with the name of a queue."""
    if word.startswith(QUEUE):
        return queue_lock(word.removeprefix(QUEUE))
    return ANY_LOCK if word == ANY else KINDS[word]


@functools.lru_cache(maxsize=1024)
def queue_lock(queue: str) -> int:
    """The second number for a queue. (Two queues with the same wake each other's workers, no more.)"""
    return QUEUE_LOCKS | (zlib.crc32(queue.encode()) & (QUEUE_LOCKS - 1))
