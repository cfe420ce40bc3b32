"""Times, lengths, counts and errors as people read them; used wherever Dray answers a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from dray.model.clock import SECOND
from dray.model.duration import human


def iso(at: int | None) -> str | None:
    """Microseconds since 1970 as ISO 8601 in UTC, for programs; None stays None."""
    return None if at is None else datetime.fromtimestamp(at / SECOND, UTC).isoformat()


def clock(at: int, now: int) -> str:
    """The local time, with the date if it is not today's."""
    moment, today = (datetime.fromtimestamp(value / SECOND).astimezone() for value in (at, now))
    return moment.strftime("%H:%M:%S" if moment.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def short(seconds: float) -> str:
    """A length of time in as few characters as tell enough: "8s", "1h 40m", "10m" for 9m 56s."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if round(seconds / size) >= 3:
            return f"{round(seconds / size)}{unit}"
    return human(round(seconds))


def ago(at: int, now: int) -> str:
    """How far it is from now: "3m ago", "in 5m"."""
    seconds = (now - at) / SECOND
    if abs(seconds) < 1:
        return "just now"
    return f"{short(seconds)} ago" if seconds > 0 else f"in {short(-seconds)}"


def when(at: int, now: int) -> str:
    """Both: "14:03:11 (3m ago)"."""
    return f"{clock(at, now)} ({ago(at, now)})"


def span(since: int, until: int) -> str:
    """How long it was from one to the other: "1m 4s"."""
    return human(max(0, until - since) / SECOND)


def count(n: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 job", "1,234 jobs"."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names in a sentence, the first few of them: "a, b and 3 more"."""
    known = list(names)
    if len(known) > most:
        return f"{', '.join(known[:most])} and {len(known) - most} more"
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}" if known else "none"


def error_line(error: Any) -> str:
    """A kept error on one line: "ValueError: no such user"."""
    if isinstance(error, Mapping):
        kind, message = str(error.get("type", "error")), str(error.get("message", "")).partition("\n")[0]
        return f"{kind}: {message}" if message else kind
    return " ".join(str(error).split()) if error else ""


def size(bytes: float) -> str:
    """A number of bytes: "12.3 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if bytes < 1024:
            return f"{bytes:.0f} B" if unit == "B" else f"{bytes:.1f} {unit}"
        bytes /= 1024
    return f"{bytes:.1f} TiB"


def readable(data: bytes | None) -> Any:
    """Kept JSON as plain values; what is no JSON is shown as the text it is, because people must be able to look at it."""
    if data is None:
        return None
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return data.decode("utf-8", "replace")


def without_transactions(task: str, where: str) -> str:
    """What a store that has no transactions says to a task that wants to share one."""
    return (
        f"Task {task!r} is transactional, and the store {where} has no transactions to share; use a store on sqlite:// or "
        "postgresql:// for it, or take transactional=True off and make the task safe to run twice."
    )
