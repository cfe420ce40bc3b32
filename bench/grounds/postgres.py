"""PostgreSQL: a throw-away server as it would be run in earnest, and bare psycopg on it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from bench.grounds.postgres_bare import Inserter, drain_rate, fill, make_table
from bench.places import ROOT, app_at
from dray import Dray

sys.path.insert(0, str(ROOT / "tests"))
from servers import Unavailable, session
from servers.binaries import binaries_of, default_version, postgres_binaries
from servers.postgres import Cluster

WISHED = 18
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "effective_cache_size": "2GB"}
SHOWN = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size", "autovacuum", "jit")

__all__ = ["Inserter", "PostgresGround"]


class PostgresGround:
    """A server of its own on disk, reached over TCP, with a new database for each store."""

    name = "PostgreSQL"
    Inserter = Inserter
    every = 0.01  # a look is a query on a server that has other things to do

    def __init__(self, version: int | None = None) -> None:
        self.version = version or (WISHED if WISHED in postgres_binaries() else default_version())
        self.cluster: Cluster

    def __enter__(self) -> PostgresGround:
        if files_in_memory():
            print(f"NOTE: {session.BASE} is memory, not a disk: what waits for the disk looks too good here.")
        self.cluster = Cluster(self.version, durable=True, settings=SETTINGS)
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()

    def describe(self) -> dict[str, object]:
        """What is measured."""
        ((version,),) = self.cluster.execute("select current_setting('server_version')")
        told = {name: self.cluster.execute("select current_setting(%s)", name)[0][0] for name in SHOWN}
        return {"postgresql": version, "postgresql_settings": told, "psycopg": f"{psycopg.__version__} {psycopg.pq.__impl__}"}

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Dray]:
        """The app over a new database."""
        with self.cluster.fresh() as url:
            app = app_at(url)
            try:
                yield app
            finally:
                app.close()

    def empty(self) -> contextlib.AbstractContextManager[str]:
        """The URL of a new database with nothing in it, for others."""
        return self.cluster.fresh()

    @contextlib.contextmanager
    def bare(self, app: Dray) -> Iterator[str]:
        """The URL of the app's database, now with a table of the same shape, indexes and settings, `bare_job`."""
        with self.ask(app) as connection:
            make_table(connection)
        yield app.url

    @contextlib.contextmanager
    def ask(self, app: Dray) -> Iterator[psycopg.Connection[Any]]:
        """A bare connection to the app's database."""
        with psycopg.connect(app.url, autocommit=True, application_name="bench") as connection:
            yield connection

    def floor_drain(self, app: Dray, n: int) -> float:
        """Jobs per second of one connection that says the same sentences as a worker, batch after batch, and does nothing else."""
        return drain_rate(app.url)

    def drain_rate(self, app: Dray, loops: int) -> float:
        """The same by several connections, each in a thread."""
        return drain_rate(app.url, loops)

    def rate_at(self, url: str) -> float:
        """The same by one connection, over another way to the database."""
        return drain_rate(url)

    @contextlib.contextmanager
    def nothing(self, url: str) -> Iterator[Callable[[], object]]:
        """A round trip that does nothing."""
        with psycopg.connect(url, autocommit=True) as connection:
            yield lambda: connection.execute("select 1")

    def fill(self, app: Dray, *, ready: int = 0, future: int = 0, finished: int = 0, analyze: bool = True) -> None:
        """Put jobs into the store, by the million, while autovacuum leaves the tables alone. Without `analyze` it goes on to, and
        the planner knows nothing of what is there."""
        with self.ask(app) as connection:
            fill(connection, ready=ready, future=future, finished=finished, analyze=analyze)


def files_in_memory() -> bool:
    """Whether the servers' files are kept in memory."""
    told = subprocess.run(["stat", "-f", "-c", "%T", str(session.BASE)], capture_output=True, text=True)
    return told.stdout.strip() in ("tmpfs", "ramfs")


def unavailable(version: int | None) -> str:
    """Why PostgreSQL cannot be measured on this machine; empty if it can."""
    try:
        binaries_of(version or default_version())
    except Unavailable as lack:
        return str(lack)
    return ""
