"""What flows through queues: a question about all of them at once, so that a page of many queues costs no more than one of few."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from dray.insight.figures import SECOND, TREND, by_step, decoded, trend
from dray.model.figures import TOTAL, Depth, Work, merged, parts_of
from dray.store.plan import Now, Plan, reads
from dray.store.values import Figure

if TYPE_CHECKING:
    from dray.insight import Insight

RATE = 600  # seconds over which rates are taken: long enough to be steady, short enough to be of now


class Flow(Struct, frozen=True):
    """One queue in the hours asked about. Rates are jobs per minute over the last ten minutes."""

    finished: int  # jobs that came to their end
    failed: int
    trend: list[int]  # finished, by step, oldest first
    depth: list[int]  # jobs that were ready or ran, by minute of the last hours, oldest first; empty if not measured
    outflow: float
    inflow: float | None  # None where depths are not measured yet


NONE = Flow(0, 0, [0] * TREND, [], 0.0, None)


def flows(insight: Insight, hours: float = 1.0) -> dict[str, Flow]:
    """What flows through each queue, by its name. Queues in which nothing happened are not there. Raises StoreError."""

    @reads
    def asked() -> Plan[dict[str, Flow]]:
        now: int = yield Now()
        step, works = yield from insight._read("work", hours, now)
        _, depths = yield from insight._read("depth", hours, now)
        found: dict[str, tuple[list[Figure], list[Figure]]] = {}
        for figure in works:
            if figure.name != TOTAL:
                found.setdefault(parts_of(figure.name)[0], ([], []))[0].append(figure)
        for figure in depths:
            if figure.name != TOTAL:
                found.setdefault(figure.name, ([], []))[1].append(figure)
        return {queue: _flow(work, depth, step, now, hours) for queue, (work, depth) in found.items()}

    return insight.store.run(asked)


def _flow(works: list[Figure], depths: list[Figure], step: int, now: int, hours: float) -> Flow:
    by = by_step(works, step, Work)
    total = merged(by.values(), Work)
    measured = sorted(by_step(depths, step, Depth).items())
    out = _rate(works, now)
    return Flow(
        total.finished, total.failed, trend({at: work.finished for at, work in by.items()}, now, hours),
        [depth.ready + depth.running for _, depth in measured], out, inflow(out, measured, now),
    )  # fmt: skip


def _rate(works: Iterable[Figure], now: int) -> float:
    """Jobs that came to their end, per minute, in the whole minutes of the last ten. Young figures weigh by their real time."""
    recent = [figure for figure in works if figure.at > now - RATE * SECOND]
    if not recent:
        return 0.0
    since = min(figure.at for figure in recent)
    return sum(decoded(figure, Work).finished for figure in recent) / max(1.0, (now - since) / SECOND / 60)


def inflow(outflow: float, measured: list[tuple[int, Depth]], now: int) -> float | None:
    """Jobs per minute that come in: what goes out, and by how much the unfinished grew. `measured`: depths by their time, in order.
    None where there are fewer than two in the last ten minutes."""
    recent = [(at, depth) for at, depth in measured if at > now - RATE * SECOND]
    if len(recent) < 2:
        return None
    (first, before), (last, after) = recent[0], recent[-1]
    return max(0.0, outflow + (unfinished(after) - unfinished(before)) / ((last - first) / SECOND / 60))


def unfinished(depth: Depth) -> int:
    """Jobs that still have something before them."""
    return depth.ready + depth.running + depth.scheduled + depth.waiting
