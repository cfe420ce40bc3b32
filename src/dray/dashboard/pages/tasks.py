"""Tasks: how they do, one of them with its signature, and a form that runs it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from dray.codec.layout import Layout
from dray.codec.text import signature_text
from dray.dashboard.api.arguments import decoded, schema
from dray.dashboard.page import Ask, get, post
from dray.dashboard.pages import drawn, form
from dray.dashboard.pages.narrow import narrow
from dray.dashboard.redact import MARK
from dray.dashboard.settings import Role
from dray.errors import ArgumentsError, ConfigurationError, DrayError, NotEncodable, PayloadTooLarge, StoreError
from dray.facts import knows
from dray.insight.figures import TaskFigures
from dray.model.filter import Filter
from dray.model.job import State
from dray.options import check
from dray.search import to_text

if TYPE_CHECKING:
    from dray.task import Task

NEWEST = 12
OPTIONS = ("queue", "priority", "delay")
LOOKS = 20  # newest jobs among which one to copy is looked for: a name may be a pattern of others


@get("/tasks")
def tasks(ask: Ask) -> Response:
    """All that ran of late, or that the code has."""
    hours = ask.hours()
    found = ask.insight.tasks(hours, known=ask.house.known_tasks or ())
    by = ask.query("by")
    cut = narrow(ordered(found, by), ask.query("q"), lambda one: one.name)
    return ask.page("tasks.html", cut=cut, hours=hours, by=by, runnable=_runnable(ask))


def ordered(found: Sequence[TaskFigures], by: str) -> list[TaskFigures]:
    """By what is asked for, the most first; by name if it is nothing known."""
    keys = {
        "finished": lambda one: -one.work.finished, "failing": lambda one: -one.failing, "run": lambda one: -(one.run.p95 or 0.0),
        "wait": lambda one: -(one.wait.p95 or 0.0),
    }  # fmt: skip
    return sorted(found, key=keys[by]) if by in keys else list(found)


@get("/tasks/one")
def task(ask: Ask) -> Response:
    """One of them."""
    insight, hours, name = ask.insight, ask.hours(), ask.query("name")
    figures = next((one for one in insight.tasks(hours, known=ask.house.known_tasks or ()) if one.name == name), None)
    newest = insight.jobs(Filter(task=name), limit=NEWEST).jobs
    if figures is None and not newest:
        return ask.problem(f"There is no task {name!r}: no code has it, and no job of it is kept.", 404)
    code = _code(ask, name)
    return ask.page(
        "task.html", name=name, figures=figures, hours=hours, series=insight.series(hours, task=name), drawn=drawn,
        errors=insight.errors(max(hours, 24.0), task=name), newest=newest, search=to_text(Filter(task=name)),
        failed=to_text(Filter(task=name, states=frozenset({State.FAILED}))),
        workers=[node for node in insight.workers() if node.alive and knows(node, name)], signature=_signature(ask, code),
        schema=None if code is None else json.dumps(_hidden(ask, schema(code)), indent=2, ensure_ascii=False),
        doc=(code.func.__doc__ or "").strip() if code is not None else "", plain=None if code is None else code.plain,
        runnable=_runnable(ask),
    )  # fmt: skip


def _code(ask: Ask, name: str) -> Task[..., Any] | None:
    return None if ask.house.app is None else ask.house.app.tasks.get(name)


def _runnable(ask: Ask) -> bool:
    return ask.role >= Role.OPERATE


class _Dots:
    """Stands for a default that is hidden."""

    def __repr__(self) -> str:
        return MARK


def _signature(ask: Ask, code: Task[..., Any] | None) -> str:
    """As Python would write it, without the defaults of what is hidden."""
    if code is None:
        return ""
    injected, hides = frozenset(code.signature.injected_names), ask.house.redactor.hides
    layout = Layout(code.func, name=code.name, injected=lambda parameter, _: parameter.name in injected)
    shown = [
        one.replace(default=_Dots()) if one.default is not one.empty and hides((one.name,)) else one
        for one in layout.visible.parameters.values()
    ]
    return ("async def " if code.is_async else "def ") + signature_text(code.func.__name__, shown)


def _hidden(ask: Ask, shape: dict[str, Any]) -> dict[str, Any]:
    """A schema without the defaults of what is hidden."""
    hides = ask.house.redactor.hides
    properties = {
        name: {key: one for key, one in about.items() if key != "default"} if hides((name,)) else about
        for name, about in shape.get("properties", {}).items()
    }
    return {**shape, "properties": properties} if properties else shape


# -- run it


@get("/tasks/run", role=Role.OPERATE)
def run(ask: Ask) -> Response:
    """The form."""
    name = ask.query("name")
    code = _code(ask, name)
    fields = [] if code is None else form.fields(code, lambda one: ask.house.redactor.hides((one,)))
    if code is None and not _like(ask, name):
        return ask.problem(f"The code of {name!r} is not known here, and no job of it is kept to be copied.")
    return _form(ask, name, fields)


@post("/tasks/run")
def enqueue(ask: Ask) -> Response:
    """Make the job, or show what is wrong beside its field."""
    name = ask.field("name")
    code = _code(ask, name)
    if code is None:
        return _unchecked(ask, name)
    asked = form.fields(code, lambda one: ask.house.redactor.hides((one,)))
    given, back = form.read(asked, lambda one: ask.field(f"arg.{one}"))
    options, wrong = read_options({option: ask.field(option).strip() for option in OPTIONS})
    if wrong or any(field.error for field in back):
        return _form(ask, name, back, wrong, "Something is not right yet: see the fields below.")
    try:
        args, kwargs = decoded(code, given)
        id_ = code.using(**options).enqueue(*args, **kwargs).id
    except (ArgumentsError, NotEncodable, PayloadTooLarge) as error:
        return _form(ask, name, back, wrong, str(error))
    ask.insight._note("enqueue", name, id_)
    return ask.go(f"jobs/{id_}", f"A job of {name} is enqueued.")


def _form(ask: Ask, name: str, fields: Sequence[form.Field], wrong: dict[str, str] | None = None, problem: str = "") -> Response:
    code = _code(ask, name)
    return ask.page(
        "run.html", status=422 if problem else 200, name=name, fields=fields, wrong=wrong or {}, problem=problem,
        checked=code is not None, typed={one: ask.field(one) for one in (*OPTIONS, "args")}, signature=_signature(ask, code),
        plain=None if code is None else code.plain, queues=[queue.name for queue in ask.insight.queues()],
    )  # fmt: skip


def read_options(typed: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The options of `using`, and what is wrong with which. What is empty is as the task says.

    >>> read_options({"queue": "", "priority": "5", "delay": "1h"})
    ({'priority': 5, 'delay': '1h'}, {})
    """
    given: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, text in typed.items():
        if not text:
            continue
        value: Any = text
        try:
            if name == "priority":
                value = int(text)
            check({name: value}, "this job", task=False)
            given[name] = value
        except ConfigurationError as error:
            wrong[name] = str(error)
        except ValueError:
            wrong[name] = f"{text!r} is no whole number."
    return given, wrong


def _like(ask: Ask, name: str) -> str | None:
    """The newest job of a task that can be copied."""
    return next((job.id for job in ask.insight.jobs(Filter(task=name), limit=LOOKS).jobs if job.task == name), None)


def _unchecked(ask: Ask, name: str) -> Response:
    """A job like the newest of its task, with these arguments: nobody here knows whether they fit."""
    like = _like(ask, name)
    if like is None:
        return ask.problem(f"No job of {name!r} is kept to be copied.", 404)
    try:
        args = json.loads(ask.field("args") or "{}")
    except ValueError as error:
        return _wrong_args(ask, name, f"This is no JSON: {error}. Text stands in double quotes.")
    if not isinstance(args, dict):
        return _wrong_args(ask, name, 'Give an object by parameter name, such as {"user_id": 1}.')
    try:
        id_ = ask.insight.again(like, args)
    except StoreError:
        raise
    except DrayError as error:
        return _wrong_args(ask, name, str(error))
    return ask.go(f"jobs/{id_}", f"A job of {name} is enqueued; nobody has checked its arguments.")


def _wrong_args(ask: Ask, name: str, text: str) -> Response:
    return _form(ask, name, (), {"args": text}, "The job was not made: see below.")


DOORS = (tasks, task, run, enqueue)
