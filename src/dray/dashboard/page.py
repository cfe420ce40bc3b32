"""A page's function and what it is given. See `render` for how to add one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlencode

from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dray.dashboard import render
from dray.dashboard.security import Refused, Visit, cookie
from dray.dashboard.settings import Role
from dray.facts import store_now

if TYPE_CHECKING:
    from dray.dashboard.house import House
    from dray.insight import Insight

MOST_FORM = 4 * 1024 * 1024  # bytes
NOTE = "dray_note"

Form = Mapping[str, Sequence[str]]


class Ask:
    """One visit to a page, for its function: what was asked, by whom, and the ways to answer."""

    def __init__(self, request: Request, form: Form | None = None) -> None:
        self.request = request
        self.house: House = request.app.state.house
        self.visit: Visit = request.scope["dray"]
        self.form: Form = form or {}
        self.path: Mapping[str, Any] = request.path_params
        self.live = request.headers.get("dray-live") == "1"  # the page fetches itself: only its changing part is wanted

    # -- what was asked

    @cached_property
    def insight(self) -> Insight:
        """Questions, and verbs that are written to the audit under the visitor's name."""
        return self.house.insight(self.visit.name or "unknown")

    @cached_property
    def now(self) -> int:
        """The store's time, in microseconds since 1970."""
        return store_now(self.house.store)

    @property
    def role(self) -> Role:
        """What the visitor may do."""
        return self.visit.role

    def query(self, name: str, default: str = "") -> str:
        """A value of the URL's query."""
        return self.request.query_params.get(name, default)

    def field(self, name: str, default: str = "") -> str:
        """A value of the form that was sent."""
        return (self.form.get(name) or (default,))[-1]

    def hours(self, default: float = 1.0) -> float:
        """The time range of the figures, in hours, from the query's `hours`: 0.25 to 840."""
        try:
            return min(840.0, max(0.25, float(self.query("hours", str(default)))))
        except ValueError:
            return default

    # -- answers

    def url(self, path: str = "", **query: Any) -> str:
        """The URL of a page of the dashboard, under whatever prefix it has; empty values are left out of the query."""
        kept = {key: value for key, value in query.items() if value not in (None, "")}
        tail = f"?{urlencode(kept, doseq=True)}" if kept else ""
        return f"{self.visit.base}/{quote(path.lstrip('/'), safe='/')}{tail}"

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """A page. `context` is for the template; see `render`."""
        note = unquote(cookie(self.request.headers, NOTE))
        body = render.html(template, self, note=note, **context).encode("utf-8", "replace")
        etag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
        if self.live and status == 200 and self.request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"etag": etag})
        response = Response(body, status, {"etag": etag}, "text/html; charset=utf-8")
        if note:
            response.delete_cookie(NOTE, self.visit.base or "/")
        return response

    def go(self, path: str, note: str = "", **query: Any) -> Response:
        """On to another page, which shows the note. For the answer to a form."""
        return self._on(self.url(path, **query), note)

    def back(self, note: str = "", otherwise: str = "") -> Response:
        """Back to the page on which the form was (its field `next`), else to `otherwise`."""
        return self._on(self.inside(self.field("next"), otherwise), note)

    def inside(self, there: str, otherwise: str = "") -> str:
        """The URL of a path of this dashboard, with its query; of `otherwise` if it would lead elsewhere."""
        ours = there.startswith("/") and not there.startswith("//") and "\\" not in there and there.isprintable()
        return self.visit.base + there if ours else self.url(otherwise)

    def _on(self, url: str, note: str) -> Response:
        if self.live:  # a script sent the form, and goes there itself
            return JSONResponse({"go": url, "note": note})
        response = RedirectResponse(url, 303)
        if note:
            jar = SimpleCookie()
            jar[NOTE] = quote(note[:800])
            jar[NOTE]["path"] = self.visit.base or "/"
            jar[NOTE]["max-age"] = 60
            jar[NOTE]["httponly"] = True
            jar[NOTE]["samesite"] = "Lax"
            response.headers.append("set-cookie", jar.output(header="").strip())
        return response

    def problem(self, text: str, status: int = 400) -> Response:
        """A page that says what is wrong, in a sentence."""
        return self.page("problem.html", status=status, text=text, page_title="Not like that" if status == 400 else "Not found")

    def unsure(self, question: str, button: str, *, detail: str = "") -> Response | None:
        """A page that asks before something destructive is done; None if the answer is there already. Use it as
        `if page := ask.unsure("Delete 3 jobs?", "Delete 3 jobs"): return page`. Scripts ask in a dialog instead, see the macro
        `act`."""
        if self.field("sure") == "1":
            return None
        kept = [(name, value) for name, values in self.form.items() for value in values]
        return self.page(
            "sure.html", page_title="Are you sure?", question=question, button=button, detail=detail, kept=kept,
            back=self.inside(self.field("next")),
        )  # fmt: skip

    def not_allowed(self, role: Role) -> Response:
        """A page that says that the visitor may not do this."""
        why = "this dashboard is read-only" if self.house.settings.read_only else f"your role is {self.role.word}"
        return self.page(
            "problem.html", status=403, page_title="Not allowed", text=f"That needs the role {role.word}, and {why}.",
        )  # fmt: skip

    def may_bulk(self) -> Response | None:
        """A page that says to wait, if the visitor has begun many bulk actions of late; else None."""
        wait = self.house.bulk_limit.wait(self.visit.name or "anybody")
        if not wait:
            return None
        answer = self.problem(f"These were many bulk actions at a time; wait {wait:.0f} seconds before the next.", 429)
        answer.headers["retry-after"] = str(int(wait) + 1)
        return answer


class Door(Struct, frozen=True):
    """A path, and the function that answers there."""

    path: str
    function: Callable[[Ask], Response]
    method: str
    role: Role

    def route(self) -> Route:
        """It, for Starlette."""

        async def endpoint(request: Request) -> Response:
            visit: Visit = request.scope["dray"]
            if visit.role < self.role:
                return await run_in_threadpool(Ask(request).not_allowed, self.role)
            form = await read_form(request) if self.method == "POST" else None
            return await run_in_threadpool(self.function, Ask(request, form))

        return Route(self.path, endpoint, methods=[self.method], name=f"{self.method} {self.path}")


def get(path: str, role: Role = Role.READ) -> Callable[[Callable[[Ask], Response]], Door]:
    """Answer GET. The function runs in a thread: it may ask the store plainly."""
    return lambda function: Door(path, function, "GET", role)


def post(path: str, role: Role = Role.OPERATE) -> Callable[[Callable[[Ask], Response]], Door]:
    """Answer a form."""
    return lambda function: Door(path, function, "POST", role)


async def read_form(request: Request) -> Form:
    """The fields of an urlencoded form. Raises Refused if it is too large or something else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/x-www-form-urlencoded"):
        raise Refused(415, f"A form of this dashboard is urlencoded, not {kind}.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_FORM:
            raise Refused(413, f"The form is larger than {MOST_FORM // 1024**2} MiB; use the command line for that.")
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=20_000)
    except ValueError:
        raise Refused(400, "The form cannot be read.") from None
