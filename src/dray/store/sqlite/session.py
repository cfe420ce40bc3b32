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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dray.errors import DrayError, StoreBusy, StoreUnavailable
from dray.model.clock import Clock
from dray.store.bell import Bell
from dray.store.plan import Many, Now, Plan, Query, Ring, Steady, Step, drive
from dray.store.sqlite.gate import Gate, NoGate

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

BUSY_AFTER = 30.0  # seconds that a write waits for others before it is refused
AT_ONCE = 256  # requests in one transaction


class Request:
    """One verb that somebody wants carried out."""

    __slots__ = ("answer", "args", "done", "error", "event", "future", "taken", "verb")

    def __init__(
        self, verb: Callable[..., Plan[Any]], args: tuple[Any, ...], future: asyncio.Future[Any] | None = None
    ) -> None:
        self.verb = verb
        self.args = args
        self.future = future
        self.answer: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.taken = False  # it is being carried out: too late to give up on it
        self.event: threading.Event | None = None  # set when it is done, if a blocking caller waits for another thread


class Edge:
    """Carries out steps on one connection."""

    __slots__ = ("_clock", "_connection", "rings")

    def __init__(self, connection: Any, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self.rings: set[str] = set()

    def do(self, step: Step) -> Any:
        """The answer to one step."""
        kind = type(step)
        if kind is Query:
            return self._connection.execute(step.sentence, step.params).fetchall()  # type: ignore[union-attr]
        if kind is Many:
            return self._connection.executemany(step.sentence, step.rows).rowcount  # type: ignore[union-attr]
        if kind is Now:
            return self._clock.wall()
        if kind is Ring:
            self.rings.add(step.kind)  # type: ignore[union-attr]
            return None
        if kind is Steady:
            return self._clock.boot, self._clock.steady()
        raise TypeError(f"no such step: {step!r}")


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
        request.event = threading.Event()
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


class BoundSession:
    """Runs plans on the caller's own connection, inside the caller's transaction: nothing is begun, committed or rolled back."""

    def __init__(self, connection: Any, *, clock: Clock, bell: Bell, where: str) -> None:
        self._connection = connection
        self._clock = clock
        self._bell = bell
        self._where = where
        self._rings: set[str] = set()

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb as part of the caller's transaction. Raises StoreError."""
        with translated(self._where):
            edge = Edge(plain_cursor(self._connection), self._clock)
            answer = drive(verb(*args), edge.do)
        self._rings |= edge.rings
        return answer

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines; on SQLite a statement in an open transaction does not wait."""
        return self.run(verb, *args)

    def left(self) -> None:
        """The caller left `bind`: if the transaction is over, whoever waits for what was in it may be woken. If it goes on, the
        workers see the commit when they next look at the file, within a tenth of a second."""
        if not self._connection.in_transaction:
            self.committed()

    def committed(self) -> None:
        """The caller's transaction is committed: whoever waits for what is in it may be woken."""
        if self._rings:
            self._bell.ring(self._rings)
            self._rings = set()


def connect(path: Path | None, synchronous: str, *, reads_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode, set up for a store. Raises StoreUnavailable or NotAStore."""
    where = "in memory" if path is None else str(path)
    if path is not None and not path.parent.is_dir():
        raise StoreUnavailable(f"The store {where} cannot be opened: the folder {path.parent} does not exist; make it first.")
    with translated(where):
        connection = sqlite3.connect(
            ":memory:" if path is None else path, timeout=5.0, isolation_level=None, check_same_thread=False,
            cached_statements=256,
        )  # fmt: skip
        try:
            if path is not None:
                if not reads_only:
                    connection.execute("pragma journal_mode = wal")
                connection.execute(f"pragma synchronous = {synchronous}")
                connection.execute("pragma wal_autocheckpoint = 4000")
            if reads_only:
                connection.execute("pragma query_only = on")
        except BaseException:
            connection.close()
            raise
        return connection


def plain_cursor(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """A cursor whose rows are tuples, whatever the caller of `bind` has made of the rows of his connection."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor


def finish(request: Request, answer: Any = None, error: BaseException | None = None) -> None:
    """Put the answer where the one who asked finds it."""
    request.answer, request.error, request.done = answer, error, True
    if request.event is not None:
        request.event.set()


def answer_futures(batch: Iterable[Request]) -> None:
    """Tell the event loops that wait; one call for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Request]] = {}
    for request in batch:
        if request.done and request.future is not None:
            by_loop.setdefault(request.future.get_loop(), []).append(request)
    for loop, requests in by_loop.items():
        with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, requests)


def _resolve(requests: list[Request]) -> None:
    for request in requests:
        future = request.future
        if future is None or future.done():
            continue
        if request.error is not None:
            future.set_exception(request.error)
        else:
            future.set_result(request.answer)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else has the lock."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def busy(where: str) -> StoreBusy:
    """The error for it."""
    return StoreBusy(
        f"The store {where} was kept locked by another connection for {BUSY_AFTER:.0f} seconds; keep transactions on this file "
        "short, and do not enqueue outside `app.bind(connection)` while your own transaction on it is open."
    )


class translated:
    """Errors of sqlite3 become ours, with the place and what to do."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise as_ours(error, self._where) from error


def as_ours(error: sqlite3.Error, where: str) -> DrayError:
    """The error of ours that says what an error of sqlite3 means for the user."""
    from dray.errors import NotAStore, SchemaMismatch

    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return busy(where)
    if code == sqlite3.SQLITE_NOTADB:
        return NotAStore(f"{where} is not an SQLite database; name another file, or move this one away.")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreUnavailable(f"The store {where} is damaged ({error}); restore it from a backup, or use `.recover` of sqlite3.")
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(f"The disk of the store {where} is full; nothing was written. Free some space and try again.")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreUnavailable(f"The store {where} cannot be written ({error}); check the permissions of the file and its folder.")
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreUnavailable(f"The store {where} cannot be opened ({error}); check the path and the permissions of its folder.")
    if code == sqlite3.SQLITE_IOERR:
        return StoreUnavailable(f"The disk of the store {where} failed ({error}); nothing was written.")
    if "no such table: dray_" in str(error) or "no such column" in str(error):
        return SchemaMismatch(f"The database {where} has no Dray schema, or an old one ({error}); run `dray migrate` on it.")
    return StoreUnavailable(f"The store {where} refused a statement: {error}.")
