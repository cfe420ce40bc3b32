"""Why is this job not running? Reasons over facts that are gathered first; the reasoning itself asks nobody.

Each answer has a code for programs, one sentence that says why, and one that says what to do, with a command where there is one.
"""

from __future__ import annotations

from msgspec import Struct

from dray.facts import DEAF, Facts, gather, info, knows, serves, slots
from dray.model.clock import SECOND
from dray.model.job import JobInfo, State
from dray.store.values import NodeInfo
from dray.wording import ago, clock, count, error_line, listed, span, when

SOON = 2 * SECOND  # a ready job that has not waited longer is nothing to explain

__all__ = ["Explanation", "explain", "gather"]


class Explanation(Struct, frozen=True, kw_only=True):
    """The answer. `code` is stable, for programs; `also` are further things in the way."""

    code: str
    why: str
    do: str = ""
    command: str | None = None
    also: tuple[str, ...] = ()


def explain(facts: Facts) -> Explanation:
    """Why the job is where it is, and what to do."""
    job = facts.job
    match job.state:
        case State.SUCCEEDED | State.FAILED | State.CANCELLED:
            return _ended(facts)
        case State.RUNNING:
            return _running(facts)
        case State.BLOCKED:
            return _blocked(facts)
        case State.SLEEPING:
            return Explanation(
                code="sleeping", why="It sleeps: its code waits for a time or an event.",
                do="Wait for it, or cancel it.", command=f"dray cancel {job.id}",
            )  # fmt: skip
        case State.SCHEDULED if job.due > facts.now:
            return _scheduled(facts)
        case _:
            return _ready(facts)


# -- over, or at work


def _ended(facts: Facts) -> Explanation:
    job, now = facts.job, facts.now
    ended = when(job.finished or now, now)
    kept = f" It is kept until {when(job.prune_after, now)}." if job.prune_after else ""
    attempts = f"attempt {job.attempt} of {job.max_attempts}"
    if job.state is State.SUCCEEDED:
        took = f", after {span(job.started, job.finished)}" if job.started and job.finished else ""
        return Explanation(
            code="succeeded", why=f"It is done: it succeeded {ended}{took}, in {attempts}.",
            do=f"Nothing to do; this shows its result.{kept}", command=f"dray show {job.id}",
        )  # fmt: skip
    if job.state is State.CANCELLED:
        return Explanation(
            code="cancelled", why=f"It was cancelled {ended}: {job.reason or 'no reason was given'}.",
            do=f"If it should run after all, give it a new life.{kept}", command=f"dray retry {job.id}",
        )  # fmt: skip
    word = facts.history[-1].word if facts.history else ""
    if word == "lost":
        why = f"It failed {ended}: its worker died under it {count(job.losses, 'time')}; the last error is {error_line(job.error)}."
        advice = "Find out what kills the worker (memory, a crash in a C library), then retry it."
        return Explanation(code="failed-lost", why=why, do=advice + kept, command=f"dray retry {job.id}")
    gave_up = "gave up" if job.attempt < job.max_attempts else "has no attempts left"
    cause = error_line(job.error) or job.reason or "no error is kept"
    return Explanation(
        code="failed", why=f"It failed {ended} and {gave_up}, in {attempts}: {cause}.",
        do=f"Correct the cause (`dray show` has the traceback), then retry it.{kept}", command=f"dray retry {job.id}",
    )  # fmt: skip


def _running(facts: Facts) -> Explanation:
    job, now = facts.job, facts.now
    node = next((node for node in facts.nodes if node.id == job.node), None)
    since = f"since {when(job.started, now)}" if job.started else "since just now"
    if node is None or not node.alive:
        name = "a worker that the store does not know" if node is None else f"worker {_where(node)}"
        last = "" if node is None else f", which was last heard of {ago(node.renewed, now)}"
        others = [other for other in facts.nodes if other.alive]
        do = "A live worker gives it back within seconds: wait." if others else "Start a worker: it gives the job back and runs it."
        return Explanation(
            code="worker-gone", why=f"It was started by {name}{last}; the lease has run out.", do=do,
            command=None if others else "dray worker TARGET",
        )  # fmt: skip
    why = f"It is running {since} on worker {_where(node)}, attempt {job.attempt} of {job.max_attempts}{_progress(job)}."
    also = ("The worker is stopping: the job may finish, or goes back to be run again.",) if node.stopping else ()
    if facts.cancelling is not None:
        return Explanation(
            code="cancelling", why=why, also=also, command=f"dray show {job.id} --follow",
            do=f"It has been asked to stop ({facts.cancelling}); a function in a thread stops only when it looks at "
            "current_job().cancelled.",
        )  # fmt: skip
    return Explanation(code="running", why=why, also=also, do="Watch it, or cancel it.", command=f"dray show {job.id} --follow")


def _progress(job: JobInfo) -> str:
    if not isinstance(job.progress, dict):
        return ""
    done, total, note = (job.progress.get(key) for key in ("done", "total", "note"))
    told = f"{done} of {total}" if total else f"{done} done"
    return f", {told}" + (f" ({note})" if note else "")


