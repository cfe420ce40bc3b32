"""Queues: how much is in them, how it flows, pause and resume."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.responses import Response

from dray.dashboard.page import Ask, get, post
from dray.dashboard.pages import drawn
from dray.dashboard.pages.narrow import narrow
from dray.facts import info, serves
from dray.insight.flows import NONE, Flow, flows
from dray.model.clock import SECOND
from dray.model.filter import Filter
from dray.model.job import State
from dray.options import check
from dray.search import to_text
from dray.store.values import NodeInfo, QueueInfo
from dray.wording import count

if TYPE_CHECKING:
    from dray.insight import Insight

NEWEST = 12  # jobs on the page of one queue


class Row(Struct, frozen=True):
    """One queue, for the table."""

    queue: QueueInfo
    flow: Flow
    waited: float | None  # seconds, of the oldest ready job
    drained: float | None  # seconds until nothing is ready, if things go on as they do; None: it does not get shorter
    workers: int  # alive, that look into it
    slots: int  # of these together

    @property
    def name(self) -> str:
        """Of the queue."""
        return self.queue.name

    @property
    def busy(self) -> float:
        """Which part of the slots that may serve it run its jobs, 0…1."""
        return min(1.0, self.n("running") / self.slots) if self.slots else 0.0

    @property
    def waits(self) -> int:
        """Jobs that wait for others, or for a time in the midst of their work."""
        return self.n("blocked", "sleeping")

    def n(self, *states: str) -> int:
        """How many jobs are in these states."""
        return sum(self.queue.counts.get(state, 0) for state in states)

    def search(self, *states: str) -> str:
        """What finds its jobs, those in some states or all."""
        return to_text(Filter(states=frozenset(map(State, states)) or None, queue=self.name))


def rows(queues: Iterable[QueueInfo], flowing: dict[str, Flow], nodes: Iterable[NodeInfo], now: int) -> list[Row]:
    """All queues, the fullest first, then by name."""
    alive = [node for node in nodes if node.alive and not node.stopping]
    found = []
    for queue in queues:
        serving = [node for node in alive if serves(node, queue.name)]
        flow = flowing.get(queue.name, NONE)
        waited = None if queue.oldest_ready is None else max(0.0, (now - queue.oldest_ready) / SECOND)
        drained = None if queue.paused else drains_in(queue.counts.get("ready", 0), flow)
        found.append(Row(queue, flow, waited, drained, len(serving), sum(room(node) for node in serving)))
    return sorted(found, key=lambda row: (-row.n("ready", "running"), row.name))


def drains_in(ready: int, flow: Flow) -> float | None:
    """Seconds until nothing is ready, from what goes in and out per minute; None if it does not get shorter.

    >>> drains_in(300, Flow(0, 0, [], [], 40.0, 10.0))
    600.0
    """
    shrinks = flow.outflow - (flow.inflow or 0.0)
    if not ready:
        return 0.0
    return ready / shrinks * 60 if shrinks > 0 else None


def room(node: NodeInfo) -> int:
    """The slots of a worker, for functions of any kind."""
    slots = info(node, "slots")
    return sum(slots.values()) if isinstance(slots, dict) else 0


@get("/queues")
def queues(ask: Ask) -> Response:
    """All of them."""
    insight = ask.insight
    found = rows(insight.queues(), flows(insight), insight.workers(), ask.now)
    return ask.page("queues.html", cut=narrow(found, ask.query("q"), lambda row: row.name))


@get("/queues/one")
def queue(ask: Ask) -> Response:
    """One of them."""
    insight, hours, name = ask.insight, ask.hours(), ask.query("name")
    nodes = insight.workers()
    one = next((row for row in rows(insight.queues(), flows(insight), nodes, ask.now) if row.name == name), None)
    if one is None:
        return ask.problem(f"There is no queue {name!r}: no job and no operator has named it.", 404)
    return ask.page(
        "queue.html", row=one, hours=hours, series=insight.series(hours, queue=name), drawn=drawn,
        tasks=_tasks(insight, hours, name), workers=[node for node in nodes if node.alive and serves(node, name)],
        newest=insight.jobs(one.search(), limit=NEWEST).jobs, room=room,
    )  # fmt: skip


def _tasks(insight: Insight, hours: float, name: str) -> list[Any]:
    found = [task for task in insight.tasks(hours) if name in task.queues]
    return sorted(found, key=lambda task: -task.work.finished)


@post("/queues/pause")
def pause(ask: Ask) -> Response:
    """Start nothing of it for now."""
    name = ask.field("name")
    check({"queue": name}, "this form", task=False)
    if page := ask.unsure(
        f"Pause the queue {name}?", "Pause it", detail="What runs goes on; nothing is started from it until somebody resumes it."
    ):
        return page
    ask.insight.pause(name)
    waiting = next((one.counts.get("ready", 0) for one in ask.insight.queues() if one.name == name), 0)
    return ask.back(f"Queue {name} is paused, with {count(waiting, 'ready job')} in it.", otherwise="queues")


@post("/queues/resume")
def resume(ask: Ask) -> Response:
    """Let it go on."""
    name = ask.field("name")
    was = ask.insight.resume(name)
    return ask.back(f"Queue {name} goes on." if was else f"Queue {name} was not paused.", otherwise="queues")


DOORS = (queues, queue, pause, resume)
