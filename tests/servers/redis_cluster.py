"""A Redis Cluster of its own, whose slots can be moved under load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from servers import ServerFailed
from servers.redis import BUS, Server, await_that, namespace_of


class Step(NamedTuple):
    """How far the move of a slot is: some keys are at the target, `left` are at the source still."""

    slot: int
    moved: int
    left: int


class ShardedCluster:
    """Primaries that share the slots in even parts, each with its replicas; the cluster is ok when the constructor returns.

    nodes: the servers, the primaries first; a failover may change who is primary.
    shards, replicas: how many primaries, and how many replicas each of them has.
    kind, durable, settings: as of `Server`. A node that is silent for two seconds is held for failed
        (`cluster-node-timeout`); as shipped, the cluster then takes no command at all while slots are without a node
        (`cluster-require-full-coverage`).
    Raises Unavailable if this machine lacks the kind, ServerFailed if the nodes do not get together.
    """

    def __init__(
        self, kind: str | None = None, *, shards: int = 3, replicas: int = 0, durable: bool = False,
        settings: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        self.nodes: list[Server] = []
        self._ids: dict[int, str] = {}  # by port; a node keeps its name for good
        try:
            for _ in range(shards * (1 + replicas)):
                self.nodes.append(Server(kind, durable=durable, settings=settings, cluster=True))
            self._ids = {node.port: node.command("CLUSTER", "MYID").decode() for node in self.nodes}
            self._form(self.nodes[:shards], self.nodes[shards:])
            self.wait_ok()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """How to reach the cluster."""
        return f"redis+cluster://{','.join(f'{node.host}:{node.port}' for node in self.nodes)}"

    @property
    def primaries(self) -> list[Server]:
        """The running nodes that hold slots for themselves, and those that could."""
        return [node for node in self.nodes if node.running and node.command("ROLE")[0] == b"master"]

    def slot_of(self, tag: str) -> int:
        """The slot of all keys with a hash tag; `tag` is what stands between the braces, or a whole key with braces."""
        return int(key_slot((tag if "{" in tag else f"{{{tag}}}").encode()))

    def node_of(self, slot: int) -> Server:
        """The node that serves a slot by what the running nodes say. Raises LookupError if none of them does."""
        for node in self.nodes:
            if node.running and slot in _slots(node):
                return node
        raise LookupError(f"no running node of the cluster serves slot {slot}")

    def client(self) -> redis.RedisCluster:
        """A new cluster client of redis-py."""
        return redis.RedisCluster(host=self.nodes[0].host, port=next(node.port for node in self.nodes if node.running))

    def move_slots(
        self, slots: Iterable[int], source: Server, target: Server, *, batch: int = 100,
        hook: Callable[[Step], object] | None = None,
    ) -> int:  # fmt: skip
        """Move slots, with their keys, as `redis-cli --cluster reshard` does, while clients go on; how many keys moved.

        batch: how many keys are moved at a time. hook: called when a slot is open on both sides and no key has moved, and
        after each batch, the last included; while it takes its time the slot stays as it is, part here and part there.
        """
        return sum(self._move_slot(slot, source, target, batch, hook) for slot in slots)

    def kill(self, node: Server) -> None:
        """kill -9 of one node; returns at once. `wait_ok` returns when a replica has taken its place."""
        node.stop(kill=True)

    def restart(self, node: Server) -> None:
        """Start a node that was killed, and wait until the cluster is ok. Without `durable` its keys are lost."""
        node.start()
        self.wait_ok()

    def wait_ok(self, seconds: float = 30) -> None:
        """Wait until running nodes serve all slots, all of them find it so, and every replica follows. Raises ServerFailed."""

        def ok() -> bool:
            running = self._running()
            served = set[int]().union(*map(_slots, running))
            return len(served) == REDIS_CLUSTER_HASH_SLOTS and all(map(_finds_ok, running))

        await_that(ok, "all nodes should find the cluster ok", seconds)

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL with a namespace that nobody else has; the keys whose hash tag begins with it are removed at the end."""
        with namespace_of(self.url, self._clients) as url:
            yield url

    def close(self) -> None:
        """Kill all nodes and remove their files."""
        for node in self.nodes:
            node.close()

    # Inside

    def _form(self, primaries: list[Server], replicas: list[Server]) -> None:
        first, all_slots = primaries[0], range(REDIS_CLUSTER_HASH_SLOTS)
        for number, node in enumerate(primaries):
            part = slice(number * len(all_slots) // len(primaries), (number + 1) * len(all_slots) // len(primaries))
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)  # else they would have to find out who wins
            node.command("CLUSTER", "ADDSLOTS", *all_slots[part])
        for node in self.nodes[1:]:
            first.command("CLUSTER", "MEET", node.host, node.port, node.port + BUS)
        count = len(self.nodes)
        await_that(lambda: all(_knows(node, count) for node in self.nodes), "every node should know the others", 30)
        for number, node in enumerate(replicas):
            node.command("CLUSTER", "REPLICATE", self._ids[primaries[number % len(primaries)].port])

    def _move_slot(self, slot: int, source: Server, target: Server, batch: int, hook: Callable[[Step], object] | None) -> int:
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self._ids[source.port])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", self._ids[target.port])
        moved = 0
        while True:
            if hook is not None:
                hook(Step(slot, moved, source.command("CLUSTER", "COUNTKEYSINSLOT", slot)))
            keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, batch)
            if not keys:
                break
            # A key that is at the target already (BUSYKEY) would be one that somebody wrote past the redirection.
            source.command("MIGRATE", target.host, target.port, "", 0, 10_000, "KEYS", *keys)
            moved += len(keys)
        owner = self._ids[target.port]
        others = [node for node in self.primaries if node not in (source, target)]
        for node in (target, source, *others):  # the target first: there is no moment in which nobody serves the slot
            node.command("CLUSTER", "SETSLOT", slot, "NODE", owner)
        return moved

    def _running(self) -> list[Server]:
        running = [node for node in self.nodes if node.running]
        if not running:
            raise ServerFailed("no node of the cluster runs")
        return running

    def _clients(self) -> list[redis.Redis]:
        with suppress(redis.RedisError, OSError):
            return [node.client for node in self.primaries]
        return []


def _info(node: Server) -> dict[str, str]:
    """The fields of CLUSTER INFO."""
    return dict(line.split(":", 1) for line in node.command("CLUSTER", "INFO").decode().split())


def _knows(node: Server, count: int) -> bool:
    """Whether a node has shaken hands with so many, itself included."""
    states = [line[2] for line in _lines(node)]
    return len(states) == count and not any("handshake" in state for state in states)


def _finds_ok(node: Server) -> bool:
    found = _info(node)
    if (found["cluster_state"], found["cluster_slots_ok"]) != ("ok", str(REDIS_CLUSTER_HASH_SLOTS)):
        return False
    role = node.command("ROLE")
    return bool(role[0] == b"master" or role[3] == b"connected")


def _slots(node: Server) -> set[int]:
    """The slots that a node says it serves itself."""
    slots: set[int] = set()
    for line in _lines(node):
        if {"myself", "master"} <= set(line[2].split(",")):
            for part in line[8:]:
                first, _, last = part.partition("-")
                if not part.startswith("["):  # else one that is being moved
                    slots.update(range(int(first), int(last or first) + 1))
    return slots


def _lines(node: Server) -> list[list[str]]:
    """The words of each line of CLUSTER NODES."""
    return [line.split() for line in node.command("CLUSTER", "NODES").decode().splitlines()]
