"""Who may come in, and what every answer carries: roles, cross-site requests, headers. An ASGI middleware around all of it.

Without authentication, only requests straight from this machine are let in: from a loopback address, to a loopback name (so that
no page elsewhere can point a name of its own here), and not through a proxy, which would make everybody look local.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import inspect
import re
import time
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from msgspec import Struct
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dray.dashboard.api.problem import problem_response
from dray.dashboard.settings import Role, Settings, is_loopback, role_of

if TYPE_CHECKING:
    from dray.dashboard.house import House

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN = ("/static/", "/sign-in", "/sign-out")  # what one needs in order to sign in, or out
COOKIE = "dray_session"
PREFIX = re.compile(r"(/[A-Za-z0-9._~%-]+)+")
PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}

NOT_LOCAL = (
    "This dashboard has no password, so it answers this machine only, and not through a proxy: give it a token, a user and a "
    "password, or an access callback, and open it again."
)
CROSS_SITE = "This request came from another site and was refused; use the dashboard's own pages."


class Visit(Struct, frozen=True):
    """What is known of a request before its page is chosen. Kept in the scope as "dray"."""

    base: str  # the path in front of the dashboard's own, without a slash at the end
    role: Role
    name: str  # who it is, for the audit


class Refused(Exception):
    """Nobody is let in like that; the text says why, in one sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self.app = app
        self.house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        settings = self.house.settings
        base = _enter(scope, headers, settings.prefix)
        path = scope["path"][len(scope["root_path"]) :] if scope["path"].startswith(scope["root_path"]) else scope["path"]
        try:
            if scope["method"] not in SAFE:
                refuse_cross_site(headers)
            role, name = await identify(scope, headers, settings)
            if role is Role.NONE and not path.startswith(OPEN):
                raise Refused(401 if settings.token or settings.user else 403, "You may not see this dashboard.")
        except Refused as refused:
            await self._refusal(refused, scope, path, base)(scope, receive, _dressed(send))
            return
        if settings.read_only:
            role = min(role, Role.READ)
        if not path:  # mounted at /jobs, and asked for just that: relative to it would be elsewhere
            await RedirectResponse(f"{base}/", 303)(scope, receive, _dressed(send))
            return
        scope["dray"] = Visit(base, role, name)
        await self.app(scope, receive, _dressed(send))

    def _refusal(self, refused: Refused, scope: Scope, path: str, base: str) -> Response:
        settings = self.house.settings
        headers = {}
        if refused.status == 401:
            headers["www-authenticate"] = 'Basic realm="Dray", charset="UTF-8"' if settings.user else 'Bearer realm="Dray"'
        if path.startswith("/api/"):
            return problem_response(refused.status, refused.text, headers)
        wants_page = "text/html" in Headers(scope=scope).get("accept", "")
        if refused.status == 401 and settings.token and not settings.user and wants_page and scope["method"] == "GET":
            query = scope["query_string"].decode("latin-1")
            there = path + (f"?{query}" if query else "")
            return RedirectResponse(f"{base}/sign-in?next={quote(there, safe='')}", 303)
        return PlainTextResponse(refused.text + "\n", refused.status, headers)


def _enter(scope: Scope, headers: Headers, prefix: str) -> str:
    """Where the dashboard lies for the visitor; a prefix that the proxy left in the path is taken for a mount."""
    root: str = scope.get("root_path", "").rstrip("/")
    path: str = scope["path"]
    for shown in (prefix, headers.get("x-forwarded-prefix", "").rstrip("/")):
        if not shown or not PREFIX.fullmatch(shown):
            continue
        if (path + "/").startswith(f"{root}{shown}/"):
            root += shown
            break
        if root != shown and not root.startswith(shown + "/"):
            scope["root_path"] = root
            return shown + root
        break
    scope["root_path"] = root
    return root


# -- who it is


async def identify(scope: Scope, headers: Headers, settings: Settings) -> tuple[Role, str]:
    """The visitor's role and name. Raises Refused."""
    if settings.access is not None:
        answer = settings.access(Request(scope))
        return role_of(await answer if inspect.isawaitable(answer) else answer)
    if not settings.guarded:
        if not is_local(scope, headers):
            raise Refused(403, NOT_LOCAL)
        return Role.ALL, "local"
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if settings.token is not None:
        if scheme.lower() == "bearer" and same(given.strip(), settings.token):
            return Role.ALL, "token"
        if session_holds(cookie(headers, COOKIE), settings):
            return Role.ALL, "token"
    if settings.user is not None and scheme.lower() == "basic":
        user, password = _basic(given)
        # Both are compared whatever comes of the first, so that the time tells nothing.
        right = same(user, settings.user) & same(password, settings.password or "")
        if right:
            return Role.ALL, user
    return Role.NONE, ""


def is_local(scope: Scope, headers: Headers) -> bool:
    """Whether the request comes straight from this machine."""
    client = scope.get("client")
    # a2wsgi leaves the client out where the server does not tell its port.
    address = client[0] if client else scope.get("wsgi_environ", {}).get("REMOTE_ADDR", "")
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    return is_loopback(address or "") and is_loopback(host) and not any(name in headers for name in PROXIED)


def same(given: str, known: str) -> bool:
    """Whether two texts are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), known.encode())


def _basic(given: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def cookie(headers: Headers, name: str) -> str:
    """The value of a cookie; empty if there is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def new_session(settings: Settings) -> str:
    """What the cookie of somebody holds who has signed in: until when, and that nobody else wrote it."""
    until = str(int(time.time() + settings.session))
    return f"{until}.{settings.signature(until)}"


def session_holds(value: str, settings: Settings) -> bool:
    """Whether the cookie is ours and still good."""
    until, _, signature = value.partition(".")
    return same(signature, settings.signature(until)) and until.isdecimal() and int(until) > time.time()


# -- what others' pages may not do


def refuse_cross_site(headers: Headers) -> None:
    """Raises Refused if a page of another site made the browser send this. Browsers tell so in Sec-Fetch-Site, or at least in
    Origin; what sends neither is no browser, and has no cookies that a page could abuse."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise Refused(403, CROSS_SITE)
        return
    origin = headers.get("origin")
    if origin is not None:
        ours = {headers.get("host", ""), headers.get("x-forwarded-host", "").split(",")[0].strip()} - {""}
        if urlsplit(origin).netloc.lower() not in {host.lower() for host in ours}:
            raise Refused(403, CROSS_SITE)


def _dressed(send: Send) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=_raw(message))
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return dressed


def _raw(message: Message) -> Any:
    message["headers"] = list(message.get("headers", ()))
    return message
