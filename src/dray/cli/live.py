"""`--watch`: the same answer again and again, in place, until Ctrl-C."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dray.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from dray.insight import Insight

F = TypeVar("F", bound=Callable[..., Any])


class _Seconds(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic only for newer versions of click
    """A length of time."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A length of time in seconds."""
        from dray.model.duration import seconds

        if isinstance(value, int | float):
            return float(value)
        try:
            found = seconds(value, "it")
        except (ConfigurationError, ValueError) as error:
            self.fail(str(error), param, ctx)
        if found < 0.1:
            self.fail(f"{value!r} is too often; give 0.1s or more.", param, ctx)
        return found


SECONDS = _Seconds()


def watch_option(command: F) -> F:
    """`--watch`, `--watch 5s`."""
    return click.option(
        "--watch", "-w", type=SECONDS, is_flag=False, flag_value=1.0, metavar="[LENGTH]",
        help="Show it again and again in place, each second or as often as is said (5s), until Ctrl-C.",
    )(command)


class _Terminal(io.StringIO):
    """Takes what is printed, and passes for the terminal that it will be shown on."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """So that colours are kept."""
        return True


def watched(every: float, as_json: bool, insight: Insight, draw: Callable[[Insight], None]) -> None:
    """Call `draw`, which prints, each `every` seconds and show what it printed in place of what was there. While the store cannot
    be reached, its last picture stays, with the reason above it."""
    if as_json:
        raise click.UsageError("--watch is for people; a script asks for --json again and again.")
    if not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal to show things in place; leave it out here.")
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from dray.cli import output

    last = Text()
    with contextlib.suppress(KeyboardInterrupt):
        with Live(console=output.console(), screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
            while True:
                trouble = Text()
                try:
                    with contextlib.redirect_stdout(_Terminal()) as printed, contextlib.redirect_stderr(printed):
                        draw(insight)
                    last = Text.from_ansi(printed.getvalue())
                except StoreError as error:
                    trouble = Text(f"✗ {error} What you see is old; trying again.", style="bold red")
                live.update(Group(*([trouble] if trouble else []), last), refresh=True)
                time.sleep(every)
