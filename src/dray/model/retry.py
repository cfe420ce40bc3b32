"""When a failed job is tried again, and whether at all: `Backoff` (how long to wait) and `RetryPolicy` (whether).

Both are values. They read no clock and roll no dice: chance comes in as an argument, so that every decision can be
repeated and tested.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast, get_args

from dray.errors import ConfigurationError
from dray.model.duration import LONGEST, seconds

Duration = float | int | str | timedelta
Kind = Literal["exponential", "linear", "fixed", "sequence"]

JITTER = 0.25
"""By how much of itself a delay is spread, up and down.

Jobs that failed together (a partner went down) must not come back together. The rule, uniform and proportional to the
delay, is that of gRPC's connection back-off (there 0.2, in doc/connection-backoff.md); a quarter, because a queue has
many more callers than a client has connections and nobody waits at the other end.
"""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after an attempt failed. Make one with `exponential`, `linear`, `fixed` or `sequence`.

    Delays are seconds, a timedelta, or text such as "90s" or "5m". A wrong value raises ConfigurationError.
    """

    kind: Kind
    delays: tuple[float, ...]
    """Seconds: the sequence itself; else one number, the base, the step or the fixed delay."""
    factor: float = 1.0
    cap: float | None = None
    jitter: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigurationError(f"backoff kind is {self.kind!r}: use {', '.join(get_args(Kind))}.")
        if not self.delays or (len(self.delays) > 1 and self.kind != "sequence"):
            needed = "at least one delay" if self.kind == "sequence" else "exactly one delay"
            raise ConfigurationError(f"backoff {self.kind!r} was given {len(self.delays)} delays: it needs {needed}.")
        for delay in self.delays:
            seconds(delay, f"backoff {self.kind} delay")
        if isinstance(self.factor, bool) or not isinstance(self.factor, int | float) or not 1 <= self.factor < math.inf:
            raise ConfigurationError(f"backoff factor is {self.factor!r}: use a number of 1 or more, such as 2.0.")
        if self.cap is not None:
            seconds(self.cap, "backoff cap")
        if not isinstance(self.jitter, bool):
            raise ConfigurationError(f"backoff jitter is {self.jitter!r}: use True or False.")

    @classmethod
    def exponential(
        cls, base: Duration = "5s", *, factor: float = 2.0, cap: Duration | None = "1h", jitter: bool = True
    ) -> Backoff:
        """`base` after the first failure, then each `factor` times the one before, up to `cap`: 5 s, 10 s, 20 s …"""
        return cls("exponential", (seconds(base, "backoff base"),), factor, _cap(cap), jitter)

    @classmethod
    def linear(cls, step: Duration, *, cap: Duration | None = None, jitter: bool = True) -> Backoff:
        """`step` after the first failure, twice that after the second, three times after the third …, up to `cap`."""
        return cls("linear", (seconds(step, "backoff step"),), 1.0, _cap(cap), jitter)

    @classmethod
    def fixed(cls, delay: Duration, *, jitter: bool = False) -> Backoff:
        """The same `delay` after every failure."""
        return cls("fixed", (seconds(delay, "backoff delay"),), 1.0, None, jitter)

    @classmethod
    def sequence(cls, *delays: Duration) -> Backoff:
        """The delays as listed, one after each failure; the last one repeats. Without jitter."""
        return cls("sequence", tuple(seconds(delay, "backoff delay") for delay in delays))

    def delay(self, attempt: int, roll: float) -> float:
        """Seconds to wait after attempt number `attempt` (from 1) failed: never negative, never above the cap.

        `roll` is chance, in [0, 1), given by the caller. With jitter the delay is spread evenly over ±25 % (`JITTER`);
        at the cap, over the 25 % below it, so that capped jobs do not gather on one point.
        Raises ValueError for an attempt below 1 or a roll outside [0, 1).
        """
        if attempt < 1 or not 0 <= roll < 1:
            raise ValueError(f"delay() takes an attempt of 1 or more and a roll in [0, 1), not {attempt!r}, {roll!r}")
        limit = LONGEST if self.cap is None else self.cap
        middle = min(self._plain(attempt), limit)
        if not self.jitter:
            return middle
        low, high = middle * (1 - JITTER), min(middle * (1 + JITTER), limit)
        return min(low + (high - low) * roll, limit)

    def _plain(self, attempt: int) -> float:
        if self.kind == "sequence":
            return self.delays[min(attempt, len(self.delays)) - 1]
        (base,) = self.delays
        if self.kind == "linear":
            return base * attempt
        if self.kind == "fixed" or base == 0:
            return base
        try:
            return base * self.factor ** (attempt - 1)
        except OverflowError:  # attempt 1,100 of a doubling: past the largest float, and past any cap
            return LONGEST

    def to_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON; `from_dict` reads them back to an equal Backoff."""
        return {
            "kind": self.kind, "delays": list(self.delays), "factor": self.factor, "cap": self.cap,
            "jitter": self.jitter,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, object]) -> Backoff:
        """The Backoff that `to_dict` wrote. Raises ConfigurationError if it is not one."""
        try:
            delays = tuple(seconds(delay, "stored backoff delay") for delay in cast("list[float]", stored["delays"]))
            kind, factor = cast(Kind, stored["kind"]), cast(float, stored["factor"])
            cap, jitter = cast("float | None", stored["cap"]), cast(bool, stored["jitter"])
        except (KeyError, TypeError):
            raise ConfigurationError(
                f"the stored backoff {stored!r} is not readable: it needs kind, delays, factor, cap and jitter."
            ) from None
        return cls(kind, delays, factor, cap, jitter)


def _cap(value: Duration | None) -> float | None:
    return None if value is None else seconds(value, "backoff cap")


DEFAULT_BACKOFF = Backoff.exponential("5s", factor=2.0, cap="1h", jitter=True)
"""5 s, 10 s, 20 s … up to an hour, each ±25 %: the 20 attempts of the default policy take about nine hours."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Whether and when a failed job is tried again.

    max_attempts: attempts in all, the first included (default 20); 1 means no retry.
    backoff: how long to wait between them.
    retry_on: only these exceptions are retried; None (default) retries every `Exception`, so not SystemExit and its
        like, which can be listed.
    give_up_on: these are never retried; wins over `retry_on`.

    Subclasses count as their parents do. Raises ConfigurationError for a value out of range.
    """

    max_attempts: int = 20
    backoff: Backoff = DEFAULT_BACKOFF
    retry_on: tuple[type[BaseException], ...] | None = None
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.max_attempts, int) or isinstance(self.max_attempts, bool) or self.max_attempts < 1:
            raise ConfigurationError(
                f"max_attempts is {self.max_attempts!r}: use a whole number of 1 or more (1 means no retry)."
            )
        if not isinstance(self.backoff, Backoff):
            raise ConfigurationError(
                f'backoff is {self.backoff!r}: use a Backoff, such as Backoff.exponential("5s", cap="1h").'
            )
        if self.retry_on is not None:
            _check_exceptions("retry_on", self.retry_on)
        _check_exceptions("give_up_on", self.give_up_on)

    def may_retry(self, error: BaseException) -> bool:
        """Whether an attempt that raised `error` may be followed by another, attempts permitting."""
        return not isinstance(error, self.give_up_on) and isinstance(
            error, Exception if self.retry_on is None else self.retry_on
        )


def _check_exceptions(what: str, value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(e, type) and issubclass(e, BaseException) for e in value):
        raise ConfigurationError(
            f"{what} is {value!r}: use a tuple of exception classes, such as {what}=(ConnectionError, TimeoutError)."
        )
