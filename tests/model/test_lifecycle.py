"""`decide` whole, as tables."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.model.ids import new_ids
from dray.model.job import CRASH_BUDGET, DAY, Claimed, State
from dray.model.lifecycle import DEFAULT_RULES, MAX_LOSS_DELAY, Move, Rules, decide, decide_for
from dray.model.outcome import (
    Cancelled,
    ErrorRecord,
    Interrupted,
    Lost,
    Outcome,
    Raised,
    Returned,
    Snoozed,
    Suspended,
    fingerprint,
)
from dray.model.retry import Backoff

NOW = 1_800_000_000_000_000
ERROR = ErrorRecord("ValueError", "no luck", "Traceback …")
FIXED = Rules(backoff=Backoff.fixed(7.0), keep_succeeded=11.0, keep_cancelled=12.0, keep_failed=13.0)
ID = bytes(range(16))


def job(attempt: int = 1, max_attempts: int = 3, losses: int = 0, claim: int = 5, id: bytes = ID) -> Claimed:
    return Claimed(
        seq=42, id=id, task="t", args=b"{}", queue="q", executor=0, claim=claim, attempt=attempt, losses=losses,
        max_attempts=max_attempts, due=0, enqueued=0, started=NOW,
    )  # fmt: skip


def move(state: State, word: str, **more: Any) -> Move:
    return Move(42, 5, "q", state, word, id=bytes(range(16)), **more)


SPENT = ErrorRecord(
    "WorkerLost", "the worker was lost during the run 3 times, the crash budget is 3; last: signal 9", cause="signal 9",
    fingerprint=fingerprint("WorkerLost"),
)
LOST = ErrorRecord(
    "WorkerLost", "the worker was lost during the run: signal 9", cause="signal 9", fingerprint=fingerprint("WorkerLost")
)

TABLE: list[tuple[str, Claimed, Outcome, Move]] = [
    ("returned", job(), Returned(b"1"), move(State.SUCCEEDED, "returned", result=b"1", keep=11.0)),
    ("returned nothing", job(), Returned(), move(State.SUCCEEDED, "returned", keep=11.0)),
    ("returned at the last attempt", job(3), Returned(b"1"), move(State.SUCCEEDED, "returned", result=b"1", keep=11.0)),
    ("returned past all attempts", job(9), Returned(b"1"), move(State.SUCCEEDED, "returned", result=b"1", keep=11.0)),
    ("returned after losses", job(losses=9), Returned(), move(State.SUCCEEDED, "returned", keep=11.0)),
    ("settled by itself", job(), Returned(b"1", True), move(State.SUCCEEDED, "returned", result=b"1", keep=11.0, settled=True)),
    ("raised", job(), Raised(ERROR), move(State.SCHEDULED, "raised", delay=7.0, error=ERROR)),
    ("raised at the last but one", job(2), Raised(ERROR), move(State.SCHEDULED, "raised", delay=7.0, error=ERROR)),
    ("raised at the last", job(3), Raised(ERROR), move(State.FAILED, "raised", error=ERROR, keep=13.0)),
    ("raised past the last", job(4), Raised(ERROR), move(State.FAILED, "raised", error=ERROR, keep=13.0)),
    ("raised with one attempt", job(1, 1), Raised(ERROR), move(State.FAILED, "raised", error=ERROR, keep=13.0)),
    ("raised for good", job(), Raised(ERROR, final=True), move(State.FAILED, "raised", error=ERROR, keep=13.0)),
    ("asked for a retry", job(), Raised(ERROR, delay=60.0), move(State.SCHEDULED, "raised", delay=60.0, error=ERROR)),
    ("asked for a retry at once", job(), Raised(ERROR, delay=0.0), move(State.SCHEDULED, "raised", delay=0.0, error=ERROR)),
    ("asked too often", job(3), Raised(ERROR, delay=60.0), move(State.FAILED, "raised", error=ERROR, keep=13.0)),
    ("for good wins over asking", job(), Raised(ERROR, True, 60.0), move(State.FAILED, "raised", error=ERROR, keep=13.0)),
    ("raised after losses", job(losses=2), Raised(ERROR), move(State.SCHEDULED, "raised", delay=7.0, error=ERROR)),
    ("snoozed", job(), Snoozed(5.0, "busy"), move(State.SCHEDULED, "snoozed", delay=5.0, counts=False, reason="busy")),
    ("snoozed at the last", job(3), Snoozed(5.0), move(State.SCHEDULED, "snoozed", delay=5.0, counts=False)),
    ("cancelled", job(), Cancelled("enough"), move(State.CANCELLED, "cancelled", reason="enough", keep=12.0)),
    ("cancelled without a word", job(3), Cancelled(), move(State.CANCELLED, "cancelled", keep=12.0)),
    ("suspended for a time", job(), Suspended(3.0), move(State.SLEEPING, "suspended", delay=3.0, counts=False)),
    ("suspended for an event", job(3), Suspended(), move(State.SLEEPING, "suspended", counts=False)),
    ("interrupted", job(), Interrupted(), move(State.READY, "interrupted", counts=False)),
    ("interrupted at the last", job(3), Interrupted(), move(State.READY, "interrupted", counts=False)),
    ("lost for the first time", job(), Lost("signal 9"), move(State.READY, "lost", error=LOST, counts=False, lost=True)),
    ("lost at the last attempt", job(3), Lost("signal 9"), move(State.READY, "lost", error=LOST, counts=False, lost=True)),
    ("lost for the third time", job(losses=2), Lost("signal 9"),
        move(State.FAILED, "lost", error=SPENT, keep=13.0, counts=False, lost=True)),
]  # fmt: skip


@pytest.mark.parametrize(("run", "outcome", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table(run: Claimed, outcome: Outcome, expected: Move) -> None:
    assert decide(run, outcome, NOW, FIXED) == expected


def test_the_table_has_every_outcome() -> None:
    assert {type(outcome) for _, _, outcome, _ in TABLE} == set(get_args(Outcome))


@pytest.mark.parametrize(("losses", "budget"), [(0, 1), (1, 2), (4, 5), (7, 5), (0, 0)])
def test_the_crash_budget_is_a_tasks_own(losses: int, budget: int) -> None:
    assert decide(job(losses=losses), Lost("x"), NOW, Rules(crash_budget=budget)).state is State.FAILED
    assert decide(job(losses=losses), Lost("x"), NOW, Rules(crash_budget=losses + 2)).state is not State.FAILED


def test_a_second_loss_waits_a_little_and_not_the_same_for_each_job() -> None:
    moves = [decide(job(losses=1, id=id_), Lost("x"), NOW) for id_ in new_ids(200)]
    delays = {m.delay for m in moves}
    assert {m.state for m in moves} == {State.SCHEDULED}
    assert len(delays) > 190
    assert all(2.0 <= delay < 6.0 for delay in delays)


def test_the_wait_after_losses_grows_up_to_a_minute() -> None:
    rules = Rules(crash_budget=100)
    delays = [decide(job(losses=n), Lost("x"), NOW, rules).delay for n in range(20)]
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert delays[-1] == MAX_LOSS_DELAY == 60.0


def test_retries_of_jobs_that_failed_together_spread() -> None:
    delays = [decide(job(id=id_), Raised(ERROR), NOW).delay for id_ in new_ids(500)]
    assert min(delays) >= 3.75
    assert max(delays) <= 6.25
    assert max(delays) - min(delays) > 2.0
    assert len(set(delays)) > 490


def test_the_delay_grows_with_the_attempt_up_to_the_cap() -> None:
    delays = [decide(job(n, 1000), Raised(ERROR), NOW).delay for n in range(1, 40)]
    for n, delay in enumerate(delays):
        middle = min(5.0 * 2**n, 3600.0)
        assert middle * 0.75 <= delay <= min(middle * 1.25, 3600.0)


def test_the_defaults_are_those_of_the_contract() -> None:
    assert (CRASH_BUDGET, DEFAULT_RULES.crash_budget) == (3, 3)
    keeps = [decide(job(), outcome, NOW).keep for outcome in (Returned(), Cancelled(), Raised(ERROR, final=True))]
    assert keeps == [1 * DAY, 7 * DAY, 30 * DAY]


outcomes = st.one_of(
    st.builds(Returned, st.none() | st.binary(), st.booleans()),
    st.builds(Raised, st.just(ERROR), st.booleans(), st.none() | st.floats(0, 1e6)),
    st.builds(Snoozed, st.floats(0, 1e6), st.text()), st.builds(Cancelled, st.text()),
    st.builds(Suspended, st.none() | st.floats(0, 1e6)), st.just(Interrupted()), st.builds(Lost, st.text()),
)  # fmt: skip
runs = st.builds(
    job, attempt=st.integers(1, 50), max_attempts=st.integers(1, 50), losses=st.integers(0, 5), claim=st.integers(1, 2**40),
    id=st.binary(min_size=16, max_size=16),
)  # fmt: skip


@given(runs, outcomes, st.integers(0, 2**60))
def test_what_holds_for_every_run_and_outcome(run: Claimed, outcome: Outcome, now: int) -> None:
    decided = decide(run, outcome, now)
    assert decided == decide(run, outcome, now + 1), "it rolls no dice and, today, needs no clock"
    assert decided == decide_for(run, outcome)
    assert (decided.seq, decided.claim, decided.queue) == (run.seq, run.claim, run.queue)
    assert decided.delay >= 0
    assert decided.keep > 0
    assert decided.state in (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.READY, State.SCHEDULED, State.SLEEPING)
    assert decided.lost is isinstance(outcome, Lost)
    assert decided.counts is isinstance(outcome, Returned | Raised | Cancelled), "a run that is not an attempt is given back"
    if isinstance(outcome, Raised):
        assert decided.state.final is (outcome.final or run.attempt >= run.max_attempts), "I4"
    if isinstance(outcome, Lost):
        assert decided.state.final is (run.losses + 1 >= CRASH_BUDGET), "I4"
        assert decided.error is not None
        assert decided.error.cause == outcome.cause
