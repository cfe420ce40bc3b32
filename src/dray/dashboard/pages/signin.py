"""Signing in with the token, and out."""

from __future__ import annotations

from starlette.responses import Response

from dray.dashboard.page import Ask, get, post
from dray.dashboard.security import COOKIE, new_session, same
from dray.dashboard.settings import Role


@get("/sign-in", role=Role.NONE)
def form(ask: Ask) -> Response:
    """Where one gives the token."""
    return ask.page("signin.html", there=ask.query("next", "/"), wrong="")


@post("/sign-in", role=Role.NONE)
def sign_in(ask: Ask) -> Response:
    """With the right one, a cookie that only this dashboard could have made."""
    settings = ask.house.settings
    there = ask.field("next", "/")
    client = ask.request.client
    wait = ask.house.sign_in_limit.wait(client.host if client else "anybody")
    if wait:
        wrong = f"These were many attempts; wait {wait:.0f} seconds before the next."
        return ask.page("signin.html", status=429, there=there, wrong=wrong)
    if settings.token is None or not same(ask.field("token"), settings.token):
        return ask.page("signin.html", status=403, there=there, wrong="That is not the token.")
    answer = ask.back(otherwise="")
    answer.set_cookie(
        COOKIE, new_session(settings), max_age=int(settings.session), path=ask.visit.base or "/", httponly=True, samesite="lax",
        secure="https" in (ask.request.url.scheme, ask.request.headers.get("x-forwarded-proto")),
    )  # fmt: skip
    return answer


@post("/sign-out", role=Role.NONE)
def sign_out(ask: Ask) -> Response:
    """Forget the cookie."""
    answer = ask.go("sign-in")
    answer.delete_cookie(COOKIE, ask.visit.base or "/")
    return answer


DOORS = (form, sign_in, sign_out)
