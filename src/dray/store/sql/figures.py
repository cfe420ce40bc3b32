"""Figures: what workers measure, kept row by row. A database with the schema before keeps none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from dray.store.plan import Many, Plan, Query, Row, reads, repeatable
from dray.store.sql.schema import INSIGHT, SchemaPlans
from dray.store.text import keepable
from dray.store.values import Figure

LONGEST = 600  # characters of a name: what is longer does not fit into an index of PostgreSQL

Key = tuple[str, int, str, int, str]  # kind, span, name, at, source: as in the primary key


def key_of(row: Figure) -> Key:
    """What a row is replaced and forgotten by."""
    return row.kind, row.span, name_as_kept(row.name), row.at, keepable(row.source)


def name_as_kept(name: str) -> str:
    """A name as it is kept: of one of more than 600 characters the beginning, and a digest of the whole."""
    kept = keepable(name)
    if len(kept) <= LONGEST:
        return kept
    return f"{kept[:LONGEST - 17]}…{hashlib.sha256(kept.encode()).hexdigest()[:16]}"


class FigurePlans(SchemaPlans):
    """The Figures protocol over SQL."""

    @repeatable
    def put_figures(self, rows: Sequence[Figure], drop: Sequence[Figure] = ()) -> Plan[None]:
        """Forget the rows with the keys of `drop`, then write `rows`, each in the place of one with the same key: both or neither.
        Written twice they are there once."""
        if not (yield from self.has(INSIGHT)):
            return
        put = {key_of(row): row.data for row in rows}
        gone = {key_of(row) for row in drop} - put.keys()
        # In one order, whoever writes: none waits for one who waits for it.
        yield from self._figures(sorted(put.items()), sorted(gone))

    def _figures(self, put: list[tuple[Key, bytes]], gone: list[Key]) -> Plan[None]:
        if gone:
            yield Many(self.say.figure_drop, gone)
        if put:
            yield Many(self.say.figure_put, [(*key, data) for key, data in put])

    @reads
    def figures(
        self, kind: str, span: int, since: int, until: int, name: str | None = None, limit: int = 20_000
    ) -> Plan[list[Figure]]:
        """Those of a kind whose span, of so many seconds, began from `since` on and before `until` (microseconds since 1970),
        oldest first, at most `limit`. `name` None: of every name."""
        if not (yield from self.has(INSIGHT)):
            return []
        given = {"kind": kind, "span": span, "since": since, "until": until, "n": limit}
        if name is None:
            rows: list[Row] = yield Query(self.say.figures, given)
        else:
            rows = yield Query(self.say.figures_named, {**given, "name": name_as_kept(name)})
        return [Figure(kind, at, span, named, data, source) for at, named, source, data in rows]

    @reads
    def old_figures(self, span: int, before: int, limit: int = 2000) -> Plan[list[Figure]]:
        """Those of every kind whose span, of so many seconds, began before a time, oldest first, at most `limit`."""
        if not (yield from self.has(INSIGHT)):
            return []
        rows: list[Row] = yield Query(self.say.figures_old, {"span": span, "before": before, "n": limit})
        return [Figure(kind, at, span, name, data, source) for kind, at, name, source, data in rows]
