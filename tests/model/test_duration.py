"""Durations, moments and sizes: what is read, what is refused and how it is said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.errors import ConfigurationError
from dray.model.duration import LONGEST, aware, exact, human, seconds, size


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (90, 90.0), (1.5, 1.5), (0, 0.0), (timedelta(minutes=2, milliseconds=5), 120.005), ("90", 90.0), ("1.5", 1.5),
        ("90s", 90.0), ("5m", 300.0), ("1h30m", 5400.0), ("1h 30m", 5400.0), ("2 days", 172800.0), ("500ms", 0.5),
        ("1w", 604800.0), ("1.5h", 5400.0), (" 5 Minutes ", 300.0), ("1 hour, 30 mins", 5400.0), ("250us", 0.00025),
        ("250µs", 0.00025), ("1m1ms", 60.001), ("0s", 0.0),
        ("1s200ms", 1.2), ("9ms", 0.009), ("1.1h", 3960.0), ("PT5M", 300.0), ("pt1h30m", 5400.0),
        ("P1DT2H", 93600.0), ("P2W", 1209600.0), ("PT0.5S", 0.5), ("P1D", 86400.0), (LONGEST, LONGEST),
    ],
)  # fmt: skip
def test_seconds_reads(value: Any, expected: float) -> None:
    assert seconds(value) == expected
    assert type(seconds(value)) is float


NO_LENGTHS: list[Any] = [
    True, False, None, float("nan"), b"5m", Decimal("5"), "", "soon", "5 parsecs", "5m5m", "30m1h", "1y", "P1M", "P",
    "PT", "P1DT", "1e3", "nan", "inf", "5mm", "٣s", "5 m s", "m5", "5-m",
]  # fmt: skip
NEGATIVE: list[Any] = [-1, -0.5, "-5m", "-3", "-PT5M", timedelta(seconds=-1), float("-inf"), -(10**400)]
TOO_LONG: list[Any] = [float("inf"), 10**400, 1e300, "9999999w", timedelta.max, LONGEST + 1]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        *((value, "no length of time") for value in NO_LENGTHS),
        *((value, "negative") for value in NEGATIVE),
        *((value, "over the longest accepted, 100 years") for value in TOO_LONG),
    ],
)
def test_seconds_refuses_with_one_sentence(value: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        seconds(value, "timeout")
    shown = str(value) if isinstance(value, timedelta) else repr(value)
    assert str(caught.value).startswith(f"timeout is {shown}, which is {reason}")
    assert str(caught.value).count("\n") == 0
    assert value in TOO_LONG or '"1h30m"' in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0s"), (1e-9, "0s"), (1e-5, "10us"), (0.00025, "250us"), (0.001, "1ms"), (0.25, "250ms"), (0.9996, "1s"),
        (1, "1s"), (1.5, "1.5s"), (59.94, "59.9s"), (59.96, "1m"), (60, "1m"), (90, "1m 30s"), (3599.9, "1h"),
        (5400, "1h 30m"), (7200, "2h"), (86399.99, "1d"), (3 * 86400 + 4 * 3600 + 1200, "3d 4h"), (30 * 86400, "30d"),
        (-5, "-5s"), (-5400, "-1h 30m"),
    ],
)  # fmt: skip
def test_human(value: float, text: str) -> None:
    assert human(value) == text


@given(st.floats(min_value=0, max_value=LONGEST))
def test_human_is_close_and_readable(value: float) -> None:
    read = seconds(human(value))
    assert abs(read - value) <= max(value * 0.05, 1e-6)


@given(st.integers(min_value=0, max_value=10**15))
def test_exact_comes_back_to_the_microsecond(microseconds: int) -> None:
    text = exact(microseconds / 1e6)
    assert " " not in text
    assert round(seconds(text) * 1e6) == microseconds


def test_aware_gives_utc_and_the_same_moment() -> None:
    moment = datetime(2027, 3, 14, 9, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert aware(moment, "at") == moment
    assert aware(moment, "at").tzinfo is UTC


@pytest.mark.parametrize("value", [datetime(2027, 1, 1, 9), date(2027, 1, 1), "2027-01-01", 0, None])
def test_aware_refuses_and_says_how_to_fix(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^at is ") as caught:
        aware(value, "at")
    assert "ZoneInfo(" in str(caught.value) or "timezone.utc" in str(caught.value)


def test_aware_refuses_what_has_no_utc_form() -> None:
    with pytest.raises(ConfigurationError, match="years 1 to 9999"):
        aware(datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), "at")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0), (65536, 65536), ("65536", 65536), ("256KiB", 262144), ("1MB", 1_000_000), ("512MiB", 536870912),
        ("1.5 GiB", 1610612736), ("10b", 10), ("2 tb", 2 * 10**12), ("0.5kib", 512),
        ("9007199254740993", 9007199254740993),
    ],
)  # fmt: skip
def test_size_reads(value: Any, expected: int) -> None:
    assert size(value, "memory_limit") == expected


@pytest.mark.parametrize("value", [True, None, -1, "-1KB", "512M", "1.5B", "", "lots", "1e3", 1.5, "1PiB", b"1KB"])
def test_size_refuses(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^memory_limit is .*256KiB"):
        size(value, "memory_limit")
