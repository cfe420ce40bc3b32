"""What `dray top` asks the store for, all of it blocking: to be called in a thread."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from dray.errors import ConfigurationError
from dray.explain import Explanation, explain, gather
from dray.facts import Facts
from dray.insight import Insight
from dray.insight.figures import ErrorGroup, Series, TaskFigures, WorkerUse
from dray.insight.jobs import Count
from dray.insight.place import Overview
from dray.store.values import LogLine, Page

TABS = ("Overview", "Queues", "Jobs", "Workers", "Schedules", "Errors", "Tasks")
OVERVIEW, QUEUES, JOBS, WORKERS, SCHEDULES, ERRORS, TASKS = range(len(TABS))

SLOWLY = 5.0  # seconds between two looks at figures of whole hours, which grow by the minute
HOURS = {ERRORS: 24.0, TASKS: 1.0, OVERVIEW: 1.0}
PAGE = 100  # jobs on a page
MOST = 20_000  # jobs that are looked at to count those that match
LINES = 300  # of a job's log, the newest


@dataclass
class View:
    """What one look found. What a tab does not need stays as it was."""

    tab: int
    overview: Overview
    series: Series | None = None
    use: dict[int, WorkerUse] = field(default_factory=dict)
    tasks: list[TaskFigures] = field(default_factory=list)
    errors: list[ErrorGroup] = field(default_factory=list)
    page: Page | None = None
    search: str = ""
    before: str | None = None
    trouble: str = ""  # what is wrong with the search
    count: Count | None = None  # how many jobs match, if something is searched for


class Looker:
    """Looks at what one tab shows. Figures of hours are kept for a moment, because they are the same a second later."""

    def __init__(self, insight: Insight) -> None:
        self.insight = insight
        self.looks = 0
        self._kept: dict[int, tuple[float, View]] = {}
        self._counted: tuple[float, str, Count | None] = (0.0, "", None)

    def look(self, tab: int, search: str = "", before: str | None = None) -> View:
        """What a tab shows now. Raises StoreError."""
        insight = self.insight
        self.looks += 1
        view = View(tab, insight.overview(), search=search, before=before)
        at, old = self._kept.get(tab, (0.0, view))
        fresh = time.monotonic() - at < SLOWLY
        if tab == JOBS:
            try:
                view.page = insight.jobs(search, limit=PAGE, before=before)
                view.count = self._count(search) if search else None
            except ConfigurationError as error:
                view.trouble = str(error)
        elif tab == WORKERS:
            view.use = insight.use(1.0)
        elif fresh and tab in HOURS:
            view.series, view.use, view.tasks, view.errors = old.series, old.use, old.tasks, old.errors
        elif tab in HOURS:
            if tab == OVERVIEW:
                view.series, view.use = insight.series(HOURS[tab]), insight.use(HOURS[tab])
            if tab in (OVERVIEW, TASKS):
                view.tasks = insight.tasks(HOURS[tab])
            if tab in (OVERVIEW, ERRORS):
                view.errors = insight.errors(HOURS[tab])
            self._kept[tab] = (time.monotonic(), view)
        return view

    def _count(self, search: str) -> Count | None:
        at, of, known = self._counted
        if of != search or time.monotonic() - at > SLOWLY:
            known = self.insight.count(search, MOST)
            self._counted = (time.monotonic(), search, known)
        return known

    def forget(self) -> None:
        """Look anew at everything: something was done."""
        self._kept.clear()
        self._counted = (0.0, "", None)


@dataclass(frozen=True)
class Story:
    """One job whole."""

    facts: Facts
    answer: Explanation
    logs: list[LogLine]


def tell(insight: Insight, id: str, seen: list[LogLine]) -> Story:
    """One job whole; of its log only what comes after the lines that were `seen`. Raises UnknownJob, StoreError."""
    facts = gather(insight, id)
    lines = list(seen)
    while more := insight.logs(id, lines[-1].line if lines else 0):
        lines = (lines + more)[-LINES:]
    return Story(facts, explain(facts), lines)
