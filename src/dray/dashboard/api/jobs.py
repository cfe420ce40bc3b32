"""Operations on jobs: looking for them, and at one of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from dray import shapes
from dray.dashboard.api.table import Call, get
from dray.dashboard.api.values import Body, Limit, Number, Query, Search, Text
from dray.explain import explain, gather
from dray.search import complete


class JobsQuery(Query, frozen=True, kw_only=True):
    """Which jobs."""

    q: Search = ""
    limit: Limit = 50
    next: Annotated[Text, Meta(max_length=500, description="Where to go on: `next` of the page before.")] = ""


class Jobs(Struct, frozen=True, kw_only=True):
    """Some jobs, newest first."""

    jobs: list[shapes.Job]
    next: Annotated[str, Meta(description="For the next page; null at the end.")] | None
    searched: Annotated[
        int, Meta(description="How many jobs were looked at, if the search stopped there; `next` goes on. Null if it is complete.")
    ] | None  # fmt: skip


class CountQuery(Query, frozen=True, kw_only=True):
    """Which jobs to count."""

    q: Search = ""
    most: Annotated[int, Meta(ge=1, le=1_000_000, description="Count no further.")] = 100_000


class Counted(Struct, frozen=True, kw_only=True):
    """How many jobs match: at least so many, if it is not exact."""

    n: int
    exact: bool
    searched: int | None


class LogsQuery(Query, frozen=True, kw_only=True):
    """Which lines."""

    after: Annotated[Number, Meta(description="From the line after this one.")] = 0
    limit: Annotated[int, Meta(ge=1, le=1000, description="At most so many.")] = 1000


class Logs(Struct, frozen=True, kw_only=True):
    """Lines in order."""

    logs: list[shapes.LogLine]


class History(Struct, frozen=True, kw_only=True):
    """Past runs, oldest first."""

    history: list[shapes.Run]


class Explained(Struct, frozen=True, kw_only=True):
    """Why a job is where it is. `code` is stable; `do` says what to do, `command` how, where a command does it."""

    code: str
    why: str
    do: str
    command: str | None
    also: list[str]


class SuggestionsQuery(Query, frozen=True, kw_only=True):
    """A search that is being written."""

    q: Search = ""
    cursor: Annotated[int, Meta(ge=0, le=2000, description="Where the cursor is; by default at the end.")] = 2000


class Suggestion(Struct, frozen=True, kw_only=True):
    """`text` takes the place of the word that the cursor stands in; `label` says what it is."""

    text: str
    label: str


class Suggestions(Struct, frozen=True, kw_only=True):
    """What could stand at the cursor."""

    suggestions: list[Suggestion]


@get("/jobs", tag="jobs", gives=Jobs, query=JobsQuery)
def list_jobs(call: Call[JobsQuery, Body]) -> Jobs:
    """List jobs that match a search, newest first.

    Pages follow each other by `next`, so that what is enqueued meanwhile does not move them."""
    query = call.query
    page = call.insight.jobs(query.q, limit=query.limit, before=query.next or None)
    return Jobs(jobs=[shapes.job(one, call.hide) for one in page.jobs], next=page.next, searched=page.searched)


@get("/jobs/count", tag="jobs", gives=Counted, query=CountQuery)
def count_jobs(call: Call[CountQuery, Body]) -> Counted:
    """Count jobs that match a search.

    At once where only states and queues are asked for; else by looking at them, up to `most`."""
    found = call.insight.count(call.query.q, call.query.most)
    return Counted(n=found.n, exact=found.exact, searched=found.searched)


@get("/jobs/{id}", tag="jobs", gives=shapes.Job)
def get_job(call: Call[Query, Body]) -> shapes.Job:
    """One job."""
    return shapes.job(call.insight.job(call.path["id"]), call.hide)


@get("/jobs/{id}/history", tag="jobs", gives=History)
def get_history(call: Call[Query, Body]) -> History:
    """The past runs of a job."""
    job = call.insight.job(call.path["id"])
    return History(history=[shapes.run(one, call.hide) for one in call.insight.history(job.id)])


@get("/jobs/{id}/logs", tag="jobs", gives=Logs, query=LogsQuery)
def get_logs(call: Call[LogsQuery, Body]) -> Logs:
    """What the runs of a job logged."""
    job = call.insight.job(call.path["id"])
    lines = call.insight.logs(job.id, call.query.after, call.query.limit)
    return Logs(logs=[shapes.log_line(line, call.hide) for line in lines])


@get("/jobs/{id}/explain", tag="jobs", gives=Explained)
def explain_job(call: Call[Query, Body]) -> Explained:
    """Why a job is not running, or how it ended, and what to do."""
    told = explain(gather(call.insight, call.path["id"], call.house.known_tasks))
    hide = call.hide.text
    return Explained(
        code=told.code, why=hide(told.why), do=hide(told.do), command=told.command, also=[hide(one) for one in told.also]
    )


@get("/suggestions", tag="jobs", gives=Suggestions, query=SuggestionsQuery)
def suggest(call: Call[SuggestionsQuery, Body]) -> Suggestions:
    """Complete a search: keys, states, and names that the store knows."""
    found = complete(call.query.q, min(call.query.cursor, len(call.query.q)), call.insight)
    return Suggestions(suggestions=[Suggestion(text=one.text, label=one.label) for one in found])
