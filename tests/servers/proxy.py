"""A TCP proxy that can misbehave: one thread, modes that are switched while connections are open."""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from servers import ports

Mode = Literal["pass", "swallow", "refuse"]
CHUNK = 65_536
FULL = 4 * CHUNK  # bytes under way in one direction, from which on nothing more is read
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST


class Proxy:
    """Listens on a port of its own and forwards to `port` of `host`. It starts in mode pass; `close` ends it.

    A switch is in force when its method returns. In mode swallow the proxy's kernel still acknowledges what it receives:
    for a peer that is gone as TCP sees it (keepalive, TCP_USER_TIMEOUT) take `hosts`.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", listen: str = "127.0.0.1") -> None:
        self.target = (host, port)
        self.host = listen
        self.port = ports.free_port()
        self.mode: Mode = "pass"
        self.accepted = 0  # connections ever accepted
        self._delays = [0.0, 0.0]
        self._pairs: set[_Pair] = set()
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._waker, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._requests: deque[tuple[Callable[[], object], Future[None]]] = deque()
        self._closing = False
        self._listen()
        self._thread = threading.Thread(target=self._run, name=f"proxy to {port}", daemon=True)
        self._thread.start()

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._pairs)

    def url(self, url: str) -> str:
        """The URL of a server with this proxy's address in place of the server's."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{user}@{self.host}:{self.port}" if user else f"{self.host}:{self.port}").geturl()

    def passing(self) -> None:
        """Forward; what waited while it was swallowed comes now, as after a healed partition."""
        self._do(lambda: self._switch("pass"))

    def swallow(self) -> None:
        """Keep and accept connections, but forward nothing either way, not even their ends: half-open connections."""
        self._do(lambda: self._switch("swallow"))

    def refuse(self) -> None:
        """Refuse new connections (ECONNREFUSED); the open ones go on."""
        self._do(lambda: self._switch("refuse"))

    def cut(self, *, reset: bool = False) -> None:
        """Close all open connections on both sides, with RST if `reset`; the mode stays."""
        self._do(lambda: self._cut(reset))

    def delay(self, to_server_ms: float = 0, to_client_ms: float = 0) -> None:
        """Hold everything that arrives from now on for so many milliseconds, per direction."""
        self._do(lambda: self._set_delays(to_server_ms / 1000, to_client_ms / 1000))

    def close(self) -> None:
        """Close everything and wait for the thread; a second call does nothing."""
        if self._thread.is_alive():
            self._do(self._end)
            self._thread.join()
            ports.release_port(self.port)

    # What follows runs in the proxy's thread.

    def _do(self, action: Callable[[], object]) -> None:
        done: Future[None] = Future()
        self._requests.append((action, done))
        self._waker.send(b"!")
        done.result(10)

    def _run(self) -> None:
        while not self._closing:
            for key, events in self._selector.select(self._next_due()):
                if key.fileobj is self._bell:
                    self._answer()
                elif key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.data, _End):
                    key.data.pair.happened(key.data, events)
            now = time.monotonic()
            for pair in tuple(self._pairs):
                pair.advance(now)
        for pair in tuple(self._pairs):
            pair.close(reset=False)
        self._deafen()
        self._selector.close()
        self._waker.close()
        self._bell.close()

    def _next_due(self) -> float | None:
        if self.mode == "swallow":
            return None
        due = [end.held[0][0] for pair in self._pairs for end in pair.ends if end.held and not end.blocked]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _answer(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)
        while self._requests:
            action, done = self._requests.popleft()
            try:
                action()
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(None)

    def _switch(self, mode: Mode) -> None:
        self.mode = mode
        if mode == "refuse":
            self._deafen()
        elif self._listener is None:
            self._listen()
        now = time.monotonic()
        for pair in tuple(self._pairs):
            pair.advance(now)

    def _cut(self, reset: bool) -> None:
        for pair in tuple(self._pairs):
            pair.close(reset=reset)

    def _set_delays(self, to_server: float, to_client: float) -> None:
        self._delays = [to_server, to_client]

    def _end(self) -> None:
        self._closing = True

    def _listen(self) -> None:
        self._listener = socket.create_server((self.host, self.port), backlog=256)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _deafen(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        with suppress(OSError):
            client, _ = self._listener.accept()
            self.accepted += 1
            self._pairs.add(_Pair(self, client))


class _End:
    """One side of a connection: its socket, and what is under way to it."""

    def __init__(self, pair: _Pair, sock: socket.socket) -> None:
        self.pair = pair
        self.sock = sock
        self.held: deque[tuple[float, bytes]] = deque()  # when it is due, and what; b"" is the end of the stream
        self.blocked = False  # its kernel takes no more for now
        self.ended = False  # it has said that nothing more comes from it
        self.finished = False  # it has been told that nothing more comes to it
        sock.setblocking(False)
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Pair:
    """A client's connection and the one to the server for it."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.proxy = proxy
        self.called = self.connected = False
        self.client = _End(self, client)
        self.server = _End(self, socket.socket())
        self.ends = (self.client, self.server)
        self.advance(time.monotonic())

    def advance(self, now: float) -> None:
        """Do what can be done without waiting, and say what to wait for."""
        selector = self.proxy._selector
        silent = self.proxy.mode == "swallow"
        if not silent and not self.called:
            self.called = self.server.blocked = True
            if self.server.sock.connect_ex(self.proxy.target) not in (0, errno.EINPROGRESS):
                self.close(reset=True)
                return
        for end in self.ends:
            if not silent and not end.blocked and not self._deliver(end, now):
                self.close(reset=True)
                return
        for end, other in ((self.client, self.server), (self.server, self.client)):
            wanted = 0
            if not silent and end.blocked:
                wanted |= selectors.EVENT_WRITE
            if not silent and self.connected and not end.ended and sum(len(data) for _, data in other.held) < FULL:
                wanted |= selectors.EVENT_READ
            _watch(selector, end, wanted)
        if self.client.finished and self.server.finished:
            self.close(reset=False)

    def happened(self, end: _End, events: int) -> None:
        """The kernel has something for us, or room again."""
        if events & selectors.EVENT_WRITE:
            end.blocked = False
            if end is self.server and not self.connected:
                if end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self.close(reset=True)
                    return
                self.connected = True
        if events & selectors.EVENT_READ:
            other = self.client if end is self.server else self.server
            try:
                data = end.sock.recv(CHUNK)
            except BlockingIOError:
                return
            except OSError:
                self.close(reset=True)
                return
            end.ended = not data
            other.held.append((time.monotonic() + self.proxy._delays[0 if other is self.server else 1], data))

    def close(self, *, reset: bool) -> None:
        for end in self.ends:
            _watch(self.proxy._selector, end, 0)
            if reset:
                with suppress(OSError):
                    end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.sock.close()
        self.proxy._pairs.discard(self)

    def _deliver(self, end: _End, now: float) -> bool:
        """Send what is due; False if the connection is broken."""
        while end.held and end.held[0][0] <= now:
            due, data = end.held.popleft()
            try:
                if not data:
                    end.finished = True
                    end.sock.shutdown(socket.SHUT_WR)
                    continue
                sent = end.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return False
            if sent < len(data):
                end.held.appendleft((due, data[sent:]))
                end.blocked = True
                return True
        return True


def _watch(selector: selectors.BaseSelector, end: _End, events: int) -> None:
    known = selector.get_map().get(end.sock) if end.sock.fileno() >= 0 else None
    if known is None:
        if events:
            selector.register(end.sock, events, end)
    elif not events:
        selector.unregister(end.sock)
    elif known.events != events:
        selector.modify(end.sock, events, end)
