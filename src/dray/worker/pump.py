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
from dray.model.ids import to_text
from dray.model.job import KEEP_FAILED, State
from dray.model.lifecycle import Move
from dray.model.outcome import ErrorRecord
from dray.observe.log import get_logger
from dray.store.plan import once_more
from dray.store.protocol import Listening, Store
from dray.store.values import Ask, Catch, Want
from dray.worker.completer import LOG_KEEP, Completer
from dray.worker.intake import Intake
from dray.worker.runner import Runner
from dray.worker.tally import Tally

log = get_logger("pump")

ORDERS = 0.5  # seconds between looks for orders while busy; asleep, it is rung for them
DISTRUST = 1.0  # seconds for which a look is not believed that promised jobs when there were none to be had
LATE_ANSWER = 60.0  # seconds after which a claim whose answer was lost has been carried out, or never will be
MAX_PATIENCE = 5.0  # seconds between attempts while the store fails


class Pump:
    """Turns until it is told to stop. `enter` registers the node anew when the store has given it up."""

    def __init__(
        self, store: Store, intake: Intake, runner: Runner, completer: Completer, listener: Listening,
        enter: Callable[[], int], cancel: Callable[[int, int, str], None], expelled: Callable[[], None], tally: Tally,
        asked: Callable[[Ask], None],
    ) -> None:
        self._store = store
        self._intake = intake
        self._runner = runner
        self._completer = completer
        self._listener = listener
        self._enter = enter
        self._cancel = cancel
        self._expelled = expelled
        self._tally = tally
        self._asked = asked
        self.node = enter()
        self.claiming = True
        self.last_look = time.monotonic()  # of the last successful look for jobs; read by others
        self._next_due: float | None = None  # monotonic
        self._orders_at = 0.0
        self._distrust = 0.0
        self._looked = False
        self._lost_lease = False
        self._patience = 0.0
        self._held: set[tuple[int, int]] = set()  # (seq, claim) of all that was claimed and is not written yet
        self._unsure = False  # whether what is to be written may have been written already: the answer was lost
        self._doubts: list[float] = []  # when (monotonic) to ask the store whether it has given us more than that
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

    def expel(self, node: int) -> None:
        """The lease of `node` is gone: if that is who we are, end what runs and enter anew."""
        if node == self.node and not self._lost_lease:
            self._lost_lease = True
            self._listener.wake()

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
                now = time.monotonic()
                if now >= self._orders_at:
                    self._orders()
                if now >= self._tally.due:
                    self._write_figures()
                if not again and self._going and not len(self._completer):
                    self._sleep()
                self._patience = 0.0
            except DrayError as error:
                if not self._going and self._patience >= 1.0:
                    log.error("%d outcomes could not be written before the end: %s", len(self._completer), error)
                    return
                self._wait_after(error)
            except Exception as error:  # a defect must not end the thread that everything hangs on
                log.exception("unexpected error in the pump")
                self._wait_after(error)
        self._write_figures(last=True)

    def _wait_after(self, error: Exception) -> None:
        self._tally.store_errors += 1
        self._patience = min(MAX_PATIENCE, max(0.05, self._patience * 2))
        log.warning("%s Trying again in %s.", error, human(self._patience))
        time.sleep(self._patience)

    def _once(self) -> bool:
        """One exchange with the store; whether there may be more to do at once."""
        self._writing = True
        ended = self._completer.take()
        try:
            self._write_notes(all_of_them=bool(ended))
            self._return_unstarted()
            if self._lost_lease:
                self._enter_anew()
            self._clear_doubts()
            want = self._intake.want() if self.claiming else None
            if not ended and want is None:
                return False
            moves = [one[0] for one in ended if not one[0].settled]
            try:
                exchange = self._store.plans.exchange
                stale, catch = self._store.run(once_more(exchange) if self._unsure else exchange, moves, want, self.node)
            except DrayError:
                self._unsure = self._unsure or bool(moves)
                if want is not None:
                    self._doubts = [0.0, time.monotonic() + LATE_ANSWER]
                raise
            except Exception:
                if not moves:
                    raise
                stale, catch = self._one_by_one(moves), None
        except BaseException:
            self._completer.put_back(ended)
            raise
        finally:
            self._writing = False
        self._unsure = False
        self._runner.written(ended)
        self._held.difference_update([(one[0].seq, one[0].claim) for one in ended])
        if ended:
            self._tally.add(ended, stale)
        if stale:
            self._report(stale, moves)
        if catch is None:
            return False
        return self._caught(want, catch)

    def _write_figures(self, *, last: bool = False) -> None:
        rows = self._tally.figures(self.node, last=last)
        if not rows:
            return
        try:
            self._store.run(self._store.plans.put_figures, rows)
        except DrayError as error:  # not worth holding up the outcomes
            self._tally.back(rows)
            log.log(self._tally.loudness, "%d figures could not be written yet: %s", len(rows), error)
        except Exception:
            log.exception("%d figures could not be written", len(rows))

    def _write_notes(self, *, all_of_them: bool) -> None:
        notes = self._completer.notes(all_of_them=all_of_them)
        if notes is None:
            return
        try:
            self._store.run(self._store.plans.note, notes.progress, notes.logs, LOG_KEEP)
        except DrayError:
            self._completer.notes_back(notes)
            raise
        except Exception:  # they are not worth holding up the outcomes
            log.exception("%d log lines could not be written", len(notes.logs))

    def _one_by_one(self, moves: list[Move]) -> list[int]:
        """One of them cannot be written at all, and must not hold up the others: its job fails."""
        stale: list[int] = []
        for move in moves:
            try:
                stale += self._store.run(once_more(self._store.plans.settle), [move])
            except DrayError:
                self._unsure = True
                raise
            except Exception as error:
                log.exception("the outcome %r of job %s cannot be written; it fails", move.word, to_text(move.id))
                stale += self._store.run(self._store.plans.settle, [unwritable(move, error)])
        return stale

    def _caught(self, want: Want | None, catch: Catch) -> bool:
        if catch.expelled:
            self._enter_anew()
            return True
        self.last_look = time.monotonic()
        self._tally.store_time = (catch.now, self.last_look)
        self._next_due = None if catch.next_due is None else self.last_look + catch.next_due
        if catch.jobs:
            self._held.update([(job.seq, job.claim) for job in catch.jobs])
            self._runner.start(catch.jobs)
        elif self._looked:
            self._distrust = self.last_look + DISTRUST
        self._looked = False
        wanted = sum(want.slots.values()) if want is not None else 0
        # Due at once without having been given: the claim had to sort out so much that it left some for the next turn.
        return catch.next_due == 0.0 or (bool(catch.jobs) and len(catch.jobs) >= wanted)

    def _enter_anew(self) -> None:
        log.error("worker %d: its lease was not renewed in time, and its jobs were given to others; entering anew", self.node)
        self._expelled()
        self.node = self._enter()
        self._lost_lease = False

    def _return_unstarted(self) -> None:
        returned = self._runner.returned
        if not returned:
            return
        jobs = [returned.popleft() for _ in range(len(returned))]
        try:
            self._store.run(self._store.plans.release, jobs)
        except BaseException:
            returned.extendleft(reversed(jobs))
            raise
        self._held.difference_update([(job.seq, job.claim) for job in jobs])

    def _clear_doubts(self) -> None:
        """A claim failed, and it is not known whether the store carried it out all the same: jobs that it takes for ours, and of
        which we know nothing, go back."""
        while self._doubts and time.monotonic() >= self._doubts[0]:
            n = self._store.run(self._store.plans.reclaim, self.node, self._held)
            del self._doubts[0]
            if n:
                log.warning("worker %d gave back %d jobs that it had been given without getting to know of it", self.node, n)

    def _report(self, stale: list[int], moves: list[Move]) -> None:
        for move in moves:
            if move.seq in stale:
                log.warning(
                    "job %s: the outcome %r came too late and was not written: this run (claim %d) had lost its claim",
                    to_text(move.id), move.word, move.claim,
                )  # fmt: skip

    def _sleep(self) -> None:
        listener, store = self._listener, self._store
        listener.doze()
        try:
            if len(self._completer) or self._runner.returned or self._lost_lease or not self._going:
                return
            look_at = time.monotonic() + listener.patience
            glances = listener.glances()
            pulse = store.pulse()
            show_at: float | None = time.monotonic() + listener.shy
            if listener.shy and self._look():
                return
            glance_at = time.monotonic() + next(glances)
            while self._going:
                now = time.monotonic()
                if show_at is not None and now >= show_at and (self._has_room() or not listener.shy):
                    show_at = None  # only now, and only with room: who rings has to pay for it
                    listener.show()
                    self._orders()  # what was ordered since the last look rang for nobody
                    if self._look():
                        return
                # Whom nobody can ring, because there is no room, looks for orders by himself.
                stir_at = show_at if show_at is None or now < show_at else self._orders_at
                alarm = min(glance_at, look_at, self._tally.due, self._alarm(stir_at))
                self._runner.give_back(self._intake.relieve())
                if listener.wait(max(0.0, alarm - now)):
                    self._orders_at = 0.0  # once it is seen to whether there are jobs
                    return
                now = time.monotonic()
                if now >= self._tally.due:
                    self._write_figures()
                if now >= min(look_at, self._alarm(None if stir_at == show_at else stir_at)):
                    return
                if now >= glance_at:
                    glance_at = now + next(glances)
                    if (seen := store.pulse()) != pulse:
                        pulse = seen
                        if self._look():
                            return
        finally:
            listener.hide()

    def _alarm(self, at: float | None) -> float:
        """When (monotonic) to get up at the latest: at `at`, when a job becomes due, or when notes are to be written."""
        times = [at if at is not None else float("inf")]
        if self._next_due is not None and self._has_room():
            times.append(self._next_due)
        if (notes := self._completer.notes_due_in()) is not None:
            times.append(time.monotonic() + notes)
        return min(times)

    def _has_room(self) -> bool:
        return self.claiming and bool(self._intake.anything().slots)

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
        self._runner.give_back(self._intake.relieve())
        for order in self._store.run(self._store.plans.orders, self.node):
            self._cancel(order.seq, order.claim, order.reason)
        for ask in self._store.run(self._store.plans.asked, self.node):
            self._asked(ask)


def unwritable(move: Move, error: Exception) -> Move:
    """What becomes of a job whose outcome the store refuses."""
    told = f"the outcome of the run could not be written: {type(error).__name__}: {error}"
    text = told.encode("utf-8", "backslashreplace").decode("utf-8")
    return Move(move.seq, move.claim, move.queue, State.FAILED, "raised", error=ErrorRecord("StoreError", text), keep=KEEP_FAILED)
