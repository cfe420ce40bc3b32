"""`dray status`, `dray queues`, `dray pause`, `dray resume`: how things are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from dray.cli import output
from dray.cli.live import watch_option, watched
from dray.cli.options import complete_queue, looking, store_options
from dray.cli.view import STATES, queue_json, room
from dray.store.values import NodeInfo, QueueInfo
from dray.wording import ago, count, iso, span

if TYPE_CHECKING:
    from dray.insight import Insight


@click.command()
@watch_option
@store_options
def status(watch: float | None, url: str | None, as_json: bool) -> None:
    """Show how things are: jobs, queues, workers, schedules."""
    with looking(url) as insight:
        if watch is None:
            _status(insight, as_json)
        else:
            watched(watch, as_json, insight, _status)


def _status(insight: Insight, as_json: bool = False) -> None:
    found = insight.overview()
    queues, nodes, schedules, now = found.queues, found.workers, found.schedules, found.now
    where = insight.store.where
    totals = {state: sum(queue.counts.get(state, 0) for queue in queues) for state in STATES}
    alive = [node for node in nodes if node.alive]
    upcoming = min((row for row in schedules if not row.paused), key=lambda row: row.next, default=None)
    sentence, style = _health(totals, alive, queues, now)
    if as_json:
        output.emit({
            "store": where, "health": sentence, "counts": totals, "queues": [queue_json(queue) for queue in queues],
            "workers": {"alive": len(alive), "gone": len(nodes) - len(alive), "running": sum(node.running for node in nodes)},
            "schedules": {"count": len(schedules), "next": iso(upcoming.next) if upcoming else None},
        })  # fmt: skip
        return
    click.echo(click.style(sentence, fg=style))
    click.echo()
    slots = f", {room(alive[0])}" if len(alive) == 1 else ""
    output.pairs([
        ("store", where),
        ("workers", f"{len(alive)} alive{slots}" + (f", {len(nodes) - len(alive)} gone" if len(nodes) > len(alive) else "")),
        ("schedules", f"{len(schedules)}, next {upcoming.name} {ago(upcoming.next, now)}" if upcoming else str(len(schedules))),
    ])  # fmt: skip
    if queues:
        click.echo()
        _table(queues, now)


def _health(totals: dict[str, int], alive: list[NodeInfo], queues: list[QueueInfo], now: int) -> tuple[str, str]:
    waiting = totals["ready"] + totals["scheduled"]
    if waiting and not alive:
        jobs = "job waits" if waiting == 1 else "jobs wait"
        return f"Nobody works: {waiting:,} {jobs}, and no worker is alive. Start one: dray worker TARGET", "red"
    paused = [queue.name for queue in queues if queue.paused and queue.counts.get("ready")]
    if paused:
        return f"Paused: {', '.join(paused)}. Resume with: dray resume {paused[0]}", "yellow"
    told = f"{totals['running']:,} running, {totals['ready']:,} ready, {totals['scheduled']:,} scheduled"
    if totals["failed"]:
        return f"{told}; {totals['failed']:,} failed: dray jobs state:failed", "yellow"
    return (f"All well: {told}." if alive else f"At rest: no jobs wait, and no worker is alive ({told})."), "green"


@click.command()
@watch_option
@store_options
def queues(watch: float | None, url: str | None, as_json: bool) -> None:
    """List the queues with their jobs by state."""
    with looking(url) as insight:
        if watch is None:
            _queues(insight, as_json)
        else:
            watched(watch, as_json, insight, _queues)


def _queues(insight: Insight, as_json: bool = False) -> None:
    from dray.facts import store_now

    found = insight.queues()
    if as_json:
        output.emit([queue_json(queue) for queue in found])
        return
    if not found:
        output.say("There are no queues: no job has been enqueued yet.")
    _table(found, store_now(insight.store))


def _table(found: list[QueueInfo], now: int) -> None:
    used = Counter[str]()
    for queue in found:
        used.update(queue.counts)
    states = [state for state in STATES if used[state] or state in ("ready", "running", "succeeded", "failed")]
    rows = [
        (
            queue.name, *(_number(queue.counts.get(state, 0), state) for state in states),
            span(queue.oldest_ready, now) if queue.oldest_ready else "", (_paused(queue, now), "yellow"),
        )
        for queue in found
    ]  # fmt: skip
    output.table(("queue", *states, "oldest", "paused"), rows, right=(*states, "oldest"))


def _number(n: int, state: str) -> tuple[str, str]:
    return f"{n:,}", output.STATE_STYLES[state] if n else "dim"


def _paused(queue: QueueInfo, now: int) -> str:
    if not queue.paused:
        return ""
    return f"{ago(queue.paused, now)}{f' by {queue.paused_by}' if queue.paused_by else ''}"


@click.command()
@click.argument("queue", shell_complete=complete_queue)
@store_options
def pause(queue: str, url: str | None, as_json: bool) -> None:
    """Start nothing of QUEUE for now; what runs goes on."""
    with looking(url) as insight:
        known = any(found.name == queue for found in insight.queues())
        insight.pause(queue)
        waiting = next((found.counts.get("ready", 0) for found in insight.queues() if found.name == queue), 0)
    if as_json:
        output.emit({"queue": queue, "paused": True, "by": insight.by})
        return
    click.echo(f"Queue {queue} is paused, with {count(waiting, 'ready job')}; `dray resume {queue}` lets it go on.")
    if not known:
        output.say("No job has named this queue yet.", "yellow")


@click.command()
@click.argument("queue", shell_complete=complete_queue)
@store_options
def resume(queue: str, url: str | None, as_json: bool) -> None:
    """Let the jobs of QUEUE start again."""
    with looking(url) as insight:
        was = insight.resume(queue)
    if as_json:
        output.emit({"queue": queue, "paused": False, "was_paused": was})
        return
    click.echo(f"Queue {queue} goes on." if was else f"Queue {queue} was not paused.")


COMMANDS = (status, queues, pause, resume)
