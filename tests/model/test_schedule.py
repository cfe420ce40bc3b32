"""Triggers across clock changes, catch-up, overlap: the rules that `dray.model.schedule` states."""

from __future__ import annotations

import subprocess
import sys
import zoneinfo
from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dray.errors import ConfigurationError
from dray.model.schedule import DueTicks, Schedule, Trigger, due_ticks, overlap_action, parse_trigger

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks(trigger: Trigger, after: datetime, until: datetime) -> Iterator[datetime]:
    while (after := trigger.next_after(after)) <= until:
        yield after


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "tz", "spec"),
    [
        ("0 7 * * mon", "Europe/Berlin", "0 7 * * mon"), ("  0  7 * * MON ", None, "0 7 * * mon"),
        ("*/5 * * * * *", None, "*/5 * * * * *"), ("0 0 l jul 5l", None, "0 0 L jul 5L"), ("0 0 lw * *", None, "0 0 LW * *"),
        ("0 0 * * 1#1", "UTC", "0 0 * * 1#1"), ("@hourly", None, "0 * * * *"), ("@daily", None, "0 0 * * *"),
        ("@Midnight", None, "0 0 * * *"), ("@weekly", None, "0 0 * * 0"), ("@monthly", None, "0 0 1 * *"),
        ("@yearly", None, "0 0 1 1 *"), ("@annually", None, "0 0 1 1 *"), ("every 15m", None, "every 15m"),
        ("15m", None, "every 15m"), ("Every 2 days", None, "every 2d"), ("PT5M", None, "every 5m"), (90, None, "every 1m30s"),
        (1.5, None, "every 1s500ms"), (timedelta(hours=1, microseconds=1), None, "every 1h1us"),
    ],
)  # fmt: skip
def test_canonical_text_gives_an_equal_trigger(given_: Any, tz: str | None, spec: str) -> None:
    trigger = parse_trigger(given_, tz)
    assert trigger.spec == spec
    assert trigger.tz == (tz or "UTC")
    assert parse_trigger(trigger.spec, trigger.tz) == trigger
    assert trigger.describe()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("60 * * * *", "its minute field '60' is wrong (use 0-59"), ("0 24 * * *", "its hour field '24'"),
        ("0 0 0 * *", "its day-of-month field '0'"), ("0 0 * 13 *", "its month field '13'"),
        ("0 0 * * fri-sun", "its day-of-week field 'fri-sun'"), ("61 0 0 * * *", "its second field '61'"),
        ("*/0 * * * *", "its minute field '*/0'"), ("0 0 ? * *", "its day-of-month field '?'"),
        ("9" * 5000 + " * * * *", "its minute field"), ("* * * *", "4 fields of 5 or 6"),
        ("* * * * * * *", "7 fields of 5 or 6"), ("", "0 fields"), ("hourly", "1 fields"), ("90", "1 fields"),
        ("@reboot", "no known alias: use @hourly, @daily"), ("0 0 31 2 *", "never fires"), ("0 0 30-31 feb *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"), ("0 0 LW * */6", "never fires"), ("every day", "is 'day', which is no length"),
        ("every 0.5s", "is 0.5 s: use 1 second to 10 years"), ("500ms", "is 0.5 s"), (0, "is 0 s"),
        ("every 20000 days", "10 years"),
        ("-5m", "negative"), (True, "no length of time"), (None, "no length of time"), (float("nan"), "no length of time"),
    ],
)  # fmt: skip
def test_bad_specs_are_one_clear_sentence(spec: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_trigger(spec)
    assert said in str(caught.value)
    assert repr(spec) in str(caught.value)
    if isinstance(spec, str) and len(spec.split()) >= 4:
        assert "0 7 * * mon" in str(caught.value)  # an example that works


@pytest.mark.parametrize(
    ("tz", "said"),
    [
        ("europe/berlin", "did you mean 'Europe/Berlin'?"), ("Europe/Berlim", "did you mean 'Europe/Berlin'?"),
        ("localtime", "no IANA time zone"), ("", "no IANA"), ("../etc/passwd", "no IANA"), ("/etc/passwd", "no IANA"),
        ("Europe", "no IANA"), ("a\0b", "no IANA"), (5, "no IANA"), ("+02:00", "no IANA"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("spec", ["0 7 * * *", "every 5m"])
def test_bad_zones_are_one_clear_sentence(spec: str, tz: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_trigger(spec, tz)
    assert f"tz is {tz!r}" in str(caught.value)
    assert said in str(caught.value)
    assert "'localtime'?" not in str(caught.value)


def test_a_rare_line_is_not_taken_for_one_that_never_fires() -> None:
    assert parse_trigger("0 0 29 2 */7").next_after(at("2097-01-01")) == at("2128-02-29")  # a Sunday; 2100 has no 29th


def test_descriptions() -> None:
    assert parse_trigger("0 7 * * mon", "Europe/Berlin").describe() == "At 07:00 on Monday, Europe/Berlin"
    assert parse_trigger("90m").describe() == "Every 1h 30m"


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = "import sys, dray.model.schedule; print(sorted({'cronsim', 'zoneinfo'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


# --- intervals --------------------------------------------------------------------------------------------------------


def test_intervals_tick_at_multiples_since_1970() -> None:
    quarter = parse_trigger("15m")
    assert quarter.next_after(at("2027-03-14T10:07:00")) == at("2027-03-14T10:15:00")
    assert quarter.next_after(at("2027-03-14T10:15:00")) == at("2027-03-14T10:30:00")
    assert quarter.next_after(at("2027-03-14T10:14:59.999999")) == at("2027-03-14T10:15:00")
    assert parse_trigger("1w").next_after(at("1970-01-01")) == at("1970-01-08")
    assert parse_trigger(7).next_after(at("1969-12-31T23:59:59")) == at("1970-01-01")


def test_intervals_take_moments_of_any_zone() -> None:
    local = datetime(2027, 3, 14, 1, 50, tzinfo=ZoneInfo("America/New_York"))  # ten minutes before the gap
    assert parse_trigger("1h").next_after(local) == at("2027-03-14T07:00:00")


# --- clock changes: the table -----------------------------------------------------------------------------------------

NY, SANTIAGO, LORD_HOWE = "America/New_York", "America/Santiago", "Australia/Lord_Howe"


@pytest.mark.parametrize(
    ("spec", "tz", "after", "expected"),
    [
        pytest.param("30 2 * * *", NY, "2027-03-13T12:00-05:00",
                     ["2027-03-14T03:00-04:00", "2027-03-15T02:30-04:00"], id="a time that does not exist: after the gap"),
        pytest.param("15,30,45 2 * * *", NY, "2027-03-14T01:59-05:00",
                     ["2027-03-14T03:00-04:00", "2027-03-15T02:15-04:00"], id="several of them: once"),
        pytest.param("0 * * * *", NY, "2027-03-14T00:30-05:00",
                     ["2027-03-14T01:00-05:00", "2027-03-14T03:00-04:00", "2027-03-14T04:00-04:00"], id="hourly over the gap"),
        pytest.param("0 2,3 * * *", NY, "2027-03-14T01:00-05:00",
                     ["2027-03-14T03:00-04:00", "2027-03-15T02:00-04:00"], id="in the gap and at its end: once"),
        pytest.param("30 1 * * *", NY, "2026-10-31T12:00-04:00",
                     ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"], id="a time that comes twice: the first"),
        pytest.param("50 1 * * *", NY, "2026-11-01T01:45-05:00",
                     ["2026-11-02T01:50-05:00"], id="asked in the second pass: not again"),
        pytest.param("0 * * * *", NY, "2026-11-01T00:30-04:00",
                     ["2026-11-01T01:00-04:00", "2026-11-01T01:00-05:00", "2026-11-01T02:00-05:00"], id="hourly, both"),
        pytest.param("*/30 1 * * *", NY, "2026-11-01T00:30-04:00",
                     ["2026-11-01T01:00-04:00", "2026-11-01T01:30-04:00", "2026-11-01T01:00-05:00",
                      "2026-11-01T01:30-05:00", "2026-11-02T01:00-05:00"], id="minute wildcard: both passes"),
        pytest.param("*/30 1 1 11 *", NY, "2026-11-01T01:45-04:00",
                     ["2026-11-01T01:00-05:00", "2026-11-01T01:30-05:00", "2027-11-01T01:00-04:00"],
                     id="the second pass, though a year later the offset is the same"),
        pytest.param("0 30 1 * * *", NY, "2026-11-01T00:30-04:00",
                     ["2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00"], id="six fields follow elapsed time"),
        pytest.param("0 30 2 * * *", NY, "2027-03-13T12:00-05:00", ["2027-03-15T02:30-04:00"], id="six fields skip the gap"),
        pytest.param("0 0 * * *", SANTIAGO, "2026-09-05T12:00-04:00",
                     ["2026-09-06T01:00-03:00", "2026-09-07T00:00-03:00"], id="midnight does not exist"),
        pytest.param("*/30 1 * * sun", SANTIAGO, "2026-09-04T12:00-04:00",
                     ["2026-09-06T01:00-03:00", "2026-09-06T01:30-03:00", "2026-09-13T01:00-03:00"],
                     id="a weekday whose midnight does not exist"),
        pytest.param("15 2 * * *", LORD_HOWE, "2026-10-03T12:00+10:30",
                     ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"], id="a gap of half an hour"),
        pytest.param("*/10 3 * * *", LORD_HOWE, "2026-10-04T01:00+10:30",
                     ["2026-10-04T03:00+11:00", "2026-10-04T03:10+11:00"], id="the hour after such a gap is whole"),
        pytest.param("*/20 2 * * *", LORD_HOWE, "2027-04-04T01:40+10:30",
                     ["2027-04-04T02:00+10:30", "2027-04-04T02:20+10:30"], id="the hour after such a fold is whole"),
        pytest.param("0 0 13 * 5", "UTC", "2026-11-05T00:00+00:00",
                     ["2026-11-06T00:00+00:00", "2026-11-13T00:00+00:00", "2026-11-20T00:00+00:00"], id="day or weekday"),
        pytest.param("0 0 */2 * 1", "UTC", "2026-11-01T00:00+00:00",
                     ["2026-11-09T00:00+00:00", "2026-11-23T00:00+00:00"], id="a star's step: day and weekday"),
        pytest.param("0 0 L * *", "UTC", "2028-02-01T00:00+00:00",
                     ["2028-02-29T00:00+00:00", "2028-03-31T00:00+00:00"], id="last day"),
        pytest.param("0 0 * * 1#1", "UTC", "2026-11-01T00:00+00:00",
                     ["2026-11-02T00:00+00:00", "2026-12-07T00:00+00:00"], id="first Monday"),
        pytest.param("*/20 * * * * *", "UTC", "2026-11-01T00:00:05+00:00",
                     ["2026-11-01T00:00:20+00:00", "2026-11-01T00:00:40+00:00", "2026-11-01T00:01:00+00:00"], id="seconds"),
    ],
)  # fmt: skip
def test_clock_changes(spec: str, tz: str, after: str, expected: list[str]) -> None:
    trigger, moment = parse_trigger(spec, tz), datetime.fromisoformat(after)
    for wanted in expected:
        moment = trigger.next_after(moment)
        assert moment.tzinfo is UTC
        assert moment == datetime.fromisoformat(wanted), moment.astimezone(ZoneInfo(tz)).isoformat()
        assert wall(moment, ZoneInfo(tz)) == datetime.fromisoformat(wanted).replace(tzinfo=None)  # no phantom time


# --- clock changes: every zone ----------------------------------------------------------------------------------------


@cache
def changes() -> dict[str, list[datetime]]:
    """The clock changes of 2015 to 2030, for one zone of each set of zones that have the same ones."""
    found: dict[tuple[Any, ...], tuple[str, list[datetime]]] = {}
    for name in sorted(zoneinfo.available_timezones() - {"localtime"}):
        zone, edges, signature = ZoneInfo(name), [], []
        for n in range(0, 15 * 365, 9):
            start = at("2015-01-01") + n * DAY
            before = start.astimezone(zone).utcoffset()
            if before == (start + 9 * DAY).astimezone(zone).utcoffset():
                continue
            minutes = range(9 * 1440)
            first = bisect(minutes, False, key=lambda m: (start + m * MINUTE).astimezone(zone).utcoffset() != before)
            edges.append(start + first * MINUTE)
            signature.append((edges[-1], edges[-1].astimezone(zone).utcoffset()))
        if edges:
            found.setdefault(tuple(signature), (name, edges))
    return dict(found.values())


def wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def test_daily_times_run_once_on_every_date_of_every_zone() -> None:
    zones = changes()
    assert len(zones) > 50
    seen = 0
    for name, edges in zones.items():
        zone = ZoneInfo(name)
        for edge in edges[-6:]:
            around = {wall(edge, zone).replace(second=0), wall(edge - MINUTE, zone) + 30 * MINUTE}
            times = {(t.hour, t.minute) for t in around} | {(0, 0), (1, 30), (2, 30), (23, 30)}
            for hour, minute in times:
                trigger = parse_trigger(f"{minute} {hour} * * *", name)
                first = wall(edge, zone).date() - 2 * DAY
                start = datetime(first.year, first.month, first.day, tzinfo=zone)
                end = start + 5 * DAY  # wall clock arithmetic: five local dates
                fired = list(ticks(trigger, start - timedelta(seconds=1), end - timedelta(seconds=1)))
                assert all(earlier < later for earlier, later in pairwise(fired)), (name, edge)
                runs: Counter[date] = Counter()
                for tick in fired:
                    shown = wall(tick, zone)
                    late = (shown.hour, shown.minute) != (hour, minute)
                    assert not late or tick == edge, (name, tick)  # only a time that does not exist, and at once
                    # A gap that ends at midnight (Nuuk) swallows a time of the date before.
                    runs[shown.date() - DAY if late and shown.hour < hour else shown.date()] += 1
                assert runs == {first + n * DAY: 1 for n in range(5)}, (name, edge, hour, minute, fired)
                seen += len(fired)
    assert seen > 10_000


@pytest.mark.parametrize("spec", ["*/15 * * * *", "7 * * * *", "*/10 0-3 * * *", "*/10 2 * * sun,fri", "* 23,0,1 * * *"])
def test_wildcards_run_at_every_moment_that_matches_in_every_zone(spec: str) -> None:
    zones = changes()
    for name, edges in zones.items():
        zone, trigger = ZoneInfo(name), parse_trigger(spec, name)
        for edge in edges[-2:]:
            matcher = CronSim(spec, datetime(2000, 1, 1))
            start, end = edge - 150 * MINUTE, edge + 150 * MINUTE
            expected = []
            for n in range(1, 301):
                shown = wall(start + n * MINUTE, zone)
                if shown.minute in matcher.minutes and shown.hour in matcher.hours and matcher.match_day(shown.date()):
                    expected.append(start + n * MINUTE)
            assert list(ticks(trigger, start, end)) == expected, (name, edge)


@given(
    st.sampled_from(sorted(changes())),
    st.datetimes(datetime(2015, 1, 1), datetime(2040, 1, 1)),
    st.sampled_from(["0 0 * * *", "30 2 * * *", "0 2,3 1 * *", "5 4 * * sun", "15 1-5 L * *", "0 12 29 2 *"]),
)
@settings(max_examples=300, deadline=None)
def test_times_of_day_agree_with_cronsim(name: str, start: datetime, spec: str) -> None:
    """cronsim's own handling of clock changes is an independent second opinion, right after a moment of one meaning."""
    moment = start.replace(tzinfo=UTC)
    local = moment.astimezone(ZoneInfo(name))
    # Inside a repeated hour cronsim does not know which pass it is in.
    assume(local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset())
    assert parse_trigger(spec, name).next_after(moment) == next(CronSim(spec, local)).astimezone(UTC)


@given(
    st.sampled_from(sorted(changes())),
    st.datetimes(datetime(2015, 1, 1), datetime(2040, 1, 1)),
    st.sampled_from(["30 2 * * *", "0 * * * *", "*/7 1-3 * * *", "*/20 59 1 * * *", "0 0 * * *", "0 4 31 * mon", "90s"]),
)
@settings(max_examples=300, deadline=None)
def test_ticks_strictly_increase_and_leave_no_hole(name: str, start: datetime, spec: str) -> None:
    trigger, moment = parse_trigger(spec, name), start.replace(tzinfo=UTC)
    first = trigger.next_after(moment)
    second = trigger.next_after(first)
    assert moment < first < second
    assert trigger.next_after(first - timedelta(microseconds=1)) == first
    assert trigger.next_after(moment + (first - moment) / 2) == first


# --- catch-up ---------------------------------------------------------------------------------------------------------

HOURLY = parse_trigger("0 * * * *")
NOON = at("2027-06-01T12:00:30")


def due(trigger: Trigger = HOURLY, **how: Any) -> DueTicks:
    return due_ticks(trigger, **{"now": NOON, "catch_up": "one", "window": 86400.0, **how})


def hours(*which: int) -> tuple[datetime, ...]:
    return tuple(at("2027-06-01") + timedelta(hours=hour) for hour in which)


@pytest.mark.parametrize(
    ("catch_up", "now", "window", "expected", "missed"),
    [
        ("skip", NOON, 86400, hours(12), 3), ("one", NOON, 86400, hours(12), 3), ("all", NOON, 86400, hours(9, 10, 11, 12), 3),
        ("skip", NOON + 5 * MINUTE, 86400, (), 4), ("one", NOON + 5 * MINUTE, 86400, hours(12), 4),
        ("all", NOON + 5 * MINUTE, 86400, hours(9, 10, 11, 12), 4), ("all", NOON + 5 * MINUTE, 2 * 3600, hours(11, 12), 4),
        ("one", NOON + 5 * MINUTE, 60, (), 4), ("all", NOON, 0, hours(12), 3), ("one", NOON + 59 * MINUTE, 7200, hours(12), 4),
    ],
)  # fmt: skip
def test_catch_up(catch_up: str, now: datetime, window: float, expected: tuple[datetime, ...], missed: int) -> None:
    assert due(last=at("2027-06-01T08:30"), now=now, catch_up=catch_up, window=window) == DueTicks(expected, now, missed)


def test_the_edges_of_grace_window_and_last_belong_to_the_tick() -> None:
    noon = at("2027-06-01T12:00")
    assert due(last=noon - MINUTE, now=noon, catch_up="skip").ticks == (noon,)
    assert due(last=noon, now=noon + MINUTE, catch_up="all").ticks == ()
    assert due(last=noon - MINUTE, now=noon + MINUTE, catch_up="skip").ticks == (noon,)
    assert due(last=noon - MINUTE, now=noon + MINUTE + timedelta(microseconds=1), catch_up="skip").ticks == ()
    assert due(last=noon - MINUTE, now=noon + 60 * MINUTE - MINUTE, catch_up="one", window=59 * 60).ticks == (noon,)
    assert due(last=noon - MINUTE, now=noon + 60 * MINUTE - MINUTE, catch_up="one", window=59 * 60 - 1e-6).ticks == ()


def test_the_newest_missed_tick_is_found_at_the_very_edge() -> None:
    now = NOON + timedelta(microseconds=1)
    for seconds in range(1, 20):
        found = due(parse_trigger("1s"), last=NOON - timedelta(seconds=seconds + 0.5), now=now, grace=0)
        assert found == DueTicks((NOON,), now, seconds + 1)


@pytest.mark.parametrize("catch_up", ["skip", "one", "all"])
def test_a_clock_stepped_back_fires_nothing_and_last_stays(catch_up: str) -> None:
    for back in (timedelta(0), timedelta(microseconds=1), 400 * DAY):
        assert due(last=NOON, now=NOON - back, catch_up=catch_up) == DueTicks((), NOON, 0)


def test_more_than_the_limit_goes_on_in_the_next_call() -> None:
    every, last, fired = parse_trigger("1s"), NOON - timedelta(seconds=2500), []
    calls = []
    while last < NOON:
        found = due(every, last=last, catch_up="all")
        calls.append((len(found.ticks), found.missed))
        fired += found.ticks
        last = found.last
    assert fired == [NOON - timedelta(seconds=n) for n in range(2499, -1, -1)]
    assert calls == [(1000, 1000), (1000, 1000), (500, 439)]


def test_on_time_ticks_over_the_limit_are_not_lost() -> None:
    found = due(parse_trigger("1s"), last=NOON - timedelta(seconds=30), catch_up="skip", limit=10)
    assert (len(found.ticks), found.last, found.missed) == (10, NOON - timedelta(seconds=20), 0)


class Counting:
    """A trigger that counts how often it is asked."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger, self.spec, self.tz, self.asked = trigger, trigger.spec, trigger.tz, 0

    def next_after(self, moment: datetime) -> datetime:
        self.asked += 1
        return self.trigger.next_after(moment)

    def describe(self) -> str:
        return self.trigger.describe()


@pytest.mark.parametrize("catch_up", ["skip", "one", "all"])
@pytest.mark.parametrize("spec", ["1s", "* * * * * *", "* * * * *", "0 0 29 2 *"])
def test_ten_years_of_outage_cost_no_more_than_the_limit(spec: str, catch_up: str) -> None:
    counting = Counting(parse_trigger(spec, "Europe/Berlin"))
    found = due(counting, last=NOON - 3650 * DAY, catch_up=catch_up, window=3650 * 86400)
    assert counting.asked < 2300
    assert found.missed == (1000 if spec != "0 0 29 2 *" else 2)


@given(
    st.sampled_from(["1s", "7s", "90s", "0 * * * *", "*/5 9-10 * * *", "30 2 * * *", "* * 3 * * *"]),
    st.datetimes(datetime(2027, 3, 12), datetime(2027, 3, 16)),
    st.integers(0, 20_000), st.integers(0, 30_000), st.integers(0, 300), st.sampled_from(["skip", "one", "all"]),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_due_ticks_is_what_its_words_say(
    spec: str, start: datetime, outage: int, window: int, grace: int, catch_up: str
) -> None:
    trigger = parse_trigger(spec, NY)
    last = start.replace(tzinfo=UTC)
    now = last + timedelta(seconds=outage)
    every = list(ticks(trigger, last, now))
    on_time = [tick for tick in every if (now - tick).total_seconds() <= grace]
    late = [tick for tick in every if (now - tick).total_seconds() > grace]
    recent = [tick for tick in late if (now - tick).total_seconds() <= window]
    made_good = {"skip": [], "one": recent[-1:] if not on_time else [], "all": recent}[catch_up]
    found = due_ticks(
        trigger, last=last, now=now, catch_up=catch_up, window=window, grace=grace, limit=10**6  # type: ignore[arg-type]
    )
    assert found == DueTicks((*made_good, *on_time), now, len(late))


@given(
    st.sampled_from(["10m", "*/10 * * * *", "30 2 * * *"]),
    st.lists(st.integers(-7200, 7200), min_size=1, max_size=40), st.sampled_from(["skip", "one", "all"]),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_tick_is_fired_twice_whatever_the_clock_does(spec: str, steps: list[int], catch_up: str) -> None:
    now = last = at("2027-03-13T12:00")
    fired: list[datetime] = []
    for step in steps:
        now += timedelta(seconds=step)
        found = due(parse_trigger(spec, NY), last=last, now=now, catch_up=catch_up)
        assert found.last == max(last, now)
        fired += found.ticks
        last = found.last
    assert fired == sorted(set(fired))


# --- overlap and the schedule itself ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overlap", "actions"),
    [
        ("allow", ["fire", "fire", "fire"]), ("skip", ["fire", "skip", "skip"]), ("queue", ["fire", "queue", "skip"]),
        ("cancel", ["fire", "cancel_then_fire", "cancel_then_fire"]),
    ],
)  # fmt: skip
def test_overlap(overlap: Any, actions: list[str]) -> None:
    assert [overlap_action(overlap, running) for running in (0, 1, 2)] == actions


def test_a_schedule_keeps_canonical_text() -> None:
    schedule = Schedule("weekly", "jobs.report", " 0 7  * * MON", "Europe/Berlin", window="2 days")  # type: ignore[arg-type]
    assert (schedule.spec, schedule.window, schedule.catch_up, schedule.overlap) == ("0 7 * * mon", 172800.0, "one", "skip")
    assert schedule.trigger == parse_trigger("0 7 * * mon", "Europe/Berlin")
    assert Schedule("tick", "jobs.tick", "15m") == Schedule("tick", "jobs.tick", "every 900s", "Europe/Berlin")
    assert Schedule("tick", "jobs.tick", "15m").window == 86400.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "schedule name is ''"), ({"name": "a\nb"}, "schedule name is"), ({"name": "x" * 201}, "1 to 200"),
        ({"name": None}, "schedule name is None"), ({"task": " "}, "schedule task is ' '"),
        ({"catch_up": "some"}, "schedule 'nightly' has catch_up 'some': use skip, one, all."),
        ({"overlap": ["skip"]}, "has overlap ['skip']: use allow, skip, queue, cancel."),
        ({"paused": 1}, "paused of schedule 'nightly' is 1"), ({"window": "long"}, "window of schedule 'nightly' is 'long'"),
        ({"spec": "0 25 * * *"}, "hour field '25'"), ({"tz": "Mars/Olympus"}, "tz is 'Mars/Olympus'"),
    ],
)  # fmt: skip
def test_a_wrong_schedule_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Schedule(**{"name": "nightly", "task": "jobs.clean", "spec": "@daily", **change})
    assert said in str(caught.value)
