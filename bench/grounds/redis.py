"""Redis: a throw-away server as it would be run in earnest, and bare redis-py on it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import hiredis
import redis

from bench.grounds.redis_bare import Inserter, drain_rate, fill
from bench.places import ROOT, app_at, until
from dray import Dray

sys.path.insert(0, str(ROOT / "tests"))
from servers import Unavailable
from servers.redis import Server
from servers.redis_binaries import binaries_of, default_kind

SHOWN = ("appendonly", "appendfsync", "maxmemory-policy", "save")

__all__ = ["Inserter", "RedisGround"]


class RedisGround:
    """A server of its own on disk, reached over TCP, with a new namespace for each store."""

    name = "Redis"
    Inserter = Inserter
    every = 0.01  # a look is a script on a server that has other things to do

    def __init__(self, kind: str | None = None) -> None:
        self.kind = kind or default_kind()
        self.cluster: Server

    def __enter__(self) -> RedisGround:
        self.cluster = Server(self.kind, durable=True, settings={"appendfsync": "everysec"})
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()

    def describe(self) -> dict[str, object]:
        """What is measured."""
        told = dict(self.cluster.client.config_get(*SHOWN))
        version = ".".join(map(str, self.cluster.version))
        driver = f"{redis.__version__}, hiredis {hiredis.__version__}"
        return {"server": f"{self.kind} ({version})", "redis_settings": told, "redis-py": driver}

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Dray]:
        """The app over a new namespace."""
        with self.cluster.fresh() as url:
            app = app_at(url)
            try:
                yield app
            finally:
                app.close()
                self.cluster.command("FLUSHALL", "SYNC")  # or the memory of one would be counted for the next

    @contextlib.contextmanager
    def bare(self, app: Dray) -> Iterator[str]:
        """The URL of the server; the bare engine keeps its jobs in keys of its own."""
        yield app.url

    def floor_drain(self, app: Dray, n: int) -> float:
        """Jobs per second of one connection that calls the same scripts as a worker, batch after batch, and does nothing else."""
        return drain_rate(app.url)

    def drain_rate(self, app: Dray, loops: int) -> float:
        """The same by several connections, each in a thread."""
        return drain_rate(app.url, loops)

    def rate_at(self, url: str) -> float:
        """The same by one connection, over another way to the server."""
        return drain_rate(url)

    @contextlib.contextmanager
    def nothing(self, url: str) -> Iterator[Callable[[], object]]:
        """A round trip that does nothing."""
        bare = Inserter(url)
        yield bare.client.ping
        bare.close()

    def fill(self, app: Dray, *, ready: int = 0, future: int = 0, finished: int = 0, analyze: bool = True) -> None:
        """Put jobs into the store, by the million."""
        fill(app, self.cluster.client, ready=ready, future=future, finished=finished)

    def watch(self) -> None:
        """Note from now on which scripts take the server longer than a millisecond. It begins no new append-only file meanwhile:
        the fork for that stops everybody for some ten milliseconds, whoever asks for something then."""
        self.cluster.client.config_set("auto-aof-rewrite-percentage", 0)
        until(lambda: not self.cluster.client.info("persistence")["aof_rewrite_in_progress"], every=0.1)
        self.cluster.client.config_set("slowlog-log-slower-than", 1000)
        self.cluster.client.config_set("slowlog-max-len", 10_000)
        self.cluster.command("SLOWLOG", "RESET")

    def slowest(self) -> float:
        """Milliseconds of the slowest script since then; 1 if none took longer."""
        told: Any = self.cluster.client.slowlog_get(10_000)
        return max((entry["duration"] for entry in told if entry["command"].startswith(b"EVALSHA")), default=1000) / 1000

    def memory(self) -> int:
        """Bytes that the server uses."""
        told: Any = self.cluster.client.info("memory")
        return int(told["used_memory"])


def unavailable(kind: str | None) -> str:
    """Why Redis cannot be measured on this machine; empty if it can."""
    try:
        binaries_of(kind or default_kind())
    except Unavailable as lack:
        return str(lack)
    return ""
