"""Operations on the system: the doctor, sizes, settings, who did what, the document and the stream of changes."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from dray import __version__, config, shapes
from dray.dashboard import live
from dray.dashboard.api.problem import Failed
from dray.dashboard.api.table import OPERATIONS, Call, get
from dray.dashboard.api.values import Body, Query
from dray.store.open import scheme_of
from dray.store.urls import shown
from dray.wording import iso

if TYPE_CHECKING:
    from dray.dashboard.house import House
    from dray.doctor import Finding as Found

PATIENCE = 20.0  # seconds for the doctor


class Finding(Struct, frozen=True, kw_only=True):
    """An answer of the doctor. `check` is stable; `level` is "ok", "note" or "wrong"."""

    check: str
    level: str
    message: str
    fix: str
    command: str | None


class Findings(Struct, frozen=True, kw_only=True):
    """What the doctor found."""

    store: str
    wrong: Annotated[int, Meta(description="How many findings are wrong.")]
    findings: list[Finding]


class Kept(Struct, frozen=True, kw_only=True):
    """What the store keeps under one name; null where the engine does not tell."""

    name: str
    rows: int | None
    size: Annotated[int, Meta(description="Bytes, indexes included.")] | None


class Space(Struct, frozen=True, kw_only=True):
    """What the store keeps, and how much room that takes."""

    store: str
    space: list[Kept]


class Setting(Struct, frozen=True, kw_only=True):
    """A setting, and where it comes from."""

    name: str
    value: Any
    origin: str


class Config(Struct, frozen=True, kw_only=True):
    """How the process that answers is set."""

    version: str
    store: str
    settings: list[Setting]


class AuditQuery(Query, frozen=True, kw_only=True):
    """Which entries."""

    before: Annotated[int, Meta(ge=1, le=2**62, description="Go on below this number.")] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=1000, description="At most so many.")] = 100


class Entry(Struct, frozen=True, kw_only=True):
    """What somebody did."""

    number: int
    at: shapes.Moment | None
    by: str
    via: str
    action: str
    target: str
    detail: str


class Audit(Struct, frozen=True, kw_only=True):
    """Who did what, newest first."""

    audit: list[Entry]
    next: Annotated[int, Meta(description="For `before` of the next page; null at the end.")] | None


@get("/doctor", tag="system", gives=Findings, problems=(409,))
def doctor(call: Call[Query, Body]) -> Findings:
    """Look for what is wrong with the store, the workers and the schedules.

    Takes some seconds on a large store; who asks meanwhile is given the same findings."""
    url = call.house.store.url
    found = _examined(call.house, url)
    findings = [
        Finding(check=one.check, level=one.level, message=one.message, fix=one.fix, command=one.command) for one in found
    ]
    return Findings(store=shown(url), wrong=sum(one.level == "wrong" for one in findings), findings=findings)


@get("/space", tag="system", gives=Space)
def space(call: Call[Query, Body]) -> Space:
    """What the store keeps, and how much room that takes."""
    found = [Kept(name=one.name, rows=one.rows, size=one.size) for one in call.insight.space()]
    return Space(store=shown(call.house.store.url), space=found)


@get("/config", tag="system", gives=Config)
def get_config(call: Call[Query, Body]) -> Config:
    """The settings of the process that answers, each with its origin."""
    settings = [
        Setting(name=one.name, value=shown(one.value) if one.name == "url" else one.value, origin=one.origin)
        for one in config.settings().values()
    ]
    return Config(version=__version__, store=shown(call.house.store.url), settings=settings)


@get("/audit", tag="system", gives=Audit, query=AuditQuery)
def audit(call: Call[AuditQuery, Body]) -> Audit:
    """Who did what, newest first."""
    query = call.query
    before = query.before if isinstance(query.before, int) else None
    found = call.insight.audits(before, query.limit)
    entries = [
        Entry(
            number=one.number, at=iso(one.at), by=one.by, via=one.via, action=one.action, target=call.hide.text(one.target),
            detail=call.hide.text(one.detail),
        )
        for one in found
    ]  # fmt: skip
    return Audit(audit=entries, next=found[-1].number if len(found) == query.limit else None)


@get("/events", tag="system", gives=str, media_type="text/event-stream", raw=True)
async def events(call: Call[Query, Body]) -> Response:
    """A stream of server-sent events: one named `change` whenever anything may have changed.

    Its data and its id are a growing number. `Last-Event-ID` of an earlier stream gives one at once if something has changed
    since; comments in between keep the line open."""
    return await live.stream(call.request)


@get("/openapi.json", tag="system", gives=dict)
def openapi(call: Call[Query, Body]) -> dict[str, Any]:
    """This document."""
    from dray.dashboard.api.document import document

    return document(OPERATIONS, call.house.settings, f"{call.visit.base}/api/v1")


# -- the doctor looks once at a time, however many ask

_looking: WeakKeyDictionary[House, Future[list[Found]]] = WeakKeyDictionary()
_lock = threading.Lock()


def _examined(house: House, url: str) -> list[Found]:
    path = _file(url)
    with _lock:
        future = _looking.get(house)
        if future is None or future.done():
            future = _looking[house] = Future()
            threading.Thread(target=_examine, args=(future, path, url, house.known_tasks), name="dray-doctor", daemon=True).start()
    try:
        return future.result(PATIENCE)
    except Late:
        text = f"The doctor has not come back within {PATIENCE:.0f} seconds; ask again later, or use the command line: dray doctor."
        raise Failed(503, text, {"retry-after": "30"}) from None


def _examine(future: Future[list[Found]], path: Path | None, url: str, tasks: Any) -> None:
    from dray.doctor import examine

    try:
        future.set_result(examine(path, url, app_tasks=None if tasks is None else set(tasks)))
    except BaseException as error:
        future.set_exception(error)


def _file(url: str) -> Path | None:
    """The file of a store in one; None if it is on a server. Raises Failed for a store in memory."""
    if scheme_of(url) != "sqlite":
        return None
    name = unquote(urlsplit(url).path)
    if name in ("", "/", "/:memory:"):
        raise Failed(409, "The store is in memory, where there is nothing for the doctor to look at.")
    return Path(name[1:]).absolute()
