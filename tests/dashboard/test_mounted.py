"""The dashboard in other applications and behind a proxy, really served: its pages, files, forms and live updates work there."""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
import urllib.error
import urllib.parse
import urllib.request
import wsgiref.simple_server
from collections.abc import Iterator
from typing import Any

import pytest
from dashboard_hands import PATIENCE, Served, Shop, until

from dray.cli.dashboard import listening, serve


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("mounted")).at_work() as shop:
        yield shop


class Once(urllib.request.HTTPRedirectHandler):
    """Does not follow."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def ask(url: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str, Any]:
    data = None if form is None else urllib.parse.urlencode(form).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.build_opener(Once).open(urllib.request.Request(url, data, given), timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


def check(origin: str, prefix: str, shop: Shop, **headers: str) -> None:
    """All that must work under a prefix: every file of a page, a form, a stream, the API beside them."""
    base = origin + prefix
    status, page, _ = ask(f"{base}/jobs/{shop.ids['failed']}", **headers)
    assert status == 200
    assert "shop.charge" in page
    links = set(re.findall(r'(?:href|src|action)="([^"#]+)"', page))
    assert links
    assert all(link.startswith(f"{prefix}/") for link in links), [link for link in links if not link.startswith(prefix)]
    for link in links:
        if "/static/" in link:
            assert ask(origin + link, **headers)[0] == 200, link
    job = shop.add.using(delay="2h").enqueue(1)
    status, _, got = ask(f"{base}/job/cancel", {"id": job.id, "sure": "1", "next": f"/jobs/{job.id}"}, **headers)
    assert (status, got["location"]) == (303, f"{prefix}/jobs/{job.id}")
    assert "The job is cancelled." in ask(f"{base}/jobs/{job.id}", cookie=got["set-cookie"].partition(";")[0], **headers)[1]
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with urllib.request.urlopen(urllib.request.Request(f"{base}/live", headers=given), timeout=PATIENCE) as stream:
        assert any(line == b"event: hello\n" for line in stream)
    assert ask(f"{base}/api/v1/queues", **headers)[0] == 200
    status, _, got = ask(base, **headers)
    assert status in (200, 303, 307, 308)
    assert status == 200 or urllib.parse.urlsplit(got["location"]).path == f"{prefix}/"


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    there = Served(app)
    try:
        yield there.url
    finally:
        there.stop()


def test_in_starlette(shop: Shop) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    with served(Starlette(routes=[Mount("/admin", routes=[Mount("/jobs", app=shop.app.dashboard())])])) as url:
        check(url, "/admin/jobs", shop)


def test_in_fastapi_with_the_applications_own_users(shop: Shop) -> None:
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()

    @app.get("/")
    def own() -> dict[str, str]:
        return {"own": "page"}

    async def access(request: Any) -> tuple[str, str]:
        return ("all", "ann") if request.headers.get("x-user") == "ann" else ("none", "")

    app.mount("/jobs", shop.app.dashboard(access=access))
    with served(app) as url:
        check(url, "/jobs", shop, x_user="ann")
        assert ask(f"{url}/jobs/")[0] == 403
        assert "own" in ask(f"{url}/")[1]
    assert shop.app.insight.audits()[0].by == "ann"


class Threads(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@contextlib.contextmanager
def wsgi_served(app: Any) -> Iterator[str]:
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, app, Threads, Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_in_flask(shop: Shop) -> None:
    flask = pytest.importorskip("flask")
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = flask.Flask("own")
    app.add_url_rule("/", view_func=lambda: "own page")
    mounted = shop.app.dashboard_wsgi()
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/jobs": mounted})
    with wsgi_served(app) as url:
        check(url, "/jobs", shop)
        assert ask(f"{url}/")[1] == "own page"
        ticker = mounted.app.state.house.ticker

        def left() -> bool:
            shop.add.enqueue(1)  # a server notices that a visitor has left when there is something to send
            return not ticker._listeners

        until(left, "the end of a stream that nobody reads any more")


def test_in_django(shop: Shop) -> None:
    django = pytest.importorskip("django")
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    urls = type("urls", (), {"urlpatterns": [path("", lambda request: HttpResponse("own page"))]})
    if not settings.configured:  # once in a process
        settings.configure()
    for name, value in {"ROOT_URLCONF": urls, "ALLOWED_HOSTS": ["*"], "SECRET_KEY": "x" * 50}.items():
        setattr(settings, name, value)
    django.setup()
    with wsgi_served(DispatcherMiddleware(WSGIHandler(), {"/admin/jobs": shop.app.dashboard_wsgi()})) as url:
        check(url, "/admin/jobs", shop)
        assert ask(f"{url}/")[1] == "own page"


@pytest.mark.parametrize("how", ["left on", "taken off", "told in a header"])
def test_behind_a_proxy(shop: Shop, how: str) -> None:
    token = "a token that is long"
    options = {} if how == "told in a header" else {"prefix": "/tools/jobs"}
    app = shop.app.dashboard(token=token, **options)

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope = dict(scope)
            scope["headers"] = [*scope["headers"], (b"x-forwarded-for", b"203.0.113.9")]
            if how == "told in a header":
                scope["headers"].append((b"x-forwarded-prefix", b"/tools/jobs"))
            if how != "left on":
                assert scope["path"].startswith("/tools/jobs")
                scope["path"] = scope["path"].removeprefix("/tools/jobs") or "/"
                scope["raw_path"] = scope["path"].encode()
        await app(scope, receive, send)

    with served(proxy) as url:
        check(url, "/tools/jobs", shop, authorization=f"Bearer {token}")


def test_by_itself_and_it_ends_while_somebody_looks(shop: Shop) -> None:
    ready = threading.Event()
    app = shop.app.dashboard()
    with listening("127.0.0.1", 0) as place:
        url = f"http://127.0.0.1:{place.getsockname()[1]}"
        # Signals are only heard in the main thread: the server is told as a signal would tell it.
        servers: list[Any] = []
        thread = threading.Thread(target=serve, args=(app, place, ready.set, servers.append), daemon=True)
        thread.start()
        assert ready.wait(PATIENCE)
        check(url, "", shop)
        with urllib.request.urlopen(f"{url}/live", timeout=PATIENCE) as stream:
            assert stream.readline()
            servers[0].handle_exit(15, None)
            thread.join(4)
            assert not thread.is_alive(), "it waits for a stream"
    until(lambda: app.state.house.ticker.closed, "the end of the ticker")
