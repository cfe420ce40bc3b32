"""How `dray top` writes things: marks and colours of states, small charts, texts that a terminal can show without harm."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from dray.model.clock import SECOND
from dray.model.job import JobInfo, State
from dray.store.values import NodeInfo
from dray.wording import ago, error_line, short

#: The mark of each state, and its colour: a state is never told by colour alone.
STATES = {
    "scheduled": ("◷", "blue"), "ready": ("○", "cyan"), "running": ("▶", "yellow"), "blocked": ("‖", "magenta"),
    "sleeping": ("☾", "magenta"), "succeeded": ("✓", "green"), "failed": ("✗", "red"), "cancelled": ("⊘", "bright_black"),
}  # fmt: skip
LEVELS = {"good": ("●", "green"), "note": ("▲", "yellow"), "bad": ("✗", "bold red")}

BARS = " ▁▂▃▄▅▆▇█"
MOST = 20_000  # characters of one value that are shown

# What would move the cursor, change colours, or turn the direction of writing.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(value: object, most: int = MOST) -> str:
    """A text without control characters, cut where it gets too long; lines are kept."""
    text = str(value)
    left = len(text) - most
    if left > 0:
        text = f"{text[:most]}… ({left:,} more characters)"
    return _HARMFUL.sub("�", text.replace("\r\n", "\n").expandtabs(4))


def line(value: object, most: int = 300) -> str:
    """The same on one line, for cells."""
    return " ".join(plain("" if value is None else str(value)[: most * 4], most).split())


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """A text of exactly so many cells: cut with an ellipsis, or filled up. Wide characters count twice."""
    size = cell_len(text)
    if size > width:
        kept, used = "", 0
        for char in text:
            used += cell_len(char)
            if used > width - 1:
                break
            kept += char
        text = f"{kept}…" if width > 0 else ""
        size = cell_len(text)
    gap = " " * max(0, width - size)
    return gap + text if right else text + gap


def state_text(state: str) -> Text:
    """A state with its mark."""
    mark, colour = STATES[state]
    return Text(f"{mark} {state}", style=colour)


def number(n: float, style: str = "") -> Text:
    """A count with separators; nothing is dim."""
    return Text(f"{n:,.0f}", style=style if n else "dim")


def rate(per_second: float) -> str:
    """How often: "12/s", "3.4/s", "9/min", "0/s"."""
    if per_second >= 10:
        return f"{per_second:,.0f}/s"
    if per_second >= 1:
        return f"{per_second:.1f}/s"
    per_minute = per_second * 60
    return "0/s" if not per_minute else f"{per_minute:.0f}/min" if per_minute >= 1 else "<1/min"


def took(seconds: float | None) -> str:
    """A measured time: "850µs", "12ms", "1.25s", "4m 10s"; a line where there is none."""
    if seconds is None:
        return "–"
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.0f}{unit}"
    if seconds < 10:
        return f"{seconds:.2f}s"
    return f"{seconds:.1f}s" if seconds < 60 else short(seconds)


def part(share: float) -> str:
    """A share of a whole as per cent; what is not quite nothing, or not quite all, does not look so."""
    percent = 100 * share
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.1f} %" if 0 < percent < 100 and percent < 10 else f"{percent:.0f} %"


def fitted_row(values: Sequence[float], width: int) -> list[float]:
    """A row of numbers as exactly `width` of them: the highest of each stretch, so that no peak is lost; or each several times."""
    n = len(values)
    if not n or width < 1:
        return [0.0] * max(0, width)
    return [max(values[place * n // width : max(place * n // width + 1, (place + 1) * n // width)]) for place in range(width)]


def spark(values: Sequence[float], width: int) -> str:
    """A small line of bars, newest at the right, `width` cells wide. Anything above nothing is seen."""
    row = fitted_row(values, width)
    highest = max(row, default=0)
    return "".join(bar(value, highest, 1)[0] for value in row)


def bar(value: float, highest: float, height: int) -> list[str]:
    """One column of a chart, `height` cells high, from the top down."""
    eighths = 0 if highest <= 0 else min(8 * height, round(8 * height * value / highest))
    if value > 0:
        eighths = max(1, eighths)
    return [BARS[max(0, min(8, eighths - 8 * level))] for level in reversed(range(height))]


def chart(values: Sequence[float], width: int, height: int) -> list[str]:
    """Bars as lines of text from the top down, newest at the right."""
    row = fitted_row(values, width)
    highest = max(row, default=0)
    columns = [bar(value, highest, height) for value in row]
    return ["".join(column[level] for column in columns) for level in range(height)]


def gauge(share: float, width: int) -> str:
    """How full something is."""
    full = max(0, min(width, round(share * width)))
    return "█" * full + "░" * (width - full)


# -- jobs and workers


def moment(job: JobInfo, now: int) -> str:
    """The time that matters in the state of a job."""
    match job.state:
        case State.SCHEDULED:
            return ago(job.due, now)
        case State.RUNNING:
            return f"for {short(max(0, now - (job.started or now)) / SECOND)}"
        case State.SUCCEEDED | State.FAILED | State.CANCELLED:
            return ago(job.finished or now, now)
        case _:
            return f"waits {short(max(0, now - job.due) / SECOND)}"


def remark(job: JobInfo) -> str:
    """What is worth a word about a job, next to its state."""
    if job.state is State.RUNNING and isinstance(job.progress, dict):
        return progress(job.progress)
    if job.state in (State.FAILED, State.SCHEDULED) and job.error:
        return error_line(job.error)
    if job.state is State.READY and job.hold:
        return f"no worker knows {job.hold.removeprefix('task:')}"
    return job.reason or args_line(job.args)


def args_line(args: Any) -> str:
    """Arguments in short: `user=7 mail="a@b"`."""
    if not isinstance(args, dict):
        return json.dumps(args, ensure_ascii=False, default=str)[:300]
    return " ".join(f"{name}={json.dumps(_cut(value), ensure_ascii=False, default=str)}" for name, value in args.items())


def _cut(value: Any) -> Any:
    return value[:200] if isinstance(value, str | list) else value


def progress(told: dict[str, Any], width: int = 0) -> str:
    """How far a job says that it is: "40 of 100 (40 %) resizing"; with a bar in front if it is to have a width."""
    done, total, note = told.get("done"), told.get("total"), told.get("note") or ""
    if not isinstance(done, int | float):
        return str(note)
    if not isinstance(total, int | float) or total <= 0:
        return f"{done:,} {note}".rstrip()
    share = done / total
    shown = f"{gauge(share, width)} " if width else ""
    return f"{shown}{done:,} of {total:,} ({part(share)}) {note}".rstrip()


def worker_text(node: NodeInfo) -> Text:
    """How a worker process is."""
    if not node.alive:
        return Text("✗ gone", style="red")
    return Text("◐ stopping", style="yellow") if node.stopping else Text("● alive", style="green")
