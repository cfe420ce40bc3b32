"""The site: `python -m dray.demo.web [PORT]`. A sign-up page, the people, their mails, and the larger works."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp, Receive, Scope, Send

from dray.demo import db, mailbox, settings, signup, works
from dray.demo.child import serve
from dray.demo.partner_api import PartnerClient, PartnerDown
from dray.demo.pictures import NoPicture
from dray.demo.signup import BadForm, Form
from dray.demo.states import of_user

HERE = Path(__file__).parent
templates = Jinja2Templates(directory=HERE / "templates")


class InFlight:
    """Counts the requests under way, so that one can wait until those that a gateway gave up on are over too."""

    requests = 0

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        one = int(scope["type"] == "http")
        InFlight.requests += one
        try:
            await self.app(scope, receive, send)
        finally:
            InFlight.requests -= one


async def home(request: Request) -> Response:
    people = await run_in_threadpool(db.users, 8)
    return templates.TemplateResponse(request, "home.html", {"people": people})


async def sign_up(request: Request) -> Response:
    """POST /signup?mode=inline|background, a form with name, email and photo: 201 with JSON, or on to the new page."""
    wants_json = "application/json" in request.headers.get("accept", "")
    try:
        async with request.form(max_files=1, max_fields=5) as sent:
            mode = request.query_params.get("mode") or str(sent.get("mode", "background"))
            if mode not in ("inline", "background"):
                raise BadForm(f"the mode is inline or background, not {mode!r}")
            upload = sent.get("photo")
            if not isinstance(upload, UploadFile):
                raise BadForm("the photograph is missing")
            form = Form(str(sent.get("name", "")), str(sent.get("email", "")), await upload.read())
        if mode == "inline":
            user_id = await signup.inline(form, request.app.state.partner)
        else:
            user_id = await run_in_threadpool(signup.in_background, form)
    except (BadForm, NoPicture, PartnerDown) as error:
        status = 502 if isinstance(error, PartnerDown) else 400
        if wants_json:
            return JSONResponse({"error": str(error)}, status)
        return templates.TemplateResponse(request, "problem.html", {"problem": str(error)}, status)
    if wants_json:
        return JSONResponse({"id": user_id, "mode": mode}, 201)
    return RedirectResponse(f"/people/{user_id}", 303)


async def people(request: Request) -> Response:
    shown = await run_in_threadpool(db.users, 200)
    done = await run_in_threadpool(db.results)
    return templates.TemplateResponse(request, "people.html", {"people": shown, "done": done})


async def person(request: Request) -> Response:
    """GET /people/{id}, and /people/{id}/live for the part that changes."""
    user_id: int = request.path_params["id"]
    try:
        user = await run_in_threadpool(db.user, user_id)
    except db.NoSuchUser as error:
        raise HTTPException(404, str(error)) from error
    context = {
        "user": user,
        "done": await run_in_threadpool(db.results_of, user_id),
        "jobs": await run_in_threadpool(of_user, user_id),
        "pictures": await run_in_threadpool(works.pictures_of, user),
    }
    part = "_person.html" if request.url.path.endswith("/live") else "person.html"
    return templates.TemplateResponse(request, part, context)


async def mails(request: Request) -> Response:
    paths = await run_in_threadpool(works.newest_mails, 200)
    shown = [(path.stem, await run_in_threadpool(mailbox.read, path)) for path in paths]
    return templates.TemplateResponse(request, "mails.html", {"mails": shown})


async def one_mail(request: Request) -> Response:
    path = settings.folder("mail") / f"{request.path_params['name']}.eml"
    if path.parent != settings.folder("mail") or not path.is_file():
        raise HTTPException(404, f"there is no mail {path.stem}")
    message = await run_in_threadpool(mailbox.read, path)
    body = message.get_body(("plain",))
    text = body.get_content() if body else ""
    return templates.TemplateResponse(request, "mail.html", {"name": path.stem, "mail": message, "text": text})


async def work_page(request: Request) -> Response:
    """GET /works, and /works/live for the part that changes."""
    context = await run_in_threadpool(works.overview)
    part = "_works.html" if request.url.path.endswith("/live") else "works.html"
    return templates.TemplateResponse(request, part, context)


async def start_work(request: Request) -> Response:
    """POST /works/{name}: start the newsletter, the film, the migration, the weekly report or the clean-up."""
    name = request.path_params["name"]
    if name not in works.STARTERS:
        raise HTTPException(404, f"there is no work {name!r}: it is one of {', '.join(works.STARTERS)}")
    await run_in_threadpool(works.STARTERS[name])
    return RedirectResponse("/works", 303)


async def health(request: Request) -> Response:
    return JSONResponse({"ok": True, "other_requests": InFlight.requests - 1})


async def problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return templates.TemplateResponse(request, "problem.html", {"problem": error.detail}, error.status_code)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    import fpdf as loaded  # noqa: F401  # loaded before the first visitor, so that no request pays for it
    async with PartnerClient() as app.state.partner:
        yield


def application() -> Starlette:
    def files(name: str) -> Mount:
        return Mount(f"/{name}", StaticFiles(directory=settings.folder(name)))

    return Starlette(
        routes=[
            Route("/", home),
            Route("/signup", sign_up, methods=["POST"]),
            Route("/people", people),
            Route("/people/{id:int}", person),
            Route("/people/{id:int}/live", person),
            Route("/mails", mails),
            Route("/mails/{name}", one_mail),
            Route("/works", work_page),
            Route("/works/live", work_page),
            Route("/works/{name}", start_work, methods=["POST"]),
            Route("/health", health),
            files("pictures"),
            files("reports"),
            files("video"),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[Middleware(InFlight)],
        exception_handlers={HTTPException: problem},
        lifespan=lifespan,
    )


if __name__ == "__main__":
    serve(application(), int(sys.argv[1]) if len(sys.argv) > 1 else 0)
