"""`dray top` as an application of textual."""

from __future__ import annotations

from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from dray.insight import Insight
from dray.top.keys import help_text
from dray.top.main import Main
from dray.top.windows import Reading


class Top(App[None]):
    """The window. It owns no store: the one behind `insight` is closed by whoever opened it."""

    TITLE = "dray top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Watch { background: $background; }
    #head { height: 1; background: #4a3410; color: #ffffff; }
    #banner { display: none; height: auto; background: #a01c1c; color: #ffffff; padding: 0 1; text-style: bold; }
    #tabs { height: 1; background: $surface; }
    #switch { height: 1fr; }
    #tab0 { padding: 0 1; height: 1fr; }
    #search { height: 1; border: none; padding: 0 1; background: $surface; }
    #search:focus { background: $boost; text-style: bold; }
    #trouble { display: none; height: auto; color: $warning; padding: 0 1; }
    #said { display: none; height: auto; max-height: 3; background: #1d4d2b; color: #ffffff; padding: 0 1; }
    #said.bad { background: #a01c1c; }
    #hints { height: 1; background: $surface; padding: 0 1; }
    #scroll { padding: 0 1; scrollbar-size-vertical: 1; }
    Table { height: 1fr; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    Table > .table--head { color: $text-muted; text-style: bold; }
    Table > .table--note { color: $text-muted; text-style: italic; }
    Table > .table--marked { text-style: bold; background: #4a3410; color: #ffffff; }
    Table > .table--cursor { text-style: bold; background: #8f5f12; color: #ffffff; }
    Table:nocolor > .table--cursor { text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", show=False, priority=True)]

    def __init__(self, insight: Insight, interval: float = 1.0) -> None:
        super().__init__()
        self.insight = insight
        self.interval = interval

    def on_mount(self) -> None:
        """Open the screen."""
        self.push_screen(Main(self.insight, self.interval))

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Reading("Keys", help_text(), small=True))
