"""Options that many commands share, and the store that they speak of."""

from __future__ import annotations

import contextlib
import getpass
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import click

from dray.config import settings
from dray.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from dray.app import Dray
    from dray.insight import Insight

F = TypeVar("F", bound=Callable[..., Any])


def url_option(command: F) -> F:
    """`--url`."""
    return click.option(
        "--url", metavar="URL",
        help="Where jobs are kept: sqlite:///relative.db, sqlite:////absolute.db, postgresql://user@host/database or "
        "redis://host/0. [DRAY_URL]",
    )(command)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, with stable keys and ISO times, for scripts.")(command)


def app_option(command: F) -> F:
    """`--app`."""
    return click.option(
        "--app", metavar="TARGET", help="The app: `module`, `module:app` or `file.py`. [DRAY_APP]"
    )(command)


def store_options(command: F) -> F:
    """`--url` and `--json`."""
    return url_option(json_option(command))


def store_url(url: str | None) -> str:
    """The URL of the option, else of the environment or a file, else of the app if one is named, else the default."""
    found = settings({"url": url})
    if found["url"].origin == "default" and found["app"].value:
        from dray.target import load_app

        return load_app(found["app"].value).url
    return str(found["url"].value)


def app_of(target: str | None) -> Dray | None:
    """The app of `--app` or DRAY_APP, loaded; None if neither names one. Raises ConfigurationError, WorkerError."""
    chosen = settings({"app": target})["app"].value
    if not chosen:
        return None
    from dray.target import load_app

    return load_app(chosen)


def is_file(url: str) -> bool:
    """Whether a URL names a store in a file, not one on a server. Raises ConfigurationError if it is the URL of none."""
    from dray.store.open import REDIS, open_store, scheme_of

    scheme = scheme_of(url)
    if scheme not in ("sqlite", "postgresql", "postgres", *REDIS):
        open_store(url, migrate=False).close()  # says in one sentence what is wrong with it
    return scheme == "sqlite"


def file_of(url: str) -> Path:
    """The file that a URL of SQLite names. Raises ConfigurationError if there is none that a command could look into."""
    parts = urlsplit(url)
    name = unquote(parts.path)
    if parts.netloc:
        from dray.store.open import open_store

        open_store(url, migrate=False).close()  # says in one sentence what is wrong with it
    if name in ("", "/", "/:memory:"):
        raise ConfigurationError(f"{url!r} is a store in memory: it lives inside one process, and no command can look into it.")
    return Path(name[1:]).absolute()


def existing_file(url: str) -> Path:
    """The file of a store that is there and has a schema. Raises StoreUnavailable, SchemaMismatch."""
    path = file_of(url)
    if not path.exists():
        raise StoreUnavailable(f"There is no store at {path} yet; `dray migrate` makes it, or name another one with --url.")
    from dray.store.sqlite import schema

    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            schema.require(connection, str(path))
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The store {path} cannot be read ({error}); check the path and its permissions.") from None
    return path


def operator() -> str:
    """Who acts: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


@contextlib.contextmanager
def looking(url: str | None, via: str = "cli") -> Iterator[Insight]:
    """The store of a command that only needs the store; never makes one by accident. What is done to it is written to the audit as
    the operator's. Raises StoreError, ConfigurationError."""
    from dray.insight import Insight
    from dray.store.open import open_store

    chosen = store_url(url)
    if is_file(chosen):
        existing_file(chosen)
    store = open_store(chosen, migrate=False)
    try:
        yield Insight(store, operator(), via)
    finally:
        store.close()


def complete_queue(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of queues, for the shell."""
    return _complete(ctx, incomplete, lambda insight: [queue.name for queue in insight.queues()])


def complete_schedule(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of schedules, for the shell."""
    return _complete(ctx, incomplete, lambda insight: [row.name for row in insight.store.run(insight.store.plans.schedules)])


def complete_job(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the newest jobs, for the shell."""
    return _complete(ctx, incomplete, lambda insight: [job.id for job in insight.jobs(limit=200).jobs])


def _complete(ctx: click.Context, incomplete: str, names: Callable[[Insight], list[str]]) -> list[str]:
    try:
        with looking(ctx.params.get("url")) as insight:
            return [name for name in names(insight) if name.startswith(incomplete)]
    except Exception:  # the shell is about to show what we print: rather nothing than an error in the middle of a line
        return []
