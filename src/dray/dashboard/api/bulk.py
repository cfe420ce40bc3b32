"""Bulk actions: on all jobs that match a search, or on many by id, in the background."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from dray.dashboard.api.problem import Failed
from dray.dashboard.api.table import Answer, Call, get, post
from dray.dashboard.api.values import Body, JobId, Query, Search, Text
from dray.dashboard.operations import Operation as Known
from dray.dashboard.settings import Role
from dray.insight import parse_filter
from dray.model.filter import Filter
from dray.model.job import FINAL, State
from dray.search import to_text

MOST_IDS = 10_000

#: What a search without `state:` means: what the action is for, never more than one would expect.
MEANT = {
    "retry": frozenset({State.FAILED, State.CANCELLED}), "cancel": frozenset(State) - FINAL, "delete": FINAL,
}  # fmt: skip


class Bulk(Body, frozen=True, kw_only=True):
    """What is to be done, and to which jobs: `q` or `ids`, one of them. Without `state:` in the search, `retry` means failed and
    cancelled jobs, `cancel` unfinished ones and `delete` those that have ended, as on the command line."""

    also: ClassVar[dict[str, Any]] = {"oneOf": [{"required": ["q"]}, {"required": ["ids"]}]}

    action: Literal["retry", "cancel", "delete"]
    q: Annotated[Search, Meta(min_length=1)] | UnsetType = UNSET
    ids: Annotated[list[JobId], Meta(min_length=1, max_length=MOST_IDS)] | UnsetType = UNSET
    most: Annotated[int, Meta(ge=1, description="Stop after so many jobs.")] | UnsetType = UNSET
    reason: Annotated[Text, Meta(max_length=500, description="Kept with cancelled jobs.")] = ""


class Operation(Struct, frozen=True, kw_only=True):
    """A bulk action. Known to the process that began it, the last few dozen of them."""

    id: str
    action: str
    q: Annotated[str, Meta(description="The search, as it was understood; empty if ids were given.")]
    by: str
    over: bool
    expected: Annotated[int, Meta(description="How many jobs matched when it began, as far as they were counted.")]
    done: Annotated[int, Meta(description="How many jobs it has come to.")]
    matched: Annotated[int, Meta(description="How many it found, when it is over.")] | None
    answers: Annotated[dict[str, int], Meta(description="How many jobs gave which answer, when it is over.")]
    error: Annotated[str, Meta(description="Why it ended early; empty if it did not.")]
    stopping: bool
    seconds: float


def shown(known: Known) -> Operation:
    """One, for programs."""
    return Operation(
        id=known.id, action=known.action, q=known.what, by=known.by, over=known.ended is not None, expected=known.expected,
        done=known.done, matched=known.matched, answers=dict(known.answers), error=known.error,
        stopping=known.stop and known.ended is None, seconds=round(known.seconds, 3),
    )  # fmt: skip


@post("/operations", tag="bulk", gives=Operation, body=Bulk, status=202, problems=(429,), headers=("Location",))
def begin(call: Call[Query, Bulk]) -> Answer:
    """Retry, cancel or delete many jobs in the background.

    What is enqueued or changed meanwhile is not run after. Deleting needs the role `all`."""
    body = call.body
    if (body.q is UNSET) == (body.ids is UNSET):
        raise Failed(422, "Say which jobs: give q (a search) or ids, one of them.")
    if body.action == "delete":
        call.need(Role.ALL)
    what: list[str] | Filter = body.ids if isinstance(body.ids, list) else _meant(str(body.q), body.action)
    expected = len(what) if isinstance(what, list) else call.insight.count(what).n
    call.limit_bulk()
    insight, most = call.insight, body.most if isinstance(body.most, int) else None

    def work(progress: Callable[[int, int], None]) -> tuple[int, dict[str, int]]:
        report = insight.bulk(what, body.action, progress=progress, most=most, reason=body.reason)
        return report.matched, report.answers

    known = call.house.operations.start(
        work, action=body.action, what="" if isinstance(what, list) else to_text(what), expected=expected, by=call.visit.name
    )
    return Answer(shown(known), {"location": f"{call.visit.base}/api/v1/operations/{known.id}"})


@get("/operations/{operation}", tag="bulk", gives=Operation)
def get_operation(call: Call[Query, Body]) -> Operation:
    """How far a bulk action is, and what came of it."""
    return shown(_known(call))


@post("/operations/{operation}/stop", tag="bulk", gives=Operation)
def stop_operation(call: Call[Query, Body]) -> Operation:
    """Stop a bulk action at its next batch; what has been done stays done."""
    known = _known(call)
    known.stop = True
    return shown(known)


def _meant(search: str, action: str) -> Filter:
    what = parse_filter(search)
    return what if what.states is not None else replace(what, states=MEANT[action])


def _known(call: Call[Any, Any]) -> Known:
    known = call.house.operations.get(call.path["operation"])
    if known is None:
        raise Failed(404, "There is no such bulk action; the process that began it remembers the last few dozen.")
    return known
