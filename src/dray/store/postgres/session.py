"""Sessions: the only place where plans meet PostgreSQL.

A blocking caller works on its own thread. For coroutines a thread does, which carries out what several of them have asked for
meanwhile one after the other, so that the event loop goes on; they need no connection more than the blocking ones.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg

from dray.errors import StoreUnavailable
from dray.model.clock import Clock
from dray.model.job import NewJob
from dray.store.bell import Bell
from dray.store.plan import Apart, Plan, drive
from dray.store.postgres.dial import SETTINGS, limits
from dray.store.postgres.edge import BEGIN, Edge, rings
from dray.store.postgres.lines import PATIENCE, TOO_LATE, Line, Lines
from dray.store.postgres.place import Place
from dray.store.postgres.plans import KINDS, PostgresPlans
from dray.store.postgres.trouble import POOLED, UNLUCKY, as_ours, is_gone, too_late
from dray.store.servants import Servants

T = TypeVar("T")

WORK = {"work"}
RUNG_FOR = 0.005  # seconds after waking somebody in which that need not be done again: he looks for more before he sleeps
TRIES = 5  # of a transaction that gets in the way of others
#: Classes of errors after which it is open whether a transaction has been committed: the connection, or the server, went away.
OPEN_ENDED = ("08", "57P")


class PostgresSession:
    """Runs plans on a database."""

    def __init__(self, place: Place, plans: PostgresPlans, *, clock: Clock | None) -> None:
        self.place = place
        self.lines = Lines(place)
        self._plans = plans
        self._clock = clock
        self._pooled_begin = pooled_begin(place)
        self.bell: Bell | None = None
        self.servants = Servants(self._run, plans.add, place.where)
        self._pid = os.getpid()
        self._rung: dict[str, float] = {}  # queue: until when (monotonic) nobody need be woken for it again

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self.servants.start()

    # -- blocking

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb, in one transaction. Raises StoreError."""
        began = time.monotonic()
        if verb == self._plans.add and self._pid == os.getpid() and self._add(began, args[0]):
            return None  # type: ignore[return-value]
        return self._run(began, verb, *args)

    def _add(self, began: float, jobs: Sequence[NewJob]) -> bool:
        """`add` of one job without any detour: it is what a web request waits for. False if that is not to be had here, or if it
        went wrong in a way that the usual way knows to deal with; an add may be sent again."""
        plans, lines = self._plans, self.lines
        if len(jobs) != 1 or lines.pooled:
            return False
        queue = jobs[0].queue
        params = plans.new(jobs[0], began >= self._rung.get(queue, 0.0))
        if params is None:
            return False
        try:
            line = lines.take(began + self.place.timeout, by=self._by(began, self.place.timeout))
        except StoreUnavailable:
            return False
        try:
            rung = plans.quick_add.run(line.connection, line.prepared, params)
        except psycopg.errors.IntegrityError:  # it is kept already, and the usual way leaves it as it is
            lines.give(line)
            return False
        except BaseException as error:
            lines.discard(line)
            if line.late and isinstance(error, psycopg.Error):
                raise too_late(self.place.where, time.monotonic() - began) from error
            if isinstance(error, POOLED):
                lines.found_pooler(str(error).strip())
            if isinstance(error, psycopg.Error):
                return False
            raise
        lines.give(line)
        if rung == b"":  # what a notification answers
            self._rung[queue] = time.monotonic() + RUNG_FOR
        if self.bell is not None:
            self.bell.ring(WORK)
        return True

    def _run(self, began: float, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` of what has been asked for at `began`."""
        self._check_fork()
        plain = _plain(verb)
        limit, reads = getattr(plain, "within", None), getattr(plain, "reads", False)
        allowed = min(self.place.timeout, limit or self.place.timeout)
        until, by = began + allowed, self._by(began, allowed)
        repeatable, urgent = reads or getattr(plain, "repeatable", False), limit is not None and not reads
        again, fresh, unlucky, pause = getattr(verb, "again", False), False, 0, 0.05
        while True:
            patience = min(by, began + PATIENCE)
            try:
                line = self.lines.take(until, by=by, fresh=fresh, urgent=urgent)
            except StoreUnavailable:
                if time.monotonic() + pause > patience or self.servants.closed:
                    raise
                time.sleep(pause)  # the server is away; a restart takes a second or two
                pause = min(1.0, pause * 2)
                continue
            attempt = _Attempt(self, line, verb, args, again)
            try:
                return attempt.run()  # type: ignore[no-any-return]
            except psycopg.Error as error:
                if line.late:
                    raise too_late(self.place.where, time.monotonic() - began) from error
                if isinstance(error, POOLED) and not self.lines.pooled:
                    self.lines.found_pooler(str(error).strip())
                elif isinstance(error, UNLUCKY) and unlucky < TRIES:
                    unlucky += 1
                    time.sleep(0.01 * unlucky)
                elif isinstance(error, psycopg.errors.UniqueViolation) and not again:
                    again = True  # of a COPY that is sent again, say; the other way does not mind
                elif is_gone(error) and (repeatable or not attempt.doubtful) and time.monotonic() + pause < patience:
                    again, fresh = again or attempt.doubtful, True
                    time.sleep(pause)
                    pause = min(1.0, pause * 2)
                else:
                    raise as_ours(error, self.place.where) from error

    def _by(self, began: float, allowed: float) -> float:
        """When it is too late to make a connection for a call."""
        return began + max(allowed / 2, allowed - TOO_LATE)

    def edge(self, line: Line, verb: Callable[..., Any], again: bool) -> Edge:
        """Where the steps of one verb are carried out."""
        if self._clock is not None:  # the clock of a test is turned more often than the marks are used
            self._plans.marks.see(self._clock.wall(), ())
        self._plans.straight = not self.lines.pooled
        return Edge(
            line.fast, line.plain, line.more, schema=self.place.schema, clock=self._clock,
            apart=lambda step: self._apart(line, step),
            begin=self._pooled_begin if self.lines.pooled else BEGIN, reads=getattr(_plain(verb), "reads", False), again=again,
        )  # fmt: skip

    def _apart(self, line: Line, step: Apart) -> Any:
        edge = self.edge(line, step.verb, False)
        return self._finish(line, edge, drive(step.verb(*step.args), edge.do))

    def _finish(self, line: Line, edge: Edge, answer: T) -> T:
        edge.finish(rings(self._plans.area, self._plans.channels, KINDS, edge.rings))
        return answer

    def announce(self, edge: Edge) -> None:
        """Wake those of this process."""
        if edge.rings and self.bell is not None:
            self.bell.ring(edge.rings)

    # -- for coroutines

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines: the event loop goes on while the store works."""
        self._check_fork()
        return await self.servants.ask(verb, *args)

    # -- the end

    def close(self) -> None:
        """Close the connections; what is being carried out goes on to its end."""
        if self._pid == os.getpid():
            self.servants.close()
            self.lines.close()


class _Attempt:
    """One try of one verb on one connection."""

    def __init__(
        self, session: PostgresSession, line: Line, verb: Callable[..., Plan[Any]], args: tuple[Any, ...], again: bool
    ) -> None:
        self._session = session
        self._line = line
        self._verb = verb
        self._args = args
        self._again = again
        self.doubtful = False  # it failed in a way that leaves open whether it was carried out

    def run(self) -> Any:
        session, line = self._session, self._line
        edge = session.edge(line, self._verb, self._again)
        try:
            answer = drive(self._verb(*self._args), edge.do)
            self.doubtful = True
            session._finish(line, edge, answer)
        except BaseException as error:
            # What the server itself says of a statement or a commit is that it was not carried out.
            self.doubtful = (self.doubtful or edge.sent) and not _refused(error)
            session._plans.marks.forget()
            if isinstance(error, Exception) and not is_gone(error) and self._rolled_back(edge):
                session.lines.give(line)
            else:
                session.lines.discard(line)
            raise
        session.lines.give(line)
        session.announce(edge)
        return answer

    def _rolled_back(self, edge: Edge) -> bool:
        status = self._line.connection.info.transaction_status
        if status == psycopg.pq.TransactionStatus.IDLE:
            return True
        if status == psycopg.pq.TransactionStatus.UNKNOWN or status == psycopg.pq.TransactionStatus.ACTIVE:
            return False
        with contextlib.suppress(psycopg.Error):
            self._line.plain.execute("rollback")
            return True
        return False


def _plain(verb: Callable[..., Any]) -> Any:
    """The verb itself, where some arguments have been given to it already."""
    return getattr(verb, "func", verb)


def _refused(error: BaseException) -> bool:
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return state is not None and not state.startswith(OPEN_ENDED)


def pooled_begin(place: Place) -> str:
    """What is sent with the begin of each transaction where a session does not last."""
    local = " ".join(f"set local {name} = {value};" for name, value in {**SETTINGS, **limits(place)}.items())
    return BEGIN.replace("begin;", f"begin isolation level read committed; {local}")
