"""What the store knows: the states of jobs, the worker's processes, the schedules. All by `app.insight`, nothing by SQL."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dray.demo import db
from dray.demo.jobs import app
from dray.errors import UnknownJob


@dataclass(frozen=True, slots=True)
class JobState:
    """One job: what it is for, its state, and a note for people (its progress, or its last error).

    `attempt` counts its runs, without those during which a worker died: these are `losses`.
    """

    kind: str
    state: str
    final: bool
    attempt: int
    losses: int
    note: str


def of_job(kind: str, job_id: str) -> JobState:
    """How a job is; it is `forgotten` once its time to be kept is over."""
    try:
        info = app.insight.job(job_id)
    except UnknownJob:
        return JobState(kind, "forgotten", True, 0, 0, "")
    note = ""
    if isinstance(info.error, dict) and info.state != "succeeded":
        note = f"{info.error.get('type', '')}: {info.error.get('message', '')}"
    elif isinstance(info.progress, dict) and not info.state.final:
        note = f"{info.progress.get('done', 0):,} of {info.progress.get('total') or 0:,} {info.progress.get('note', '')}"
    return JobState(kind, str(info.state), info.state.final, info.attempt, info.losses, note.strip())


def of_user(user_id: int) -> list[JobState]:
    """The jobs of a sign-up."""
    return [of_job(kind, job) for kind, job in sorted(db.jobs_of(user_id).items())]


def counts() -> dict[str, int]:
    """How many jobs are in each state, in all queues."""
    total: Counter[str] = Counter()
    for states in app.insight.counts().values():
        total.update(states)
    return dict(total)


def children() -> list[int]:
    """The process ids of the worker's living children, in which the jobs run."""
    return [node.pid for node in app.insight.workers() if node.alive and not node.stopping]


def schedules() -> dict[str, tuple[str, datetime]]:
    """What is scheduled: {name: (when, the next time)}, in the schedule's own zone."""
    found = {}
    for row in app.schedules.all():
        due = datetime.fromtimestamp(row.next / 1_000_000, UTC).astimezone(ZoneInfo(row.tz))
        found[row.name] = (f"{row.spec} ({row.tz})", due)
    return found


def run_now(task: str) -> str:
    """Fire a schedule beside its ticks; gives the job's id."""
    return app.schedules.run_now(app.task_named(task).name).id


def prepare() -> None:
    """Open the store, which brings its tables up to date, before the processes do so side by side."""
    app.insight.counts()
