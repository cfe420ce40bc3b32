"""The pump: the one thread of a node that talks to the store.

It settles what has come to an end and claims what there is room for, both in one transaction, as often as there is something to
do; otherwise it sleeps until it is woken. It does not run on the user's event loop: a function that blocks that loop holds up
neither the other jobs nor the writing of their outcomes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dray.errors import DrayError
from dray.model.duration import human
from dray.model.lifecycle import Move
from dray.observe.log import get_logger
from dray.store.protocol import Listening, Store
from dray.store.values import Catch, Want
from dray.worker.completer import LOG_KEEP, Completer
from dray.worker.intake import Intake
from dray.worker.runner import Runner

log = get_logger("pump")

GLANCE = 0.1  # seconds between looks at whether the file has changed, for commits that ring no bell (the caller's own)
ORDERS = 0.5  # seconds between looks for orders while busy; asleep, it is rung for them
DISTRUST = 1.0  # seconds for which a look is not believed that promised jobs when there were none to be had
LOOK = 5.0  # seconds between real looks at the store, whatever happens
MAX_PATIENCE = 5.0  # seconds between attempts while the store fails


class Pump:
    """Turns until it is told to stop. `enter` registers the node anew when the store has given it up."""

    def __init__(
        self, store: Store, intake: Intake, runner: Runner, completer: Completer, listener: Listening,
        enter: Callable[[], int], cancel: Callable[[int, int, str], None], expelled: Callable[[], None],
    ) -> None:
        self._store = store
        self._intake = intake
        self._runner = runner
        self._completer = completer
        self._listener = listener
        self._enter = enter
        self._cancel = cancel
        self._expelled = expelled
        self.node = enter()
        self.claiming = True
        self.last_look = time.monotonic()  # of the last successful look for jobs; read by others
        self._next_due: float | None = None  # monotonic
        self._orders_at = 0.0
        self._distrust = 0.0
        self._looked = False
        self._patience = 0.0
        self._going = True
        self._thread = threading.Thread(target=self._turn, name="dray-pump", daemon=True)

    def start(self) -> None:
        """Begin to turn."""
        self._thread.start()

    def stop_claiming(self) -> None:
        """Take no more jobs; outcomes are still written."""
        self.claiming = False
        self._listener.wake()

    def stop(self, timeout: float = 30.0) -> None:
        """Write what is left, and end."""
        self._going = False
        self._listener.wake()
        self._thread.join(timeout)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not len(self._completer) and not self._runner.returned and not self._writing

    # -- the thread

    _writing = False

    def _turn(self) -> None:
        while self._going or len(self._completer) or self._runner.returned:
            try:
                again = self._once()
                self._patience = 0.0
            except DrayError as error:
                if not self._going and self._patience >= 1.0:
                    log.error("%d outcomes could not be written before the end: %s", len(self._completer), error)
                    return
                self._wait_after(error)
                continue
            except Exception as error:  # a defect must not end the thread that everything hangs on
                log.exception("unexpected error in the pump")
                self._wait_after(error)
                continue
            if time.monotonic() >= self._orders_at:
                self._orders()
            if not again and self._going and not len(self._completer):
                self._sleep()

    def _wait_after(self, error: Exception) -> None:
        self._patience = min(MAX_PATIENCE, max(0.05, self._patience * 2))
        log.warning("%s Trying again in %s.", error, human(self._patience))
        time.sleep(self._patience)

    def _once(self) -> bool:
        """One exchange with the store; whether there may be more to do at once."""
        self._writing = True
        try:
            moves = self._completer.take()
            final = bool(moves)
            notes = self._completer.notes(all_of_them=final)
            if notes is not None:
                self._store.run(self._store.plans.note, notes.progress, notes.logs, LOG_KEEP)
            self._return_unstarted()
            want = self._intake.want() if self.claiming else None
            if not moves and want is None:
                return False
            settle = [move for move in moves if not move.settled]
            try:
                stale, catch = self._store.run(self._store.plans.exchange, settle, want, self.node)
            except BaseException:
                self._completer.put_back(settle)
                raise
        finally:
            self._writing = False
        if stale:
            self._report(stale, settle)
        if catch is None:
            return False
        return self._caught(want, catch)

    def _caught(self, want: Want | None, catch: Catch) -> bool:
        if catch.expelled:
            log.error("worker %d: its lease was not renewed in time, and its jobs were given to others; entering anew", self.node)
            self._expelled()
            self.node = self._enter()
            return True
        self.last_look = time.monotonic()
        self._next_due = None if catch.next_due is None else self.last_look + catch.next_due
        if catch.jobs:
            self._runner.start(catch.jobs)
        elif self._looked:
            self._distrust = self.last_look + DISTRUST
        self._looked = False
        wanted = sum(want.slots.values()) if want is not None else 0
        return bool(catch.jobs) and len(catch.jobs) >= wanted

    def _return_unstarted(self) -> None:
        if self._runner.returned:
            jobs, self._runner.returned = self._runner.returned, []
            try:
                self._store.run(self._store.plans.release, jobs)
            except BaseException:
                self._runner.returned = jobs + self._runner.returned
                raise

    def _report(self, stale: list[int], moves: list[Move]) -> None:
        for move in moves:
            if move.seq in stale:
                log.warning(
                    "job %d: the outcome %r came too late and was not written: this run (claim %d) had lost its claim", move.seq,
                    move.word, move.claim,
                )  # fmt: skip

    def _sleep(self) -> None:
        listener, store = self._listener, self._store
        listener.show()
        try:
            if len(self._completer) or self._runner.returned or not self._going:
                return
            look_at = time.monotonic() + LOOK
            pulse = store.pulse()
            if self._look():
                return
            while self._going:
                now = time.monotonic()
                times = [GLANCE, look_at - now]
                if self._next_due is not None and self.claiming:
                    times.append(self._next_due - now)
                if (notes := self._completer.notes_due_in()) is not None:
                    times.append(notes)
                if listener.wait(max(0.0, min(times))):
                    self._orders()
                    return
                now = time.monotonic()
                if now >= look_at or notes == 0.0 or (self._next_due is not None and now >= self._next_due):
                    return
                if (seen := store.pulse()) != pulse:
                    pulse = seen
                    if self._look():
                        return
        finally:
            listener.hide()

    def _look(self) -> bool:
        """Whether there is something for us, without taking a lock."""
        if not self.claiming:
            return False
        want = self._intake.anything()
        if not want.slots:
            return False
        found, due = self._store.run(self._store.plans.waiting, want)
        self.last_look = time.monotonic()
        self._next_due = None if due is None else self.last_look + due
        if found and self.last_look < self._distrust:
            return False
        self._looked = found
        return found

    def _orders(self) -> None:
        self._orders_at = time.monotonic() + ORDERS
        for order in self._store.run(self._store.plans.orders, self.node):
            self._cancel(order.seq, order.claim, order.reason)

