"""Questions and operator verbs: all that the command line, the dashboard and tests may call.

Every method has an async twin with an `a` in front. What can be looked for is said in `dray.search`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from dray.insight.act import Acting, BulkReport
from dray.insight.figures import Figures
from dray.insight.jobs import Count, Jobs, raw_id, raw_ids
from dray.insight.place import Place
from dray.search import parse as parse_filter
from dray.store.plan import Plan

if TYPE_CHECKING:
    from dray.store.protocol import Store

__all__ = ["BulkReport", "Count", "Insight", "parse_filter", "raw_id", "raw_ids"]

T = TypeVar("T")


class Insight(Jobs, Acting, Figures, Place):
    """Looks into a store. With `by`, what is done is written down as that person's; `via` says by which way it came
    ("dashboard", "api", "cli")."""

    def __init__(self, store: Store, by: str | None = None, via: str = "") -> None:
        self.store = store
        self.by = by
        self.via = via

    def _ask(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        return self.store.run(verb, *args)

    def _aask(self, verb: Callable[..., Plan[T]], *args: Any) -> Awaitable[T]:
        return self.store.arun(verb, *args)
