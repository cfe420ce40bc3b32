"""The facts about a job and about the workers who could run it: what `explain` and `doctor` reason over."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from msgspec import Struct

from dray.model.ids import from_text
from dray.model.job import JobInfo, State
from dray.nodes import DEAF, info, knows, serves, slots
from dray.store.plan import Now, Plan, reads
from dray.store.protocol import Store
from dray.store.values import Filter, Holder, NodeInfo, QueueInfo, RunRecord, ScheduleRow

if TYPE_CHECKING:
    from dray.insight import Insight

__all__ = ["DEAF", "UNFINISHED", "Facts", "gather", "info", "knows", "serves", "slots", "store_now"]

UNFINISHED = frozenset(State) - frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


class Facts(Struct, frozen=True, kw_only=True):
    """What is known about a job and about those who could run it. Times are microseconds since 1970."""

    job: JobInfo
    now: int
    history: list[RunRecord] = []
    queue: QueueInfo | None = None
    nodes: list[NodeInfo] = []
    running: list[JobInfo] = []  # what the workers are busy with
    cancelling: str | None = None  # the reason, if the job runs and was asked to stop
    schedule: ScheduleRow | None = None
    earlier: list[JobInfo] = []  # unfinished runs of the same schedule
    holder: Holder | None = None  # who else has locked the waiting job, where that can be
    app_tasks: frozenset[str] | None = None  # what the app's code knows, if it was asked


def store_now(store: Store) -> int:
    """The store's own time."""
    return store.run(_now)


@reads
def _now() -> Plan[int]:
    return (yield Now())  # type: ignore[no-any-return]


def gather(insight: Insight, id: str, app_tasks: Collection[str] | None = None) -> Facts:
    """The facts about one job. Raises UnknownJob, StoreError."""
    job = insight.job(id)
    store = insight.store
    schedule = store.run(store.plans.schedule, job.schedule) if job.schedule else None
    earlier: list[JobInfo] = []
    if job.state is State.BLOCKED and job.schedule:
        found = insight.jobs(Filter(schedule=job.schedule, states=UNFINISHED), limit=100).jobs
        earlier = [other for other in found if other.id != job.id and other.state is not State.BLOCKED]
    running = [] if job.state.final else insight.jobs(Filter(states=frozenset({State.RUNNING})), limit=1000).jobs
    return Facts(
        job=job, now=store_now(store), history=insight.history(job.id),
        queue=next((queue for queue in insight.queues() if queue.name == job.queue), None),
        nodes=insight.workers(), running=running, cancelling=_cancelling(store, job), schedule=schedule, earlier=earlier,
        holder=_holder(store, job), app_tasks=None if app_tasks is None else frozenset(app_tasks),
    )  # fmt: skip


def _cancelling(store: Store, job: JobInfo) -> str | None:
    if job.state is not State.RUNNING or job.node is None or job.reason is None:
        return None
    asked = store.run(store.plans.orders, job.node)
    return next((order.reason for order in asked if (order.claim, order.reason) == (job.claim, job.reason)), None)


def _holder(store: Store, job: JobInfo) -> Holder | None:
    ask = getattr(store.plans, "holder", None)  # a file has no sessions
    if ask is None or job.state not in (State.READY, State.SCHEDULED):
        return None
    found: Holder | None = store.run(ask, from_text(job.id))
    return found
