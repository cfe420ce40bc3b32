"""Long tables are cut, and searched by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")

MOST = 100  # rows of a table: more make a page slow, and nobody reads them
FEW = 12  # with no more, nobody needs to search


class Narrowed(Struct, Generic[T], frozen=True):
    """The rows to show, of those whose name has `q` in it."""

    rows: list[T]
    q: str
    found: int
    total: int

    @property
    def searchable(self) -> bool:
        """Whether a search is of use."""
        return bool(self.q) or self.total > FEW

    @property
    def left(self) -> int:
        """How many are not shown."""
        return self.found - len(self.rows)


def narrow(rows: Sequence[T], q: str, name: Callable[[T], str], most: int = MOST) -> Narrowed[T]:
    """Those whose name has `q` in it, whatever its case, the first `most` of them."""
    wanted = q.strip().lower()
    found = [row for row in rows if wanted in name(row).lower()] if wanted else list(rows)
    return Narrowed(found[:most], q.strip(), len(found), len(rows))
