"""Windows above the others: a question, help, a long text to read."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static


class Confirm(ModalScreen[bool]):
    """Asks before something that cannot be taken back. The answer is no unless somebody says yes."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical { width: 64; max-width: 95%; height: auto; padding: 1 2; border: round $error; background: $surface; }
    Confirm Horizontal { height: auto; margin-top: 1; align-horizontal: right; }
    Confirm Button { margin-left: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"), Binding("n,escape,q", "answer(False)", "no"),
        Binding("left,right,h,l", "app.focus_next", show=False),
    ]  # fmt: skip

    def __init__(self, question: str, detail: str, yes: str) -> None:
        super().__init__()
        self.question = question
        self.detail = detail
        self.yes = yes

    def compose(self) -> ComposeResult:
        """The question, and two buttons."""
        with Vertical():
            yield Static(Text.assemble((self.question, "bold"), f"\n\n{self.detail}" if self.detail else ""), id="question")
            with Horizontal():
                yield Button(Text("No (n)"), id="no")
                yield Button(Text(f"Yes, {self.yes.lower()} (y)"), id="yes", variant="error")

    def on_mount(self) -> None:
        """Enter alone does nothing bad."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """The answer."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """The answer."""
        self.dismiss(yes)


class Reading(ModalScreen[None]):
    """A long text."""

    DEFAULT_CSS = """
    Reading { align: center middle; }
    Reading > VerticalScroll { width: 96%; height: 90%; padding: 0 2; border: round $primary; background: $surface; }
    Reading.small > VerticalScroll { width: 76; max-width: 98%; height: auto; max-height: 96%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss(None)", "close"),
        Binding("j", "scroll(1)"), Binding("k", "scroll(-1)"), Binding("space", "page"),
    ]  # fmt: skip

    def __init__(self, title: str, text: Text, small: bool = False) -> None:
        super().__init__(classes="small" if small else "")
        self.heading = title
        self.text = text

    def compose(self) -> ComposeResult:
        """The text."""
        with VerticalScroll() as scroll:
            scroll.border_title = self.heading.replace("[", "(")
            scroll.border_subtitle = "esc closes"
            yield Static(self.text, id="text")

    def action_scroll(self, by: int) -> None:
        """Move by a line."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_page(self) -> None:
        """Move by a page."""
        self.query_one(VerticalScroll).scroll_page_down(animate=False)
