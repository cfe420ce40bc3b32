"""When a schedule fires: triggers (cron lines and intervals), catch-up after an outage, overlap with an earlier run.

Pure: the caller says what time it is. Every node computes the same ticks, so that a unique row per (schedule, tick)
makes a run happen once, whatever the number of nodes, restarts and clock steps.

The daylight-saving rule, that of Debian's cron (cron(8), "daylight saving time"), by the wall clock of the zone:

- A line of five fields whose minute and hour are both fixed (neither begins with ``*``: ``30 2 * * *``) means a time of
  day. When that time does not exist (clocks go forward) it runs once, at the first moment after the gap (a new date, if
  the gap ends at midnight), however many times the gap swallows. When it comes twice, it runs once, the first time.
- Any other line (``0 * * * *``, ``*/5 9 * * *``, all six-field ones) follows elapsed time: it runs at each moment at
  which the wall clock shows a matching time, so both times in a repeated hour and never in a skipped one.
- An interval knows no zone. It ticks at the multiples of its length since 1970-01-01 00:00 UTC, so that all nodes and
  restarts agree on the ticks without having to remember a start.

Lines are read by cronsim: five fields, or six with seconds first; names (mon, jan), steps, lists, ``L``, ``LW``,
``5L``, ``1#2``. As in Debian's cron, day-of-month and day-of-week are alternatives if both are given, and must both
hold if either begins with ``*``. Also @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from dray.errors import ConfigurationError
from dray.model import duration

if TYPE_CHECKING:
    from cronsim import CronSim

CatchUp = Literal["skip", "one", "all"]
Overlap = Literal["allow", "skip", "queue", "cancel"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)

_EXAMPLE = 'such as "0 7 * * mon" (minute hour day-of-month month day-of-week), "@daily" or "every 15m"'
_FIELDS = (
    ("second", "0-59"), ("minute", "0-59"), ("hour", "0-23"), ("day-of-month", "1-31, L or LW"),
    ("month", "1-12 or jan-dec"), ("day-of-week", "0-7 or sun-sat, 5L, 1#2"),
)  # fmt: skip
_ALIASES = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip


class Trigger(Protocol):
    """What `parse_trigger` returns. `spec` is text to store: `parse_trigger(spec, tz)` gives an equal trigger.
    `tz` is the IANA zone of a cron line, "UTC" for an interval."""

    @property
    def spec(self) -> str: ...

    @property
    def tz(self) -> str: ...

    def next_after(self, moment: datetime) -> datetime:
        """The first tick strictly later than `moment` (aware), in UTC."""

    def describe(self) -> str:
        """The trigger in English, for people."""


def parse_trigger(spec: str | timedelta | float, tz: str | None = None) -> Trigger:
    """The trigger that `spec` means: a cron line or alias in zone `tz` (IANA name, default "UTC"), or an interval.

    Intervals are "every 15m", "15m", a timedelta, or seconds as a number: 1 s or more. They have no use for a zone.
    Raises ConfigurationError for anything else, for an unknown zone, and for a line that never fires (31 February).
    """
    _zone(zone := "UTC" if tz is None else tz)
    if not isinstance(spec, str):
        return _interval(spec, spec)
    text = " ".join(spec.split())
    if text.startswith("@"):
        if text.lower() not in _ALIASES:
            raise ConfigurationError(f"{spec!r} is no known alias: use {', '.join(_ALIASES)}, or a cron line.")
        return CronTrigger(_ALIASES[text.lower()], zone)
    if text.lower().startswith("every "):
        return _interval(text[6:], spec)
    if len(text.split()) < 5 and re.match(r"-?[0-9p]", text, re.IGNORECASE) and re.search("[a-z]", text, re.IGNORECASE):
        return _interval(text, spec)
    # Names in lower case, the letters that stand for a last day in upper case, as manuals write them.
    text = re.sub("[A-Za-z]+", lambda m: m[0].upper() if m[0].upper() in ("L", "LW") else m[0].lower(), text)
    _check_cron(text, spec)
    return CronTrigger(text, zone)


def _interval(value: str | timedelta | float, spec: object) -> IntervalTrigger:
    length = duration.seconds(value, f"the interval of schedule {spec!r}")
    if not 1 <= length <= 3650 * 86400:
        raise ConfigurationError(f"the interval of schedule {spec!r} is {length:g} s: use 1 second to 10 years.")
    return IntervalTrigger(round(length * 1_000_000))


@lru_cache(maxsize=1024)
def _check_cron(text: str, spec: str) -> None:
    from cronsim import CronSim, CronSimError

    parts = text.split()
    if len(parts) not in (5, 6):
        raise ConfigurationError(f"{spec!r} is no schedule ({len(parts)} fields of 5 or 6): use one {_EXAMPLE}.")
    fields = ["0", *parts] if len(parts) == 5 else parts
    for place, (value, (name, accepted)) in enumerate(zip(fields, _FIELDS, strict=True)):
        try:  # alone among stars, so that the field at fault is known
            CronSim("* " * place + value + " *" * (5 - place), EPOCH)
        except (CronSimError, ValueError):  # ValueError: a number too long to read
            raise ConfigurationError(
                f"{spec!r} is no schedule: its {name} field {value!r} is wrong (use {accepted}, *, lists, ranges and "
                f"steps); use a line {_EXAMPLE}."
            ) from None
    try:
        # Fifty years from a fixed moment: the calendar's rarest pattern, a weekday on 29 February, returns within 40.
        next(CronSim(text, EPOCH.replace(year=2000, tzinfo=None)))
    except (CronSimError, StopIteration):
        raise ConfigurationError(
            f"{spec!r} never fires: no day of the calendar has the day-of-month {fields[3]!r}, month {fields[4]!r} and "
            f"day-of-week {fields[5]!r} at once; use a line {_EXAMPLE}."
        ) from None


@lru_cache(maxsize=1024)
def _zone(tz: str) -> tzinfo:
    if tz == "UTC":
        return UTC
    import difflib
    import zoneinfo

    # "localtime" exists on many systems and differs between nodes, which must agree on the ticks.
    if isinstance(tz, str) and tz != "localtime":
        try:
            return zoneinfo.ZoneInfo(tz)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
    known = {name.lower(): name for name in zoneinfo.available_timezones() if name != "localtime"}
    near = difflib.get_close_matches(str(tz).lower(), known, 1)
    usual = 'use one such as "Europe/Berlin" or "UTC".' if known else "no zones are installed: pip install tzdata."
    hint = f"did you mean {known[near[0]]!r}?" if near else usual
    raise ConfigurationError(f"tz is {tz!r}, which is no IANA time zone: {hint}")


@dataclass(frozen=True, slots=True)
class IntervalTrigger:
    """Ticks at the multiples of `microseconds` since 1970-01-01 00:00 UTC. Made by `parse_trigger`."""

    microseconds: int
    tz: str = "UTC"

    @property
    def spec(self) -> str:
        return f"every {duration.exact(self.microseconds / 1e6)}"

    def next_after(self, moment: datetime) -> datetime:
        length = MICROSECOND * self.microseconds
        return EPOCH + ((moment - EPOCH) // length + 1) * length

    def describe(self) -> str:
        return f"Every {duration.human(self.microseconds / 1e6)}"


@dataclass(frozen=True, slots=True)
class CronTrigger:
    """Ticks when the wall clock of zone `tz` matches the cron line `spec`. Made by `parse_trigger`."""

    spec: str
    tz: str

    def next_after(self, moment: datetime) -> datetime:
        zone = _zone(self.tz)
        parts = self.spec.split()
        if len(parts) == 6 or parts[0].startswith("*") or parts[1].startswith("*"):
            return self._next_elapsed(moment, zone)
        # In the second pass of a repeated hour the wall clock offers a time whose run, in the first pass, is over.
        times = _cronsim(self.spec, _wall(moment, zone))
        return next(tick for time in times if (tick := _first_pass(time, zone)) > moment)

    def _next_elapsed(self, moment: datetime, zone: tzinfo) -> datetime:
        # Between two clock changes the wall clock is UTC plus a constant, and cron is plain arithmetic.
        since = moment.astimezone(UTC)
        after = wall = _wall(since, zone)
        while True:
            offset = wall - since.replace(tzinfo=None)
            tick = (next(_cronsim(self.spec, after)) - offset).replace(tzinfo=UTC)
            change = _clock_change(zone, since, tick)
            if change is None:
                return tick
            since, wall = change, _wall(change, zone)
            after = wall - SECOND  # cronsim looks strictly after, and the moment of the change itself may match

    def describe(self) -> str:
        return f"{_cronsim(self.spec, EPOCH).explain()}, {self.tz}"


def _cronsim(spec: str, wall: datetime) -> CronSim:
    from cronsim import CronSim

    return CronSim(spec, wall)  # a naive `wall`: cronsim then does no daylight saving of its own


def _wall(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _first_pass(time: datetime, zone: tzinfo) -> datetime:
    """The moment at which the wall clock first shows `time`; the end of the gap if it never does."""
    tick = time.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _wall(tick, zone) == time:
        return tick
    earlier = time.replace(tzinfo=zone, fold=1).astimezone(UTC)  # PEP 495: fold 1 and 0 enclose the change
    return _clock_change(zone, earlier, tick) or tick


def _clock_change(zone: tzinfo, after: datetime, until: datetime) -> datetime | None:
    """The first moment in (after, until] at which the zone's offset from UTC is a new one."""
    low = after.replace(microsecond=0)  # offsets change at whole seconds
    before = low.astimezone(zone).utcoffset()
    while low < until:
        # Steps of a week: no zone has gone forth and back within one (the shortest known, Ramadan, takes a month).
        high = min(low + timedelta(days=7), until)
        changed = high.astimezone(zone).utcoffset() != before
        while changed and high - low > SECOND:
            middle = low + (high - low) // SECOND // 2 * SECOND
            same = middle.astimezone(zone).utcoffset() == before
            low, high = (middle, high) if same else (low, middle)
        if changed:
            return high
        low = high
    return None


