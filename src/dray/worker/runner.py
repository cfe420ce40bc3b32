"""The corridor: how a job runs, from the claim to the write of its outcome.

    intake ──► claimed jobs ──► executor ──► attempt ──► Outcome ──► decide ──► Move ──► completer ──► settle

`start` is where jobs come in, `ended` where they leave. Both ends are in this file; what lies between is one executor.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from dray.app import Dray
from dray.events import Event, Settled, Started
from dray.model.ids import to_text
from dray.model.job import Claimed
from dray.model.job import Executor as Kind
from dray.model.lifecycle import Rules, decide
from dray.model.outcome import Outcome
from dray.observe.log import get_logger
from dray.task import Task
from dray.worker.board import Board
from dray.worker.completer import Completer, Ended
from dray.worker.executors.base import Executor

log = get_logger("runner")


class Runner:
    """Takes claimed jobs to the executor they need, and what became of them to the completer."""

    def __init__(self, app: Dray, completer: Completer, board: Board | None, listeners: tuple[Any, ...] = ()) -> None:
        self._tasks = app.tasks
        self._completer = completer
        self._board = board
        self._listeners = listeners
        self._pid = os.getpid()
        self.executors: Mapping[Kind, Executor] = {}
        self.returned: deque[Claimed] = deque()  # to be given back

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

    def leave_if_copy(self) -> None:
        """End this process if a function has forked it off and returned in both: the copy must not speak for the job, and has no
        threads to go on with."""
        if os.getpid() != self._pid:
            os._exit(0)

    def ended(self, job: Claimed, place: int, outcome: Outcome, task: Task[..., Any] | None, took: float) -> None:
        """The run came to something, after `took` seconds. Called by the thread that ran it."""
        rules = self._rules(job, task)
        move = decide(job, outcome, job.started) if rules is None else decide(job, outcome, job.started, rules)
        if self._listeners:
            self._tell(Settled(job, outcome, move, took))
        self._completer.put(move, place, job, took)

    def _rules(self, job: Claimed, task: Task[..., Any] | None) -> Rules | None:
        if task is None or job.options is None:
            return None if task is None else task.rules
        try:
            return task.rules_for(job.options)
        except Exception as error:  # what is kept with the job cannot be read: the task's own rules then
            log.warning("the options of job %s cannot be read: %s", to_text(job.id), error)
            return task.rules

    def written(self, ended: Sequence[Ended]) -> None:
        """Their outcomes are in the store. Not before that are they off the board: a run whose outcome died with its worker was
        lost like any other."""
        if self._board is not None:
            for _, place, _, _ in ended:
                self._board.end(place)

    def give_back(self, jobs: list[Claimed]) -> None:
        """They have not started here and will not."""
        if not jobs:
            return
        self.returned.extend(jobs)
        self._completer.nudge()

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener raised on %s", type(event).__name__)
