"""The screen of `dray top`: seven tabs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.suggester import Suggester
from textual.widgets import ContentSwitcher, Input, Static

from dray.errors import DrayError
from dray.insight import Insight
from dray.model.filter import Filter, Term
from dray.model.job import State
from dray.search import complete, to_text
from dray.top import rows
from dray.top.job import JobScreen
from dray.top.keys import hints
from dray.top.look import ERRORS, JOBS, OVERVIEW, QUEUES, SCHEDULES, TABS, TASKS, WORKERS, Looker, View
from dray.top.overview import overview_text
from dray.top.table import Table
from dray.top.verbs import Verbs, error_search
from dray.top.watch import aside, short_interval
from dray.top.words import LEVELS, fitted, line

TABLES = {
    QUEUES: (rows.QUEUE_COLUMNS, "There are no queues: no job has been enqueued yet."),
    JOBS: (rows.JOB_COLUMNS, "No jobs match."),
    WORKERS: (rows.WORKER_COLUMNS, "No worker is alive; start one: dray worker TARGET"),
    SCHEDULES: (rows.SCHEDULE_COLUMNS, "There are no schedules. Those of the code are here once a worker has started."),
    ERRORS: (rows.ERROR_COLUMNS, "Nothing was raised in the last 24 hours."),
    TASKS: (rows.TASK_COLUMNS, "No task has run in the last hour, and no worker knows any."),
}


PROMPT = "/ search: state:failed queue:mail task:send_* age:>5m free text"


class Completion(Suggester):
    """What the last word of a search could become; the right arrow takes it."""

    def __init__(self, insight: Insight) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.insight = insight

    async def get_suggestion(self, value: str) -> str | None:
        """The whole text, with its last word completed."""
        try:
            found = await aside(lambda: complete(value, len(value), self.insight))
        except DrayError:  # nobody waits for a suggestion
            return None
        head, blank, last = value.rpartition(" ")
        fitting = (one.text for one in found if last and one.text.startswith(last) and one.text != last)
        return next((f"{head}{blank}{text}" for text in fitting), None)


class Tabs(Static):
    """One line with the names of the tabs; they can be clicked."""

    def __init__(self) -> None:
        super().__init__(id="tabs")
        self.ends: list[int] = []

    def show(self, tab: int) -> None:
        """Mark one of them."""
        text, self.ends = Text(), []
        cut = None if self.size.width >= sum(len(name) + 4 for name in TABS) else 3
        for number, name in enumerate(TABS):
            here = number == tab
            text.append(f"{'▸' if here else ' '}{number + 1} {name if here else name[:cut]} ", "bold reverse" if here else "")
            self.ends.append(text.cell_len)
        self.update(text)

    def on_click(self, event: events.Click) -> None:
        """Go there."""
        tab = next((number for number, end in enumerate(self.ends) if event.x < end), None)
        if tab is not None and isinstance(self.screen, Main):
            self.screen.action_tab(tab)


class Main(Verbs):
    """Everything but one job's own screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number + 1), f"tab({number})", name) for number, name in enumerate(TABS)),
        Binding("tab", "turn(1)"), Binding("shift+tab", "turn(-1)"), Binding("slash", "search"), Binding("escape", "free"),
        Binding("r", "retry"), Binding("p", "pause"), Binding("d", "dump"), Binding("C", "sure('cancel')"),
        Binding("D", "delete"), Binding("R", "run_now"), Binding("S", "stop"), Binding("n", "older"), Binding("b", "newer"),
        Binding("A", "everything"), Binding("space", "hold"), Binding("question_mark", "app.help"), Binding("q", "app.quit"),
    ]  # fmt: skip

    def __init__(self, insight: Insight, interval: float) -> None:
        super().__init__(insight, interval)
        self.looker = Looker(insight)
        self.pages: list[Any] = []  # where the pages before this one, and this one, begin

    def compose(self) -> ComposeResult:
        """A heading, the tabs, what they show, and the keys."""
        yield Static(id="head")
        yield Static(id="banner")
        yield Tabs()
        with ContentSwitcher(initial="tab0", id="switch"):
            yield Static(id="tab0")
            for tab, (columns, empty) in TABLES.items():
                with Vertical(id=f"tab{tab}"):
                    if tab == JOBS:
                        yield Input(placeholder=PROMPT, id="search", suggester=Completion(self.insight))
                        yield Static(id="trouble", markup=False)
                    yield Table(columns, empty=empty, id=f"table{tab}")
        yield Static(id="said")
        yield Static(id="hints")

    def on_mount(self) -> None:
        """Begin."""
        self.action_tab(OVERVIEW)
        super().on_mount()

    # -- looking

    def asked(self) -> Callable[[], View]:
        """What the tab shows."""
        tab, search, before = self.tab, self.search, self.pages[-1] if self.pages else None
        return lambda: self.looker.look(tab, search, before)

    def found(self, what: View) -> None:
        """Show it, unless it is of a tab that is not open any more."""
        if what.tab != self.tab or what.search != self.search:
            return
        self.view = what
        self._draw()

    def done(self) -> None:
        """Figures are of yesterday."""
        self.looker.forget()

    def on_resize(self) -> None:
        """Lines are made for the room that there is."""
        self.query_one(Tabs).show(self.tab)
        self._draw()

    def _draw(self) -> None:
        self.write("#hints", self._keys())
        view = self.view
        if view is None:
            return
        self.write("#head", self._head(view))
        now = view.overview.now
        if view.tab == OVERVIEW:
            area = self.query_one("#switch").content_size
            self.write("#tab0", overview_text(view, max(20, area.width - 2), area.height))
        elif view.tab == JOBS:
            trouble = self.query_one("#trouble", Static)
            bounded = view.page.searched if view.page is not None else None
            trouble.display = bool(view.trouble) or bounded is not None
            trouble.update(f"✗ {line(view.trouble)}" if view.trouble else f"Looked at {bounded or 0:,} jobs so far; n goes on.")
            if view.page is not None:
                self.table.put(rows.job_rows(view.page.jobs, now))
        elif view.tab == QUEUES:
            self.table.put(rows.queue_rows(view.overview.queues, view.overview.workers, now))
        elif view.tab == WORKERS:
            self.table.put(rows.worker_rows(view.overview.workers, view.use, now))
        elif view.tab == SCHEDULES:
            self.table.put(rows.schedule_rows(view.overview.schedules, now))
        elif view.tab == ERRORS:
            self.table.put(rows.error_rows(view.errors, now))
        else:
            self.table.put(rows.task_rows(view.tasks))

    def _head(self, view: View) -> Text:
        """Where, how often; and how things are, on the tabs that do not say it themselves."""
        width = self.size.width
        mark, _ = LEVELS[view.overview.health.level]  # its colour would not be readable on this ground
        right = f"{'HELD' if self.held else f'every {short_interval(self.interval)}'} "
        where = line(self.insight.store.where)
        told = where if view.tab == OVERVIEW else line(view.overview.health.text)
        room = max(0, width - 12 - len(right))
        marked = " " if view.tab == OVERVIEW else mark
        return Text.assemble((" dray top ", "bold"), (marked, "bold"), fitted(f" {told}", room), right)

    def _keys(self) -> Text:
        width = self.size.width - 2
        chosen = len(self.table.marked) if self.tab in TABLES else 0
        parts = [f"{chosen} selected"] if chosen else []
        if self.tab == JOBS:
            counted = self.view.count if self.view is not None else None
            if self.everything:
                parts = ["ALL that match are selected"]
            elif counted is not None:
                parts.insert(0, f"{counted.n:,}{'' if counted.exact else '+'} match")
            parts += [f"page {len(self.pages) + 1}"] if self.pages else []
        told = ", ".join(parts)
        text = hints(self.tab, width - len(told) - 2)
        return Text.assemble(text, " " * max(1, width - text.cell_len - len(told)), (told, "bold")) if told else text

    # -- moving

    def action_tab(self, tab: int) -> None:
        """Open a tab."""
        self.tab = tab
        self.query_one(Tabs).show(tab)
        self.query_one("#switch", ContentSwitcher).current = f"tab{tab}"
        self.set_focus(self.table if tab in TABLES else None)
        self._draw_soon()

    def action_turn(self, by: int) -> None:
        """To the next tab, or the one before."""
        self.action_tab((self.tab + by) % len(TABS))

    def _draw_soon(self) -> None:
        if self.view is not None:
            # What is known already is shown at once: the whole picture but for the tab's own figures.
            self.write("#head", self._head(self.view))
        self.write("#hints", self._keys())
        self.look()

    def action_search(self) -> None:
        """To the search box."""
        if self.tab != JOBS:
            self.action_tab(JOBS)
        self.query_one("#search", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Search."""
        self.find(event.value)

    def find(self, search: str) -> None:
        """Show the jobs that match."""
        self.search, self.pages, self.everything = search.strip(), [], False
        self.query_one("#search", Input).value = self.search
        table = self.query_one(f"#table{JOBS}", Table)
        table.unmark()
        table.action_edge(0)
        self.action_tab(JOBS)

    def action_free(self) -> None:
        """Out of the search box, or select nothing, or search for nothing."""
        if isinstance(self.focused, Input):
            self.focused.value = self.search
            self.set_focus(self.table)
        elif self.tab in TABLES and (self.table.marked or self.everything):
            self.everything = False
            self.table.unmark()
        elif self.tab == JOBS and (self.search or self.pages):
            self.find("")

    def action_older(self) -> None:
        """The next page of jobs."""
        page = self.view.page if self.view is not None else None
        if self.tab == JOBS and page is not None and page.next is not None:
            self._page([*self.pages, page.next])

    def action_newer(self) -> None:
        """The page before."""
        if self.tab == JOBS and self.pages:
            self._page(self.pages[:-1])

    def _page(self, pages: list[Any]) -> None:
        self.pages, self.everything = pages, False
        self.table.unmark()
        self.table.action_edge(0)
        self._draw_soon()

    def action_hold(self) -> None:
        """Stand still, or go on."""
        self.held = not self.held
        self._draw()
        if not self.held:
            self.look()

    def action_everything(self) -> None:
        """Select all jobs that match, on whatever page."""
        if self.tab == JOBS and self.table.rows:
            self.everything = not self.everything
            self.table.unmark()

    def on_table_marked(self) -> None:
        """Say how many are selected."""
        self.everything = self.everything and not self.table.marked
        self.write("#hints", self._keys())

    def on_table_opened(self, event: Table.Opened) -> None:
        """A job on its own screen; of all else, its jobs."""
        if self.tab == JOBS:
            self.app.push_screen(JobScreen(self.insight, event.key, self.interval))
            return
        self.find(self._search_for(event.key))

    def _search_for(self, key: str) -> str:
        """The search for the jobs of a row."""
        match self.tab:
            case tab if tab == QUEUES:
                return to_text(Filter(queue=key))
            case tab if tab == SCHEDULES:
                return to_text(Filter(schedule=key))
            case tab if tab == TASKS:
                return to_text(Filter(task=key))
            case tab if tab == WORKERS:
                return to_text(Filter(states=frozenset({State.RUNNING}), terms=(Term("worker", (key,)),)))
        return error_search(key)
