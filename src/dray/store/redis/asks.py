"""Asks: what operators ask of worker processes, and what those answer. Kept on the first shard, as long as a node is known."""

from __future__ import annotations

import struct

import msgspec

from dray.store.plan import Call, Plan, Ring, reads, repeatable, within
from dray.store.redis.shards import ShardPlans
from dray.store.sql.asks import OPEN
from dray.store.text import keepable
from dray.store.values import Ask

TIME = struct.Struct(">d")


class AskPlans(ShardPlans):
    """The Asks protocol over Redis."""

    @repeatable
    def ask(self, node: int, what: str) -> Plan[bool]:
        """Ask a node for something; whether the store knows it. Of more than 16 open asks the newest are kept."""
        known = bool((yield Call(self.say.ask, (self.bell, node, keepable(what), OPEN))))
        if known:
            yield Ring("orders")
        return known

    @reads
    @within(4.0)
    def asked(self, node: int) -> Plan[list[Ask]]:
        """What the node is asked for and has not answered, oldest first."""
        raw: bytes | None = yield Call(self.say.asked, (node,))
        if raw is None:
            return []
        _, *flat = msgspec.msgpack.decode(raw)
        return [Ask(what, number) for number, what in zip(flat[::2], flat[1::2], strict=True)]

    @repeatable
    def answer(self, node: int, number: int, text: str) -> Plan[None]:
        """The node's answer to an ask, which is closed thereby. Only the newest answer is kept."""
        yield Call(self.say.answer, (self.now(), node, number, keepable(text)))

    @reads
    def answered(self, node: int) -> Plan[tuple[int, str] | None]:
        """The node's newest answer: when it came, and the text; None if there is none."""
        raw: bytes | None = yield Call(self.say.answered, (node,))
        return None if raw is None else (int(TIME.unpack_from(raw)[0]), raw[TIME.size :].decode("utf-8", "replace"))
