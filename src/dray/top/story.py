"""One job whole, as text."""

from __future__ import annotations

import json
from typing import Any

from rich.text import Text

from dray.model.clock import SECOND
from dray.model.job import JobInfo, State
from dray.top.look import Story
from dray.top.words import STATES, line, plain, progress, took
from dray.wording import clock, error_line, readable, when

LABEL = 11
WORDS = {"returned": "✓", "raised": "✗", "lost": "✗", "cancelled": "⊘", "snoozed": "◷"}
LEVELS = {"warning": "yellow", "error": "red", "critical": "bold red", "debug": "dim"}


def story_text(story: Story) -> Text:
    """Its state and why, what it is made of, what it was given and gave, its error, its runs and its log."""
    job = story.facts.job
    mark, colour = STATES[job.state]
    parts = [
        Text.assemble((f"{mark} {job.state}", f"bold {colour}"), "  ", (line(job.task), "bold"), "  ", (job.id, "dim")),
        _why(story), _facts(story),
    ]  # fmt: skip
    if job.state is State.RUNNING and isinstance(job.progress, dict):
        parts.append(_titled("Progress", line(progress(job.progress, 30))))
    parts.append(_titled("Arguments", _json(job.args)))
    if job.result is not None:
        parts.append(_titled("Result", _json(readable(job.result))))
    if job.error:
        parts.append(_error(job))
    if story.facts.history:
        parts.append(_runs(story))
    if story.logs:
        parts.append(_logs(story))
    return Text("\n\n").join(parts)


def _titled(title: str, body: str | Text) -> Text:
    return Text.assemble((title, "bold underline"), "\n", body)


def _why(story: Story) -> Text:
    answer = story.answer
    text = Text(plain(answer.why))
    for also in answer.also:
        text.append(f"\n{plain(also)}")
    if answer.do:
        text.append("\n→ ", "cyan").append(plain(answer.do))
    if answer.command:
        text.append(f"\n  {plain(answer.command)}", "cyan")
    return text


def _facts(story: Story) -> Text:
    job, now = story.facts.job, story.facts.now
    node = next((node for node in story.facts.nodes if node.id == job.node), None)
    where = "" if job.node is None else f"{node.name} (process {node.pid} on {node.host})" if node else f"{job.node}, which is gone"
    took_so_far = None if not job.started else ((job.finished or now) - job.started) / SECOND
    told = {
        "queue": job.queue, "attempt": f"{job.attempt} of {job.max_attempts}" + (f", {job.losses} lost" if job.losses else ""),
        "priority": str(job.priority) if job.priority else "", "executor": job.executor, "tags": ", ".join(job.tags),
        "schedule": job.schedule or "", "parent": job.parent or "", "enqueued": when(job.enqueued, now),
        "due": when(job.due, now) if job.due != job.enqueued else "", "started": when(job.started, now) if job.started else "",
        "finished": when(job.finished, now) if job.finished else "", "ran" if job.finished else "runs for": took(took_so_far),
        "worker": where, "expires": when(job.expires, now) if job.expires and not job.state.final else "",
        "kept until": when(job.prune_after, now) if job.prune_after else "", "reason": job.reason or "",
        "options": json.dumps(job.options, ensure_ascii=False, default=str) if job.options else "",
    }  # fmt: skip
    text = Text()
    for name, value in told.items():
        if value and value != "–":
            text.append(f"{name:<{LABEL}}", "dim").append(f"{line(value, 500)}\n")
    text.rstrip()
    return text


def _json(value: Any) -> str:
    return plain(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _error(job: JobInfo) -> Text:
    error = job.error
    told = Text(line(error_line(error), 2000), style="red")
    trace = error.get("traceback") if isinstance(error, dict) else None
    if trace:
        told.append(f"\n{plain(trace).rstrip()}", "default")
    return _titled("Error", told)


def _runs(story: Story) -> Text:
    now = story.facts.now
    names = {node.id: node.name for node in story.facts.nodes}
    text = Text()
    for run in story.facts.history:
        lasted = took((run.finished - run.started) / SECOND if run.started else None)
        where = "" if run.node is None else names.get(run.node, str(run.node))
        told = error_line(run.error) or run.reason or ""
        text.append(f"{WORDS.get(run.word, '·')} {run.attempt:>3}  {clock(run.finished, now)}  {run.word:<11} {lasted:>7}  ")
        text.append(line(f"{where}  {told}"), "dim").append("\n")
    text.rstrip()
    return _titled("Runs", text)


def _logs(story: Story) -> Text:
    now = story.facts.now
    text = Text()
    for one in story.logs:
        text.append(f"{clock(one.at, now)} ", "dim").append(f"{line(one.level, 10):<8}", LEVELS.get(one.level.lower(), ""))
        text.append(f"{line(one.text, 2000)}\n")
    text.rstrip()
    return _titled("Log", text)
