"""Jobs: found by a search, by state, page by page; what the search box and the command palette offer."""

from __future__ import annotations

from urllib.parse import quote, unquote

from msgspec.structs import replace
from starlette.responses import JSONResponse, Response

from dray.dashboard.page import Ask, get
from dray.dashboard.redact import Redactor
from dray.dashboard.security import cookie
from dray.errors import ConfigurationError
from dray.insight import parse_filter
from dray.model.filter import Filter, matches
from dray.model.job import JobInfo, State
from dray.search import complete, to_text

LIMIT = 50
SIZES = (25, 50, 100, 200)
COLUMNS = {
    "args": "Arguments", "queue": "Queue", "attempt": "Attempt", "when": "When", "wait": "Waited", "took": "Ran", "note": "What",
    "priority": "Priority", "tags": "Tags", "worker": "Worker", "schedule": "Schedule", "id": "Id",
}  # fmt: skip
USUAL = ("args", "queue", "attempt", "when", "took", "note")
CHOSEN = "dray_columns"
SHOWN, LONG = 4000, 200_000  # characters of a text in arguments, of a traceback, that any page shows

#: Searches that somebody who is called at night begins with.
VIEWS = (
    ("Failed in the last hour", "state:failed age:<1h"), ("Running for long", "state:running took:>5m"),
    ("Waiting for long", "state:ready age:>10m"), ("Tried again and again", "state:scheduled,ready,running attempt:>3"),
)  # fmt: skip


@get("/jobs")
def jobs(ask: Ask) -> Response:
    """Those that match `q`, newest first."""
    q = ask.query("q").strip()
    columns, chosen = columns_of(ask)
    what, page, wrong = Filter(), None, ""
    limit = int(ask.query("limit")) if ask.query("limit") in map(str, SIZES) else LIMIT
    try:
        what = parse_filter(q)
        refuse_hidden(what, ask.house.redactor)
        page = ask.insight.jobs(what, limit=limit, before=ask.query("before") or None)
    except ConfigurationError as error:
        wrong = str(error)
    shown = [] if page is None else visible(page.jobs, what, ask.house.redactor, ask.now)
    names = {node.id: node.name for node in ask.insight.workers()} if "worker" in columns else {}
    answer = ask.page(
        "jobs.html", status=400 if wrong else 200, q=q, wrong=wrong, page=page, jobs=shown, tabs=tabs(ask, what), names=names,
        columns=columns, known_columns=COLUMNS, limit=limit, sizes=SIZES, views=VIEWS, plain=what == Filter(),
    )  # fmt: skip
    if chosen:
        there = ask.visit.base or "/"
        answer.set_cookie(CHOSEN, quote(",".join(columns)), max_age=31_536_000, path=there, samesite="lax", httponly=True)
    return answer


def columns_of(ask: Ask) -> tuple[list[str], bool]:
    """The columns that are shown, and whether they have just been chosen: by the query, else as they were chosen before."""
    asked = ask.request.query_params.getlist("col")
    if not asked and ask.query("cols"):
        return list(USUAL), True
    kept = asked or unquote(cookie(ask.request.headers, CHOSEN)).split(",")
    return [name for name in COLUMNS if name in kept] or list(USUAL), bool(asked)


def refuse_hidden(what: Filter, redactor: Redactor) -> None:
    """Raises ConfigurationError for a search in what is hidden: it would give away what it is, guess by guess."""
    for term in what.every():
        if term.key == "args" and term.path and redactor.hides(term.path):
            raise ConfigurationError(f"args.{'.'.join(term.path)} is hidden in this dashboard, so it cannot be looked for here.")


def visible(jobs: list[JobInfo], what: Filter, redactor: Redactor, now: int) -> list[JobInfo]:
    """The jobs without what is hidden in them; those are left out that match only by something that is."""
    texts = Filter(terms=tuple(term for term in what.every() if term.key in ("text", "args", "error") and not term.without))
    most = None if texts.terms else SHOWN
    shown = [
        replace(job, args=redactor.value(job.args, longest=most), error=redactor.value(job.error, longest=LONG)) for job in jobs
    ]
    return [job for job in shown if not texts.terms or matches(texts, job, now)]


Tab = tuple[str, str, int, bool]  # a state, where it leads, how many jobs are in it, whether it is the present one


def tabs(ask: Ask, what: Filter) -> list[Tab]:
    """The states, with how many jobs are in each, in the queues that the search names."""
    queues = [term.values for term in what.every() if term.key == "queue" and not term.without]
    named = set(queues[0]) if len(queues) == 1 and not any(sign in name for name in queues[0] for sign in "*?") else None
    counts = [by_state for queue, by_state in ask.insight.counts().items() if named is None or queue in named]
    current = what.states or frozenset()
    found: list[Tab] = [
        ("all", ask.url("jobs", q=to_text(replace(what, states=None))), sum(sum(one.values()) for one in counts), not current)
    ]
    for state in State:
        n = sum(one.get(str(state), 0) for one in counts)
        if n or state in current or state not in (State.BLOCKED, State.SLEEPING):
            there = ask.url("jobs", q=to_text(replace(what, states=frozenset({state}))))
            found.append((str(state), there, n, current == {state}))
    return found


@get("/complete")
def completion(ask: Ask) -> Response:
    """What the search text could become, for the search box: the whole new text of each."""
    text = ask.query("text")[:2000]
    cursor = min(len(text), int(ask.query("cursor"))) if ask.query("cursor").isdecimal() else len(text)
    return JSONResponse([
        {"text": text[: one.start] + one.text + text[cursor:], "shown": one.text, "label": one.label}
        for one in complete(text, cursor, ask.insight)[:20]
    ])  # fmt: skip


@get("/palette")
def palette(ask: Ask) -> Response:
    """Queues and tasks, for the command palette."""
    insight = ask.insight
    tasks = {str(name) for node in insight.workers() if isinstance(node.info, dict) for name in node.info.get("tasks") or ()}
    tasks.update(ask.house.known_tasks or ())
    found = [{"label": name, "kind": "queue", "go": ask.url("queues/one", name=name)} for name in sorted(insight.counts())]
    found += [{"label": name, "kind": "task", "go": ask.url("tasks/one", name=name)} for name in sorted(tasks)]
    found += [{"label": row.name, "kind": "schedule", "go": ask.url("schedules/one", name=row.name)} for row in insight.schedules()]
    return JSONResponse(found[:2000])


DOORS = (jobs, completion, palette)