def _where(node: NodeInfo) -> str:
    return f"{node.name} (process {node.pid} on {node.host})"


# -- waiting


def _blocked(facts: Facts) -> Explanation:
    job = facts.job
    if job.schedule and facts.earlier:
        first = facts.earlier[-1]
        return Explanation(
            code="blocked-schedule",
            why=f"It waits for the earlier run of schedule {job.schedule} to end: job {first.id}, which is {first.state}.",
            do="See why that one takes so long.", command=f"dray explain {first.id}",
        )  # fmt: skip
    if job.schedule:
        return Explanation(
            code="blocked-schedule", why=f"It waited for the earlier run of schedule {job.schedule}, which has ended.",
            do="A live worker starts it within seconds." if _live(facts) else "No worker is alive: start one.",
            command=None if _live(facts) else "dray worker TARGET",
        )  # fmt: skip
    return Explanation(
        code="blocked", why=f"It waits for other jobs ({job.hold or 'no reason is kept'}).", do="See what they do, or cancel it.",
        command=f"dray cancel {job.id}",
    )  # fmt: skip


def _scheduled(facts: Facts) -> Explanation:
    job, now = facts.job, facts.now
    last = facts.history[-1] if facts.history else None
    due = f"It is due at {when(job.due, now)}"
    word = last.word if last else ""
    if last is not None and word == "raised":
        code = "retry"
        left = max(0, job.max_attempts - job.attempt)
        why = f"{due}: attempt {job.attempt + 1} of {job.max_attempts}, after {error_line(last.error) or 'an error'}; {left} left."
    elif last is not None and word == "snoozed":
        reason = f" ({last.reason})" if last.reason else ""
        code, why = "snoozed", f"{due}: it asked for that itself{reason}; no attempt was used up."
    elif last is not None and word == "lost":
        code = "lost"
        losses = count(job.losses, "loss", "losses")
        why = f"{due}: its worker died under it ({error_line(last.error)}); it is tried again a little later, {losses} so far."
    elif job.schedule:
        code, why = "scheduled", f"{due}: schedule {job.schedule} made it for that time."
    else:
        code, why = "delayed", f"{due}: it was enqueued {ago(job.enqueued, now)} to run then (delay or at)."
    obstacle = _obstacle(facts)
    also = [] if obstacle is None else [f"As things are it would not start then either. {obstacle.why}"]
    if job.expires is not None and job.expires <= job.due:
        also.append(f"It expires at {when(job.expires, now)}, before it is due: it will be cancelled.")
    return Explanation(code=code, why=why, do="Wait, or run it now.", command=f"dray retry {job.id}", also=tuple(also))


def _ready(facts: Facts) -> Explanation:
    job, now = facts.job, facts.now
    also: tuple[str, ...] = ()
    if job.expires is not None:
        left = f"expires at {when(job.expires, now)}" if job.expires > now else "has expired"
        also = (f"It {left}: if it has not started by then, it is cancelled.",)
    found = _obstacle(facts) or _held(facts) or _full(facts)
    if found is None:
        waited = max(0, now - job.due)
        others = (facts.queue.counts.get("ready", 0) if facts.queue else 1) - 1
        if waited < SOON:
            why = "It has just become ready, and a worker is free."
            found = Explanation(code="starting", why=why, do="Nothing: it starts in a moment.")
        elif others > 0:
            found = Explanation(
                code="queued",
                why=f"{_ready_too(others, job.queue)}; higher priority goes first (this one has {job.priority}), then what has "
                f"been due longer (this one: {ago(job.due, now)}).",
                do="Wait, or add workers or concurrency.", command="dray worker TARGET --concurrency N",
            )  # fmt: skip
        else:
            found = Explanation(
                code="not-taken",
                why=f"It has been ready for {span(job.due, now)}, and a worker that can run it is free but has not taken it.",
                do="Look at the worker's log, and let doctor look at the store.", command="dray doctor",
            )  # fmt: skip
    return Explanation(code=found.code, why=found.why, do=found.do, command=found.command, also=(*found.also, *also))


def _held(facts: Facts) -> Explanation | None:
    """A lock on the job's row, which claims pass by."""
    holder = facts.holder
    if holder is None:
        return None
    since = "" if holder.age is None else f", open for {span(0, holder.age)}"
    return Explanation(
        code="locked",
        why=f"A transaction elsewhere has locked it: that of {holder.application} (pid {holder.pid}, {holder.state}{since}). "
        "Workers pass it by meanwhile.",
        do="End that transaction; the rows of Dray's tables are Dray's to lock.",
        command=f"psql -c 'select pg_terminate_backend({holder.pid})'",
    )  # fmt: skip


def _live(facts: Facts) -> list[NodeInfo]:
    return [node for node in facts.nodes if node.alive]


