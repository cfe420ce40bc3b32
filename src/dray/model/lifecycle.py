"""The state machine, whole: what becomes of a job when a run has come to something. Pure.

::

    scheduled ──► ready ──► running ──► succeeded
        ▲           ▲          ├──────► failed      no attempts left, GiveUp, crash budget spent
        │           │          ├──────► cancelled
        └───────────┼──────────┤                    retry or snooze: scheduled again
                    └──────────┘                    interrupted, or lost for the first time: ready again
"""

from __future__ import annotations

import contextlib
from typing import Protocol, assert_never

from msgspec import DecodeError, Struct
from msgspec.json import decode
from msgspec.structs import replace

from dray.model.job import CRASH_BUDGET, KEEP_CANCELLED, KEEP_FAILED, KEEP_SUCCEEDED, Claimed, JobOptions, State
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
from dray.model.retry import DEFAULT_BACKOFF, Backoff

MAX_LOSS_DELAY = 60.0


class Move(Struct, frozen=True, gc=False):
    """What becomes of a job. `claim` names the claim it speaks for: a stale one changes nothing."""

    seq: int
    claim: int
    queue: str
    state: State
    word: str = ""  # the outcome, for the history: returned, raised, snoozed …
    delay: float = 0.0  # seconds from the store's now until it is due, if it is to run again
    result: bytes | None = None
    error: ErrorRecord | None = None
    reason: str | None = None
    keep: float = KEEP_SUCCEEDED  # seconds to keep it, once final
    counts: bool = True  # False: the attempt is given back
    lost: bool = False  # True: one more loss
    settled: bool = False  # already written in the task's own transaction
    id: bytes = b""  # for people


class Rules(Struct, frozen=True):
    """What a task (or one job's own options) says about trying again and about keeping. Durations in seconds."""

    backoff: Backoff = DEFAULT_BACKOFF
    crash_budget: int = CRASH_BUDGET
    keep_succeeded: float = KEEP_SUCCEEDED
    keep_cancelled: float = KEEP_CANCELLED
    keep_failed: float = KEEP_FAILED


class Run(Protocol):
    """The facts of a run that the decision rests on; `Claimed` has them."""

    @property
    def seq(self) -> int: ...
    @property
    def id(self) -> bytes: ...
    @property
    def queue(self) -> str: ...
    @property
    def claim(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def losses(self) -> int: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def expires(self) -> int | None: ...


DEFAULT_RULES = Rules()


def decide(job: Run, outcome: Outcome, now: int, rules: Rules = DEFAULT_RULES) -> Move:
    """What becomes of `job` after `outcome` at the store's time `now` (microseconds)."""
    match outcome:
        case Returned(result, settled):
            return Move(
                job.seq, job.claim, job.queue, State.SUCCEEDED, "returned", result=result,
                keep=rules.keep_succeeded, settled=settled, id=job.id,
            )
        case Raised(error, final, delay):
            if final or job.attempt >= job.max_attempts:
                return _failed(job, "raised", error, rules)
            wait = rules.backoff.delay(job.attempt, _roll(job)) if delay is None else delay
            return Move(job.seq, job.claim, job.queue, State.SCHEDULED, "raised", delay=wait, error=error, id=job.id)
        case Snoozed(delay, reason):
            return Move(
                job.seq, job.claim, job.queue, State.SCHEDULED, "snoozed", delay=delay, counts=False,
                reason=reason or None, id=job.id,
            )
        case Cancelled(reason):
            return Move(
                job.seq, job.claim, job.queue, State.CANCELLED, "cancelled", reason=reason or None,
                keep=rules.keep_cancelled, id=job.id,
            )
        case Suspended(delay):
            return Move(
                job.seq, job.claim, job.queue, State.SLEEPING, "suspended", delay=delay or 0.0, counts=False, id=job.id
            )
        case Interrupted():
            return Move(job.seq, job.claim, job.queue, State.READY, "interrupted", counts=False, id=job.id)
        case Lost(cause):
            return _lost(job, cause, rules)
        case _:
            assert_never(outcome)


def _lost(job: Run, cause: str, rules: Rules) -> Move:
    known = fingerprint("WorkerLost")
    error = ErrorRecord("WorkerLost", f"the worker was lost during the run: {cause}", cause=cause, fingerprint=known)
    losses = job.losses + 1
    if losses >= rules.crash_budget:
        often = "once" if losses == 1 else f"{losses} times"
        told = f"the worker was lost during the run {often}, the crash budget is {rules.crash_budget}; last: {cause}"
        move = _failed(job, "lost", ErrorRecord("WorkerLost", told, cause=cause, fingerprint=known), rules)
        return replace(move, counts=False, lost=True)
    # The first loss starts again at once. A second one waits a little, each job for a time of its own: jobs that merely ran
    # beside the one that kills its worker are then unlikely to be beside it again.
    delay = 0.0 if losses == 1 else min(2.0 ** losses * (0.5 + _roll(job)), MAX_LOSS_DELAY)
    state = State.READY if delay == 0 else State.SCHEDULED
    return Move(job.seq, job.claim, job.queue, state, "lost", delay=delay, error=error, counts=False, lost=True, id=job.id)


def _failed(job: Run, word: str, error: ErrorRecord, rules: Rules) -> Move:
    return Move(job.seq, job.claim, job.queue, State.FAILED, word, error=error, keep=rules.keep_failed, id=job.id)


def _roll(job: Run) -> float:
    """A number in [0, 1) that differs between jobs and claims, so that retries spread, and is the same when asked again."""
    mixed = (int.from_bytes(job.id[-4:], "big") ^ (job.claim * 0x9E3779B1)) & 0xFFFFFFFF
    return mixed / 2**32


def rules_by(options: JobOptions, rules: Rules = DEFAULT_RULES) -> Rules:
    """`rules`, where one job's own options do not say otherwise."""
    if options.backoff is not None:
        rules = replace(rules, backoff=Backoff.from_dict(options.backoff))
    if options.crash_budget is not None:
        rules = replace(rules, crash_budget=options.crash_budget)
    ttl = options.result_ttl
    if ttl is not None:
        rules = replace(rules, keep_succeeded=ttl, keep_failed=ttl, keep_cancelled=ttl)
    return rules


def decide_for(job: Claimed, outcome: Outcome) -> Move:
    """`decide` for those who have only the row: rescue, and the end of a lost node."""
    rules = DEFAULT_RULES
    if job.options is not None:
        with contextlib.suppress(DecodeError, ValueError):  # options that cannot be read do not keep a job from being rescued
            rules = rules_by(decode(job.options, type=JobOptions))
    return decide(job, outcome, job.started, rules)
