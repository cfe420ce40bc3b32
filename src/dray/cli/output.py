"""How answers are written: tables by rich on a terminal, tab-separated values in a pipe, JSON when asked for."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

STATE_STYLES = {
    "scheduled": "blue", "ready": "cyan", "running": "yellow", "blocked": "magenta", "sleeping": "magenta",
    "succeeded": "green", "failed": "red", "cancelled": "bright_black",
}  # fmt: skip
MARKS = {
    "scheduled": "◷", "ready": "○", "running": "▶", "blocked": "⏸", "sleeping": "☾",
    "succeeded": "✓", "failed": "✗", "cancelled": "⊘",
}  # fmt: skip

Cell = object | tuple[object, str]  # a value, or a value with a style of rich


def on_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def console(stderr: bool = False) -> Console:
    """A console of rich; it honours NO_COLOR by itself."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def emit(value: Any) -> None:
    """JSON on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(text: str, style: str | None = None) -> None:
    """A sentence for people, where it does not disturb what a script reads."""
    click.echo(click.style(text, fg=style) if style else text, err=True)


def state_cell(state: str) -> tuple[str, str]:
    """A state in its colour, with a mark so that it is not told by colour alone."""
    text = f"{MARKS.get(state, ' ')} {state}" if on_terminal() else state
    return text, STATE_STYLES.get(state, "")


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, wide: Sequence[str] = (), right: Sequence[str] = ()) -> None:
    """Rows under their headings. `wide` columns give way where the terminal is narrow; `right` ones hold numbers."""
    found = list(rows)
    if not on_terminal():
        click.echo("\t".join(column.upper() for column in columns))
        for row in found:
            click.echo("\t".join(_plain(cell) for cell in row))
        return
    if not found:
        return
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(
            column, no_wrap=True, overflow="ellipsis", justify="right" if column in right else "left",
            ratio=1 if column in wide else None, min_width=None if column in wide else len(column),
        )  # fmt: skip
    for row in found:
        made.add_row(*(Text(_plain(cell), style=cell[1] if isinstance(cell, tuple) else "") for cell in row))
    console().print(made)


def _plain(cell: Cell) -> str:
    value = cell[0] if isinstance(cell, tuple) else cell
    return "" if value is None else " ".join(str(value).split())


def pairs(rows: Iterable[tuple[str, Cell]]) -> None:
    """Names and values, one under the other; empty values are left out."""
    shown = [(name, cell) for name, cell in rows if _plain(cell)]
    width = max((len(name) for name, _ in shown), default=0)
    for name, cell in shown:
        value = str(cell[0] if isinstance(cell, tuple) else cell)
        style = cell[1] if isinstance(cell, tuple) and cell[1] else None
        label = click.style(name.ljust(width), dim=True) if on_terminal() else name.ljust(width)
        click.echo(f"{label}  {click.style(value, fg=style) if style else value}")


def prose(text: str, lead: str = "", width: int = 0) -> None:
    """Sentences, broken between words on a terminal. `lead` stands in front of the first line, `width` characters wide; further
    lines begin under the text."""
    lines = [text]
    if on_terminal():
        lines = textwrap.wrap(text, max(40, shutil.get_terminal_size().columns - width - 1), break_on_hyphens=False) or [""]
    click.echo(lead + f"\n{' ' * width}".join(lines))


def heading(text: str) -> None:
    """A line above a part of an answer."""
    click.echo()
    click.echo(click.style(text, bold=True))


def progress(total: int, text: str, work: Callable[[Callable[[int], None]], None]) -> None:
    """Do `work`, which calls what it is given with the number done so far; a bar shows it to people who wait."""
    if not sys.stderr.isatty() or total < 2:
        work(lambda done: None)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=total)
        work(lambda done: bar.update(task, completed=done))


def confirm(question: str, yes: bool) -> bool:
    """Whether to go on. Without --yes a person is asked; where there is none, it is refused."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to be asked: give --yes to do it, or --dry-run to see what it would do.")
    return click.confirm(question, default=False, err=True)
