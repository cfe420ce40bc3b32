"""A small HTTP server for those who look after a process: is it alive, has it started, is it ready, its metrics.

A thread of its own answers while everything else is busy. Each connection is one request, whose head must be there within 5
seconds and 8 KiB; whoever is slower, or more than 64 at once, is hung up on.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from dray.errors import ConfigurationError, DrayError
from dray.observe.log import get_logger

log = get_logger("health")

HEAD_WITHIN = 5.0  # seconds
HEAD_SIZE = 8_192  # bytes
AT_ONCE = 64  # connections
JSON, TEXT = "application/json; charset=utf-8", "text/plain; charset=utf-8"
PATHS = ("/livez", "/readyz", "/startupz", "/metrics")


class Check(Struct, frozen=True):
    """One thing that was looked at, and what was found, for people."""

    name: str
    ok: bool
    said: str


class Probe(Protocol):
    """What the server asks. Called by its threads. `metrics`: the body and its type; `whole`: whether what is about the whole
    store is wanted (None: whoever should tell it by itself does); raises ConfigurationError if there are none to be had."""

    def live(self) -> Sequence[Check]: ...
    def ready(self) -> Sequence[Check]: ...
    def started(self) -> Sequence[Check]: ...
    def metrics(self, whole: bool | None, accept: str) -> tuple[bytes, str]: ...


class Answer(Struct, frozen=True):
    """What is sent back."""

    status: HTTPStatus
    body: bytes
    kind: str = TEXT
    allow: str | None = None


class HealthServer:
    """Answers at `host` and `port` (0: any that is free; see `url`). Raises ConfigurationError if that cannot be had."""

    def __init__(self, host: str, port: int, probe: Probe) -> None:
        self._probe = probe
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._going = True
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((host, port), family=family, backlog=128)
        except (OSError, UnicodeError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(
                f"Nobody can be answered at {host}, port {port}: {reason}; choose another --health-port or --health-host."
            ) from None
        self.host, self.port = self._socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name="dray-health", daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """No more answers."""
        self._going = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # what waits in accept() comes back
        self._socket.close()

    def _accept(self) -> None:
        while self._going:
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                if self._going:  # no more files, most likely
                    log.warning("a question about the health could not be taken: %s", error)
                    time.sleep(0.5)
                continue
            if not self._free.acquire(blocking=False):
                connection.close()
                continue
            try:
                threading.Thread(target=self._serve, args=(connection,), name="dray-health-answer", daemon=True).start()
            except RuntimeError:  # the system has no more threads for us
                self._free.release()
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                head = read_head(connection)
                if head is None:
                    return
                method, answer = self._answered(head)
                connection.settimeout(HEAD_WITHIN)
                connection.sendall(reply(answer, body=method != "HEAD"))
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(HEAD_SIZE)  # a reset would take the answer with it if the other end is still writing
        except OSError:
            pass  # it has gone
        except Exception:
            log.exception("a question about the health could not be answered")
        finally:
            self._free.release()

    def _answered(self, head: bytes) -> tuple[str, Answer]:
        if len(head) > HEAD_SIZE:
            return "", told(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"Send a head of at most {HEAD_SIZE} bytes.")
        try:
            method, target, headers = parse(head)
            parts = urlsplit(target)
            query = parse_qs(parts.query)
        except ValueError:
            return "", told(HTTPStatus.BAD_REQUEST, "This is no request of HTTP/1.")
        if parts.path not in (*PATHS, "/"):
            return method, told(HTTPStatus.NOT_FOUND, f"There is nothing here; there are {', '.join(PATHS)}.")
        if method not in ("GET", "HEAD"):
            return method, Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"Use GET or HEAD.\n", allow="GET, HEAD")
        try:
            return method, self._page(parts.path, query, headers)
        except ConfigurationError as error:
            return method, told(HTTPStatus.NOT_IMPLEMENTED, str(error))
        except DrayError as error:
            return method, told(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception:
            log.exception("%s could not be answered", parts.path)
            return method, told(HTTPStatus.INTERNAL_SERVER_ERROR, "That went wrong here; the log tells how.")

    def _page(self, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str]) -> Answer:
        match path:
            case "/livez":
                return checked(self._probe.live())
            case "/readyz":
                return checked(self._probe.ready())
            case "/startupz":
                return checked(self._probe.started())
            case "/metrics":
                wish = query.get("global", [""])[-1]
                whole = None if wish == "" else wish not in ("0", "false", "no")
                body, kind = self._probe.metrics(whole, headers.get("accept", ""))
                return Answer(HTTPStatus.OK, body, kind)
            case _:
                return told(HTTPStatus.OK, "\n".join(PATHS))


def read_head(connection: socket.socket) -> bytes | None:
    """The head of a request: up to its empty line, or more than is allowed. None if it does not come in time."""
    deadline = time.monotonic() + HEAD_WITHIN
    data = b""
    while b"\r\n\r\n" not in data and b"\n\n" not in data and len(data) <= HEAD_SIZE:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        connection.settimeout(left)
        try:
            more = connection.recv(4096)
        except OSError:
            return None
        if not more:
            return data or None  # cut short: what is there will be judged
        data += more
    return data


def parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers (names in lower case). Raises ValueError if it is no HTTP/1 request."""
    first, *rest = head.decode("latin-1").replace("\r\n", "\n").partition("\n\n")[0].split("\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1.") or not target.startswith("/") or not method.isalpha():
        raise ValueError(first)
    headers = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return method, target, headers


def checked(checks: Sequence[Check]) -> Answer:
    """200 if all is well, else 503; what was found, as JSON."""
    well = all(check.ok for check in checks)
    found = {check.name: {"ok": check.ok, "said": check.said} for check in checks}
    body = json.dumps({"status": "ok" if well else "failing", "checks": found}, indent=2, ensure_ascii=False)
    return Answer(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, body.encode() + b"\n", JSON)


def told(status: HTTPStatus, text: str) -> Answer:
    """A sentence."""
    return Answer(status, f"{text}\n".encode())


def reply(answer: Answer, *, body: bool) -> bytes:
    """As it goes over the wire."""
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}", f"Content-Type: {answer.kind}",
        f"Content-Length: {len(answer.body)}", "Cache-Control: no-store", "Connection: close",
    ]  # fmt: skip
    if answer.allow is not None:
        lines.append(f"Allow: {answer.allow}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (answer.body if body else b"")
