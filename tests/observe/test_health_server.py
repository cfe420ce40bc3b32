"""The small HTTP server answers whoever asks properly, whatever others do."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from harness import eventually
from watching import get

from dray.errors import ConfigurationError
from dray.observe import health
from dray.observe.health import AT_ONCE, Check, HealthServer


class Fake:
    """Well, or not."""

    def __init__(self) -> None:
        self.well = True
        self.asked: list[tuple[bool | None, str]] = []
        self.wait = threading.Event()
        self.wait.set()

    def live(self) -> Sequence[Check]:
        return [Check("live", True, "it lives")]

    def ready(self) -> Sequence[Check]:
        self.wait.wait(20)
        return [Check("live", True, "it lives"), Check("ready", self.well, "größer als 5")]

    def started(self) -> Sequence[Check]:
        raise RuntimeError("a defect")

    def metrics(self, whole: bool | None, accept: str) -> tuple[bytes, str]:
        if accept == "nothing":
            raise ConfigurationError("pip install 'dray[prometheus]'.")
        self.asked.append((whole, accept))
        return b"dray_build_info 1\n", "text/plain"


@pytest.fixture
def probe() -> Fake:
    return Fake()


@pytest.fixture
def server(probe: Fake) -> Iterator[HealthServer]:
    made = HealthServer("127.0.0.1", 0, probe)
    made.start()
    yield made
    probe.wait.set()
    made.stop()


def raw(server: HealthServer, data: bytes) -> bytes:
    """What is answered to these bytes."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(1 << 16):
                found += more
        return found


def test_it_tells_what_was_found(server: HealthServer, probe: Fake) -> None:
    status, body, headers = get(server.port, "/readyz")
    assert status == 200
    assert '"status": "ok"' in body
    assert "größer" in body
    assert headers["content-type"] == "application/json; charset=utf-8"
    probe.well = False
    status, body, _ = get(server.port, "/readyz?verbose")
    assert (status, '"status": "failing"' in body) == (503, True)
    assert get(server.port, "/livez")[0] == 200


def test_metrics_are_asked_for_as_wished(server: HealthServer, probe: Fake) -> None:
    for query in ("", "?global=1", "?global=0", "?global=true&x=%zz"):
        assert get(server.port, f"/metrics{query}", Accept="a")[:2] == (200, "dray_build_info 1\n")
    assert probe.asked == [(None, "a"), (True, "a"), (False, "a"), (True, "a")]
    assert get(server.port, "/metrics", Accept="nothing")[:2] == (501, "pip install 'dray[prometheus]'.\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"POST /readyz HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"DELETE /readyz HTTP/1.1\r\n\r\n", 405),
        (b"GET /readyz HTTP/1.0\n\n", 200),
        (b"HEAD /readyz HTTP/1.1\r\n\r\n", 200),
        (b"GET /startupz HTTP/1.1\r\n\r\n", 500),
        (b"GET http://[::1/readyz HTTP/1.1\r\n\r\n", 400),
        (b"GET //[ HTTP/1.1\r\n\r\n", 400),
        (b"GET /readyz HTTP/2.0\r\n\r\n", 400),
        (b"GET /readyz\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /rea", 400),
        (b"GET /readyz HTTP/1.1\r\nno colon\r\n: empty\r\n\xff: \xfe\r\n\r\n", 200),
        (b"GET /readyz HTTP/1.1\r\nX: " + b"x" * 9000, 431),
        (b"GET /" + b"../" * 200 + b"etc/passwd HTTP/1.1\r\n\r\n", 404),
    ],
)
def test_whatever_is_sent_gets_an_answer(server: HealthServer, request_: bytes, status: int) -> None:
    answer = raw(server, request_)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (b"Allow: GET, HEAD" in head) == (status == 405)
    assert (body == b"") == request_.startswith(b"HEAD")
    assert b"defect" not in body


def test_who_says_nothing_is_hung_up_on(server: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "HEAD_WITHIN", 0.3)
    with socket.create_connection((server.host, server.port), timeout=10) as silent:
        began = time.monotonic()
        assert silent.recv(10) == b""
        assert 0.2 < time.monotonic() - began < 5
    with socket.create_connection((server.host, server.port), timeout=10) as slow:
        # A byte now and then does not help: the whole head has to be there in time.
        with contextlib.suppress(OSError):
            for byte in b"GET /readyz HTTP/1.1\r\n" * 5:
                slow.sendall(bytes([byte]))
                time.sleep(0.02)
        with contextlib.suppress(OSError):
            assert slow.recv(10) == b""


def test_it_answers_while_others_wait(server: HealthServer, probe: Fake) -> None:
    probe.wait.clear()
    waiting = [threading.Thread(target=get, args=(server.port, "/readyz"), daemon=True) for _ in range(5)]
    for thread in waiting:
        thread.start()
    silent = [socket.create_connection((server.host, server.port)) for _ in range(20)]
    assert get(server.port, "/livez")[0] == 200
    probe.wait.set()
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()
    for connection in silent:
        connection.close()


def test_too_many_at_once_are_hung_up_on_and_forgotten(server: HealthServer) -> None:
    silent = [socket.create_connection((server.host, server.port), timeout=10) for _ in range(AT_ONCE + 5)]
    # Those over the number are closed at once; the first ones still wait for what we say.
    assert [connection.recv(1) for connection in silent[AT_ONCE:]] == [b""] * 5
    for connection in silent:
        connection.close()

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return get(server.port, "/livez")[0] == 200
        return False

    eventually(answers, what="room again")


def test_who_leaves_before_the_answer_does_no_harm(server: HealthServer, probe: Fake) -> None:
    probe.wait.clear()
    for _ in range(5):
        with socket.create_connection((server.host, server.port)) as gone:
            gone.sendall(b"GET /readyz HTTP/1.1\r\n\r\n")
    probe.wait.set()
    assert get(server.port, "/livez")[0] == 200


def test_where_it_may_be(probe: Fake) -> None:
    with pytest.raises(ConfigurationError, match=r"Nobody can be answered at no\.such\.host\.invalid, port 1"):
        HealthServer("no.such.host.invalid", 1, probe)
    with contextlib.suppress(ConfigurationError):  # a machine without IPv6
        server = HealthServer("::1", 0, probe)
        server.start()
        assert server.url.startswith("http://[::1]:")
        server.stop()


def test_it_stops(probe: Fake) -> None:
    server = HealthServer("127.0.0.1", 0, probe)
    server.start()
    server.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((server.host, server.port))
    server._thread.join(5)
    assert not server._thread.is_alive()
