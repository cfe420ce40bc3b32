"""One job's whole story, for `dray show`: once, or until it ends."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from dray.cli import output
from dray.cli.view import job_json, log_json, progress_text, run_json
from dray.facts import store_now
from dray.model.job import JobInfo, State
from dray.store.values import LogLine, RunRecord
from dray.wording import ago, clock, error_line, readable, span, when

if TYPE_CHECKING:
    from dray.insight import Insight

LOOK_EVERY = 0.1  # seconds; what is looked at is only whether anybody has written
LEVELS = {"debug": "bright_black", "warning": "yellow", "error": "red", "critical": "red"}
BAR = 30


def as_json(insight: Insight, id: str) -> dict[str, Any]:
    """All of it for programs."""
    return {
        **job_json(insight.job(id)),
        "history": [run_json(run) for run in insight.history(id)],
        "logs": [log_json(line) for line in insight.logs(id)],
    }


def tell(insight: Insight, id: str) -> None:
    """All of it for people."""
    job, history, logs = insight.job(id), insight.history(id), insight.logs(id)
    now = store_now(insight.store)
    names = {node.id: node.name for node in insight.workers()}
    _head(job, now)
    _timeline(job, history, now, names)
    if job.args not in (None, {}):
        output.heading("Arguments")
        _tree(job.args)
    if job.result is not None:
        output.heading("Result")
        _tree(readable(job.result))
    if job.error is not None and job.state is not State.SUCCEEDED:
        _error(job)
    if logs:
        output.heading("Log")
        for line in logs:
            _log(line, now)


def _head(job: JobInfo, now: int) -> None:
    state, style = output.state_cell(job.state)
    click.echo(f"{click.style(job.task, bold=True)}  {click.style(state, fg=style)}")
    options = {**(job.options or {})} if isinstance(job.options, dict) else {}
    output.pairs([
        ("id", job.id),
        ("queue", job.queue + (f", priority {job.priority}" if job.priority else "")),
        ("attempt", f"{job.attempt} of {job.max_attempts}" + (f", {job.losses} lost with their worker" if job.losses else "")),
        ("runs", {"async": "as a coroutine", "thread": "in a thread", "process": "in a child process"}[job.executor]),
        ("tags", ", ".join(job.tags)),
        ("options", ", ".join(f"{name} {value}" for name, value in options.items())),
        ("schedule", job.schedule or ""),
        ("enqueued by", job.parent or ""),
        ("due", when(job.due, now) if job.state in (State.SCHEDULED, State.READY) else ""),
        ("expires", when(job.expires, now) if job.expires and not job.state.final else ""),
        ("reason", job.reason or ""),
        ("kept until", when(job.prune_after, now) if job.prune_after else ""),
        ("progress", _bar(job.progress) if isinstance(job.progress, dict) and job.state is not State.SUCCEEDED else ""),
    ])  # fmt: skip


def _bar(progress: dict[str, Any]) -> str:
    done, total = progress.get("done") or 0, progress.get("total")
    if not total:
        return progress_text(progress)
    filled = round(BAR * min(1.0, max(0.0, done / total)))
    return f"{'█' * filled}{'░' * (BAR - filled)} {progress_text(progress)}"


def _timeline(job: JobInfo, history: list[RunRecord], now: int, names: dict[int, str]) -> None:
    output.heading("Timeline")
    _event(job.enqueued, now, "enqueued", "")
    for run in history:
        took = f" after {span(run.started, run.finished)}" if run.started else ""
        where = f" on {names.get(run.node, f'worker {run.node}')}" if run.node is not None else ""
        told = run.reason or error_line(run.error)
        style = {"raised": "red", "failed": "red", "lost": "red", "returned": "green"}.get(run.word, "yellow")
        _event(run.finished, now, run.word, f"attempt {run.attempt}{took}{where}{f': {told}' if told else ''}", style)
    seen = {run.claim for run in history}
    where = f" on {names.get(job.node, f'worker {job.node}')}" if job.node is not None else ""
    if job.state is State.RUNNING:
        since = job.started or now
        _event(since, now, "running", f"attempt {job.attempt}, for {span(since, now)} so far{where}", "yellow")
    elif job.state is State.SCHEDULED:
        _event(job.due, now, "due", f"attempt {job.attempt + 1} of {job.max_attempts}", "blue")
    elif job.state.final:
        told = job.reason or ""
        if job.claim not in seen and job.started and job.finished:
            told = f"attempt {job.attempt} after {span(job.started, job.finished)}{where}"
        _event(job.finished or now, now, str(job.state), told, output.STATE_STYLES[job.state])


def _event(at: int, now: int, word: str, told: str, style: str | None = None) -> None:
    age = click.style(ago(at, now).rjust(9), dim=True)
    click.echo(f"  {clock(at, now)} {age}  {click.style(word.ljust(11), fg=style)} {told}".rstrip())


def _tree(value: Any) -> None:
    """Data as a tree on a terminal, as JSON in a pipe."""
    if not output.on_terminal():
        click.echo("  " + json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  "))
        return
    from rich.padding import Padding
    from rich.pretty import Pretty

    output.console().print(Padding(Pretty(value, expand_all=isinstance(value, dict) and len(value) > 1), (0, 0, 0, 2)))


def _error(job: JobInfo) -> None:
    output.heading("Error")
    traceback = job.error.get("traceback") if isinstance(job.error, dict) else None
    if traceback:
        for line in str(traceback).rstrip().splitlines():
            click.echo(f"  {line}")
    else:
        click.echo("  " + click.style(error_line(job.error), fg="red"))
    if isinstance(job.error, dict) and job.error.get("cause"):
        click.echo(f"  cause: {job.error['cause']}")


def _log(line: LogLine, now: int) -> None:
    level = click.style(line.level.ljust(7), fg=LEVELS.get(line.level))
    click.echo(f"  {click.style(clock(line.at, now), dim=True)} {level} {line.text}")


def follow(insight: Insight, id: str, as_json_lines: bool) -> int:
    """Show what the job logs and how far it is, until it is final; 1 if it failed or was cancelled."""
    if not as_json_lines:
        job = insight.job(id)
        _head(job, store_now(insight.store))
        output.heading("Log")
    last_line, last_progress, pulse = 0, None, -1
    live = sys.stderr.isatty() and not as_json_lines
    while True:
        seen = insight.store.pulse()
        if seen != pulse:
            pulse = seen
            job = insight.job(id)
            now = store_now(insight.store)
            if live:
                click.echo("\r\x1b[2K", err=True, nl=False)
            for line in insight.logs(id, after=last_line):
                last_line = line.line
                click.echo(json.dumps({"log": log_json(line)}, ensure_ascii=False)) if as_json_lines else _log(line, now)
            if job.state.final:
                break
            if isinstance(job.progress, dict) and (live or job.progress != last_progress):
                last_progress = job.progress
                _tell_progress(job.progress, as_json_lines, live)
        time.sleep(LOOK_EVERY)
    if as_json_lines:
        click.echo(json.dumps({"job": job_json(job)}, ensure_ascii=False, default=str))
    else:
        _event(job.finished or now, now, str(job.state), error_line(job.error) or job.reason or "", output.STATE_STYLES[job.state])
    return 0 if job.state is State.SUCCEEDED else 1


def _tell_progress(progress: dict[str, Any], as_json_lines: bool, live: bool) -> None:
    if as_json_lines:
        click.echo(json.dumps({"progress": progress}, ensure_ascii=False))
    elif live:
        click.echo(f"  {_bar(progress)}", err=True, nl=False)
    else:
        click.echo(f"  {_bar(progress)}")
