"""Sessions: the only place where plans meet SQLite.

All writing of a process goes through one connection. A blocking caller writes on its own thread, without a hop, if nobody else
wants to write. Otherwise, and for coroutines always, whoever wants to write leaves a request, and a thread carries out everybody's
requests in one transaction (group commit), so that one flush to disk serves them all.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dray.errors import StoreBusy, StoreUnavailable
from dray.model.clock import Clock
from dray.store.bell import Bell
from dray.store.plan import Plan, drive
from dray.store.requests import Request, Signal, answer_futures, finish
from dray.store.sqlite.edge import Edge, connect
from dray.store.sqlite.gate import Gate, NoGate
from dray.store.sqlite.trouble import BUSY_AFTER, busy, is_busy, translated

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

AT_ONCE = 256  # requests in one transaction


class SqliteSession:
    """Runs plans on a file, or on a database in memory (`path` None)."""

    def __init__(self, path: Path | None, *, clock: Clock, bell: Bell, synchronous: str = "full") -> None:
        self.path = path
        self.where = "in memory" if path is None else str(path)
        self.bell = bell
        self._clock = clock
        self._synchronous = synchronous
        self._pending: deque[Request] = deque()
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._deciding = threading.Lock()  # between taking a request up and giving up on it
        self._thread: threading.Thread | None = None
        self._tokens: queue.SimpleQueue[bool | Request] = queue.SimpleQueue()
        self._closed = False
        self._open()

    # -- opening and closing

    def _open(self) -> None:
        self._pid = os.getpid()
        self._gate: Gate | NoGate = NoGate()
        try:
            self._writer = connect(self.path, self._synchronous)
            self._reader = self._writer if self.path is None else connect(self.path, self._synchronous, reads_only=True)
            if self.path is not None:
                self._gate = Gate(self.path.with_name(self.path.name + "-gate"))
        except OSError as error:
            raise StoreUnavailable(
                f"The store {self.where} cannot be opened: {error.strerror or error}; check the folder and its permissions."
            ) from None

    def _after_fork(self) -> None:
        # A connection must not be used on both sides of a fork. The child leaves the inherited ones alone (closing them would
        # drop the parent's locks) and opens its own.
        if self.path is None:
            raise StoreUnavailable("A store in memory cannot be used in a forked process; use a file (sqlite:///name.db).")
        self._inherited = (self._writer, self._reader)
        self._writing, self._reading, self._deciding = threading.Lock(), threading.Lock(), threading.Lock()
        self._pending = deque()
        self._thread, self._tokens = None, queue.SimpleQueue()
        self._open()

    @property
    def writer(self) -> sqlite3.Connection:
        """The writing connection, for migrations; nobody else may be using the session."""
        return self._writer

    def close(self) -> None:
        """Close the connections; waits for what is being written."""
        if self._closed or self._pid != os.getpid():
            return
        with self._writing, self._reading:
            self._closed = True
            if self._thread is not None:
                self._tokens.put(False)
            if self._reader is not self._writer:
                self._reader.close()
            self._writer.close()
            self._gate.close()

    # -- blocking

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb, in one transaction. Raises StoreError."""
        if self._pid != os.getpid():
            self._after_fork()
        if getattr(verb, "reads", False):
            return self._read(verb, args)
        # The usual case: nobody else wants to write, here or elsewhere. (Ctrl-C may come between any two steps: only `with` never
        # leaves a lock behind, `acquire` and then `try` may.)
        if not self._writing.locked():
            with self._writing:
                try:
                    if not self._pending and self._gate.try_take():
                        return self._alone(verb, args)
                except BaseException:
                    self._gate.give()
                    raise
        request = Request(verb, args)
        request.event = Signal()
        try:
            self._see_to(request)
        except BaseException:  # Ctrl-C, say: nobody waits for it any more
            self._give_up(request)
            raise
        if request.error is not None:
            raise request.error
        return request.answer  # type: ignore[no-any-return]

    def _alone(self, verb: Callable[..., Plan[T]], args: tuple[Any, ...]) -> T:
        """Carry out one verb, with the gate taken. What `_transaction` does for many, without the bookkeeping."""
        self._check_open()
        edge = Edge(self._writer, self._clock)
        with translated(self.where):
            try:
                self._begin()
                answer = drive(verb(*args), edge.do)
                self._writer.execute("commit")
            except BaseException:
                if self._writer.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._writer.execute("rollback")
                raise
            finally:
                self._gate.give()
        self._announce(edge.rings)
        return answer

    def _see_to(self, request: Request) -> None:
        # Others write. The waiting is left to a thread, which goes on at once when it is our turn: while a turn lasts, no time
        # goes by with waking anybody. And it can be given up here, which waiting in the kernel cannot.
        self._ensure_thread()
        self._pending.append(request)
        self._tokens.put(True)
        self._check_open()  # asked last: `close` ends the thread, but only after what was asked for before
        event = request.event
        if event is not None and not event.wait(BUSY_AFTER) and not request.done:
            if self._give_up(request):
                raise busy(self.where)
            event.wait()

    def _give_up(self, request: Request) -> bool:
        """Nobody waits for it any more; False if it is too late for that."""
        with self._deciding:
            if request.taken:
                return False
            request.done = True
            return True

    def _read(self, verb: Callable[..., Plan[T]], args: tuple[Any, ...]) -> T:
        with self._writing if self.path is None else self._reading:
            self._check_open()
            with translated(self.where):
                try:
                    self._reader.execute("begin")
                    return drive(verb(*args), Edge(self._reader, self._clock).do)
                finally:
                    if self._reader.in_transaction:
                        self._reader.execute("rollback")

    def pulse(self) -> int:
        """A number that is another one after a commit of another connection. Raises StoreError."""
        if self._pid != os.getpid():
            self._after_fork()
        with self._writing if self.path is None else self._reading:
            self._check_open()
            with translated(self.where):
                return int(self._reader.execute("pragma data_version").fetchone()[0])

    # -- for coroutines

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines: the event loop goes on while the store works."""
        if self._pid != os.getpid():
            self._after_fork()
        import asyncio  # only here: a supervisor, which has no coroutines, saves its megabytes

        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        request = Request(verb, args, future)
        self._ensure_thread()
        if getattr(verb, "reads", False):
            self._tokens.put(request)
        else:
            self._pending.append(request)
            self._tokens.put(True)
        self._check_open()  # asked last: `close` ends the thread, but only after what was asked for before
        limit = future.get_loop().call_later(BUSY_AFTER, self._expire, request)
        try:
            return await future
        finally:
            limit.cancel()

    def _expire(self, request: Request) -> None:
        if self._give_up(request) and request.future is not None and not request.future.done():
            request.future.set_exception(busy(self.where))

    # -- the thread: for coroutines, and for waiting while other processes write

    def _ensure_thread(self) -> None:
        if self._thread is None:
            with self._deciding:
                if self._thread is None:
                    thread = threading.Thread(target=self._serve_others, name="dray-store", daemon=True)
                    thread.start()
                    self._thread = thread

    def _serve_others(self) -> None:
        tokens = self._tokens
        while token := tokens.get():
            if isinstance(token, Request):
                self._answer(token)
            elif self._pending:
                with self._writing:
                    self._gate.wait()
                    self._serve()

    def _answer(self, request: Request) -> None:
        try:
            finish(request, self._read(request.verb, request.args))
        except Exception as error:
            finish(request, error=error)
        answer_futures([request])

    # -- group commit; everything below is called with `_writing` held

    def _serve(self) -> None:
        """Carry out what is pending, as much as fits into a transaction; called with the gate taken, left with the gate given."""
        batch = self._take_up()
        if batch:
            self._carry_out(batch)
            answer_futures(batch)
            self._forget_done()
        else:
            self._gate.give()

    def _take_up(self) -> list[Request]:
        with self._deciding:
            self._forget_done()
            found = [self._pending[n] for n in range(min(len(self._pending), AT_ONCE))]
            batch = [request for request in found if not request.done]
            for request in batch:
                request.taken = True
        return batch

    def _forget_done(self) -> None:
        while self._pending and self._pending[0].done:
            self._pending.popleft()

    def _carry_out(self, batch: list[Request]) -> None:
        try:
            rings = self._transaction(batch)
        except Exception as error:
            if len(batch) == 1 or isinstance(error, StoreBusy):  # each has waited for long enough
                for request in batch:
                    finish(request, error=error)
                return
            # One of them spoilt it, and nothing is written: each for itself now, so that only that one fails.
            for request in batch:
                try:
                    self._gate.wait()
                    self._announce(self._transaction([request]))
                except Exception as own:
                    finish(request, error=own)
            return
        self._announce(rings)

    def _transaction(self, batch: list[Request]) -> set[str]:
        self._check_open()
        edge = Edge(self._writer, self._clock)
        answers: list[Any] = []
        with translated(self.where):
            try:
                self._begin()
                for request in batch:
                    answers.append(drive(request.verb(*request.args), edge.do))
                self._writer.execute("commit")
            except BaseException:
                if self._writer.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._writer.execute("rollback")
                raise
            finally:
                self._gate.give()
        for request, answer in zip(batch, answers, strict=True):
            finish(request, answer)
        return edge.rings

    def _begin(self) -> None:
        deadline = time.monotonic() + BUSY_AFTER
        while True:
            try:
                self._writer.execute("begin immediate")
                return
            except sqlite3.OperationalError as error:
                # Somebody outside Dray (the caller's own connection, a backup) has the file: SQLite itself waits only for a
                # while at a time.
                if not is_busy(error) or time.monotonic() > deadline:
                    raise

    def _announce(self, rings: set[str]) -> None:
        if rings:
            self.bell.ring(rings)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"The store {self.where} has been closed; open a new Dray() to use it again.")
