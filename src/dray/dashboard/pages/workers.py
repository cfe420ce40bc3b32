"""Workers: which processes there are, what runs where; stop one, or ask it where it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.responses import Response

from dray.dashboard.page import Ask, get, post
from dray.dashboard.pages.queues import room
from dray.dashboard.settings import Role
from dray.errors import UnknownWorker
from dray.facts import DEAF, info
from dray.model.clock import SECOND
from dray.model.filter import Filter, Term
from dray.model.job import State
from dray.search import to_text

if TYPE_CHECKING:
    from dray.insight.figures import WorkerUse
    from dray.model.job import JobInfo
    from dray.store.values import NodeInfo

RUNNING = 500  # running jobs that are looked at
SHOWN = 8  # of one worker, in the list
WAITED = 15.0  # seconds after which a worker that has not answered is said to be busy or gone


class Worker(Struct, frozen=True):
    """One process."""

    node: NodeInfo
    jobs: list[JobInfo]  # what runs there, the longest first
    use: WorkerUse | None
    slots: int
    deaf: bool  # alive, with room, and not looking for jobs

    @property
    def state(self) -> str:
        """In a word."""
        if not self.node.alive:
            return "gone"
        return "stopping" if self.node.stopping else "deaf" if self.deaf else "alive"

    @property
    def busy(self) -> float:
        """Which part of its slots is in use, 0…1."""
        return min(1.0, self.node.running / self.slots) if self.slots else 0.0

    def about(self, key: str) -> object:
        """What it says of itself; None if it says nothing."""
        return info(self.node, key)


class Group(Struct, frozen=True):
    """The processes of one supervisor, or one process that has none."""

    host: str
    supervisor: int | None  # its process id
    target: str
    workers: list[Worker]


def groups(nodes: Iterable[NodeInfo], running: Iterable[JobInfo], use: Mapping[int, WorkerUse], now: int) -> list[Group]:
    """All processes by who looks after them: live ones first, then by host and name."""
    jobs: dict[int, list[JobInfo]] = {}
    for job in running:
        if job.node is not None:
            jobs.setdefault(job.node, []).append(job)
    found: dict[tuple[str, object], list[Worker]] = {}
    for node in nodes:
        mine = sorted(jobs.get(node.id, ()), key=lambda job: job.started or now)
        slots = room(node)
        silent = node.claimed is not None and now - node.claimed > DEAF
        deaf = node.alive and not node.stopping and silent and node.running < (slots or 1)
        supervisor = info(node, "supervisor")
        found.setdefault((node.host, supervisor or f"alone {node.id}"), []).append(
            Worker(node, mine, use.get(node.id), slots, deaf)
        )
    made = []
    for (host, supervisor), workers in found.items():
        workers.sort(key=lambda one: (not one.node.alive, one.node.name, one.node.id))
        target = next((str(one.about("target")) for one in workers if one.about("target")), "")
        made.append(Group(host, supervisor if isinstance(supervisor, int) else None, target, workers))
    return sorted(made, key=lambda one: (not one.workers[0].node.alive, one.host, one.workers[0].node.name))


@get("/workers")
def workers(ask: Ask) -> Response:
    """All of them."""
    insight = ask.insight
    nodes = insight.workers()
    running = insight.jobs(Filter(states=frozenset({State.RUNNING})), limit=RUNNING).jobs
    alive = [node for node in nodes if node.alive]
    return ask.page(
        "workers.html", groups=groups(nodes, running, insight.use(), ask.now), shown=SHOWN, alive=alive,
        slots=sum(map(room, alive)), running=sum(node.running for node in alive), gone=len(nodes) - len(alive), search=jobs_of,
        stops=lambda node: stops(node, nodes),
    )  # fmt: skip


def jobs_of(node: NodeInfo) -> str:
    """What finds the jobs that run there."""
    return to_text(Filter(states=frozenset({State.RUNNING}), terms=(Term("worker", (node.name,)),)))


@get("/workers/one")
def worker(ask: Ask) -> Response:
    """One of them, with what it said when it was last asked."""
    insight, hours = ask.insight, ask.hours()
    node = _node(ask, ask.query("id"))
    running = insight.jobs(Filter(states=frozenset({State.RUNNING}), terms=(Term("worker", (node.name,)),)), limit=RUNNING).jobs
    [group] = groups([node], running, insight.use(hours), ask.now)
    said = insight.worker_said(node.id)
    asked = int(ask.query("asked")) if ask.query("asked").isdecimal() else None
    waiting = None if asked is None or (said is not None and said[0] >= asked) else (ask.now - asked) / SECOND
    return ask.page(
        "worker.html", worker=group.workers[0], node=node, hours=hours, said=said, waiting=waiting, patient=WAITED,
        search=jobs_of(node), stops=stops(node, insight.workers()),
    )  # fmt: skip


def _node(ask: Ask, id: str) -> NodeInfo:
    found = next((node for node in ask.insight.workers() if str(node.id) == id), None)
    if found is None:
        raise UnknownWorker(f"There is no worker {id[:40]} (any more): those that left or died are forgotten after a while.")
    return found


def stops(node: NodeInfo, nodes: Iterable[NodeInfo]) -> str:
    """What a stop does, for who is about to ask for it: a supervisor ends all that it looks after."""
    family = [one for one in nodes if one.alive and one.host == node.host and info(one, "supervisor") == info(node, "supervisor")]
    how = "No more jobs are taken, what runs may end within the time of grace, the rest is given back."
    if info(node, "supervisor") is None or len(family) < 2:
        return how
    return f"All {len(family)} processes of its supervisor stop with it. {how}"


@post("/workers/dump")
def dump(ask: Ask) -> Response:
    """Ask it where all its threads and coroutines are."""
    node, asked = _node(ask, ask.field("id")), ask.now
    ask.insight.ask_worker(node.id, "dump")
    return ask.go("workers/one", "The worker is asked; the answer comes below.", id=node.id, asked=asked)


@post("/workers/stop", role=Role.ALL)
def stop(ask: Ask) -> Response:
    """Ask it to stop as TERM would."""
    node = _node(ask, ask.field("id"))
    if page := ask.unsure(f"Stop the worker {node.name}?", "Stop it", detail=stops(node, ask.insight.workers())):
        return page
    ask.insight.ask_worker(node.id, "stop")
    return ask.back(f"The worker {node.name} is asked to stop.", otherwise="workers")


DOORS = (workers, worker, dump, stop)
