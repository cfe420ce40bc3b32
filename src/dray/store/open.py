"""From a URL to an open store. Drivers are imported here only, and late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from dray.errors import ConfigurationError
from dray.store.urls import shown

if TYPE_CHECKING:
    from dray.model.clock import Clock
    from dray.store.protocol import Store

DEFAULT_URL = "sqlite:///dray.db"
FORMS = "sqlite:///relative.db, sqlite:////absolute.db, sqlite:// (memory), postgresql://user@host/database or redis://host/0"
REDIS = ("redis", "rediss", "valkey", "valkeys", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
SYNCHRONOUS = ("normal", "full", "extra")


def open_store(url: str, *, migrate: bool = True, clock: Clock | None = None) -> Store:
    """Open the store at `url`. Of SQLite: `?synchronous=normal` gives up durability on power loss for speed; default full. Of
    PostgreSQL: `?schema=` (dray), `?pooler=none|session|transaction` (found out by itself), `?timeout=` (30 seconds for a call). Of
    Redis: see `dray.store.redis.place.place_of`.

    `migrate`: bring the schema up to date. Raises ConfigurationError for a wrong URL, StoreError if it cannot be opened.
    """
    scheme = scheme_of(url)
    if scheme in REDIS:
        return _open_redis(url, clock)
    if scheme in ("postgresql", "postgres"):
        return _open_postgres(url, migrate, clock)
    if scheme != "sqlite":
        if scheme.startswith(("postgresql+", "postgres+")):
            raise ConfigurationError(f"{redacted(url)!r} names a driver; a store has its own: write postgresql://…")
        raise ConfigurationError(f"{redacted(url)!r} is not the URL of a store; use {FORMS}.")
    parts = urlsplit(url)
    if parts.netloc:
        raise ConfigurationError(
            f"{redacted(url)!r} has one slash too few: {parts.netloc!r} would be a host. Write "
            f"sqlite:///{parts.netloc}{parts.path} for a file in this folder."
        )
    if parts.path and not parts.path.startswith("/"):
        raise ConfigurationError(f"{url!r} lacks the slashes of a URL; write sqlite:///{parts.path} for a file in this folder.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "full").lower()
    if synchronous not in SYNCHRONOUS:
        raise ConfigurationError(f"synchronous={synchronous!r} in {url!r} is not one of {', '.join(SYNCHRONOUS)}.")
    if options:
        raise ConfigurationError(f"{', '.join(sorted(options))} in {url!r} is no option of a SQLite store; it has: synchronous.")
    from dray.store.sqlite.store import SqliteStore

    name = unquote(parts.path)
    if name in ("", "/", "/:memory:"):
        return SqliteStore(None, migrate=True, clock=clock, url=url)
    path = Path(name[1:]).absolute()
    if path.is_dir():
        raise ConfigurationError(f"{url!r} names a folder; name a file in it: sqlite:///{name[1:].rstrip('/')}/dray.db.")
    return SqliteStore(path, synchronous=synchronous, migrate=migrate, clock=clock, url=absolute(url))


def need_postgres(url: str) -> None:
    """Raises ConfigurationError if the driver is not installed."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            f"The store {redacted(url)} needs the driver psycopg, which is not installed; run `pip install dray[postgres]`."
        ) from None


def _open_postgres(url: str, migrate: bool, clock: Clock | None) -> Store:
    need_postgres(url)
    from dray.store.postgres.place import place_of
    from dray.store.postgres.store import PostgresStore

    return PostgresStore(place_of(url), migrate=migrate, clock=clock)


def need_redis(url: str) -> None:
    """Raises ConfigurationError if the driver is not installed."""
    try:
        import hiredis  # noqa: F401
        import redis  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            f"The store {redacted(url)} needs the driver redis-py with hiredis, which is not installed; run `pip install "
            "dray[redis]`."
        ) from None


def _open_redis(url: str, clock: Clock | None) -> Store:
    need_redis(url)
    from dray.store.redis.place import place_of
    from dray.store.redis.store import RedisStore

    return RedisStore(place_of(url), clock=clock)


def absolute(url: str) -> str:
    """The URL in the form that means the same in whatever folder it is read."""
    if scheme_of(url) != "sqlite":
        return url
    parts = urlsplit(url)
    if parts.netloc or parts.path in ("", "/", "/:memory:"):
        return url
    path = quote(str(Path(unquote(parts.path)[1:]).absolute()))
    return f"sqlite:///{path}" + (f"?{parts.query}" if parts.query else "")


def redacted(url: str) -> str:
    """The URL without its password."""
    return shown(url)


def scheme_of(url: str) -> str:
    """The word before the first colon: which kind of store it is."""
    return url.strip().partition(":")[0].lower()
