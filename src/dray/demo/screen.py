"""What the terminal shows: sections, ticks, and bars for what is waited for. Plain text where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_WIDTH = 110


class InVain(Exception):
    """Something that was waited for did not come."""


class Screen:
    """The one place that prints."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = PLAIN_WIDTH
        unicode = self.console.encoding.startswith("utf")
        self.tick, self.cross = ("✓", "✗") if unicode else ("ok", "WRONG")

    def section(self, title: str, text: str = "") -> None:
        self.console.print()
        self.console.rule(f"[bold]{escape(title)}", align="left", style="dim")
        if text:
            self.console.print(text, style="dim")

    def say(self, text: str) -> None:
        self.console.print(f"  {text}")

    def verdict(self, right: bool, text: str) -> None:
        mark = f"[green]{self.tick}[/]" if right else f"[bold red]{self.cross}[/]"
        self.console.print(f"  {mark} {text}", style="" if right else "red")

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar; what it gives is told how much is done."""
        columns = (TextColumn("  {task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(title, total=total)

            def told(done: int) -> None:
                progress.update(task, completed=done)

            yield told

    def wait(self, title: str, total: int, look: Callable[[], int], patience: float = 90.0) -> float:
        """Look ten times a second until `total` is reached, with a bar; gives the seconds it took.

        Raises `InVain` if that has not happened after `patience` seconds.
        """
        began = time.monotonic()
        with self.bar(title, total) as told:
            while time.monotonic() - began < patience:
                done = look()
                told(done)
                if done >= total:
                    return time.monotonic() - began
                time.sleep(0.1)
        raise InVain(f"after {patience:.0f} s there were {done:,} of {total:,} {title}")
