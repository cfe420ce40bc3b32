"""How pages are made: templates, and the filters that they have.

To add a page:

1. A template in `templates/`: `{% extends layout %}` first, then the blocks `title` (also of the window), `lead` (a line under the
   heading), `tools` (buttons beside it) and `page`. `layout` is the whole page, or only its changing part when it fetches itself;
   so everything that changes belongs into these blocks. `{% import "_parts.html" as ui with context %}` gives the macros.
2. A module in `pages/` with functions that are given an `Ask` and give a response. They run in a thread and may block:

       @get("/queues")
       def queues(ask: Ask) -> Response:
           return ask.page("queues.html", queues=ask.insight.queues())

       @post("/queues/pause", role=Role.OPERATE)
       def pause(ask: Ask) -> Response:
           ask.insight.pause(ask.field("queue"))
           return ask.back("The queue is paused.", otherwise="queues")

       DOORS = (queues, pause)

   Names go into the query or the form, never into the path: they may have slashes in them. Errors of Dray become a page by
   themselves. What removes something begins with `if page := ask.unsure(…): return page`.
3. Its module in `pages.MODULES`; its entry in `NAVIGATION` below, if it is to be in the navigation.

Templates have: `url(path, **query)` (every link is made by it), `role`, `can("operate")`, `read_only`, `now` (the store's, in
microseconds), `live` (whether the page is fetched anew when something changes: set it to False outside of the blocks, by
`{% set live = False %}`), and these filters: `moment` and `since` (microseconds → <time>, local by script), `span` (seconds →
"3.2 s"), `num` (1,234), `size` (bytes), `percent` (0…1), `redact`, `text` (anything that users wrote: cut, control and direction
characters made visible), `tree` (data as nested lists). No `style=`, `onclick=` or inline script: the policy forbids them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup, escape

from dray import __version__, wording
from dray.dashboard import pictures, static, tree
from dray.dashboard.security import cookie
from dray.dashboard.settings import WORDS
from dray.model.clock import SECOND
from dray.search import word

if TYPE_CHECKING:
    from dray.dashboard.page import Ask

#: path, name, icon, the key after `g`
NAVIGATION = (
    ("", "Overview", "overview", "o"), ("jobs", "Jobs", "jobs", "j"), ("queues", "Queues", "queues", "q"),
    ("tasks", "Tasks", "tasks", "t"), ("schedules", "Schedules", "schedules", "s"), ("errors", "Errors", "errors", "e"),
    ("workers", "Workers", "workers", "w"), ("system", "System", "system", "y"), ("audit", "Audit", "audit", "a"),
)  # fmt: skip
THEMES = ("light", "dark")


@cache
def environment() -> jinja2.Environment:
    """The templates."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, auto_reload=False,
    )  # fmt: skip
    env.filters.update(
        moment=moment, since=since, span=span, num=num, size=wording.size, percent=percent, text=tree.text, tree=tree.html,
        attr=attr, error_line=wording.error_line, short=wording.short, brief=tree.brief,
    )  # fmt: skip
    env.globals.update(
        version=__version__, spark=pictures.spark, lines=pictures.lines, bar=pictures.bar, count=wording.count, SECOND=SECOND,
        word=word, progress=progress, STATES=STATES, FINAL=("succeeded", "failed", "cancelled"),
    )  # fmt: skip
    return env


STATES = ("scheduled", "ready", "running", "blocked", "sleeping", "succeeded", "failed", "cancelled")


def html(template: str, ask: Ask, **context: Any) -> str:
    """A page, or only its changing part if the page fetches itself."""
    house = ask.house
    theme = cookie(ask.request.headers, "dray_theme")
    redactor = house.redactor
    known = {door.path.strip("/") for door in ask.request.app.state.doors if door.method == "GET"}
    return environment().get_template(template).render(
        ask=ask, url=ask.url, role=ask.role.word, can=lambda word: ask.role >= WORDS[word], read_only=house.settings.read_only,
        brand=house.settings.title, theme=theme if theme in THEMES else "auto", layout="bare.html" if ask.live else "base.html",
        static=f"{ask.visit.base}/static/{static.digest()}", redact=redactor.value, redact_text=redactor.text,
        navigation=[entry for entry in NAVIGATION if entry[0] in known], here=here(ask), me=ask.visit.name,
        signed_in=house.settings.token is not None and bool(cookie(ask.request.headers, "dray_session")),
        now=Now(ask), **context,
    )  # fmt: skip


def here(ask: Ask) -> str:
    """The path of the page in the dashboard, with its query: what forms send as `next`."""
    path = ask.request.url.path.removeprefix(ask.request.scope["root_path"]) or "/"
    query = ask.request.url.query
    return f"{path}?{query}" if query and ask.request.method == "GET" else path


class Now:
    """The store's time, asked for when a template first needs it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def __int__(self) -> int:
        return self._ask.now

    def __sub__(self, other: int) -> int:
        return self._ask.now - other

    def __rsub__(self, other: int) -> int:
        return other - self._ask.now

    def __gt__(self, other: int) -> bool:
        return self._ask.now > other

    def __lt__(self, other: int) -> bool:
        return self._ask.now < other


# -- filters


def moment(at: int | None, kind: str = "clock") -> Markup:
    """A time, in UTC until a script makes it local: "clock" (with the date if it is not today's), "ago", or "both"."""
    if at is None:
        return Markup('<span class="none">–</span>')
    there = datetime.fromtimestamp(at / SECOND, UTC)
    return Markup('<time datetime="{}" data-t="{}">{}</time>').format(
        there.isoformat(timespec="milliseconds").replace("+00:00", "Z"), kind, there.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


def since(at: int | None) -> Markup:
    """A time that scripts show as its distance from now."""
    return moment(at, "ago")


def span(seconds: float | None, sign: str = "–") -> Markup:
    """A length of time: "340 ms", "3.2 s", "4m 05s", "3h 20m"."""
    if seconds is None:
        return Markup('<span class="none">{}</span>').format(sign)
    return escape(length(seconds))


def length(seconds: float) -> str:
    """The same as text."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f} ms" if 0 < seconds < 0.00995 else f"{seconds * 1000:.0f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s" if seconds < 59.95 else f"1m {seconds - 60:02.0f}s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {left:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes:02d}m"
    return f"{hours // 24}d {hours % 24}h"


def num(n: float | None) -> str:
    """A number with commas; of small ones that are not whole, one digit after the point."""
    if n is None:
        return "–"
    if isinstance(n, float) and not n.is_integer() and abs(n) < 100:
        return f"{n:.2f}" if abs(n) < 1 else f"{n:.1f}"
    return f"{round(n):,}"


def percent(part: float | None) -> str:
    """A part of one."""
    if part is None:
        return "–"
    return "0 %" if part == 0 else "< 0.1 %" if part < 0.001 else f"{100 * part:.1f} %" if part < 0.1 else f"{100 * part:.0f} %"


def progress(told: Mapping[str, Any]) -> Markup:
    """How far a job is, as it said: "40 of 100 (40 %) resizing"."""
    done, total, note = told.get("done"), told.get("total"), told.get("note") or ""
    part = f" of {num(total)} ({100 * (done or 0) / total:.0f} %)" if isinstance(total, int | float) and total > 0 else ""
    return escape(f"{num(done or 0)}{part} ") + tree.text(note, 120)


def attr(data: Any) -> str:
    """Data as JSON for an attribute."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)
