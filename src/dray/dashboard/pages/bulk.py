"""What is done to many jobs at once: counted first, begun when somebody has said yes, watched until it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

from msgspec.structs import replace
from starlette.responses import JSONResponse, Response

from dray.dashboard.page import Ask, get, post
from dray.dashboard.pages.jobs import refuse_hidden
from dray.dashboard.settings import Role
from dray.insight import parse_filter
from dray.model.filter import Filter
from dray.model.job import FINAL, State
from dray.search import to_text
from dray.wording import count

Action = Literal["retry", "cancel", "delete"]

AT_ONCE = 200  # jobs: more of them are done in the background
#: What a search without states means, so that it is never more than one would expect. As on the command line.
MEANT = {"retry": frozenset({State.FAILED, State.CANCELLED}), "cancel": frozenset(State) - FINAL, "delete": FINAL}
DETAIL = {
    "retry": "Each begins a new life; what it did stays in its history.",
    "cancel": "What runs is asked to stop. A cancelled job can be retried.",
    "delete": "They go with their history and logs, for good. What runs is left alone.",
}
CAME = {
    "ready": "to run again", "asked": "asked to stop", "final": "had ended already", "unknown": "gone already",
    "deleted": "deleted", "cancelled": "cancelled",
}  # fmt: skip


@post("/bulk/count")
def counted(ask: Ask) -> Response:
    """How many jobs are meant, before anything is done: for the dialog that asks."""
    n, text, _ = _meant(ask)
    return JSONResponse({"n": n, "text": text})


def _meant(ask: Ask) -> tuple[int, str, Filter | list[str]]:
    """How many jobs the form means, that as text, and which."""
    action = _action(ask)
    if ask.field("all") != "1":
        ids = list(dict.fromkeys(ask.form.get("ids", ())))
        return len(ids), count(len(ids), "job"), ids
    what = parse_filter(ask.field("q"))
    refuse_hidden(what, ask.house.redactor)
    if what.states is None:
        what = replace(what, states=MEANT[action])
    found = ask.insight.count(what)
    return found.n, f"{'' if found.exact else 'more than '}{count(found.n, 'job')}", what


def _action(ask: Ask) -> Action:
    action = ask.field("action")
    return cast(Action, action) if action in MEANT else "retry"


@post("/bulk")
def begin(ask: Ask) -> Response:
    """Do it: a few at once, many in the background."""
    action = _action(ask)
    if action == "delete" and ask.role < Role.ALL:
        return ask.not_allowed(Role.ALL)
    n, text, what = _meant(ask)
    if not n:
        return ask.back("No job is selected." if isinstance(what, list) else f"There is no job to {action}.", "jobs")
    verb = action.capitalize()
    if page := ask.unsure(f"{verb} {text}?", f"{verb} {text}", detail=DETAIL[action]):
        return page
    if isinstance(what, list) and n <= AT_ONCE:
        report = ask.insight.bulk(what, action)
        return ask.back(came_of(report.answers), "jobs")
    if page := ask.may_bulk():
        return page
    insight = ask.insight

    def work(progress: Callable[[int, int], None]) -> tuple[int, dict[str, int]]:
        report = insight.bulk(what, action, progress=progress)
        return report.matched, report.answers

    named = to_text(what) if isinstance(what, Filter) else f"{text} by their ids"
    begun = ask.house.operations.start(work, action=action, what=named, expected=n, by=ask.visit.name)
    return ask.go("bulk", id=begun.id, back=ask.field("next"))


def came_of(answers: dict[str, int]) -> str:
    """What came of it, in a sentence: "3 jobs to run again, 1 running and left alone."."""
    told = [
        f"{f'{n:,}' if place else count(n, 'job')} {CAME.get(word, f'{word} and left alone')}"
        for place, (word, n) in enumerate(sorted(answers.items(), key=lambda one: -one[1]))
    ]
    return f"{', '.join(told)}." if told else "Nothing was left to do."


@get("/bulk")
def watch(ask: Ask) -> Response:
    """How far it is."""
    operation = ask.house.operations.get(ask.query("id"))
    back = ask.inside(ask.query("back"), "jobs")
    return ask.page("bulk.html", status=200 if operation else 404, op=operation, back=back, came_of=came_of)


@post("/bulk/stop")
def stop(ask: Ask) -> Response:
    """End it after its present batch."""
    operation = ask.house.operations.get(ask.field("id"))
    if operation is None or operation.ended is not None:
        return ask.back("It is over already.", "jobs")
    operation.stop = True
    return ask.back("It stops after the jobs that it is at.", "jobs")


DOORS = (counted, begin, watch, stop)
