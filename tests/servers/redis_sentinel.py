"""A primary, its replicas and the Sentinels that watch them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import redis

from servers import session
from servers.redis import Process, Server, await_that, namespace_of

NAME = "mymaster"
DOWN_AFTER = 1000  # milliseconds without an answer after which a Sentinel holds a server for down
FAILOVER_TIMEOUT = 5000  # milliseconds: a failover that failed is tried again after twice that
# How often Sentinels look at the servers and tell each other, in milliseconds; as shipped it is up to ten seconds.
QUICKLY = ("info-period", 200, "publish-period", 200, "ping-period", 200, "ask-period", 200)


class Sentinel(Process):
    """One Sentinel; see `Process`. It watches the primary on a port, which it calls `NAME`."""

    role = "sentinel"
    arguments = ("--sentinel",)

    def __init__(self, kind: str | None, primary: int, quorum: int) -> None:
        self._primary = primary
        self._quorum = quorum
        super().__init__(kind, session.memory_folder())

    def start(self) -> None:
        """As of `Process`; afterwards it looks at the servers more often than it is shipped to (not before 7.0)."""
        super().start()
        if self.version >= (7,):
            self.command("SENTINEL", "DEBUG", *QUICKLY)

    @property
    def primary(self) -> int:
        """The port of the server that it holds for the primary."""
        return int(self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])

    def sees(self, replicas: int, others: int) -> bool:
        """Whether it finds the primary in order and knows so many replicas that are, and so many other Sentinels."""
        primary = _pairs(self.command("SENTINEL", "MASTER", NAME))
        known = [_pairs(each) for each in self.command("SENTINEL", "REPLICAS", NAME)]
        linked = [each for each in known if each["flags"] == "slave" and each["master-link-status"] == "ok"]
        right = [each for each in linked if each["master-port"] == str(self.primary)]
        return primary["flags"] == "master" and int(primary["num-other-sentinels"]) == others and len(right) == replicas

    def _make(self) -> None:
        self._write(
            [
                f"port {self.port}", f"bind {self.host}", f"dir {self.folder}", "protected-mode no",
                f"sentinel monitor {NAME} {self.host} {self._primary} {self._quorum}",
                f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER}",
                f"sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT}",
                f"sentinel parallel-syncs {NAME} 1",
            ]
        )  # fmt: skip


class Sentinels:
    """One primary, two replicas and three Sentinels of which two decide; all agree when the constructor returns.

    servers: the data servers by port, whoever is primary. sentinels: the Sentinels. kind, durable, settings: as of `Server`,
    for the data servers.
    Raises Unavailable if this machine lacks the kind, ServerFailed if they do not get together.
    """

    def __init__(
        self, kind: str | None = None, *, durable: bool = False, replicas: int = 2, settings: Mapping[str, object] | None = None
    ) -> None:
        self.servers: dict[int, Server] = {}
        self.sentinels: list[Sentinel] = []
        self.replicas = replicas
        try:
            first = Server(kind, durable=durable, settings=settings)
            self.servers[first.port] = first
            for _ in range(replicas):
                follows = {**(settings or {}), "replicaof": f"{first.host} {first.port}"}
                server = Server(kind, durable=durable, settings=follows)
                self.servers[server.port] = server
            self.sentinels += [Sentinel(kind, first.port, quorum=2) for _ in range(3)]
            self.settle()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """How to reach the primary, database 0."""
        return f"redis+sentinel://{','.join(f'{each.host}:{each.port}' for each in self.sentinels)}/{NAME}/0"

    @property
    def primary(self) -> int:
        """The port of the primary, as most Sentinels see it."""
        told = [each.primary for each in self.sentinels if each.running]
        return max(told, key=told.count)

    def kill_primary(self, *, seconds: float = 30) -> int:
        """kill -9 of the primary; the port of the new one, when all running Sentinels name it and it takes writes."""
        old = self.primary
        self.servers[old].stop(kill=True)
        return self._await_successor(old, seconds)

    def pause_primary(self, *, seconds: float = 30) -> int:
        """SIGSTOP of the primary; the port of the new one, as of `kill_primary`.

        The old one still holds what it had acknowledged and not passed on; after `servers[old].resume()` it goes on as a
        primary, for who is still connected to it, until a Sentinel tells it otherwise.
        """
        old = self.primary
        self.servers[old].pause()
        return self._await_successor(old, seconds)

    def fail_over(self, *, seconds: float = 30) -> int:
        """SENTINEL FAILOVER: the primary is changed though it is well; the port of the new one, as of `kill_primary`."""
        old = self.primary
        next(each for each in self.sentinels if each.running).command("SENTINEL", "FAILOVER", NAME)
        return self._await_successor(old, seconds)

    def restore(self, *, seconds: float = 60) -> None:
        """Start what does not run, wake what is paused, and wait until every server follows the primary.

        A server that was primary comes back as one, and is one for a second or so, as in life.
        """
        for each in (*self.servers.values(), *self.sentinels):
            each.start()
            each.resume()
        self.settle(seconds)

    def settle(self, seconds: float = 60) -> None:
        """Wait until all Sentinels see one primary, the replicas behind it and each other. Raises ServerFailed."""
        others = len(self.sentinels) - 1

        def settled() -> bool:
            agreed = len({each.primary for each in self.sentinels}) == 1
            return agreed and self._replicas() == self.replicas and all(each.sees(self.replicas, others) for each in self.sentinels)

        await_that(settled, "the Sentinels should see one primary with its replicas, and each other", seconds)

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL with a namespace that nobody else has; its keys are removed at the end from the primary."""
        with namespace_of(self.url, self._primaries) as url:
            yield url

    def close(self) -> None:
        """Kill all and remove their files."""
        for each in (*self.sentinels, *self.servers.values()):
            each.close()

    def _primaries(self) -> list[redis.Redis]:
        with suppress(redis.RedisError, OSError, ValueError):
            return [self.servers[self.primary].client]
        return []

    def _replicas(self) -> int:
        """How many replicas the primary says it has, in order."""
        told = self.servers[self.primary].command("ROLE")
        return len(told[2]) if told[0] == b"master" else 0

    def _await_successor(self, old: int, seconds: float) -> int:
        def elected() -> bool:
            told = {each.primary for each in self.sentinels if each.running}
            return len(told) == 1 and old not in told and self.servers[told.pop()].command("ROLE")[0] == b"master"

        await_that(elected, f"another server than the one on port {old} should become primary", seconds)
        return self.primary


def _pairs(told: Any) -> dict[str, str]:
    """The fields of a reply, which is a list or, with newer protocols, a map."""
    if not isinstance(told, Mapping):
        told = dict(zip(told[::2], told[1::2], strict=True))
    return {_text(name): _text(value) for name, value in told.items()}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
