"""How much room the tables take, without walking over them: what a large b-tree is like is told from a part of it."""

from __future__ import annotations

from collections.abc import Sequence

from dray.store.plan import Plan, Query, Row, reads
from dray.store.sql.sentences import Sentences
from dray.store.values import Space

SAMPLE = 150  # pages of a b-tree that are looked at
FILE, FREE = "(file)", "(free)"


class SpacePlans:
    """The question for space over SQLite."""

    say: Sentences

    @reads
    def space(self) -> Plan[list[Space]]:
        """The tables of Dray with their indexes, the largest first; the whole file, which may hold more than that, as "(file)", and
        what is free in it as "(free)". Where SQLite is compiled without `dbstat`, only these two."""
        ((whole, free, can_look),) = yield Query(self.say.space)
        sure: dict[str, int] = {}  # bytes by table
        told: dict[str, int] = {}  # … of large b-trees, from a part of them
        rows: dict[str, int] = {}
        if can_look:
            for tree, table, is_table, in_all in (yield Query(self.say.space_trees)):
                pages: list[Row] = yield Query(self.say.space_pages, {"name": tree, "n": SAMPLE})
                cut = len(pages) == SAMPLE
                n, size = measured(pages, cut=cut, in_all=bool(in_all or not is_table))
                for sizes, part in ((told, size if cut else 0), (sure, 0 if cut else size)):
                    sizes[table] = sizes.get(table, 0) + part
                if is_table:
                    rows[table] = n
        room = max(0, whole - free - sum(sure.values()))
        less = min(1.0, room / max(1, sum(told.values())))  # all of them together cannot be larger than the file
        found = [Space(table, rows.get(table), size + int(told[table] * less)) for table, size in sure.items()]
        found.sort(key=lambda space: -(space.size or 0))
        return [*found, Space(FILE, None, whole), Space(FREE, None, free)]


def measured(pages: Sequence[Row], *, cut: bool, in_all: bool) -> tuple[int, int]:
    """Rows and bytes of a b-tree, from its pages (path, type, cells, size), the root first and always down first. `cut`: there are
    more than these, and each level is taken to be like what is seen of it. `in_all`: not only leaves hold rows."""
    levels: dict[int, list[int]] = {}  # of pages that belong to the tree itself: their cells
    beside = size = 0
    for path, kind, cells, bytes_ in pages:
        if kind == "overflow":
            beside += 1
        else:
            levels.setdefault(path.count("/") - 1, []).append(cells)
        size = bytes_
    bottom = max(levels, default=0)
    counts = {level: float(len(cells)) for level, cells in levels.items()}
    if cut:
        for level in range(1, bottom + 1):
            above = levels[level - 1]
            counts[level] = counts[level - 1] * (sum(above) / len(above) + 1)
    rows = sum(
        counts[level] * sum(cells) / len(cells) for level, cells in levels.items() if in_all or level == bottom
    )
    leaves = len(levels.get(bottom, ()))
    long = beside / leaves * counts[bottom] if leaves else 0.0
    return round(rows), round(sum(counts.values()) + long) * size
