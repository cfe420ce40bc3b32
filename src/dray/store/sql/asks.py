"""Asks: what operators ask of worker processes, and what those answer. Kept in the row of the node, which they go with."""

from __future__ import annotations

import msgspec

from dray.errors import SchemaMismatch
from dray.store.plan import Now, Plan, Query, Ring, Row, reads, repeatable, within
from dray.store.sql.schema import INSIGHT, SchemaPlans
from dray.store.text import keepable
from dray.store.values import Ask

OPEN = 16  # asks of a node that are kept; of more the newest

_decoder = msgspec.json.Decoder(list[tuple[int, str]])


class AskPlans(SchemaPlans):
    """The Asks protocol over SQL."""

    @repeatable
    def ask(self, node: int, what: str) -> Plan[bool]:
        """Ask a node for something; whether the store knows it. Of more than 16 open asks the newest are kept. Raises
        SchemaMismatch if the database is older than this question."""
        if not (yield from self.has(INSIGHT)):
            raise SchemaMismatch(
                f"Workers can be asked from schema {INSIGHT} on, and the store has schema {self.reached}; run `dray migrate` on it."
            )
        rows: list[Row] = yield Query(self.say.asks_held, {"node": node})
        if not rows:
            return False
        last, kept = rows[0]
        asks = [*open_in(kept), Ask(keepable(what), last + 1)][-OPEN:]
        yield Query(self.say.ask, {"node": node, "number": last + 1, "asks": packed(asks)})
        yield Ring("orders")
        return True

    @reads
    @within(4.0)
    def asked(self, node: int) -> Plan[list[Ask]]:
        """What the node is asked for and has not answered, oldest first."""
        if not (yield from self.has(INSIGHT)):
            return []
        rows: list[Row] = yield Query(self.say.asked, {"node": node})
        return open_in(rows[0][0]) if rows else []

    @repeatable
    def answer(self, node: int, number: int, text: str) -> Plan[None]:
        """The node's answer to an ask, which is closed thereby. Only the newest answer is kept."""
        if not (yield from self.has(INSIGHT)):
            return
        now: int = yield Now()
        rows: list[Row] = yield Query(self.say.asks_held, {"node": node})
        if rows:
            left = [ask for ask in open_in(rows[0][1]) if ask.number != number]
            given = {"node": node, "asks": packed(left) if left else None, "answer": keepable(text), "now": now}
            yield Query(self.say.answer, given)

    @reads
    def answered(self, node: int) -> Plan[tuple[int, str] | None]:
        """The node's newest answer: when it came, and the text; None if there is none."""
        if not (yield from self.has(INSIGHT)):
            return None
        rows: list[Row] = yield Query(self.say.answered, {"node": node})
        return (rows[0][0], rows[0][1]) if rows else None


def packed(asks: list[Ask]) -> bytes:
    """Asks as they are kept."""
    return msgspec.json.encode([(ask.number, ask.what) for ask in asks])


def open_in(kept: bytes | None) -> list[Ask]:
    """The opposite."""
    return [] if kept is None else [Ask(what, number) for number, what in _decoder.decode(kept)]
