"""What people write for lengths of time, moments and sizes, read into plain numbers.

Durations become seconds (float), sizes become bytes (int), moments become aware UTC datetimes. Anything else is refused
with one sentence (`ConfigurationError`) that names the option, the value and the forms that are accepted.

Only units of a fixed length are known: a month or a year is a matter for a cron line, not for a duration.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

from dray.errors import ConfigurationError

LONGEST = 100 * 365 * 86400.0
"""The longest duration accepted, in seconds (100 years): beyond it, date arithmetic overflows instead of answering."""

_FORMS = 'use seconds (90, 1.5), a timedelta, or text such as "500ms", "90s", "5m", "1h30m", "2 days", "1w" or "PT5M"'

_UNITS = (  # (regular expression of the unit, seconds, short name), longest first: the order that text must keep
    ("weeks?|w", 604800.0, "w"),
    ("days?|d", 86400.0, "d"),
    ("hours?|hrs?|h", 3600.0, "h"),
    ("minutes?|mins?|m", 60.0, "m"),
    ("seconds?|secs?|s", 1.0, "s"),
    ("milliseconds?|millis|ms", 1e-3, "ms"),
    ("microseconds?|us|µs", 1e-6, "us"),
)
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_TEXT = re.compile("".join(rf"(?:({_NUMBER})\s*(?:{unit})[\s,]*)?" for unit, _, _ in _UNITS))
_ISO = re.compile(  # ISO 8601-1:2019 §5.5.2, the parts of fixed length
    rf"P(?:({_NUMBER})W)?(?:({_NUMBER})D)?(?:T(?=[0-9])(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?",
    re.IGNORECASE,
)
_SIZES = {  # IEC 80000-13 for the binary prefixes, SI for the decimal ones
    "": 1, "b": 1,
    "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4,
    "kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4,
}
_SIZE = re.compile(rf"({_NUMBER})\s*([a-z]*)", re.IGNORECASE)


def seconds(value: float | int | str | timedelta, what: str = "duration") -> float:
    """The length of time that `value` means, in seconds: zero or more, at most `LONGEST`.

    Accepts seconds as a number (or as text, "90"), a timedelta, text of numbers with units from weeks down to
    microseconds ("1h30m", "2 days", "1.5h"), and the simple ISO 8601 forms ("PT5M", "P1DT2H").
    `what` names the option in the error. Raises ConfigurationError for anything else.
    """
    if isinstance(value, timedelta):
        result = value.total_seconds()
    elif isinstance(value, str):
        result = _read(value.strip(), what, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        result = float(min(max(value, -1), LONGEST + 1))  # an int may be larger than any float; NaN stays NaN
    else:
        raise ConfigurationError(f"{what} is {value!r}, which is no length of time: {_FORMS}.")
    if math.isnan(result):
        raise ConfigurationError(f"{what} is {value!r}, which is no length of time: {_FORMS}.")
    if result < 0:
        raise ConfigurationError(f"{what} is {_shown(value)}, which is negative: {_FORMS}, zero or more.")
    if result > LONGEST:
        raise ConfigurationError(f"{what} is {_shown(value)}, which is over the longest accepted, 100 years.")
    return result


def _read(text: str, what: str, value: str) -> float:
    negative = text.startswith("-")
    bare = text[1:].lstrip() if negative else text
    if re.fullmatch(_NUMBER, bare):
        total = float(bare)
    else:
        if match := _ISO.fullmatch(bare):
            parts = zip(match.groups(), (604800.0, 86400.0, 3600.0, 60.0, 1.0), strict=True)
        elif match := _TEXT.fullmatch(bare.lower()):
            parts = zip(match.groups(), (size for _, size, _ in _UNITS), strict=True)
        if match is None or not any(match.groups()):
            raise ConfigurationError(f"{what} is {value!r}, which is no length of time: {_FORMS}.")
        total = math.fsum(float(number) * size for number, size in parts if number)
    # Microseconds are the finest that a datetime keeps; rounding also frees "9ms" of binary dust.
    return round(-total if negative else total, 6)


def _shown(value: object) -> str:
    return str(value) if isinstance(value, timedelta) else repr(value)


def human(seconds: float) -> str:
    """A length of time for people to read: its two largest units ("1h 30m", "3d 4h"), rounded; "1.5s", "250ms" below.

    For text that is read back use `exact`.
    """
    sign, left = ("-" if seconds < 0 else ""), abs(seconds)
    if round(left, 6) == 0:
        return "0s"
    if left < 0.9995:
        return f"{sign}{left * 1e3:.3g}ms" if left >= 1e-3 else f"{sign}{left * 1e6:.0f}us"
    if left < 59.95:
        return f"{sign}{round(left, 1):g}s"
    sizes = [(int(size), name) for _, size, name in _UNITS if size >= 1 and name != "w"]
    for place, (size, name) in enumerate(sizes[:-1]):
        small, small_name = sizes[place + 1]
        whole = round(left / small) * small  # rounding first, so that 59m 59.9s becomes 1h and never "60m"
        if whole >= size:
            big, rest = divmod(whole, size)
            return f"{sign}{big}{name} {rest // small}{small_name}" if rest else f"{sign}{big}{name}"
    return f"{sign}{round(left)}s"


def exact(seconds: float) -> str:
    """A length of time as compact text ("1h30m", "1s500ms") that `seconds()` reads back to the same microsecond."""
    left, text = round(seconds * 1_000_000), ""
    for _, size, name in _UNITS:
        count, left = divmod(left, round(size * 1_000_000))
        text += f"{count}{name}" if count else ""
    return text or "0s"


def aware(value: datetime, what: str) -> datetime:
    """The moment `value`, as a UTC datetime. Raises ConfigurationError if it has no time zone, or is no datetime.

    UTC, because arithmetic on datetimes of one zone follows the wall clock and is wrong across a clock change.
    """
    if not isinstance(value, datetime):
        raise ConfigurationError(
            f"{what} is {value!r}, which is no datetime: give one with a time zone, such as datetime.now(timezone.utc)."
        )
    if value.utcoffset() is None:
        raise ConfigurationError(
            f"{what} is {value.isoformat(' ')}, which has no time zone: add one, "
            'such as value.replace(tzinfo=ZoneInfo("Europe/Berlin")), or value.astimezone() if it is local time.'
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ConfigurationError(f"{what} is {value.isoformat(' ')}, which is outside the years 1 to 9999.") from None


def size(value: int | str, what: str) -> int:
    """The number of bytes that `value` means: an int, or text such as "256KiB", "1MB", "1.5GiB" (KB is 1000, KiB 1024).

    Raises ConfigurationError for anything else; a bare "512M" too, since half of the world reads it as MB, half as MiB.
    """
    forms = 'use bytes (65536) or text such as "256KiB", "1MB" or "512MiB"'
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ConfigurationError(f"{what} is {value!r}, which is negative: {forms}.")
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = _SIZES.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ConfigurationError(f"{what} is {value!r}, which is no size: {forms}.")
    whole, _, fraction = match[1].partition(".")
    divisor: int = 10 ** len(fraction)
    scaled, rest = divmod(int(whole + fraction) * unit, divisor)  # in integers: a float loses bytes
    if rest:
        raise ConfigurationError(f"{what} is {value!r}, which is no whole number of bytes: {forms}.")
    return scaled