def _newest(trigger: Trigger, after: datetime, until: datetime) -> datetime | None:
    """The last tick in (after, until]; halves the time between instead of walking every tick."""
    tick = trigger.next_after(after)
    if tick > until:
        return None
    barren = until  # no tick is in (barren, until]
    while barren - tick > SECOND:
        later = trigger.next_after(middle := tick + (barren - tick) / 2)
        tick, barren = (later, barren) if later <= until else (tick, middle)
    later = trigger.next_after(tick)  # ticks are a second or more apart: at most one more
    return later if later <= until else tick


def _walk(trigger: Trigger, after: datetime, until: datetime, limit: int) -> tuple[datetime, ...]:
    ticks: list[datetime] = []
    while len(ticks) < limit and (tick := trigger.next_after(ticks[-1] if ticks else after)) <= until:
        ticks.append(tick)
    return tuple(ticks)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A task called again and again. Raises ConfigurationError for a field out of range.

    name: unique in the store. task: the registered task's name. spec, tz: see `parse_trigger`; kept in canonical form.
    args: the call's arguments, one JSON object by parameter name. options: task options for its jobs.
    catch_up: what becomes of ticks that nobody fired in time, see `due_ticks`; window: how far back that looks, in
    seconds (default one day). overlap: what if an earlier job is unfinished, see `overlap_action`. paused: never fires.
    """

    name: str
    task: str
    spec: str
    tz: str = "UTC"
    args: bytes = b"{}"
    options: Mapping[str, object] = field(default_factory=dict)
    catch_up: CatchUp = "one"
    window: float = 86400.0
    overlap: Overlap = "skip"
    paused: bool = False

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("task", self.task)):
            if not isinstance(text, str) or not text.strip() or not text.isprintable() or len(text) > 200:
                raise ConfigurationError(f"schedule {what} is {text!r}: use 1 to 200 printable characters.")
        for what, value, known in (("catch_up", self.catch_up, CatchUp), ("overlap", self.overlap, Overlap)):
            if value not in (words := get_args(known)):
                raise ConfigurationError(f"schedule {self.name!r} has {what} {value!r}: use {', '.join(words)}.")
        if not isinstance(self.paused, bool):
            raise ConfigurationError(f"paused of schedule {self.name!r} is {self.paused!r}: use True or False.")
        trigger = parse_trigger(self.spec, self.tz)
        object.__setattr__(self, "spec", trigger.spec)
        object.__setattr__(self, "tz", trigger.tz)
        object.__setattr__(self, "window", duration.seconds(self.window, f"window of schedule {self.name!r}"))

    @property
    def trigger(self) -> Trigger:
        return parse_trigger(self.spec, self.tz)


@dataclass(frozen=True, slots=True)
class DueTicks:
    """What `due_ticks` found: the ticks to fire now, oldest first; the new `last`; how many ticks were late."""

    ticks: tuple[datetime, ...]
    last: datetime
    missed: int


def due_ticks(
    trigger: Trigger, *, last: datetime, now: datetime, catch_up: CatchUp, window: float,
    grace: float = 60.0, limit: int = 1000,
) -> DueTicks:  # fmt: skip
    """Which ticks in (last, now] to fire, where `last` is the moment up to which an earlier call has decided.

    A tick no older than `grace` seconds is on time and always fired. An older one is missed, and `catch_up` says:

    - "skip": missed ticks are not fired;
    - "one": the newest missed tick is fired for all of them, unless a tick on time is due anyway;
    - "all": every missed tick is fired, oldest first.

    Missed ticks older than `window` seconds are never fired. At most `limit` ticks are returned; if more are due, the
    new `last` is the last one returned, and the next call goes on from there (so call again at `next_after(last)`).
    `missed` counts the late ticks in (last, new last], fired or not, no further than `limit`: the cost is bound by it,
    not by the length of the outage. With a `now` before `last` (the clock was stepped back) nothing is due until time
    has caught up, so no tick is fired twice.
    """
    last, now = last.astimezone(UTC), now.astimezone(UTC)
    if now <= last:
        return DueTicks((), last, 0)
    border = max(last, now - timedelta(seconds=grace) - MICROSECOND)  # missed are in (last, border], the rest on time
    oldest = max(last, now - timedelta(seconds=window) - MICROSECOND)
    late = _walk(trigger, oldest, border, limit) if catch_up == "all" else ()
    on_time = _walk(trigger, border, now, limit)
    if catch_up == "one" and not on_time and (newest := _newest(trigger, oldest, border)):
        late = (newest,)
    ticks = (late + on_time)[:limit]
    until = ticks[-1] if len(ticks) == limit else now
    return DueTicks(ticks, until, len(_walk(trigger, last, border, limit)))


def overlap_action(overlap: Overlap, running: int) -> Literal["fire", "skip", "queue", "cancel_then_fire"]:
    """What to do with a tick while `running` jobs of its schedule are unfinished (not final). If none is, it is fired.

    - "allow": fire; jobs of the schedule may run beside each other;
    - "skip": do not fire while one is unfinished; the tick is noted as skipped;
    - "queue": enqueue the job now, to start when the earlier one is final; at most one waits, more are skipped;
    - "cancel": ask the earlier jobs to stop, then fire.
    """
    if overlap == "allow" or running <= 0:
        return "fire"
    if overlap == "queue":
        return "queue" if running == 1 else "skip"
    return "cancel_then_fire" if overlap == "cancel" else "skip"
