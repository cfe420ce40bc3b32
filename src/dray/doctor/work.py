"""What goes on in the store: workers, queues, waiting jobs, schedules, counters, clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from msgspec import Struct

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.schedules import examine_schedules
from dray.facts import DEAF, info, knows, serves, slots, store_now
from dray.insight import Insight
from dray.model.clock import SECOND
from dray.model.job import JobInfo, State
from dray.store.plan import Plan, reads
from dray.store.values import Filter, NodeInfo, QueueInfo
from dray.wording import ago, count, listed, span, when

LOOKED_AT = 1000  # waiting jobs whose tasks are compared with what the workers know
LATE = 60 * SECOND
VERY_LATE = 600 * SECOND
LOOKS = 4
AHEAD = 60 * SECOND  # how far in the future a past event may lie before the clock is doubted


class Scene(Struct, frozen=True, kw_only=True):
    """What the checks look at."""

    now: int
    nodes: list[NodeInfo]
    queues: list[QueueInfo]
    waiting: list[JobInfo]
    newest: JobInfo | None
    app_tasks: Collection[str] | None

    @property
    def live(self) -> list[NodeInfo]:
        """The workers that take jobs."""
        return [node for node in self.nodes if node.alive and not node.stopping]

    def total(self, state: State) -> int:
        """How many jobs are in a state."""
        return sum(queue.counts.get(state, 0) for queue in self.queues)


def examine_work(insight: Insight, *, app_tasks: Collection[str] | None = None, deep: bool = False) -> list[Finding]:
    """The findings. Raises StoreError."""
    store = insight.store
    newest = insight.jobs(limit=1).jobs
    scene = Scene(
        now=store_now(store), nodes=insight.workers(), queues=insight.queues(), newest=newest[0] if newest else None,
        waiting=insight.jobs(Filter(states=frozenset({State.READY, State.SCHEDULED})), limit=LOOKED_AT).jobs,
        app_tasks=app_tasks,
    )  # fmt: skip
    schedules = store.run(store.plans.schedules)
    found = [*_workers(scene, bool(schedules)), *_queues(scene), _tasks(scene), _oldest(scene), _failed(scene), _clock(scene)]
    found += examine_schedules(schedules, scene.now, scene.live, app_tasks)
    if deep:
        found.append(_counters(insight))
    return found


def _workers(scene: Scene, has_schedules: bool) -> list[Finding]:
    found = []
    alive = [node for node in scene.nodes if node.alive]
    waiting = scene.total(State.READY) + scene.total(State.SCHEDULED)
    if alive:
        room = sum(slots(node, kind) or 0 for node in alive for kind in ("async", "thread", "process"))
        found.append(ok("workers", f"{count(len(alive), 'worker')} alive, with {count(room, 'slot')}."))
    elif waiting or has_schedules:
        what = f"{count(waiting, 'job')} waiting" if waiting else "schedules to fire"
        found.append(wrong("workers", f"No worker is alive, with {what}.", "Start one.", "dray worker TARGET"))
    else:
        found.append(note("workers", "No worker is alive; nothing waits for one.", "Start one.", "dray worker TARGET"))
    found += [_expired(scene, node, bool(alive)) for node in scene.nodes if not node.alive]
    found += [_deaf(scene, node) for node in scene.live if _is_deaf(node, scene.now)]
    versions = {str(info(node, "version")) for node in alive if info(node, "version")}
    if len(versions) > 1:
        message = f"The live workers run different versions of Dray: {listed(sorted(versions))}."
        found.append(note("worker-versions", message, "Restart the older ones after an upgrade."))
    return found


def _expired(scene: Scene, node: NodeInfo, others: bool) -> Finding:
    held = f" with {count(node.running, 'running job')}" if node.running else ""
    message = f"Worker {node.name} (process {node.pid} on {node.host}) is gone{held}: last heard of {ago(node.renewed, scene.now)}."
    if not others:
        return wrong("worker-expired", message, "Start a worker: it gives the jobs back and runs them.", "dray worker TARGET")
    if scene.now - node.renewed < LATE:
        return note("worker-expired", message, "A live worker gives its jobs back within seconds.")
    return wrong(
        "worker-expired", message, "The live workers should have given its jobs back: restart them, and look at their logs.",
    )


def _is_deaf(node: NodeInfo, now: int) -> bool:
    room = [slots(node, kind) for kind in ("async", "thread", "process")]
    full = all(value is not None for value in room) and node.running >= sum(value or 0 for value in room)
    return not full and now - (node.claimed or node.entered) > DEAF


def _deaf(scene: Scene, node: NodeInfo) -> Finding:
    looked = ago(node.claimed, scene.now) if node.claimed else "never"
    return wrong(
        "worker-deaf", f"Worker {node.name} (process {node.pid}) is alive but last looked for jobs {looked}.",
        "Something blocks its event loop; its log names it. Restart it.",
    )  # fmt: skip


def _queues(scene: Scene) -> list[Finding]:
    found = []
    for queue in scene.queues:
        ready = queue.counts.get(State.READY, 0)
        if queue.paused and ready:
            by = f" by {queue.paused_by}" if queue.paused_by else ""
            message = f"Queue {queue.name} is paused{by} since {when(queue.paused, scene.now)}, with {count(ready, 'ready job')}."
            found.append(note("queue-paused", message, "Resume it when it should go on.", f"dray resume {queue.name}"))
        elif ready and scene.live and not any(serves(node, queue.name) for node in scene.live):
            message = f"Queue {queue.name} has {count(ready, 'ready job')} and no live worker serves it."
            fix, command = "Start a worker that does.", f"dray worker TARGET --queues {queue.name}"
            found.append(wrong("queue-not-served", message, fix, command))
    return found or [ok("queues", "Every queue with ready jobs is served.")] if scene.live else found


def _tasks(scene: Scene) -> Finding:
    """Jobs of tasks that nobody knows are left, not burnt; they would wait for ever."""
    unknown: Counter[str] = Counter()
    for job in scene.waiting:
        served = [node for node in scene.live if serves(node, job.queue)]
        lost = served and not any(knows(node, job.task) for node in served)
        if lost or (scene.app_tasks is not None and job.task not in scene.app_tasks):
            unknown[job.task] += 1
    if not unknown:
        asked = scene.live or scene.app_tasks is not None
        return ok("tasks", "Every waiting job's task is known." if asked else "No live worker says which tasks it knows.")
    names = listed(f"{name} ({count(n, 'job')})" for name, n in unknown.most_common())
    task = next(iter(unknown))
    fix = "Start a worker with the code that has it; or, if the task was renamed or removed, cancel its jobs."
    return wrong("tasks", f"Jobs wait for tasks that nobody knows: {names}.", fix, f"dray cancel --filter 'task:{task}'")


def _oldest(scene: Scene) -> Finding:
    ready = [(queue.oldest_ready, queue.name) for queue in scene.queues if queue.oldest_ready is not None and not queue.paused]
    if not ready:
        return ok("oldest-ready", "No job is waiting for a worker.")
    due, name = min(ready)
    message = f"The oldest ready job (queue {name}) has waited for {span(due, scene.now)}."
    if scene.now - due > VERY_LATE:
        fix = "Ask explain about it, and add workers or concurrency if there are too few."
        return wrong("oldest-ready", message, fix, f"dray jobs state:ready queue:{name}")
    if scene.now - due > LATE:
        return note("oldest-ready", message, "Add workers or concurrency if it goes on so.", f"dray jobs state:ready queue:{name}")
    return ok("oldest-ready", message)


def _failed(scene: Scene) -> Finding:
    failed = scene.total(State.FAILED)
    if failed:
        message = f"{count(failed, 'failed job')} {'is' if failed == 1 else 'are'} kept."
        return note("failed", message, "Look why.", "dray jobs state:failed")
    return ok("failed", "No failed jobs are kept.")


def _clock(scene: Scene) -> Finding:
    """All times are of one clock, the server's if there is one: if it steps back, everything waits until it has caught up."""
    past = [node.renewed for node in scene.nodes] + ([scene.newest.enqueued] if scene.newest else [])
    ahead = max(past, default=scene.now) - scene.now
    if ahead > AHEAD:
        message = f"The newest events lie {span(scene.now, scene.now + ahead)} in the future: the clock was set back."
        return wrong(
            "clock", message, "Correct the clock (chrony or systemd-timesyncd keep it right), or wait until it has caught up.",
        )
    return ok("clock", "The clock agrees with what the store has seen.")


def _counters(insight: Insight) -> Finding:
    plans = insight.store.plans

    @reads
    def both() -> Plan[tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]]:
        # On SQLite one transaction sees one state. Elsewhere jobs may move between the two questions.
        kept = yield from plans.counts()
        counted = yield from plans.recount()
        return kept, counted

    lasting: set[tuple[str, str, int]] | None = None
    for _ in range(LOOKS):  # a wrong counter is wrong by as much each time; what is under way is not
        kept, counted = insight.store.run(both)
        off = {
            (queue, state, kept.get(queue, {}).get(state, 0) - counted.get(queue, {}).get(state, 0))
            for queue in {*kept, *counted} for state in {*kept.get(queue, {}), *counted.get(queue, {})}
        }  # fmt: skip
        lasting = {one for one in off if one[2]} & (off if lasting is None else lasting)
        if not lasting:
            return ok("counters", "The kept counters equal a recount.")
    queues = sorted({queue for queue, _, _ in lasting or ()})
    fix = "This is a bug of Dray: please report it, with the output of this command. The jobs themselves are not affected."
    return wrong(
        "counters", f"The kept counters of {listed(queues)} differ from a recount: {kept} is kept, {counted} is there.", fix,
    )
