"""`dray top`, `dray workers`, `dray errors`, `dray tasks`, `dray audit`: how things go, and who did what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dray.cli import output
from dray.cli.live import SECONDS, watch_option, watched
from dray.cli.options import app_of, app_option, looking, store_options, url_option
from dray.cli.schedules import WithDefault
from dray.cli.view import node_json, node_state, room, served
from dray.errors import ConfigurationError, UnknownWorker
from dray.wording import ago, count, iso, listed, when

if TYPE_CHECKING:
    from dray.insight import Insight
    from dray.insight.figures import ErrorGroup, TaskFigures, Times
    from dray.store.values import AuditEntry, NodeInfo

F = TypeVar("F", bound=Callable[..., Any])


@click.command()
@click.option("--interval", type=SECONDS, default="1s", show_default=True, metavar="LENGTH", help="How often to look.")
@url_option
def top(interval: float, url: str | None) -> None:
    """Watch and act, in a live window in the terminal.

    Keys: 1 to 7 for the tabs, / to search, ? for all others. Needs textual: pip install 'dray[top]'.
    """
    try:
        from dray.top.app import Top
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise ConfigurationError("`dray top` needs textual, which is not installed: pip install 'dray[top]'") from None
    if not output.on_terminal():
        raise click.UsageError("`dray top` needs a terminal; `dray status --json` is for scripts.")
    with looking(url, "top") as insight:
        Top(insight, interval).run()


# -- workers


@click.group(cls=WithDefault)
def workers() -> None:
    """List the workers, stop one, or see where its threads are."""


@workers.command("list")
@watch_option
@store_options
def list_(watch: float | None, url: str | None, as_json: bool) -> None:
    """List the workers: where, serving what, how busy."""
    with looking(url) as insight:
        if watch is None:
            _workers(insight, as_json)
        else:
            watched(watch, as_json, insight, _workers)


def _workers(insight: Insight, as_json: bool = False) -> None:
    from dray.facts import store_now

    nodes, now = insight.workers(), store_now(insight.store)
    if as_json:
        output.emit([node_json(node) for node in nodes])
        return
    if not nodes:
        output.say("No worker is alive; start one: dray worker TARGET")
    rows = [
        (
            node.name, node.host, node.pid, node_state(node), node.running, room(node), served(node), ago(node.entered, now),
            ago(node.claimed, now) if node.claimed else "never", node.id,
        )
        for node in nodes
    ]  # fmt: skip
    output.table(
        ("worker", "host", "pid", "state", "running", "slots", "queues", "since", "looked", "id"), rows,
        right=("pid", "running", "id"),
    )  # fmt: skip


@workers.command()
@click.argument("worker", metavar="WORKER")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@store_options
def stop(worker: str, yes: bool, url: str | None, as_json: bool) -> int:
    """Ask WORKER, a name or an id, to stop as TERM would.

    It takes no more jobs; what runs may end within the grace, and is given back otherwise.
    """
    with looking(url) as insight:
        node = the_worker(insight.workers(), worker)
        if not output.confirm(f"Stop worker {node.name} (process {node.pid}), with {count(node.running, 'job')} running?", yes):
            output.say("Nothing was changed.")
            return 1
        insight.ask_worker(node.id, "stop")
    if as_json:
        output.emit({"id": node.id, "name": node.name, "asked": "stop"})
    else:
        click.echo(f"Worker {node.name} (process {node.pid}) is asked to stop; `dray workers` shows when it is gone.")
    return 0


@workers.command()
@click.argument("worker", metavar="WORKER")
@store_options
def dump(worker: str, url: str | None, as_json: bool) -> int:
    """Show where each thread and coroutine of WORKER is.

    WORKER is a name or an id. Exits with 1 if it does not answer.
    """
    from dray.top.acts import dump as ask

    with looking(url) as insight:
        node = the_worker(insight.workers(), worker)
        text = ask(insight, node)
    if text is None:
        output.say(f"Worker {node.name} (process {node.pid}) has not answered: something blocks its event loop, or it is gone.")
        return 1
    output.emit({"id": node.id, "name": node.name, "dump": text}) if as_json else click.echo(text)
    return 0


def the_worker(nodes: list[NodeInfo], given: str) -> NodeInfo:
    """The one that is meant by a name or an id: of several with the same name the one that is alive. Raises UnknownWorker."""
    found = [node for node in nodes if str(node.id) == given] or [node for node in nodes if node.name == given]
    alive = [node for node in found if node.alive]
    if len(alive) == 1:
        return alive[0]
    if alive:
        raise UnknownWorker(f"There are several workers {given!r}: give an id ({listed(str(node.id) for node in alive)}).")
    if found:
        raise UnknownWorker(f"Worker {given!r} is gone already.")
    raise UnknownWorker(f"There is no worker {given!r}; `dray workers` lists them.")


# -- how things go


def since_option(default: str) -> Callable[[F], F]:
    """`--since`."""
    return click.option(
        "--since", type=SECONDS, default=default, show_default=True, metavar="LENGTH", help="How far to look back, up to 35 days.",
    )  # fmt: skip


@click.command()
@click.option("--task", metavar="NAME", help="Only errors of this task.")
@since_option("24h")
@store_options
def errors(task: str | None, since: float, url: str | None, as_json: bool) -> None:
    """Show what was raised, grouped by task, type and place.

    `dray jobs fingerprint:…` lists the jobs of a group, `dray retry --filter` retries them.
    """
    from dray.facts import store_now

    with looking(url) as insight:
        groups, now = insight.errors(since / 3600, task=task), store_now(insight.store)
    if as_json:
        output.emit([_error_json(group) for group in groups])
        return
    if not groups:
        output.say(f"Nothing was raised in the last {_length(since)}.")
    rows = [
        (
            group.fingerprint, group.task, f"{group.times:,}", (f"{group.final:,}", "red" if group.final else "dim"),
            ago(group.last, now), (f"{group.type}: {group.message}", "red"),
        )
        for group in groups
    ]  # fmt: skip
    output.table(("fingerprint", "task", "runs", "failed", "last", "error"), rows, wide=("error",), right=("runs", "failed"))


def _error_json(group: ErrorGroup) -> dict[str, Any]:
    return {
        "fingerprint": group.fingerprint, "task": group.task, "type": group.type, "message": group.message, "runs": group.times,
        "failed": group.final, "first": iso(group.first), "last": iso(group.last), "job": group.job, "trend": group.trend,
    }  # fmt: skip


def _length(seconds: float) -> str:
    from dray.model.duration import human

    return human(seconds)


@click.command()
@since_option("1h")
@app_option
@store_options
def tasks(since: float, app: str | None, url: str | None, as_json: bool) -> None:
    """Show how the tasks do: outcomes, times, who knows them.

    Those that ran, and those that live workers know. With --app (or DRAY_APP) also those that the code has.
    """
    code = app_of(app)
    with looking(url) as insight:
        found = insight.tasks(since / 3600, known=() if code is None else tuple(code.tasks))
    if as_json:
        output.emit([_task_json(task) for task in found])
        return
    if not found:
        output.say(f"No task has run in the last {_length(since)}, and no worker knows any.")
    from dray.top.words import part, took

    rows = [
        (
            task.name, f"{task.work.finished:,}", (part(task.failing), "red" if task.failing else "dim"), took(task.run.p50),
            took(task.run.p95), took(task.wait.p50), took(task.wait.p95),
            (task.workers, "" if task.workers else "yellow"), ", ".join(task.queues),
        )
        for task in found
    ]  # fmt: skip
    columns = ("task", "done", "failing", "run p50", "run p95", "wait p50", "wait p95", "workers", "queues")
    output.table(columns, rows, right=columns[1:8])


def _task_json(task: TaskFigures) -> dict[str, Any]:
    work = task.work
    return {
        "task": task.name, "queues": list(task.queues), "finished": work.finished, "succeeded": work.succeeded,
        "failed": work.failed, "cancelled": work.cancelled, "retried": work.retried, "lost": work.lost,
        "failing": round(task.failing, 6), "run": _times_json(task.run), "wait": _times_json(task.wait), "workers": task.workers,
        "trend": task.trend,
    }  # fmt: skip


def _times_json(times: Times) -> dict[str, float | None]:
    return {"p50": times.p50, "p95": times.p95, "p99": times.p99, "mean": times.mean}


# -- who did what


@click.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N", help="How many to show.")
@click.option("--before", type=int, metavar="NUMBER", help="The page after one that ended with this number.")
@store_options
def audit(limit: int, before: int | None, url: str | None, as_json: bool) -> None:
    """Show what operators did, the newest first."""
    from dray.facts import store_now

    with looking(url) as insight:
        entries, now = insight.audits(before, limit), store_now(insight.store)
    following = entries[-1].number if len(entries) == limit else None
    if as_json:
        output.emit({"entries": [_audit_json(entry) for entry in entries], "next": following})
        return
    if not entries:
        output.say("Nobody has done anything yet." if before is None else "There is nothing before that.")
    rows = [(when(entry.at, now), entry.by, entry.via, entry.action, entry.target, (entry.detail, "dim")) for entry in entries]
    output.table(("when", "who", "by way of", "did", "to", "and"), rows, wide=("to", "and"))
    if following is not None:
        output.say(f"There may be more: add --before {following}.", "bright_black")


def _audit_json(entry: AuditEntry) -> dict[str, Any]:
    return {
        "number": entry.number, "at": iso(entry.at), "by": entry.by, "via": entry.via, "action": entry.action,
        "target": entry.target, "detail": entry.detail,
    }  # fmt: skip


COMMANDS = (top, workers, tasks, errors, audit)
