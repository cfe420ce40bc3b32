"""Which server a shard is on: the one of the URL, the one that the sentinels call primary, or the node of a cluster."""

from __future__ import annotations

import threading
from typing import Any

from redis import exceptions
from redis.connection import Connection, SSLConnection
from redis.crc import key_slot

from dray.store.redis.place import Place

Address = tuple[str, int]

CONNECT = 3.0  # seconds to make a connection


class Router:
    """Knows the way, and asks for it anew when it turned out to be wrong."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._lock = threading.Lock()
        self._primary: Address | None = place.hosts[0] if place.kind == "single" else None
        self._slots: list[tuple[int, int, Address]] = []
        self._seeds = list(place.hosts)
        self._ways: dict[int, Address] = {}

    # -- connections

    def connect(self, address: Address, timeout: float) -> Any:
        """A connection to one server, ready to be used; reading waits for `timeout` seconds at most. Raises RedisError, OSError."""
        place = self.place
        return self._dial(address, timeout, place.username, place.password, 0 if place.kind == "cluster" else place.db)

    def connect_sentinel(self, address: Address, timeout: float) -> Any:
        """A connection to a sentinel. Raises RedisError, OSError."""
        extra = self.place.extra
        return self._dial(address, timeout, extra.get("sentinel_username"), extra.get("sentinel_password"), 0)

    def _dial(self, address: Address, timeout: float, username: str | None, password: str | None, db: int) -> Any:
        options: dict[str, Any] = {
            "host": address[0], "port": address[1], "db": db, "username": username, "password": password, "protocol": 2,
            "socket_timeout": timeout, "socket_connect_timeout": min(CONNECT, timeout), "client_name": "dray",
        }  # fmt: skip
        if self.place.tls:
            options |= {name: value for name, value in self.place.extra.items() if name.startswith("ssl_")}
        kind: Any = SSLConnection if self.place.tls else Connection  # the driver's methods have no types
        connection = kind(**options)
        connection.retry.update_retries(0)  # whoever calls knows better whether and when to try again
        connection.connect()
        return connection

    # -- the way

    def address(self, shard: int) -> Address:
        """Where a shard is. Raises RedisError or OSError if nobody can say."""
        place = self.place
        if place.kind == "single":
            return place.hosts[0]
        with self._lock:
            if place.kind == "sentinel":
                if self._primary is None:
                    self._primary = self._ask_sentinels()
                return self._primary
            way = self._ways.get(shard)
            if way is None:
                if not self._slots:
                    self._ask_cluster()
                slot = key_slot(place.tag(shard).encode())
                way = next((address for low, high, address in self._slots if low <= slot <= high), None)
                if way is None:
                    self._slots = []
                    raise exceptions.ConnectionError(f"no node of the cluster serves slot {slot}")
                self._ways[shard] = way
            return way

    def known(self, shard: int) -> Address | None:
        """Where a shard is, if that need not be asked."""
        if self.place.kind == "single":
            return self.place.hosts[0]
        return self._primary if self.place.kind == "sentinel" else self._ways.get(shard)

    def forget(self) -> None:
        """What is known may be wrong: ask again."""
        with self._lock:
            if self.place.kind == "sentinel":
                self._primary = None
            self._slots = []
            self._ways.clear()

    def _ask_sentinels(self) -> Address:
        error: Exception = exceptions.ConnectionError("no sentinel answers")
        for sentinel in list(self._seeds):
            try:
                connection = self.connect_sentinel(sentinel, CONNECT)
            except (exceptions.RedisError, OSError) as problem:
                error = problem
                continue
            try:
                found = ask(connection, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.place.service)
            except exceptions.ResponseError as problem:
                error = exceptions.ConnectionError(f"{problem}; write redis:// in the URL if it is no Sentinel")
                continue
            except (exceptions.RedisError, OSError) as problem:
                error = problem
                continue
            finally:
                connection.disconnect()
            if found is None:
                error = exceptions.ConnectionError(f"the sentinels know no primary {self.place.service!r}")
                continue
            self._seeds.sort(key=lambda one: one != sentinel)  # who answered is asked first the next time
            return found[0].decode(), int(found[1])
        raise error

    def _ask_cluster(self) -> None:
        error: Exception = exceptions.ConnectionError("no node of the cluster answers")
        for seed in dict.fromkeys([*self._seeds, *self.place.hosts]):
            try:
                connection = self.connect(seed, CONNECT)
            except (exceptions.RedisError, OSError) as problem:
                error = problem
                continue
            try:
                slots = ask(connection, "CLUSTER", "SLOTS")
            except exceptions.ResponseError as problem:
                error = exceptions.ConnectionError(f"{problem}; write redis:// in the URL if it is no cluster")
                continue
            except (exceptions.RedisError, OSError) as problem:
                error = problem
                continue
            finally:
                connection.disconnect()
            # An empty name means: the one by which it was asked.
            self._slots = [(low, high, ((node[0] or b"").decode() or seed[0], node[1])) for low, high, node, *_ in slots]
            if self._slots:
                self._seeds = list(dict.fromkeys(address for _, _, address in self._slots))
                return
            error = exceptions.ConnectionError("the cluster has no slots yet")
        raise error


def ask(connection: Any, *command: Any) -> Any:
    """Send one command and read its answer."""
    connection.send_command(*command, check_health=False)
    return connection.read_response(disable_decoding=True)
