"""`dray dashboard`: the pages and the API, served by this process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dray.cli.options import existing_file, is_file, store_url, url_option
from dray.config import settings
from dray.errors import ConfigurationError, DrayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette

PORT = 8042
NEEDS = ("starlette", "uvicorn", "jinja2")


@click.command(name="dashboard", short_help="Serve the pages and the API that show everything.")
@click.argument("target", required=False)
@url_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; others than this machine need a login.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="The port; 0 takes a free one.")
@click.option("--prefix", default="", metavar="PATH", help="Where a proxy has put it, such as /jobs.")
@click.option(
    "--token", metavar="TEXT", envvar="DRAY_DASHBOARD_TOKEN",
    help="What visitors must give: on a page, or as a Bearer header. [DRAY_DASHBOARD_TOKEN]",
)  # fmt: skip
@click.option(
    "--user", metavar="NAME", envvar="DRAY_DASHBOARD_USER",
    help="With --password: HTTP basic authentication. [DRAY_DASHBOARD_USER]",
)  # fmt: skip
@click.option("--password", metavar="TEXT", envvar="DRAY_DASHBOARD_PASSWORD", help="[DRAY_DASHBOARD_PASSWORD]")
@click.option("--read-only", is_flag=True, help="Nobody can change anything.")
@click.option("--open", "browse", is_flag=True, help="Open it in the browser.")
@click.option("--reload", is_flag=True, help="Load the code anew when it changes.")
@click.option("--parent", type=int, hidden=True, help="End when this process is gone.")
def dashboard(
    target: str | None, url: str | None, host: str, port: int, browse: bool, reload: bool, parent: int | None, **options: Any
) -> None:
    """Serve the pages and the API that show everything, until Ctrl-C.

    TARGET is `module`, `module:app` or `file.py` (default: DRAY_APP); without one it shows the store, and cannot offer forms made
    from the code of tasks.
    """
    try:
        import uvicorn  # noqa: F401

        from dray.dashboard.app import make
        from dray.dashboard.settings import check_bind, made
    except ImportError as error:
        raise ConfigurationError(
            f"The dashboard needs {error.name}, which is not installed: pip install 'dray[dashboard]'."
        ) from None
    given = made(options)
    check_bind(host, given)
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with listening(host, port) as place:
        shown = f"[{host}]" if ":" in host else host
        there = f"http://{shown}:{place.getsockname()[1]}{given.prefix}/"
        if reload:
            _anew_on_changes(place.getsockname()[1])
        try:
            app = make(_source(target, url), given)
        except DrayError as error:
            if not reload:
                raise
            click.echo(f"dray: {error} The dashboard waits for the code to change.", err=True)
            threading.Event().wait()
        serve(app, place, lambda: _told(there, browse))


def _told(there: str, browse: bool) -> None:
    click.echo(f"The dashboard is at {there} (Ctrl-C ends it).", err=True)
    if browse:
        import webbrowser

        webbrowser.open(there)


def listening(host: str, port: int) -> socket.socket:
    """A socket at which the dashboard listens. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    place = socket.socket(family, socket.SOCK_STREAM)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        place.bind((host, port))
    except OSError as error:
        place.close()
        raise ConfigurationError(
            f"The dashboard cannot listen on {host}, port {port} ({error.strerror or error}); give another --port, or 0 for a free "
            "one."
        ) from None
    return place


def serve(
    app: Starlette, place: socket.socket, ready: Callable[[], None] = lambda: None,
    made: Callable[[Any], object] = lambda server: None,
) -> None:
    """Serve it until TERM or INT; `ready` is called when it listens, `made` with the server before."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        def handle_exit(self, sig: int, frame: Any) -> None:
            app.state.house.close()  # ends the streams, for which the server would wait
            super().handle_exit(sig, frame)

    config = uvicorn.Config(app, log_level="warning", proxy_headers=False, server_header=False, timeout_graceful_shutdown=5)
    server = Server(config)
    made(server)
    server.run(sockets=[place])


def _source(target: str | None, url: str | None) -> Any:
    chosen = settings({"app": target})["app"].value
    if chosen:
        from dray.target import load_app

        app = load_app(chosen)
        if url is not None:
            app.configure(url=url)
        return app
    from dray.insight import Insight
    from dray.store.open import open_store

    where = store_url(url)
    if is_file(where):
        existing_file(where)
    return Insight(open_store(where, migrate=False))


# -- beside `dray dev`


def beside(target: str | None, url: str | None, port: int | None) -> None:
    """Start a dashboard as a process of its own, which ends with this one. Says so if it cannot be had, and goes on."""
    from importlib.util import find_spec

    lacking = [name for name in NEEDS if find_spec(name) is None]
    if lacking:
        click.echo(f"dray: no dashboard: {lacking[0]} is not installed (pip install 'dray[dashboard]').", err=True)
        return
    if port is None:
        try:
            listening("127.0.0.1", PORT).close()
        except ConfigurationError:
            port = 0
    command = [sys.executable, "-P", "-m", "dray", "dashboard", *([target] if target else []), *(["--url", url] if url else [])]
    subprocess.Popen([*command, "--port", str(PORT if port is None else port), "--reload", "--parent", str(os.getpid())])


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _anew_on_changes(port: int) -> None:
    """Begin anew, at the same port, when Python files under the current folder change."""
    from dray.worker.reload import watch

    known = [*sys.argv[1:], "--port", str(port)]

    def again() -> None:
        os.execv(sys.executable, [sys.executable, "-P", "-m", "dray", *known])

    threading.Thread(target=watch, args=(Path.cwd(), again), daemon=True).start()


COMMANDS = (dashboard,)
