"""What happened, as typed facts; listeners are callables given to a worker. They must be quick, and must not raise."""

from __future__ import annotations

from msgspec import Struct

from dray.model.job import Claimed
from dray.model.lifecycle import Move
from dray.model.outcome import Outcome


class Started(Struct, frozen=True):
    """A function is about to be called."""

    job: Claimed


class Settled(Struct, frozen=True):
    """A run came to an outcome, and it was decided what becomes of the job."""

    job: Claimed
    outcome: Outcome
    move: Move
    seconds: float = 0.0  # that the function ran


class Rescued(Struct, frozen=True):
    """A job of a lost worker was given back, or failed."""

    move: Move


Event = Started | Settled | Rescued
