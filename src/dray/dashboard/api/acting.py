"""Operations that do something to one job, or make one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import asdict

from dray import shapes
from dray.dashboard.api.arguments import decoded
from dray.dashboard.api.problem import Failed
from dray.dashboard.api.table import Answer, Call, operation, post
from dray.dashboard.api.values import Body, Name, Query, Text
from dray.dashboard.settings import Role
from dray.errors import UnknownJob
from dray.model.filter import Filter

Args = Annotated[dict[str, Any], Meta(description="The arguments, by parameter name.")]
Priority = Annotated[int, Meta(ge=-100, le=100, description="Higher runs sooner.")]
Attempts = Annotated[int, Meta(ge=1, le=1_000_000, description="Runs at most, the first included.")]
Length = Annotated[
    str, Meta(description='A length of time: "90s", "5m", "1h30m".', min_length=1, max_length=100)
] | Annotated[float, Meta(ge=0)]  # fmt: skip


class Enqueue(Body, frozen=True, kw_only=True):
    """A job to be made. What is left out is as the task says."""

    task: Name
    args: Args = field(default_factory=dict)
    queue: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    max_attempts: Attempts | UnsetType = UNSET
    delay: Length | UnsetType = UNSET
    at: Annotated[datetime, Meta(tz=True, description="When it is due; instead of a delay.")] | UnsetType = UNSET
    expires: Length | UnsetType = UNSET
    timeout: Length | UnsetType = UNSET
    tags: Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(max_length=100)] | UnsetType = UNSET


class Enqueued(Struct, frozen=True, kw_only=True):
    """A job that was made."""

    id: str
    task: str
    checked: Annotated[bool, Meta(description="Whether the code of the task was there to check the arguments.")]


class CancelBody(Body, frozen=True, kw_only=True):
    """Why."""

    reason: Annotated[Text, Meta(max_length=500)] = ""


class AgainBody(Body, frozen=True, kw_only=True):
    """What is to be different."""

    args: Args | UnsetType = UNSET


class Edit(Body, frozen=True, kw_only=True):
    """What is to be different; at least one of them."""

    also: ClassVar[dict[str, Any]] = {"minProperties": 1}

    args: Args | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    max_attempts: Attempts | UnsetType = UNSET


class Acted(Struct, frozen=True, kw_only=True):
    """What came of it."""

    id: str
    answer: Annotated[str, Meta(description='"ready", "cancelled", "asked" (it runs and is told to stop) or "deleted".')]


# -- making jobs


@post("/jobs", tag="jobs", gives=Enqueued, body=Enqueue, status=201, problems=(409,), headers=("Location",))
def enqueue(call: Call[Query, Enqueue]) -> Answer:
    """Enqueue a job.

    Where the code of the task is known, the arguments are checked by its signature. Where it is not, the job is made like the
    newest one of that task that is kept, with these arguments, unchecked and without options."""
    body = call.body
    options = {name: value for name, value in asdict(body).items() if value is not UNSET and name not in ("task", "args")}
    task = None if call.app is None else call.app.tasks.get(body.task)
    if task is None:
        id_ = _like_the_newest(call, options)
    else:
        args, kwargs = decoded(task, body.args)
        id_ = task.using(**options).enqueue(*args, **kwargs).id
        call.insight._note("enqueue", body.task, id_)
    return Answer(Enqueued(id=id_, task=body.task, checked=task is not None), {"location": _url(call, id_)})


def _like_the_newest(call: Call[Query, Enqueue], options: dict[str, Any]) -> str:
    name = call.body.task
    if options:
        raise Failed(422, f"The code of {name!r} is not known here, so its jobs take no {', '.join(options)}; leave that out.")
    page = call.insight.jobs(Filter(task=name), limit=20)
    like = next((job for job in page.jobs if job.task == name), None)
    if like is None:
        raise Failed(
            422, f"The code of {name!r} is not known here, and no job of it is kept to be copied; start the dashboard with its app."
        )
    return call.insight.again(like.id, call.body.args)


def _url(call: Call[Any, Any], id: str) -> str:
    return f"{call.visit.base}/api/v1/jobs/{id}"


@post("/jobs/{id}/again", tag="jobs", gives=Enqueued, body=AgainBody, status=201, headers=("Location",))
def run_again(call: Call[Query, AgainBody]) -> Answer:
    """Enqueue a new job like this one.

    With other arguments, if they are given; a value that was hidden and is sent back as it was shown is left as it is."""
    old = call.insight.job(call.path["id"])
    args = _checked(call, old.task, call.hide.restored(call.body.args, old.args)) if call.body.args is not UNSET else None
    id_ = call.insight.again(old.id, args)
    return Answer(Enqueued(id=id_, task=old.task, checked=_known(call, old.task)), {"location": _url(call, id_)})


def _known(call: Call[Any, Any], task: str) -> bool:
    return call.app is not None and task in call.app.tasks


def _checked(call: Call[Any, Any], name: str, args: Any) -> Any:
    """Arguments that fit the task, as far as it is known. Raises ArgumentsError."""
    task = None if call.app is None else call.app.tasks.get(name)
    if task is not None:
        decoded(task, args)
    return args


# -- one job


@post("/jobs/{id}/retry", tag="jobs", gives=Acted, problems=(409,))
def retry(call: Call[Query, Body]) -> Acted:
    """Give a job that has ended a new life; run a scheduled one now."""
    return _acted(call, call.insight.retry, "retried", ("ready",))


@post("/jobs/{id}/cancel", tag="jobs", gives=Acted, body=CancelBody, problems=(409,))
def cancel(call: Call[Query, CancelBody]) -> Acted:
    """Cancel a job; one that runs is told to stop."""
    reason = call.body.reason
    return _acted(call, lambda ids: call.insight.cancel(ids, reason), "cancelled", ("cancelled", "asked"))


@operation("DELETE", "/jobs/{id}", tag="jobs", gives=Acted, role=Role.ALL, problems=(409,))
def delete(call: Call[Query, Body]) -> Acted:
    """Forget a job, with its history and logs. One that runs must be cancelled first."""
    return _acted(call, call.insight.delete, "deleted", ("deleted",))


@operation("PATCH", "/jobs/{id}", tag="jobs", gives=shapes.Job, role=Role.ALL, body=Edit, problems=(409,))
def edit(call: Call[Query, Edit]) -> shapes.Job:
    """Change a job that has not started.

    A value that was hidden and is sent back as it was shown is left as it is."""
    old, body = call.insight.job(call.path["id"]), call.body
    changes: dict[str, Any] = {name: value for name, value in asdict(body).items() if value is not UNSET}
    if not changes:
        raise Failed(422, "There is nothing to change; give args, priority or max_attempts.")
    if "args" in changes:
        changes["args"] = _checked(call, old.task, call.hide.restored(body.args, old.args))
    done = call.insight.edit(old.id, **changes)
    job = call.insight.job(old.id)
    if not done:
        raise Failed(409, f"The job is {job.state}, so there is nothing left to change; run it again with other arguments instead.")
    return shapes.job(job, call.hide)


def _acted(call: Call[Any, Any], verb: Any, done: str, good: tuple[str, ...]) -> Acted:
    id_ = call.path["id"]
    answers: dict[str, str] = verb([id_])
    full, answer = next(iter(answers.items()))
    if answer == "unknown":
        raise UnknownJob(f"No job {full} is kept: it was never committed, or its time to be kept is over.")
    if answer not in good:
        reason = "it has ended already" if answer == "final" else f"it is {answer}"
        more = "; cancel it first" if done == "deleted" else ""
        raise Failed(409, f"The job was not {done}, because {reason}{more}.")
    return Acted(id=full, answer=answer)
