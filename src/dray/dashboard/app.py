"""The dashboard as one ASGI application: pages, the API, what they share."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from dray.dashboard import api, live, static
from dray.dashboard.house import House
from dray.dashboard.page import Ask
from dray.dashboard.pages import doors
from dray.dashboard.security import HEADERS, Guard, Refused
from dray.dashboard.settings import Settings
from dray.errors import ConfigurationError, DrayError, StoreError, UnknownJob, UnknownSchedule, UnknownTask, UnknownWorker

if TYPE_CHECKING:
    from dray.app import Dray
    from dray.insight import Insight

log = logging.getLogger("dray.dashboard")

NOT_FOUND = (UnknownJob, UnknownSchedule, UnknownTask, UnknownWorker)


def make(source: Dray | Insight, settings: Settings | None = None) -> Starlette:
    """The dashboard of an app, or of a store that an Insight looks into (then without forms that need the tasks' code).

    It may be mounted under any path of another application. The store is opened when it is first asked, and not closed.
    """
    house = House(source, settings or Settings())
    known = doors()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        house.close()

    routes: list[BaseRoute] = [
        Route("/static/{digest}/{name:path}", static.serve),
        Route("/live", live.stream),
        Route("/metrics", metrics),
        *api.routes(house, "/api/v1"),
        *(door.route() for door in known),
    ]
    app = Starlette(
        routes=routes, lifespan=lifespan, middleware=[Middleware(Guard, house=house)],
        exception_handlers={DrayError: _error, Refused: _refused, HTTPException: _http, Exception: _unexpected},
    )  # fmt: skip
    app.router.redirect_slashes = False  # it would not know of the prefix
    app.state.house = house
    app.state.doors = known
    return app


async def metrics(request: Request) -> Response:
    """GET /metrics: for Prometheus, what concerns the whole store. What workers count is on their own ports."""
    from dray.observe.metrics import of_whole

    try:
        text, kind = await run_in_threadpool(of_whole, request.app.state.house.store, request.headers.get("accept", ""))
    except ConfigurationError as error:
        return PlainTextResponse(f"{error}\n", 501)
    return Response(text, media_type=kind)


# -- what went wrong, as a page


async def _error(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, NOT_FOUND) else 503 if isinstance(error, StoreError) else 400
    heading = {404: "Not found", 503: "The store does not answer", 400: "Not like that"}[status]
    return await _problem(request, status, heading, str(error))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return await _problem(request, error.status, "Refused", error.text)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return await _problem(request, 404, "Not found", "There is no such page in this dashboard.")
    if error.status_code == 405:
        return await _problem(request, 405, "Not like that", f"This page does not take {request.method}.")
    return PlainTextResponse(error.detail, error.status_code, error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    answer = await _problem(request, 500, "An error of the dashboard", "It failed in an unexpected way; the server's log says how.")
    answer.headers.update(HEADERS)  # this one goes past the guard
    return answer


async def _problem(request: Request, status: int, heading: str, text: str) -> Response:
    if "dray" not in request.scope:  # raised before anybody was let in
        return PlainTextResponse(text + "\n", status)

    def page() -> Response:
        return Ask(request).page("problem.html", status=status, page_title=heading, text=text)

    return await run_in_threadpool(page)
