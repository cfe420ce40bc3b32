"""Figures: what workers measure, kept row by row on the first shard."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from dray.store.plan import Call, Plan, reads, repeatable
from dray.store.redis.shards import ShardPlans
from dray.store.sql.figures import key_of, name_as_kept
from dray.store.values import Figure

STEM = struct.Struct(">Id")  # span, at
ROWS_AT_ONCE = 500  # that one script answers with
LOOKS_AT_ONCE = 300  # of one script: one for each moment


class FigurePlans(ShardPlans):
    """The Figures protocol over Redis. One sorted set keeps the rows in the order of span, time, kind and name: what one name or
    one kind has in a while is found by a hop from moment to moment, of which there are few; what is old stands at its head."""

    @repeatable
    def put_figures(self, rows: Sequence[Figure], drop: Sequence[Figure] = ()) -> Plan[None]:
        """Forget the rows with the keys of `drop`, then write `rows`, each in the place of one with the same key: both or neither.
        Written twice they are there once."""
        put = {member_of(row): row.data for row in rows}
        gone = {member_of(row) for row in drop} - put.keys()
        if put or gone:
            yield Call(self.say.figures_put, (len(gone), *gone, *(part for one in put.items() for part in one)))

    @reads
    def figures(
        self, kind: str, span: int, since: int, until: int, name: str | None = None, limit: int = 20_000
    ) -> Plan[list[Figure]]:
        """Those of a kind whose span, of so many seconds, began from `since` on and before `until` (microseconds since 1970),
        oldest first, at most `limit`. `name` None: of every name."""
        lane = kind if name is None else f"{kind}\0{name_as_kept(name)}"
        end = b"(" + STEM.pack(span, max(0, until))
        found: list[Figure] = []
        place = b"[" + STEM.pack(span, max(0, since))
        while place and len(found) < limit:
            most = min(ROWS_AT_ONCE, limit - len(found))
            place, *flat = yield Call(self.say.figures, (place, end, f"{lane}\0", most, LOOKS_AT_ONCE))
            found += rows_in(flat)
        return found

    @reads
    def old_figures(self, span: int, before: int, limit: int = 2000) -> Plan[list[Figure]]:
        """Those of every kind whose span, of so many seconds, began before a time, oldest first, at most `limit`."""
        end = b"(" + STEM.pack(span, max(0, before))
        found: list[Figure] = []
        place = b"[" + STEM.pack(span, 0)
        while place and len(found) < limit:
            place, *flat = yield Call(self.say.figures_old, (place, end, min(ROWS_AT_ONCE, limit - len(found))))
            found += rows_in(flat)
        return found


def member_of(row: Figure) -> bytes:
    """The key of a row as it stands in the set."""
    kind, span, name, at, source = key_of(row)
    return STEM.pack(span, at) + f"{kind}\0{name}\0{source}".encode()


def rows_in(flat: Sequence[bytes | None]) -> list[Figure]:
    """Members and their data. One without data means nothing; it can still be forgotten."""
    found = []
    for member, data in zip(flat[::2], flat[1::2], strict=True):
        assert member is not None
        span, at = STEM.unpack_from(member)
        kind, name, source = member[STEM.size :].decode().split("\0")
        found.append(Figure(kind, int(at), span, name, data or b"", source))
    return found
