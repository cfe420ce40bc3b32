"""One number for autoscalers."""

from __future__ import annotations

import math
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from dray.dashboard.api.table import Call, get
from dray.dashboard.api.values import Body, Query, Text
from dray.facts import serves, slots
from dray.insight.place import Overview
from dray.model.clock import SECOND
from dray.model.filter import Filter, Term
from dray.model.job import EXECUTORS, State
from dray.store.values import NodeInfo, QueueInfo

DEFAULT_SLOTS = 10  # of a worker that is not there to tell: its default concurrency
MOST_DUE = 1000  # late jobs that are counted while nobody works


class ScalingQuery(Query, frozen=True, kw_only=True):
    """Which queues."""

    queues: Annotated[Text, Meta(max_length=5000, description="Their names, with commas between; without any, all queues.")] = ""
    slots: Annotated[int, Meta(ge=1, le=100_000, description="Jobs that one worker runs at once.")] | UnsetType = UNSET


class Scaling(Struct, frozen=True, kw_only=True):
    """What an autoscaler asks for. Ready jobs of paused queues do not count, for nobody could start them."""

    backlog: Annotated[int, Meta(description="Jobs that could start now, and those that run.")]
    ready: Annotated[int, Meta(description="Jobs that could start now.")]
    running: int
    oldest_ready_age_s: Annotated[float, Meta(description="0 if none is ready.")]
    desired_workers: Annotated[int, Meta(description="Worker processes that could run the whole backlog at once.")]


@get("/scaling", tag="figures", gives=Scaling, query=ScalingQuery)
def scaling(call: Call[ScalingQuery, Body]) -> Scaling:
    """What an autoscaler needs to know.

    From the store, so it is the same whichever process answers. While no worker is alive, scheduled jobs that are due count as
    ready, and a schedule that should have fired as one job."""
    whole = call.insight.overview()
    wanted = frozenset(name.strip() for name in call.query.queues.split(",") if name.strip())
    queues = [one for one in whole.queues if not wanted or one.name in wanted]
    started = [one for one in queues if one.paused is None]
    alive = [node for node in whole.workers if node.alive and _serves_any(node, wanted)]
    ready = sum(one.counts.get(State.READY, 0) for one in started)
    if not alive:
        ready += _due(call, whole, wanted, started)
    running = sum(one.counts.get(State.RUNNING, 0) for one in queues)
    backlog = ready + running
    waiting = [one.oldest_ready for one in started if one.oldest_ready is not None]
    room = call.query.slots if isinstance(call.query.slots, int) else _room(alive)
    return Scaling(
        backlog=backlog, ready=ready, running=running, desired_workers=math.ceil(backlog / room),
        oldest_ready_age_s=max(0.0, round((whole.now - min(waiting)) / SECOND, 3)) if waiting else 0.0,
    )  # fmt: skip


def _due(call: Call[ScalingQuery, Body], whole: Overview, wanted: frozenset[str], queues: list[QueueInfo]) -> int:
    """What nobody has made ready, because nobody works."""
    late = sum(row.paused is None and 0 < row.next <= whole.now and (not wanted or row.queue in wanted) for row in whole.schedules)
    names = tuple(one.name for one in queues if one.counts.get(State.SCHEDULED))
    if not names:
        return late
    what = Filter(states=frozenset({State.SCHEDULED}), terms=(Term("queue", names), Term("wait", (">0s",))))
    return late + call.insight.count(what, MOST_DUE).n


def _serves_any(node: NodeInfo, queues: frozenset[str]) -> bool:
    return not queues or any(serves(node, queue) for queue in queues)


def _room(nodes: list[NodeInfo]) -> int:
    """How many jobs one of them runs at once, on average: of the kind for which it has the most slots."""
    told = [max((slots(node, kind) or 0 for kind in EXECUTORS), default=0) for node in nodes]
    known = [n for n in told if n]
    return max(1, round(sum(known) / len(known))) if known else DEFAULT_SLOTS
