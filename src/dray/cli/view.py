"""How jobs, workers, queues and schedules look: as JSON for programs, in short for tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dray.facts import info, slots
from dray.model import ids
from dray.model.clock import SECOND
from dray.model.job import JobInfo, State
from dray.store.plan import Plan, reads
from dray.store.values import LogLine, NodeInfo, QueueInfo, RunRecord, ScheduleRow
from dray.wording import ago, error_line, iso, readable, short

if TYPE_CHECKING:
    from dray.insight import Insight

# Digits of an id that are shown: 8 tell the minute, 12 the millisecond, 16 also the place in it, then chance begins.
LADDER = (8, 12, 16, 20, 32)
STATES = tuple(str(state) for state in State)


def short_ids(insight: Insight, full: Iterable[str]) -> dict[str, str]:
    """Ids cut to the same length, at which each is unique among all jobs that are kept."""
    wanted = list(full)
    verb = insight.store.plans.by_prefix

    @reads
    def longest() -> Plan[int]:
        step = 0
        for id_ in wanted:
            digits = id_.replace("-", "")
            while step < len(LADDER) - 1:
                bounds = ids.prefix_range(digits[: LADDER[step]])
                if bounds is None or len((yield from verb(*bounds, 2))) < 2:
                    break
                step += 1
        return LADDER[step]

    length = insight.store.run(longest)
    return {id_: cut(id_, length) for id_ in wanted}


def cut(id: str, digits: int) -> str:
    """The first so many digits of an id, with its hyphens."""
    return id[: digits + sum(digits > border for border in (8, 12, 16, 20))]


def job_json(job: JobInfo) -> dict[str, Any]:
    """A job for programs."""
    return {
        "id": job.id, "task": job.task, "queue": job.queue, "state": str(job.state), "priority": job.priority,
        "executor": job.executor, "attempt": job.attempt, "max_attempts": job.max_attempts, "losses": job.losses,
        "args": job.args, "tags": list(job.tags), "options": job.options, "due": iso(job.due), "enqueued": iso(job.enqueued),
        "started": iso(job.started), "finished": iso(job.finished), "expires": iso(job.expires),
        "kept_until": iso(job.prune_after), "node": job.node, "result": readable(job.result), "error": job.error,
        "reason": job.reason, "hold": job.hold, "progress": job.progress, "schedule": job.schedule, "parent": job.parent,
    }  # fmt: skip


def run_json(run: RunRecord) -> dict[str, Any]:
    """A past run for programs."""
    return {
        "claim": run.claim, "attempt": run.attempt, "outcome": run.word, "node": run.node, "started": iso(run.started),
        "finished": iso(run.finished), "reason": run.reason, "error": run.error,
    }  # fmt: skip


def log_json(line: LogLine) -> dict[str, Any]:
    """A line of a job's log for programs."""
    return {"line": line.line, "at": iso(line.at), "claim": line.claim, "level": line.level, "text": line.text}


def queue_json(queue: QueueInfo) -> dict[str, Any]:
    """A queue for programs: every state is there, also those without jobs."""
    return {
        "name": queue.name, "counts": {state: queue.counts.get(state, 0) for state in STATES}, "paused": iso(queue.paused),
        "paused_by": queue.paused_by, "oldest_ready": iso(queue.oldest_ready),
    }  # fmt: skip


def node_json(node: NodeInfo) -> dict[str, Any]:
    """A worker process for programs."""
    return {
        "id": node.id, "name": node.name, "host": node.host, "pid": node.pid, "alive": node.alive, "stopping": node.stopping,
        "running": node.running, "entered": iso(node.entered), "renewed": iso(node.renewed), "claimed": iso(node.claimed),
        "info": node.info,
    }  # fmt: skip


def schedule_json(row: ScheduleRow) -> dict[str, Any]:
    """A schedule for programs."""
    return {
        "name": row.name, "task": row.task, "queue": row.queue, "spec": row.spec, "tz": row.tz, "args": readable(row.args),
        "catch_up": row.catch_up, "window": row.window, "overlap": row.overlap, "origin": row.origin, "priority": row.priority,
        "max_attempts": row.max_attempts, "paused": iso(row.paused), "next": None if row.paused else iso(row.next),
        "last_fired": iso(row.fired), "missed": row.missed,
    }  # fmt: skip


def moment_of(job: JobInfo, now: int) -> str:
    """The time that matters in a job's state, in a few characters."""
    match job.state:
        case State.SCHEDULED:
            return ago(job.due, now) if job.due > now else f"due {ago(job.due, now)}"
        case State.RUNNING:
            return f"for {short((now - (job.started or now)) / SECOND)}"
        case State.SUCCEEDED | State.FAILED | State.CANCELLED:
            return ago(job.finished or now, now)
        case _:
            return f"waits {short((now - job.due) / SECOND)}"


def note_of(job: JobInfo) -> str:
    """What is worth a word in a list."""
    if job.state is State.RUNNING and isinstance(job.progress, dict):
        return progress_text(job.progress)
    if job.state in (State.FAILED, State.SCHEDULED) and job.error:
        return error_line(job.error)
    if job.state is State.READY and job.hold:
        return f"no worker knows {job.hold[5:]}" if job.hold.startswith("task:") else job.hold
    return job.reason or ""


def progress_text(progress: dict[str, Any]) -> str:
    """Progress as text: "40 of 100 (40 %) resizing"."""
    done, total, note = progress.get("done"), progress.get("total"), progress.get("note") or ""
    text = f"{done:,} of {total:,} ({100 * done / total:.0f} %)" if total else f"{done:,}"  # type: ignore[operator]
    return f"{text} {note}".rstrip()


def node_state(node: NodeInfo) -> tuple[str, str]:
    """How a worker is, with a colour."""
    if not node.alive:
        return "gone", "red"
    return ("stopping", "yellow") if node.stopping else ("alive", "green")


def room(node: NodeInfo) -> str:
    """Its slots: "10 async, 10 thread, 2 process"."""
    return ", ".join(f"{n} {kind}" for kind in ("async", "thread", "process") if (n := slots(node, kind)))


def served(node: NodeInfo) -> str:
    """Its queues."""
    queues: Sequence[str] | None = info(node, "queues")
    return "all" if queues is None else ", ".join(queues)
