"""What the keys of `dray top` do to jobs, queues, workers and schedules: each gives a sentence that says what came of it.

All of it blocks, and raises StoreError.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from dray.insight import Insight
from dray.insight.act import Action
from dray.store.values import NodeInfo, QueueInfo, ScheduleRow
from dray.wording import count, listed

GOOD = {"retry": ("ready", "retried"), "cancel": ("cancelled", "cancelled"), "delete": ("deleted", "deleted")}
PATIENCE = 20.0  # seconds in which a worker is to answer


def on_jobs(insight: Insight, verb: Action, ids: Sequence[str]) -> str:
    """Retry, cancel or delete jobs."""
    return told(verb, Counter(getattr(insight, verb)(ids).values()))


def on_all(insight: Insight, verb: Action, searches: Sequence[str], report: Callable[[str], None]) -> str:
    """The same with all jobs that match any of some searches, in small transactions; reports how far it is."""
    answers: Counter[str] = Counter()

    def progress(done: int, matched: int) -> None:
        report(f"{done:,} of {count(matched, 'job')} …")

    for search in searches:
        answers.update(insight.bulk(search, verb, progress=progress).answers)
    return told(verb, answers)


def told(verb: str, answers: Mapping[str, int]) -> str:
    """What came of it: "11 jobs retried. 1 job not: it is running."."""
    good, done = GOOD[verb]
    left = dict(answers)
    parts = []
    if n := left.pop(good, 0):
        parts.append(f"{count(n, 'job')} {done}.")
    if n := left.pop("asked", 0):
        parts.append(f"{count(n, 'running job')} asked to stop.")
    for answer, n in left.items():
        reason = {"unknown": "not kept any more", "final": "over already"}.get(answer, answer)
        parts.append(f"{count(n, 'job')} not {done}: {'it is' if n == 1 else 'they are'} {reason}.")
    return " ".join(parts) or "Nothing was there to be done."


def flip_queues(insight: Insight, queues: Sequence[QueueInfo]) -> str:
    """Pause queues; if all of them are paused, resume them."""
    names = [queue.name for queue in queues]
    if all(queue.paused is not None for queue in queues):
        for name in names:
            insight.resume(name)
        return f"Resumed: {listed(names)}."
    for queue in queues:
        if queue.paused is None:
            insight.pause(queue.name)
    return f"Paused: {listed(names)}; what runs goes on. p again resumes."


def flip_schedules(insight: Insight, rows: Sequence[ScheduleRow]) -> str:
    """Pause schedules; if all of them are paused, resume them."""
    names = [row.name for row in rows]
    if all(row.paused is not None for row in rows):
        for name in names:
            insight.resume_schedule(name)
        return f"Resumed: {listed(names)}; what fell into the pause is not made up for."
    for row in rows:
        if row.paused is None:
            insight.pause_schedule(row.name)
    return f"Paused: {listed(names)}. p again resumes."


def run_schedules(insight: Insight, names: Sequence[str]) -> str:
    """Enqueue the jobs of schedules now."""
    ids = [insight.run_schedule(name) for name in names]
    return f"{count(len(ids), 'job')} enqueued: {listed(id[:13] for id in ids)}."


def remove_schedules(insight: Insight, rows: Sequence[ScheduleRow]) -> str:
    """Forget schedules."""
    for row in rows:
        insight.remove_schedule(row.name)
    coded = [row.name for row in rows if row.origin == "code"]
    again = f" Those of the code ({listed(coded)}) come back with the next start of a worker." if coded else ""
    return f"Removed: {listed(row.name for row in rows)}.{again}"


def stop_workers(insight: Insight, nodes: Sequence[NodeInfo]) -> str:
    """Ask worker processes to stop as TERM would."""
    for node in nodes:
        insight.ask_worker(node.id, "stop")
    return f"Asked to stop: {listed(node.name for node in nodes)}; what runs may end within the grace."


def dump(insight: Insight, node: NodeInfo) -> str | None:
    """Where each thread and coroutine of a worker process is; None if it has not answered within some seconds."""
    before = insight.worker_said(node.id)
    insight.ask_worker(node.id, "dump")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        said = insight.worker_said(node.id)
        if said is not None and said != before:
            return said[1]
        time.sleep(0.2)
    return None
