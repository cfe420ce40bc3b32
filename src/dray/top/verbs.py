"""What the keys do: which rows they are about, and what is asked before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from rich.text import Text

from dray.errors import DrayError
from dray.insight import Insight
from dray.insight.act import Action
from dray.model.filter import Filter, Term
from dray.search import to_text
from dray.store.values import NodeInfo, QueueInfo, ScheduleRow
from dray.top import acts
from dray.top.look import ERRORS, JOBS, OVERVIEW, QUEUES, SCHEDULES, WORKERS, View
from dray.top.table import Table
from dray.top.watch import Watch, aside
from dray.top.windows import Confirm, Reading
from dray.top.words import line, plain
from dray.wording import count, listed


class Verbs(Watch):
    """A screen with a table for each tab, on whose selected rows the keys act; else on the one with the cursor."""

    def __init__(self, insight: Insight, interval: float) -> None:
        super().__init__(interval)
        self.insight = insight
        self.tab = OVERVIEW
        self.view: View | None = None
        self.search = ""
        self.everything = False  # all jobs that match are selected, not only those on the page

    @property
    def table(self) -> Table:
        """Of the tab that is open."""
        return self.query_one(f"#table{self.tab}", Table)

    def _queues(self, keys: Sequence[str]) -> list[QueueInfo]:
        return [queue for queue in self.view.overview.queues if queue.name in keys] if self.view else []

    def _workers(self, keys: Sequence[str]) -> list[NodeInfo]:
        return [node for node in self.view.overview.workers if str(node.id) in keys] if self.view else []

    def _schedules(self, keys: Sequence[str]) -> list[ScheduleRow]:
        return [row for row in self.view.overview.schedules if row.name in keys] if self.view else []

    def _sure(self, question: str, detail: str, yes: str, work: Callable[[], str]) -> None:
        def answered(sure: bool | None) -> None:
            if sure:
                self.everything = False
                self.table.unmark()
                self.act(work)

        self.app.push_screen(Confirm(question, detail, yes), answered)

    def action_retry(self) -> None:
        """Jobs begin a new life."""
        if self.tab == ERRORS:
            self._all("retry", [f"state:failed {error_search(key)}" for key in self.table.chosen])
        elif self.tab == JOBS and self.everything:
            self._all("retry", [self.search])
        elif self.tab == JOBS and (ids := self.table.chosen):
            self.table.unmark()
            self.act(lambda: acts.on_jobs(self.insight, "retry", ids))

    def action_sure(self, verb: Action) -> None:
        """Cancel or delete jobs, after a question."""
        if self.tab != JOBS or self.view is None or self.view.page is None:
            return
        if self.everything:
            self._all(verb, [self.search])
            return
        known = [job for job in self.view.page.jobs if job.id in self.table.chosen]
        if not known:
            return
        ids = [job.id for job in known]
        detail = _states(verb, Counter(str(job.state) for job in known))
        if len(known) == 1:
            detail = f"{line(known[0].task)}: {detail}\n{ids[0]}"
        self._sure(f"{verb.capitalize()} {count(len(ids), 'job')}?", detail, verb.capitalize(),
                   lambda: acts.on_jobs(self.insight, verb, ids))  # fmt: skip

    def _all(self, verb: Action, searches: list[str]) -> None:
        """Count all jobs that match, ask, and act on them."""
        if not searches:
            return
        self.say("Counting …")

        async def run() -> None:
            try:
                found = await aside(lambda: [self.insight.count(search, None) for search in searches])
            except DrayError as error:
                self.say(str(error), bad=True)
                return
            states: Counter[str] = Counter()
            for one in found:
                states.update(one.states)
            if not states.total():
                self.say("No job matches (any more).")
                return
            self.silent()
            self._sure(f"{verb.capitalize()} {count(states.total(), 'job')}?", _states(verb, states), verb.capitalize(),
                       lambda: acts.on_all(self.insight, verb, searches, self.report))  # fmt: skip

        self.run_worker(run(), group="act")

    def action_delete(self) -> None:
        """Delete jobs, or remove schedules."""
        if self.tab == SCHEDULES and (found := self._schedules(self.table.chosen)):
            detail = f"{listed(row.name for row in found)}. Jobs that they fired stay."
            self._sure(f"Remove {count(len(found), 'schedule')}?", detail, "Remove",
                       lambda: acts.remove_schedules(self.insight, found))  # fmt: skip
        else:
            self.action_sure("delete")

    def action_pause(self) -> None:
        """Pause or resume queues or schedules."""
        if self.tab == QUEUES and (queues := self._queues(self.table.chosen)):
            self.act(lambda: acts.flip_queues(self.insight, queues))
        elif self.tab == SCHEDULES and (found := self._schedules(self.table.chosen)):
            self.act(lambda: acts.flip_schedules(self.insight, found))

    def action_run_now(self) -> None:
        """Enqueue the jobs of schedules, after a question."""
        if self.tab == SCHEDULES and (found := self._schedules(self.table.chosen)):
            names = [row.name for row in found]
            self._sure(f"Run {count(len(names), 'schedule')} now?", f"{listed(names)}: beside the times of the clock.", "Run",
                       lambda: acts.run_schedules(self.insight, names))  # fmt: skip

    def action_stop(self) -> None:
        """Stop workers, after a question."""
        if self.tab == WORKERS and (nodes := [node for node in self._workers(self.table.chosen) if node.alive]):
            running = sum(node.running for node in nodes)
            detail = f"{listed(node.name for node in nodes)}. {count(running, 'job')} running there may end within the grace."
            self._sure(f"Stop {count(len(nodes), 'worker')}?", detail, "Stop", lambda: acts.stop_workers(self.insight, nodes))

    def action_dump(self) -> None:
        """Show where a worker's threads are."""
        if self.tab != WORKERS or self.table.key is None or not (nodes := self._workers([self.table.key])):
            return
        node = nodes[0]
        self.say(f"Asking worker {node.name} for where its threads are …")

        async def run() -> None:
            try:
                text = await aside(lambda: acts.dump(self.insight, node))
            except DrayError as error:
                self.say(str(error), bad=True)
                return
            if text is None:
                self.say(f"Worker {node.name} has not answered: its event loop may be blocked, or it is gone.", bad=True)
                return
            self.silent()
            self.app.push_screen(Reading(f"{line(node.name)}, process {node.pid} on {line(node.host)}", Text(plain(text))))

        self.run_worker(run(), group="act")


def error_search(key: str) -> str:
    """The search for the jobs of an error, from its row's key."""
    task, _, fingerprint = key.partition("\t")
    return to_text(Filter(task=task, terms=(Term("fingerprint", (fingerprint,)),)))


def _states(verb: str, states: Mapping[str, int]) -> str:
    told = ", ".join(f"{n:,} {state}" for state, n in states.items() if n)
    running = {"cancel": " What runs is told to stop.", "delete": " What runs stays."}.get(verb, "")
    return f"{told}.{running if states.get('running') else ''}"
