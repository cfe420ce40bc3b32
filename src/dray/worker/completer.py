"""Gathers what has become of jobs, and what they say, until the pump writes it.

There is no timer: the pump takes all there is each time it comes by, so that a lone result is written at once, and a crowd of
them together.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from dray.model.job import Claimed
from dray.model.lifecycle import Move

AT_ONCE = 1000
BACKLOG = 50_000  # log lines that may wait to be written; a run that says more than can be written loses the oldest
NOTES_EVERY = 0.25  # seconds; progress in between is overwritten, log lines gather
LOG_KEEP = 1000  # lines of one job


Ended = tuple[Move, int, Claimed, float]  # … its place on the board, the job, and how many seconds it ran


class Gathered(Struct, frozen=True):
    """What runs say of themselves, ready to be written."""

    progress: list[tuple[bytes, int, int]]
    logs: list[tuple[int, str, str, int, int]]


class Completer:
    """Put into by every thread that runs jobs, emptied by the pump."""

    def __init__(self, wake: Callable[[], None]) -> None:
        # Put into by many threads and emptied by one: each object stays the same, and is emptied item by item.
        self._moves: deque[Ended] = deque()
        self._wake = wake
        self._progress: dict[int, tuple[bytes, int, int]] = {}
        self._logs: deque[tuple[int, str, str, int, int]] = deque(maxlen=BACKLOG)
        self._noted = 0.0

    def put(self, move: Move, place: int, job: Claimed, took: float) -> None:
        """A job has come to something. `place`: where it stands on the board, until this is written; `took`: seconds it ran."""
        self._moves.append((move, place, job, took))
        self._wake()

    def nudge(self) -> None:
        """Let the pump come by."""
        self._wake()

    def take(self) -> list[Ended]:
        """Up to 1000 of them, oldest first."""
        moves = self._moves
        found: list[Ended] = []
        while moves and len(found) < AT_ONCE:
            found.append(moves.popleft())
        return found

    def put_back(self, moves: list[Ended]) -> None:
        """They could not be written; they come first again."""
        self._moves.extendleft(reversed(moves))

    def __len__(self) -> int:
        return len(self._moves)

    # -- notes (the protocol of `dray.context.Notes`)

    def progress(self, job: Claimed, data: bytes) -> None:
        """The newest counts."""
        self._progress[job.seq] = (data, job.seq, job.claim)
        self._wake_for_notes()

    def log(self, job: Claimed, level: str, text: str) -> None:
        """In order."""
        self._logs.append((time.time_ns() // 1000, level, text, job.seq, job.claim))
        self._wake_for_notes()

    def _wake_for_notes(self) -> None:
        if time.monotonic() - self._noted >= NOTES_EVERY:
            self._wake()

    def notes(self, *, all_of_them: bool = False) -> Gathered | None:
        """What has gathered, if it is time or if something is final (its notes must not come after it)."""
        if not self._progress and not self._logs:
            return None
        now = time.monotonic()
        if not all_of_them and now - self._noted < NOTES_EVERY:
            return None
        self._noted = now
        progress: dict[int, tuple[bytes, int, int]] = {}
        while self._progress:
            seq, newest = self._progress.popitem()
            progress.setdefault(seq, newest)
        logs = [self._logs.popleft() for _ in range(len(self._logs))]
        return Gathered(list(progress.values()), _newest(logs) if len(logs) > LOG_KEEP else logs)

    def notes_back(self, notes: Gathered) -> None:
        """They could not be written."""
        for data, seq, claim in notes.progress:
            self._progress.setdefault(seq, (data, seq, claim))
        self._logs.extendleft(reversed(notes.logs))

    def notes_due_in(self) -> float | None:
        """Seconds until notes that wait are to be written; None if none wait."""
        if not self._progress and not self._logs:
            return None
        return max(0.0, NOTES_EVERY - (time.monotonic() - self._noted))


def _newest(logs: list[tuple[int, str, str, int, int]]) -> list[tuple[int, str, str, int, int]]:
    """Without the lines that would be trimmed as soon as they are written."""
    left: dict[int, int] = {}
    kept = []
    for line in reversed(logs):
        left[line[3]] = left.get(line[3], LOG_KEEP) - 1
        if left[line[3]] >= 0:
            kept.append(line)
    kept.reverse()
    return kept
