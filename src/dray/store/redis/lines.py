"""The few connections of a process to each server, and what is sent over them."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis import exceptions

from dray.errors import StoreUnavailable
from dray.store.redis.place import Place
from dray.store.redis.router import Address, Router, ask
from dray.store.redis.scripts import Script
from dray.store.redis.trouble import Gone, busy, raw, unwrapped

MOST = 2  # connections to a server for verbs; a third is for those who must not wait, or for the one who listens
HURRY = 0.5  # seconds that what must not wait does wait for one of the usual connections
LEAST = 1.0  # seconds that an answer gets at least

Command = tuple[Any, ...]


class Line:
    """One connection. Used by one thread at a time."""

    def __init__(self, connection: Any, address: Address) -> None:
        self.connection = connection
        self.address = address
        self._poll = select.poll()
        self._poll.register(connection._sock.fileno(), select.POLLIN)

    def dead(self) -> bool:
        """Whether an idle connection has come to its end: then there is something to read, though nothing has been asked."""
        return bool(self._poll.poll(0))

    def send(self, commands: Sequence[Command]) -> None:
        """Send some commands in one go. Raises Gone."""
        try:
            self.connection.send_packed_command([b"".join([pack_command(command) for command in commands])], check_health=False)
        except (exceptions.RedisError, OSError) as error:
            raise Gone(error, sent=True) from error

    def receive(self, timeout: float) -> Any:
        """The next answer; an error of the server is an answer too. Raises Gone."""
        try:
            return self.connection.read_response(disable_decoding=True, timeout=timeout)
        except exceptions.TimeoutError as error:
            raise Gone(error, sent=True, late=True) from error
        except exceptions.ConnectionError as error:
            if isinstance(error, exceptions.BusyLoadingError | exceptions.AuthenticationError):
                return exceptions.ResponseError(raw(error))  # an answer, which the driver takes for a loss of the connection
            raise Gone(error, sent=True) from error
        except OSError as error:
            raise Gone(error, sent=True) from error
        except exceptions.ResponseError as error:
            return unwrapped(error)

    def ask(self, command: Command, timeout: float) -> Any:
        """The answer to one command. Raises Gone."""
        self.send([command])
        return self.receive(timeout)

    def load(self, script: Script, timeout: float) -> None:
        """Teach the server a script. Raises Gone, RedisError."""
        self.send([("SCRIPT", "LOAD", script.text)])
        answer = self.receive(timeout)
        if isinstance(answer, Exception):
            raise answer

    def close(self) -> None:
        """Close it."""
        self.connection.disconnect()


class Lines:
    """At most two connections to each server, made when they are needed."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.router = Router(place)
        self._start()

    def _start(self) -> None:
        self._idle: dict[Address, list[Line]] = {}
        self._made: dict[Address, int] = {}
        self._free = threading.Condition()
        self._closed = False
        self._pid = os.getpid()

    def at_hand(self, shard: int) -> Line | None:
        """A connection to the server of a shard that is there and free."""
        address = self.router.known(shard)
        if address is None:
            return None
        with self._free:
            idle = self._idle.get(address)
            line = idle.pop() if idle and not self._closed else None
        if line is not None and line.dead():
            self.discard(line)
            return None
        return line

    def address(self, shard: int) -> Address:
        """The server of a shard. Raises Gone if nobody can say, StoreUnavailable if the store has been closed."""
        if self._pid != os.getpid():
            self._left = self._idle  # what there is belongs to the parent, and must be neither used nor closed here
            self._start()
        self.check_open()
        try:
            return self.router.address(shard)
        except (exceptions.RedisError, OSError) as error:
            raise Gone(error, sent=False) from error

    def take(self, address: Address, until: float, *, urgent: bool = False) -> Line:
        """A connection to a server, for something that is given up at `until` (monotonic). `urgent`: rather than wait, one more
        than usual. Raises Gone if none can be made, StoreBusy."""
        began = time.monotonic()
        with self._free:
            idle = self._idle.setdefault(address, [])
            while True:
                self.check_open()
                while idle:
                    line = idle.pop()
                    if not line.dead():
                        return line
                    self._drop(line)
                made = self._made.get(address, 0)
                if made < MOST or (urgent and made == MOST and time.monotonic() - began >= HURRY):
                    self._made[address] = made + 1
                    break
                left = until - time.monotonic()
                if left <= 0:
                    raise busy(self.place.where, until - began)
                self._free.wait(min(left, HURRY) if urgent else left)
        try:
            return Line(self.router.connect(address, max(LEAST, until - time.monotonic())), address)
        except BaseException as error:
            with self._free:
                self._made[address] -= 1
                self._free.notify()
            if isinstance(error, (exceptions.RedisError, OSError)):
                raise Gone(error, sent=False) from error
            raise

    def give(self, line: Line) -> None:
        """Done with it."""
        with self._free:
            if self._closed or self._made.get(line.address, 0) > MOST:
                self._drop(line)
            else:
                self._idle.setdefault(line.address, []).append(line)
            self._free.notify()

    def discard(self, line: Line) -> None:
        """It is of no use any more."""
        with self._free:
            self._drop(line)
            self._free.notify()

    def _drop(self, line: Line) -> None:
        line.close()
        self._made[line.address] = max(0, self._made.get(line.address, 0) - 1)

    def check_open(self) -> None:
        """Raises StoreUnavailable if the store has been closed."""
        if self._closed:
            raise StoreUnavailable(f"The store {self.place.where} has been closed; open a new Dray() to use it again.")

    def ask(self, *command: Any, shard: int = 0, timeout: float = 5.0) -> Any:
        """The answer to one plain command, on a connection of its own. Raises RedisError, OSError."""
        connection = self.router.connect(self.router.address(shard), min(timeout, self.place.timeout))
        try:
            return ask(connection, *command)
        finally:
            connection.disconnect()

    def close(self) -> None:
        """Close all that are not in use; the others are closed when they are given back."""
        with self._free:
            self._closed = True
            for idle in self._idle.values():
                while idle:
                    self._drop(idle.pop())
            self._free.notify_all()
