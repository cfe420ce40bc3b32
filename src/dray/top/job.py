"""The screen of one job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from dray.errors import DrayError, UnknownJob
from dray.insight import Insight
from dray.insight.act import Action
from dray.store.values import LogLine
from dray.top.acts import on_jobs
from dray.top.look import Story, tell
from dray.top.story import story_text
from dray.top.watch import Watch
from dray.top.windows import Confirm


class JobScreen(Watch):
    """One job whole, looked at again and again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "back", "back"), Binding("r", "retry", "retry"),
        Binding("C", "sure('cancel')", "cancel"), Binding("D", "sure('delete')", "delete"), Binding("space", "hold", "hold"),
        Binding("j", "scroll(1)"), Binding("k", "scroll(-1)"), Binding("g", "edge(0)"), Binding("G", "edge(1)"),
        Binding("question_mark", "app.help"),
    ]  # fmt: skip

    def __init__(self, insight: Insight, id: str, interval: float) -> None:
        super().__init__(interval)
        self.insight = insight
        self.job = id
        self._logs: list[LogLine] = []
        self._state = ""

    def compose(self) -> ComposeResult:
        """A text to scroll."""
        yield Static(id="banner")
        with VerticalScroll(id="scroll"):
            yield Static(id="story")
        yield Static(id="said")
        yield Static(self._hints(), id="hints")

    def _hints(self) -> Text:
        keys = [("r", "retry"), ("C", "CANCEL"), ("D", "DELETE"), ("space", "go on" if self.held else "hold"), ("esc", "back")]
        return Text("  ").join(Text.assemble((key, "bold"), f" {word}") for key, word in keys)

    def asked(self) -> Callable[[], Any]:
        """All about the job."""
        return lambda: tell(self.insight, self.job, self._logs)

    def found(self, what: Story) -> None:
        """Show it."""
        self._logs, self._state = what.logs, str(what.facts.job.state)
        self.write("#story", story_text(what))

    def refused(self, error: DrayError) -> bool:
        """The job is not there any more."""
        if isinstance(error, UnknownJob):
            self.held = True
            self.banner(str(error), lost=False)
        return isinstance(error, UnknownJob)

    def action_back(self) -> None:
        """To the list."""
        self.dismiss(None)

    def action_hold(self) -> None:
        """Stand still, or go on."""
        self.held = not self.held
        self.write("#hints", self._hints())
        if not self.held:
            self.look()

    def action_retry(self) -> None:
        """Give it a new life."""
        self.act(lambda: on_jobs(self.insight, "retry", [self.job]))

    def action_sure(self, verb: Action) -> None:
        """Ask before it is cancelled or deleted."""
        detail = f"Job {self.job}, {self._state}." if self._state else f"Job {self.job}."

        def answered(yes: bool | None) -> None:
            if yes:
                self.act(lambda: on_jobs(self.insight, verb, [self.job]))

        self.app.push_screen(Confirm(f"{verb.capitalize()} 1 job?", detail, verb.capitalize()), answered)

    def action_scroll(self, by: int) -> None:
        """Move by a line."""
        self.query_one("#scroll").scroll_relative(y=by, animate=False)

    def action_edge(self, end: int) -> None:
        """To the beginning or the end."""
        scroll = self.query_one("#scroll")
        scroll.scroll_end(animate=False) if end else scroll.scroll_home(animate=False)
