"""The corridor: how a job runs, from the claim to the write of its outcome.

    intake ──► claimed jobs ──► executor ──► attempt ──► Outcome ──► decide ──► Move ──► completer ──► settle

`start` is where jobs come in, `ended` where they leave. Both ends are in this file; what lies between is one executor.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dray.app import Dray
from dray.events import Event, Settled, Started
from dray.model.job import Claimed
from dray.model.job import Executor as Kind
from dray.model.lifecycle import decide
from dray.model.outcome import Outcome
from dray.task import Task
from dray.worker.board import Board
from dray.worker.completer import Completer
from dray.worker.executors.base import Executor


class Runner:
    """Takes claimed jobs to the executor they need, and what became of them to the completer."""

    def __init__(self, app: Dray, completer: Completer, board: Board | None, listeners: tuple[Any, ...] = ()) -> None:
        self._tasks = app.tasks
        self._completer = completer
        self._board = board
        self._listeners = listeners
        self._pid = os.getpid()
        self.executors: Mapping[Kind, Executor] = {}
        self.returned: list[Claimed] = []  # to be given back; a list's append and swap need no lock

    # -- in

    def start(self, jobs: list[Claimed]) -> None:
        """Called by the pump with what it claimed."""
        if len(jobs) == 1 or len({job.executor for job in jobs}) == 1:
            self.executors[Kind(jobs[0].executor)].give(jobs)
            return
        for kind, executor in self.executors.items():
            mine = [job for job in jobs if job.executor == kind]
            if mine:
                executor.give(mine)

    def task(self, job: Claimed) -> Task[..., Any] | None:
        """The task of a job; None if this process does not know it."""
        return self._tasks.get(job.task)

    def started(self, job: Claimed) -> int:
        """The function is about to be called; the answer is for `ended`."""
        if self._listeners:
            self._tell(Started(job))
        return -1 if self._board is None else self._board.start(job.seq, job.claim)

    # -- out

    def ended(self, job: Claimed, place: int, outcome: Outcome, task: Task[..., Any] | None) -> None:
        """The run came to something. Called by the thread that ran it."""
        if os.getpid() != self._pid:
            os._exit(0)  # the function forked and this is the copy: it must not speak for the job
        if self._board is not None:
            self._board.end(place)
        rules = task.rules if task is not None and job.options is None else task.rules_for(job.options) if task else None
        move = decide(job, outcome, job.started, rules) if rules is not None else decide(job, outcome, job.started)
        if self._listeners:
            self._tell(Settled(job, outcome, move))
        self._completer.put(move)

    def give_back(self, jobs: list[Claimed]) -> None:
        """They have not started here and will not."""
        self.returned.extend(jobs)
        self._completer.nudge()

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
