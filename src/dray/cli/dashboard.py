"""`dray dashboard`: the pages and the API, served by this process."""

from __future__ import annotations

from typing import Any

import click

from dray.cli.options import store_url, url_option
from dray.config import settings
from dray.errors import ConfigurationError


@click.command(name="dashboard", short_help="Serve the pages and the API that show everything.")
@click.argument("target", required=False)
@url_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; others than this machine need a login.")
@click.option("--port", type=click.IntRange(0, 65535), default=8042, show_default=True, help="The port; 0 takes a free one.")
@click.option("--prefix", default="", metavar="PATH", help="Where a proxy has put it, such as /jobs.")
@click.option("--token", metavar="TEXT", help="What visitors must show, as a Bearer header.")
@click.option("--user", metavar="NAME", help="With --password: HTTP basic authentication.")
@click.option("--password", metavar="TEXT", help="With --user.")
@click.option("--read-only", is_flag=True, help="Nobody can change anything.")
def dashboard(
    target: str | None, url: str | None, host: str, port: int, prefix: str, token: str | None, user: str | None,
    password: str | None, read_only: bool,
) -> None:
    """Serve the pages and the API that show everything, until Ctrl-C.

    TARGET is `module`, `module:app` or `file.py` (default: DRAY_APP); without one it shows the store, and cannot offer forms made
    from the code of tasks.
    """
    try:
        import uvicorn

        from dray.dashboard.app import make
        from dray.dashboard.settings import check_bind, made
    except ImportError as error:
        raise ConfigurationError(
            f"The dashboard needs {error.name}, which is not installed; pip install 'dray[dashboard]'."
        ) from None
    options: dict[str, Any] = {"prefix": prefix, "token": token, "user": user, "password": password, "read_only": read_only}
    given = made(options)
    check_bind(host, given)
    app = make(_source(target, url), given)
    click.echo(f"The dashboard is at http://{host}:{port}{given.prefix}/ (Ctrl-C ends it).", err=True)
    uvicorn.run(app, host=host, port=port, log_level="warning", proxy_headers=False, server_header=False)


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

    return Insight(open_store(store_url(url), migrate=False))


COMMANDS = (dashboard,)
