"""What the tables of `dray top` have in their rows: pure, from what was looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from dray.facts import info, serves
from dray.insight.figures import ErrorGroup, TaskFigures, WorkerUse
from dray.model.clock import SECOND
from dray.model.job import JobInfo
from dray.store.values import NodeInfo, QueueInfo, ScheduleRow
from dray.top.table import Column, Row
from dray.top.words import line, moment, number, part, remark, spark, state_text, took, worker_text
from dray.wording import ago, short, size

TREND = 12  # cells of a small line

QUEUE_COLUMNS = (
    Column("queue", wide=True), Column("state"), Column("ready", right=True), Column("running", right=True),
    Column("scheduled", right=True, above=76), Column("waiting", right=True, above=100), Column("failed", right=True),
    Column("succeeded", right=True, above=90), Column("oldest", right=True), Column("workers", right=True, above=76),
)  # fmt: skip
JOB_COLUMNS = (
    Column("id"), Column("state"), Column("task", wide=True), Column("queue", wide=True, above=90),
    Column("tries", right=True, above=60), Column("when"), Column("note", wide=True, above=100),
)  # fmt: skip
WORKER_COLUMNS = (
    Column("worker", wide=True), Column("state"), Column("host", wide=True, above=90), Column("pid", right=True, above=60),
    Column("busy", right=True), Column("cores", right=True), Column("memory", right=True), Column("cores, 1 h", above=100),
    Column("queues", wide=True, above=76), Column("since", above=110), Column("looked"),
)  # fmt: skip
SCHEDULE_COLUMNS = (
    Column("schedule", wide=True), Column("state"), Column("when", wide=True), Column("zone", above=110),
    Column("task", wide=True, above=90), Column("next"), Column("last", above=60), Column("missed", right=True, above=76),
)  # fmt: skip
ERROR_COLUMNS = (
    Column("task", wide=True), Column("error", wide=True), Column("runs", right=True), Column("failed", right=True),
    Column("24 h", above=90), Column("first", above=110), Column("last"),
)  # fmt: skip
TASK_COLUMNS = (
    Column("task", wide=True), Column("done", right=True), Column("failing", right=True), Column("run p50", right=True, above=90),
    Column("run p95", right=True), Column("wait p50", right=True, above=100), Column("wait p95", right=True, above=70),
    Column("1 h", above=90), Column("workers", right=True, above=60), Column("queues", wide=True, above=110),
)  # fmt: skip


def queue_rows(queues: Sequence[QueueInfo], nodes: Sequence[NodeInfo], now: int) -> list[Row]:
    """Queues by name."""
    rows = []
    for queue in sorted(queues, key=lambda one: one.name):
        n = queue.counts.get
        serving = sum(node.alive and not node.stopping and serves(node, queue.name) for node in nodes)
        waited = "" if queue.oldest_ready is None else short(max(0, now - queue.oldest_ready) / SECOND)
        alone = bool(n("ready")) and not serving
        rows.append(Row(queue.name, (
            line(queue.name), _queue_state(queue), number(n("ready", 0), "cyan"), number(n("running", 0), "yellow"),
            number(n("scheduled", 0), "blue"), number(n("blocked", 0) + n("sleeping", 0), "magenta"), number(n("failed", 0), "red"),
            number(n("succeeded", 0), "green"), waited, Text("none!" if alone else str(serving), style="bold red" if alone else ""),
        )))  # fmt: skip
    return rows


def _queue_state(queue: QueueInfo) -> Text:
    if queue.paused is None:
        return Text("● open", style="green")
    return Text(f"‖ paused{f' by {line(queue.paused_by, 30)}' if queue.paused_by else ''}", style="yellow")


def job_rows(jobs: Sequence[JobInfo], now: int) -> list[Row]:
    """Jobs as they come."""
    digits = _digits([job.id for job in jobs])
    rows = []
    for job in jobs:
        rows.append(Row(job.id, (
            job.id[:digits], state_text(str(job.state)), line(job.task), line(job.queue), f"{job.attempt}/{job.max_attempts}",
            moment(job, now), Text(line(remark(job)), style="dim"),
        )))  # fmt: skip
    return rows


def _digits(ids: Sequence[str]) -> int:
    """How much of these ids tells them apart."""
    return next((digits for digits in (8, 13, 18, 23) if len({id[:digits] for id in ids}) == len(ids)), 36)


def worker_rows(nodes: Sequence[NodeInfo], use: Mapping[int, WorkerUse], now: int) -> list[Row]:
    """Workers: those alive first, then by name."""
    rows = []
    for node in sorted(nodes, key=lambda one: (not one.alive, one.name, one.id)):
        used = use.get(node.id)
        slots = sum((info(node, "slots") or {}).values()) or (used.slots if used else 0)
        queues, busy = info(node, "queues"), f"{node.running}/{slots}" if slots else str(node.running)
        rows.append(Row(str(node.id), (
            line(node.name), worker_text(node), line(node.host), str(node.pid), busy,
            f"{used.cpu:.2f}" if used else "–", size(used.memory) if used else "–", spark(used.trend if used else (), TREND),
            "all" if queues is None else line(", ".join(queues)), ago(node.entered, now),
            ago(node.claimed, now) if node.claimed else "never",
        )))  # fmt: skip
    return rows


def schedule_rows(schedules: Sequence[ScheduleRow], now: int) -> list[Row]:
    """Schedules: the next first, paused ones last."""
    rows = []
    for row in sorted(schedules, key=lambda one: (one.paused is not None, one.next, one.name)):
        rows.append(Row(row.name, (
            line(row.name), Text("● on", style="green") if row.paused is None else Text("‖ paused", style="yellow"),
            line(row.spec), line(row.tz), line(row.task), "–" if row.paused else ago(row.next, now),
            ago(row.fired, now) if row.fired else "never", number(row.missed, "yellow"),
        )))  # fmt: skip
    return rows


def error_rows(groups: Sequence[ErrorGroup], now: int) -> list[Row]:
    """Errors in the order in which they come: the worst first. The key is task and fingerprint."""
    rows = []
    for group in groups:
        rows.append(Row(f"{group.task}\t{group.fingerprint}", (
            line(group.task), Text(line(f"{group.type}: {group.message}"), style="red"), number(group.times),
            number(group.final, "red"), spark(group.trend, TREND), ago(group.first, now), ago(group.last, now),
        )))  # fmt: skip
    return rows


def task_rows(tasks: Sequence[TaskFigures]) -> list[Row]:
    """Tasks: the busiest first."""
    rows = []
    for task in sorted(tasks, key=lambda one: (-one.work.finished, one.name)):
        known = str(task.workers) if task.workers else "none"
        rows.append(Row(task.name, (
            line(task.name), number(task.work.finished), Text(part(task.failing), style="red" if task.failing else "dim"),
            took(task.run.p50), took(task.run.p95), took(task.wait.p50), took(task.wait.p95), spark(task.trend, TREND),
            Text(known, style="" if task.workers else "yellow"), line(", ".join(task.queues)),
        )))  # fmt: skip
    return rows
