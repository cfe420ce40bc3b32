"""Figures: where they differ from those of other SQL stores. Many rows are one statement; who only writes needs no other."""

from __future__ import annotations

from typing import Any

from dray.store.plan import Plan, Query
from dray.store.sql import figures
from dray.store.sql.figures import Key


class FigurePlans(figures.FigurePlans):
    """The Figures protocol over PostgreSQL."""

    def _figures(self, put: list[tuple[Key, bytes]], gone: list[Key]) -> Plan[None]:
        if gone:
            yield Query(self.say.figure_drop, columns(gone))
        if put:
            given = {**columns([key for key, _ in put]), "datas": [data for _, data in put]}
            yield Query(self.say.figure_put, given, alone=not gone, quiet=True)


def columns(keys: list[Key]) -> dict[str, list[Any]]:
    """Keys as arrays, one for each column."""
    kinds, spans, names, ats, sources = map(list, zip(*keys, strict=True))
    return {"kinds": kinds, "spans": spans, "names": names, "ats": ats, "sources": sources}
