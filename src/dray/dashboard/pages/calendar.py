"""When schedules fire: their next times with what the clocks do then, and a week of them by the hour. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from dray.errors import ConfigurationError
from dray.model.clock import SECOND
from dray.model.schedule import parse_trigger
from dray.store.values import ScheduleRow

HOUR = timedelta(hours=1)
DAYS = 7
WALKED = 6  # times in one hour that are walked; if there are more, their number is estimated from these
PATIENCE = 0.05  # seconds for times that were not worked out before


class Tick(Struct, frozen=True):
    """One time at which a schedule fires."""

    at: int  # microseconds since 1970
    wall: str  # what the clock of its zone shows
    zone: str  # such as CEST
    offset: str  # such as +02:00
    mark: str = ""  # "gap", "overlap", "forward" or "back"
    told: str = ""  # what the mark means, in a sentence


def zone_of(tz: str) -> tzinfo:
    """A zone by its name."""
    return UTC if tz == "UTC" else ZoneInfo(tz)


def readable(row: ScheduleRow) -> bool:
    """Whether this version, with the zones that are installed here, knows when it fires."""
    return _readable(row.spec, row.tz)


@lru_cache(maxsize=2000)
def _readable(spec: str, tz: str) -> bool:
    try:
        parse_trigger(spec, tz)
    except ConfigurationError:
        return False
    return True


def upcoming(row: ScheduleRow, count: int, now: int) -> tuple[Tick, ...]:
    """Its next times after `now` (microseconds since 1970), as if it were not paused. Raises ConfigurationError for a schedule that
    this version cannot read."""
    # Until the next time, the answer is the same: pages that fetch themselves every second do not work it out anew.
    first = parse_trigger(row.spec, row.tz).next_after(datetime.fromtimestamp(now / SECOND, UTC))
    return _ticks(row.spec, row.tz, first, count)


@lru_cache(maxsize=2000)
def _ticks(spec: str, tz: str, first: datetime, count: int) -> tuple[Tick, ...]:
    trigger, zone = parse_trigger(spec, tz), zone_of(tz)
    times = [first]
    while len(times) < count:
        times.append(trigger.next_after(times[-1]))
    before = first - timedelta(seconds=1)
    found = []
    for moment in times:
        found.append(_tick(spec, moment, zone, before))
        before = moment
    return tuple(found)


def _tick(spec: str, moment: datetime, zone: tzinfo, before: datetime) -> Tick:
    there = moment.astimezone(zone)
    mark, told = _mark(spec, moment, zone, before)
    offset = there.strftime("%z")
    return Tick(
        round(moment.timestamp() * SECOND), there.strftime("%a %d %b %Y, %H:%M:%S").removesuffix(":00"), there.tzname() or "",
        f"{offset[:3]}:{offset[3:5]}", mark, told,
    )  # fmt: skip


def _mark(spec: str, moment: datetime, zone: tzinfo, before: datetime) -> tuple[str, str]:
    if zone is UTC:
        return "", ""
    there, second = moment.astimezone(zone), timedelta(seconds=1)
    offset, just_before = there.utcoffset(), (moment - second).astimezone(zone).utcoffset()
    assert offset is not None
    assert just_before is not None
    if offset > just_before and not _matches(spec, there):
        return "gap", "The clock skips the time that was meant; it fires at the end of the gap."
    if _twice(there):
        return "overlap", f"The clock shows this time twice then; this is the {'second' if there.fold else 'first'}."
    was = before.astimezone(zone).utcoffset()
    assert was is not None
    if offset != was:
        word = "forward" if offset > was else "back"
        return word, f"The clocks go {word} by {_length(abs(offset - was))} before this."
    return "", ""


def _twice(there: datetime) -> bool:
    """Whether the clock shows this time twice: both readings of it are real, and are not the same."""
    zone, wall = there.tzinfo, there.replace(tzinfo=None, fold=0)
    readings = {there.replace(fold=fold).astimezone(UTC) for fold in (0, 1)}
    return len(readings) == 2 and all(one.astimezone(zone).replace(tzinfo=None, fold=0) == wall for one in readings)


def _matches(spec: str, there: datetime) -> bool:
    """Whether the cron line means the time that the clock shows."""
    wall = there.replace(tzinfo=UTC, fold=0)
    return parse_trigger(spec, "UTC").next_after(wall - timedelta(seconds=1)) == wall


def _length(change: timedelta) -> str:
    hours, minutes = divmod(round(change.total_seconds() / 60), 60)
    return " ".join(filter(None, (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "")))


# -- a week


class Cell(Struct):
    """One hour of one day. `n`: how many times are in it, about; `names`: of the first few schedules."""

    n: int = 0
    names: list[str] = []
    level: int = 0  # 0…4, for its colour
    missing: bool = False  # the clocks skip this hour
    past: bool = False


class Day(Struct, frozen=True):
    """A row of the calendar."""

    day: date
    cells: list[Cell]


class Week(Struct, frozen=True):
    """Days by hours; `left` schedules are not in it, for want of time."""

    days: list[Day]
    most: int
    left: int


def week(rows: Iterable[ScheduleRow], tz: str, now: int, patience: float = PATIENCE) -> Week:
    """What fires in the next seven days, hour by hour, in the zone `tz`; what is paused does not."""
    zone = zone_of(tz)
    moment = datetime.fromtimestamp(now / SECOND, UTC)
    today = moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    start = today.astimezone(UTC)
    days = [Day(today.date() + timedelta(days=n), [Cell(missing=True) for _ in range(24)]) for n in range(DAYS)]
    hours = [start + n * HOUR for n in range(DAYS * 24 + 2)]
    cells: list[Cell | None] = []
    for hour in hours:
        there = hour.astimezone(zone)
        number = (there.date() - today.date()).days
        cell = days[number].cells[there.hour] if 0 <= number < DAYS else None
        if cell is not None:
            cell.missing = False
            cell.past = hour + HOUR <= moment
        cells.append(cell)
    until, left = time.monotonic() + patience, 0
    for row in rows:
        if row.paused is not None:
            continue
        known = time.monotonic() < until
        left += not known
        for cell, n in zip(cells, _by_hour(row.spec, row.tz, start, _since(moment)) if known else (), strict=False):
            if cell is not None and n:
                cell.n += n
                cell.names.append(row.name if n == 1 else f"{row.name} ×{n}")
    most = max(cell.n for day in days for cell in day.cells)
    for day in days:
        for cell in day.cells:
            cell.level = level(cell.n, most)
    return Week(days, most, left)


def level(n: int, most: int) -> int:
    """How dark a cell is: by powers of the most, so that few beside many are still seen."""
    if not n:
        return 0
    return 4 if n == most else 1 + int(3 * (n / most) ** 0.5)


def _since(moment: datetime) -> datetime:
    """The hour: so what has been worked out is good until it is over."""
    return moment.replace(minute=0, second=0, microsecond=0)


@lru_cache(maxsize=1000)
def _by_hour(spec: str, tz: str, start: datetime, since: datetime) -> Sequence[int]:
    trigger = parse_trigger(spec, tz)
    found = [0] * (DAYS * 24 + 2)
    end = start + len(found) * HOUR
    moment = trigger.next_after(max(start, since) - timedelta(microseconds=1))
    while moment < end:
        place = (moment - start) // HOUR
        opens, closes, first, n = start + place * HOUR, start + (place + 1) * HOUR, moment, 0
        while moment < closes and n < WALKED:
            n, last = n + 1, moment
            moment = trigger.next_after(moment)
        if moment < closes:  # more than were walked
            gap = (last - first) / (n - 1)
            n = round((closes - max(opens, since)) / gap) if gap else n
            moment = trigger.next_after(closes - timedelta(microseconds=1))
        found[place] = n
    return found