def _obstacle(facts: Facts) -> Explanation | None:
    """What keeps every worker from taking the job, if anything does."""
    job, now, queue = facts.job, facts.now, facts.queue
    unreachable = _out_of_reach(facts)
    if queue is not None and queue.paused:
        by = f" by {queue.paused_by}" if queue.paused_by else ""
        why = f"Queue {job.queue} is paused{by} since {when(queue.paused, now)}."
        also = () if unreachable is None else (unreachable.why,)
        return Explanation(code="queue-paused", why=why, do="Resume the queue.", command=f"dray resume {job.queue}", also=also)
    return unreachable


def _out_of_reach(facts: Facts) -> Explanation | None:
    """Why no worker could take the job even if it looked for it now."""
    job, now = facts.job, facts.now
    live = _live(facts)
    if not live:
        gone = max(facts.nodes, key=lambda node: node.renewed, default=None)
        last = f"; the last one, {_where(gone)}, was last heard of {ago(gone.renewed, now)}" if gone else ""
        return Explanation(code="no-worker", why=f"No worker is alive{last}.", do="Start one.", command="dray worker TARGET")
    staying = [node for node in live if not node.stopping]
    if not staying:
        why = f"The only live workers ({listed(node.name for node in live)}) are stopping and take no more jobs."
        return Explanation(code="workers-stopping", why=why, do="Start another one.", command="dray worker TARGET")
    serving = [node for node in staying if serves(node, job.queue)]
    if not serving:
        served = sorted({name for node in staying for name in (info(node, "queues") or ())})
        why = f"No live worker serves queue {job.queue}; they serve {listed(served)}."
        command = f"dray worker TARGET --queues {job.queue}"
        return Explanation(code="queue-not-served", why=why, do="Start one that does, or add the queue to one.", command=command)
    able = [node for node in serving if knows(node, job.task)]
    if not able:
        return _unknown_task(facts, serving)
    if all(slots(node, job.executor) == 0 for node in able):
        why = f"It needs a slot for {job.executor} functions, and no worker that could run it has any."
        option = "--process-slots" if job.executor == "process" else "--concurrency"
        return Explanation(code="no-slots", why=why, do="Start a worker with such slots.", command=f"dray worker TARGET {option} N")
    deaf = [node for node in able if not _is_full(facts, node) and now - (node.claimed or node.entered) > DEAF]
    if len(deaf) == len(able):
        node = deaf[0]
        why = f"Worker {_where(node)} is alive but last looked for jobs {ago(node.claimed or node.entered, now)}."
        return Explanation(code="worker-deaf", why=why, do="Restart it, and look at its log: something blocks its event loop.")
    return None


def _unknown_task(facts: Facts, serving: list[NodeInfo]) -> Explanation:
    job = facts.job
    targets = sorted({str(info(node, "target")) for node in serving if info(node, "target")})
    running = f" (they run {listed(targets)})" if targets else ""
    why = f"No live worker of queue {job.queue} knows the task {job.task}{running}; the job is left for one that does."
    if facts.app_tasks is not None and job.task in facts.app_tasks:
        do = "The app's code has the task: restart the workers, so that they load it."
        return Explanation(code="task-unknown", why=why, do=do, command="dray worker TARGET")
    if facts.app_tasks is not None:
        do = "The app's code has no such task either: bring it back (@app.task(name=…) keeps an old name), or cancel the job."
        return Explanation(code="task-unknown", why=why, do=do, command=f"dray cancel {job.id}")
    do = "Start a worker with the code that has the task; if the task was renamed or removed, cancel the job."
    return Explanation(code="task-unknown", why=why, do=do, command="dray worker TARGET")


def _full(facts: Facts) -> Explanation | None:
    job, now = facts.job, facts.now
    able = [node for node in _live(facts) if not node.stopping and serves(node, job.queue) and knows(node, job.task)]
    if not able or not all(_is_full(facts, node) for node in able):
        return None
    busy = [other for other in facts.running if other.node in {node.id for node in able} and other.executor == job.executor]
    total = sum(slots(node, job.executor) or 0 for node in able)
    ahead = (facts.queue.counts.get("ready", 1) if facts.queue else 1) - 1
    others = f"; {_ready_too(ahead, job.queue)}" if ahead > 0 else ""
    longest = min((other.started for other in busy if other.started), default=None)
    oldest = f", the longest since {clock(longest, now)}" if longest else ""
    why = f"All {total} slots for {job.executor} functions are taken: {len(busy)} running{oldest}{others}."
    return Explanation(
        code="workers-busy", why=why, do="Wait, or add workers or concurrency.", command="dray jobs state:running",
    )  # fmt: skip


def _ready_too(n: int, queue: str) -> str:
    return f"{count(n, 'other job')} of queue {queue} {'is' if n == 1 else 'are'} ready too"


def _is_full(facts: Facts, node: NodeInfo) -> bool:
    room = slots(node, facts.job.executor)
    taken = sum(other.node == node.id and other.executor == facts.job.executor for other in facts.running)
    return room is not None and taken >= room
