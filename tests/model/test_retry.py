"""Backoff and RetryPolicy: pure tables, and the bounds that hold for all numbers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.errors import ConfigurationError
from dray.model.duration import LONGEST
from dray.model.retry import DEFAULT_BACKOFF, Backoff, RetryPolicy

rolls = st.floats(min_value=0, max_value=1, exclude_max=True)
delays = st.floats(min_value=0, max_value=LONGEST)
backoffs = st.one_of(
    st.builds(
        Backoff.exponential, delays, factor=st.floats(1, 1e6), cap=st.none() | delays, jitter=st.booleans()
    ),
    st.builds(Backoff.linear, delays, cap=st.none() | delays, jitter=st.booleans()),
    st.builds(Backoff.fixed, delays, jitter=st.booleans()),
    st.lists(delays, min_size=1, max_size=5).map(lambda them: Backoff.sequence(*them)),
)


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        (Backoff.exponential("5s", jitter=False), [5, 10, 20, 40, 80]),
        (Backoff.exponential(2, factor=3, cap="50s", jitter=False), [2, 6, 18, 50, 50]),
        (Backoff.exponential(0, jitter=False), [0, 0, 0, 0, 0]),
        (Backoff.linear("10s", jitter=False), [10, 20, 30, 40, 50]),
        (Backoff.linear("10s", cap="25s", jitter=False), [10, 20, 25, 25, 25]),
        (Backoff.fixed("1m"), [60, 60, 60, 60, 60]),
        (Backoff.sequence("1s", "1m", "1h"), [1, 60, 3600, 3600, 3600]),
    ],
)
def test_plain_delays(backoff: Backoff, expected: list[float]) -> None:
    assert [backoff.delay(attempt, 0.7) for attempt in range(1, 6)] == expected


def test_the_default_is_exponential_from_five_seconds_to_an_hour() -> None:
    assert [DEFAULT_BACKOFF.delay(attempt, 0.5) for attempt in (1, 2, 3)] == [5, 10, 20]
    assert DEFAULT_BACKOFF.delay(1, 0.0) == 3.75
    assert DEFAULT_BACKOFF.delay(1, 0.9999999) == pytest.approx(6.25)
    assert DEFAULT_BACKOFF.delay(1000, 0.9999999) == pytest.approx(3600)
    assert RetryPolicy() == RetryPolicy(20, DEFAULT_BACKOFF, None, ())


def test_capped_delays_still_spread() -> None:
    assert DEFAULT_BACKOFF.delay(20, 0.0) == 2700
    assert DEFAULT_BACKOFF.delay(20, 0.5) == 3150
    assert len({DEFAULT_BACKOFF.delay(20, roll / 100) for roll in range(100)}) == 100


def test_an_attempt_past_the_largest_float_waits_for_the_cap() -> None:
    assert Backoff.exponential("5s", jitter=False).delay(10**6, 0) == 3600
    assert Backoff.exponential("5s", cap=None, jitter=False).delay(10**6, 0) == LONGEST


@given(backoffs, st.integers(1, 10**7), rolls)
def test_never_negative_never_above_the_cap_and_within_a_quarter(backoff: Backoff, attempt: int, roll: float) -> None:
    delay = backoff.delay(attempt, roll)
    assert 0 <= delay <= (LONGEST if backoff.cap is None else backoff.cap)
    plain = Backoff(backoff.kind, backoff.delays, backoff.factor, backoff.cap, False).delay(attempt, 0)
    if backoff.jitter:
        assert plain * 0.75 <= delay <= plain * 1.25
    else:
        assert delay == plain


@given(backoffs)
def test_storage_round_trip(backoff: Backoff) -> None:
    assert Backoff.from_dict(json.loads(json.dumps(backoff.to_dict()))) == backoff


def test_stored_form_is_stable() -> None:
    assert DEFAULT_BACKOFF.to_dict() == {
        "kind": "exponential", "delays": [5.0], "factor": 2.0, "cap": 3600.0, "jitter": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    "stored",
    [
        {}, {"kind": "exponential"}, {**DEFAULT_BACKOFF.to_dict(), "delays": 5},
        {**DEFAULT_BACKOFF.to_dict(), "kind": "magic"}, {**DEFAULT_BACKOFF.to_dict(), "cap": "x"},
        {**DEFAULT_BACKOFF.to_dict(), "jitter": 1}, {**DEFAULT_BACKOFF.to_dict(), "delays": []},
    ],
)  # fmt: skip
def test_from_dict_refuses(stored: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="backoff"):
        Backoff.from_dict(stored)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Backoff.exponential("soon"), "backoff base is 'soon'"),
        (lambda: Backoff.exponential(-1), "backoff base is -1, which is negative"),
        (lambda: Backoff.exponential(factor=0.5), "backoff factor is 0.5"),
        (lambda: Backoff.exponential(factor=float("nan")), "backoff factor is nan"),
        (lambda: Backoff.exponential(factor=True), "backoff factor is True"),
        (lambda: Backoff.exponential(cap="never"), "backoff cap is 'never'"),
        (lambda: Backoff.linear(True), "backoff step is True"),
        (lambda: Backoff.fixed(float("inf")), "backoff delay is inf"),
        (lambda: Backoff.sequence(), "at least one delay"),
        (lambda: Backoff.sequence("1s", "x"), "backoff delay is 'x'"),
        (lambda: Backoff("fixed", (1.0, 2.0)), "exactly one delay"),
        (lambda: RetryPolicy(max_attempts=0), "max_attempts is 0"),
        (lambda: RetryPolicy(max_attempts=True), "max_attempts is True"),
        (lambda: RetryPolicy(max_attempts=2.0), "max_attempts is 2.0"),  # type: ignore[arg-type]
        (lambda: RetryPolicy(backoff="5s"), "backoff is '5s'"),  # type: ignore[arg-type]
        (lambda: RetryPolicy(retry_on=ValueError), "retry_on is <class 'ValueError'>"),  # type: ignore[arg-type]
        (lambda: RetryPolicy(retry_on=[ValueError]), "retry_on is "),  # type: ignore[arg-type]
        (lambda: RetryPolicy(give_up_on=("ValueError",)), "give_up_on is "),  # type: ignore[arg-type]
        (lambda: RetryPolicy(give_up_on=(ValueError(),)), "give_up_on is "),  # type: ignore[arg-type]
    ],
)
def test_wrong_values_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(("attempt", "roll"), [(0, 0.5), (-1, 0.5), (1, 1.0), (1, -0.1), (1, float("nan"))])
def test_delay_refuses_what_no_caller_may_give(attempt: int, roll: float) -> None:
    with pytest.raises(ValueError, match="attempt of 1 or more"):
        DEFAULT_BACKOFF.delay(attempt, roll)


class Mine(ConnectionError):
    pass


@pytest.mark.parametrize(
    ("retry_on", "give_up_on", "error", "expected"),
    [
        (None, (), ValueError(), True),
        (None, (), SystemExit(), False),
        (None, (), KeyboardInterrupt(), False),
        (None, (), asyncio.CancelledError(), False),
        ((SystemExit,), (), SystemExit(), True),
        ((ConnectionError,), (), Mine(), True),
        ((ConnectionError,), (), ValueError(), False),
        ((), (), ValueError(), False),
        (None, (ConnectionError,), Mine(), False),
        (None, (ConnectionError,), ValueError(), True),
        ((Mine,), (ConnectionError,), Mine(), False),
        ((ConnectionError,), (Mine,), Mine(), False),
        ((ConnectionError,), (Mine,), ConnectionError(), True),
    ],
)
def test_may_retry(
    retry_on: tuple[type[BaseException], ...] | None, give_up_on: tuple[type[BaseException], ...],
    error: BaseException, expected: bool,
) -> None:  # fmt: skip
    assert RetryPolicy(retry_on=retry_on, give_up_on=give_up_on).may_retry(error) is expected
