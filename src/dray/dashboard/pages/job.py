"""One job: its whole story, and what can be done about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.responses import PlainTextResponse, Response

from dray.dashboard import copies, story
from dray.dashboard.api.arguments import decoded
from dray.dashboard.page import Ask, get, post
from dray.dashboard.pages.jobs import SHOWN, visible
from dray.dashboard.settings import Role
from dray.errors import DrayError
from dray.explain import explain, gather
from dray.model.filter import Filter
from dray.model.job import PRIORITY_RANGE, JobInfo, State
from dray.wording import readable

LINES = 300  # of its log, the newest
MOST_LINES = 10_000
MOST_ATTEMPTS = 1000
WAITING = frozenset({State.SCHEDULED, State.READY, State.BLOCKED})
LONG = 20_000  # characters of a traceback


@get("/jobs/{id}")
def job(ask: Ask) -> Response:
    """Everything about it."""
    insight, house = ask.insight, ask.house
    facts = gather(insight, insight.resolve(ask.path["id"]), house.known_tasks)
    [one] = visible([facts.job], Filter(), house.redactor, facts.now)
    told = story.runs(facts.job, facts.history, {node.id: node.name for node in facts.nodes})
    line = story.parts(facts.job, told, facts.now)
    logs = insight.logs(one.id, 0, MOST_LINES)
    result = readable(one.result)
    return ask.page(
        "job.html", job=one, runs=told, line=line, why=explain(facts), has_result=one.result is not None, long=LONG,
        result=house.redactor.value(result, longest=SHOWN), result_size=len(one.result or b""), logs=logs[-LINES:],
        more_logs=max(0, len(logs) - LINES), spent=story.spent(told, line, facts.now),
        python=copies.as_python(one, one.args), command=copies.as_command(one, one.args), waiting=one.state in WAITING,
        node=next((node for node in facts.nodes if node.id == one.node), None),
        use=insight.use(0.25).get(one.node or 0) if one.state is State.RUNNING else None,
        options=house.redactor.value(one.options or {}),
    )  # fmt: skip


@get("/jobs/{id}/raw")
def raw(ask: Ask) -> Response:
    """One part of it as plain text, all of it: `what` is args, result, error, options or log."""
    insight, redactor = ask.insight, ask.house.redactor
    one, what = insight.job(insight.resolve(ask.path["id"])), ask.query("what", "args")
    if what == "log":
        lines = insight.logs(one.id, 0, 1_000_000)
        return PlainTextResponse("".join(f"{line.at} {line.level} {redactor.text(line.text)}\n" for line in lines))
    parts = {"args": one.args, "result": readable(one.result), "error": one.error, "options": one.options}
    if what not in parts:
        return ask.problem(f"A job has no {what!r} to show; there are {', '.join(parts)} and log.", 404)
    text = json.dumps(redactor.value(parts[what]), indent=2, ensure_ascii=False, default=str)
    return PlainTextResponse(text.encode("utf-8", "replace"))


# -- acting


def _acted(ask: Ask, verb: Callable[[list[str]], dict[str, str]], words: dict[str, str]) -> Response:
    id_ = ask.field("id")
    answer = next(iter(verb([id_]).values()))
    return ask.back(words.get(answer, f"Nothing was done: the job is {answer}."), otherwise=f"jobs/{id_}")


@post("/job/retry")
def retry(ask: Ask) -> Response:
    """A new life, or now instead of later."""
    return _acted(ask, ask.insight.retry, {"ready": "The job is ready to run.", "unknown": "There is no such job any more."})


@post("/job/cancel")
def cancel(ask: Ask) -> Response:
    """In whatever state."""
    if page := ask.unsure("Cancel this job?", "Cancel it"):
        return page
    return _acted(ask, lambda ids: ask.insight.cancel(ids, ask.field("reason")), {
        "cancelled": "The job is cancelled.", "asked": "The job runs, and was asked to stop.",
        "final": "The job had ended already.",
    })  # fmt: skip


@post("/job/delete", role=Role.ALL)
def delete(ask: Ask) -> Response:
    """Forget it."""
    if page := ask.unsure("Delete this job, with its history and logs?", "Delete it"):
        return page
    id_ = ask.field("id")
    answer = next(iter(ask.insight.delete([id_]).values()))
    if answer == "running":
        return ask.back("The job runs: cancel it first.", otherwise=f"jobs/{id_}")
    return ask.go("jobs", "The job is deleted." if answer == "deleted" else "There is no such job any more.")


@post("/job/again")
def again(ask: Ask) -> Response:
    """Another like it."""
    return ask.go(f"jobs/{ask.insight.again(ask.field('id'))}", "This is a new job like the other.")


# -- editing


@get("/jobs/{id}/edit", role=Role.OPERATE)
def edit(ask: Ask) -> Response:
    """A form with its arguments."""
    one = ask.insight.job(ask.insight.resolve(ask.path["id"]))
    text = json.dumps(ask.house.redactor.value(one.args), indent=2, ensure_ascii=False)
    return _form(ask, one, {"args": text, "priority": str(one.priority), "max_attempts": str(one.max_attempts)})


@post("/jobs/{id}/edit")
def edited(ask: Ask) -> Response:
    """Run a new job with these arguments, or change the one that waits."""
    insight = ask.insight
    one = insight.job(insight.resolve(ask.path["id"]))
    given = {name: ask.field(name) for name in ("args", "priority", "max_attempts")}
    try:
        args = ask.house.redactor.restored(_object(given["args"]), one.args)
        _check(ask, one, args)
        if ask.field("what") != "change":
            return ask.go(f"jobs/{insight.again(one.id, args)}", "This is the new job.")
        if ask.role < Role.ALL:
            return ask.not_allowed(Role.ALL)
        priority = _number(given["priority"], "The priority", *PRIORITY_RANGE)
        attempts = _number(given["max_attempts"], "The number of attempts", 1, MOST_ATTEMPTS)
        if not insight.edit(one.id, args=args, priority=priority, max_attempts=attempts):
            return _form(ask, one, given, "The job does not wait any more, so it cannot be changed; run a new one instead.")
    except (DrayError, ValueError) as error:
        return _form(ask, one, given, str(error))
    return ask.go(f"jobs/{one.id}", "The job is changed.")


def _form(ask: Ask, one: JobInfo, given: dict[str, str], wrong: str = "") -> Response:
    checked = one.task in (ask.house.known_tasks or ())
    return ask.page(
        "edit.html", status=422 if wrong else 200, job=one, given=given, wrong=wrong, checked=checked, waiting=one.state in WAITING,
    )  # fmt: skip


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise ValueError(f"The arguments are no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise ValueError('The arguments are an object by parameter name, such as {"user_id": 1}.')
    return found


def _check(ask: Ask, one: JobInfo, args: dict[str, Any]) -> None:
    """Raises ArgumentsError if the code of the task is known and does not take them."""
    app = ask.house.app
    if app is not None and one.task in app.tasks:
        decoded(app.tasks[one.task], args)


def _number(text: str, name: str, least: int, most: int) -> int:
    try:
        n = int(text)
    except ValueError:
        n = least - 1
    if not least <= n <= most:
        raise ValueError(f"{name} is a whole number from {least} to {most}, not {text[:20]!r}.")
    return n


DOORS = (edit, edited, raw, job, retry, cancel, delete, again)
