"""What is measured of runs, in numbers that can be added up: outcomes counted, times in buckets. Pure.

Buckets are four to an octave (as in an HDR histogram with two sub-bits), of whole microseconds: a percentile is within an eighth
of the truth, whatever was added to whatever, and a bucket's number costs two shifts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

MINUTE, TEN_MINUTES, HOUR = 60, 600, 3600
#: Spans in which figures are kept, in seconds, and for how long each: what is older is added up to the next, in the end forgotten.
SPANS = {MINUTE: 3 * HOUR, TEN_MINUTES: 3 * 24 * HOUR, HOUR: 35 * 24 * HOUR}

TOTAL = ""  # the name under which all of a kind are added up

Buckets = dict[int, int]


class Work(msgspec.Struct, array_like=True, omit_defaults=True):
    """What became of runs in some span. Sums are in microseconds."""

    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    lost: int = 0
    other: int = 0  # snoozed, suspended, interrupted: no attempt
    run: Buckets = {}  # how long functions ran
    run_sum: int = 0
    wait: Buckets = {}  # from when a job was due until it was claimed
    wait_sum: int = 0

    @property
    def finished(self) -> int:
        """Runs after which the job was final."""
        return self.succeeded + self.failed + self.cancelled


class Failures(msgspec.Struct, array_like=True, omit_defaults=True):
    """Runs of one task that raised the same error, in some span."""

    times: int = 0
    final: int = 0  # after which the job had failed
    type: str = ""
    message: str = ""  # of the newest
    job: str = ""  # the id of the newest
    at: int = 0  # when that was, microseconds since 1970


class Depth(msgspec.Struct, array_like=True, omit_defaults=True):
    """How many jobs a queue had at a moment."""

    ready: int = 0
    running: int = 0
    scheduled: int = 0
    waiting: int = 0  # blocked, sleeping
    failed: int = 0
    oldest: float = 0.0  # seconds that the oldest ready job had waited


class Use(msgspec.Struct, array_like=True, omit_defaults=True):
    """What a worker process used in some span."""

    cpu: float = 0.0  # seconds of processor time, its child processes included
    memory: int = 0  # bytes resident at its end; the most of several spans
    busy: float = 0.0  # slots in use, on average
    slots: int = 0
    seconds: float = 0.0  # that this is about


Data = Work | Failures | Depth | Use
KINDS: dict[str, type[Data]] = {"work": Work, "failures": Failures, "depth": Depth, "use": Use}
D = TypeVar("D", Work, Failures, Depth, Use)


def bucket(micros: int) -> int:
    """The number of the bucket of a time.

    >>> bucket(0), bucket(3), bucket(1000), bucket(1023), bucket(1024)
    (0, 3, 39, 39, 40)
    """
    if micros < 4:
        return max(0, micros)
    size = micros.bit_length()
    return (size << 2) + ((micros >> (size - 3)) & 3) - 4


def bounds(number: int) -> tuple[int, int]:
    """From which time on, in microseconds, and below which a bucket counts.

    >>> bounds(39), bounds(40)
    ((896, 1024), (1024, 1280))
    """
    if number < 4:
        return number, number + 1
    size, quarter = divmod(number + 4, 4)
    low = (4 + quarter) << (size - 3)
    return low, low + (1 << (size - 3))


def percentile(buckets: Mapping[int, int], part: float) -> float | None:
    """The time in seconds that `part` (0…1) of all were not above, taken as even inside a bucket; None if there were none."""
    total = sum(buckets.values())
    if not total:
        return None
    left = part * total
    for number in sorted(buckets):
        if left <= buckets[number]:
            low, high = bounds(number)
            return (low + (high - low) * left / buckets[number]) / 1e6
        left -= buckets[number]
    return bounds(max(buckets))[1] / 1e6


def merged(items: Iterable[D], kind: type[D]) -> D:
    """Several added up. Depths are not: the last of them stands, as do the newest error of failures and the most memory."""
    total = kind()
    for item in items:
        if isinstance(total, Work) and isinstance(item, Work):
            add_work(total, item)
        elif isinstance(total, Failures) and isinstance(item, Failures):
            newest = item if item.at >= total.at else total
            total = Failures(
                total.times + item.times, total.final + item.final, newest.type, newest.message, newest.job, newest.at,
            )  # type: ignore[assignment]  # fmt: skip
        elif isinstance(total, Use) and isinstance(item, Use):
            seconds = total.seconds + item.seconds
            busy = (total.busy * total.seconds + item.busy * item.seconds) / seconds if seconds else 0.0
            total = Use(
                total.cpu + item.cpu, max(total.memory, item.memory), busy, max(total.slots, item.slots), seconds,
            )  # type: ignore[assignment]  # fmt: skip
        else:
            total = item
    return total


def add_work(total: Work, more: Work) -> None:
    """Add to it, in place."""
    total.succeeded += more.succeeded
    total.failed += more.failed
    total.retried += more.retried
    total.cancelled += more.cancelled
    total.lost += more.lost
    total.other += more.other
    total.run_sum += more.run_sum
    total.wait_sum += more.wait_sum
    for mine, theirs in ((total.run, more.run), (total.wait, more.wait)):
        for number, n in theirs.items():
            mine[number] = mine.get(number, 0) + n


def together(depths: Iterable[Depth]) -> Depth:
    """Those of several queues at the same moment."""
    total = Depth()
    for depth in depths:
        total = Depth(
            total.ready + depth.ready, total.running + depth.running, total.scheduled + depth.scheduled,
            total.waiting + depth.waiting, total.failed + depth.failed, max(total.oldest, depth.oldest),
        )  # fmt: skip
    return total


def name_of(queue: str, task: str) -> str:
    """The name of figures of a task's work in a queue."""
    return f"{queue}\t{task}"


def parts_of(name: str) -> tuple[str, str]:
    """Queue and task of a name; of failures: task and fingerprint."""
    first, _, second = name.partition("\t")
    return first, second
