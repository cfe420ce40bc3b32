"""A Redis server that fails under workers and producers: all recover by themselves, and nothing is lost or done twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
import test_torture
from harness import Place, new_url
from weather import Four, Weather, child_stands, cuts, slow, supervisor_stands, swallow, unfinished

if TYPE_CHECKING:
    from servers.proxy import Proxy
    from servers.redis import Server

FULL = "is out of memory, and takes nothing new; raise its maxmemory"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that may be stopped and killed, and that has on its disk what it has acknowledged."""
    from servers import Unavailable
    from servers.redis import Server

    try:
        found = Server(settings={"appendfsync": "always"})
    except Unavailable as lack:
        pytest.skip(str(lack))
    yield found
    found.close()


@pytest.fixture
def weather(
    server: Server, tmp_path: Path, proxy_to: Callable[[int], Proxy], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Weather]:
    server.start()
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    with new_url("redis", tmp_path, lambda: server) as url:
        found = Weather(tmp_path, url, server, proxy_to(server.port))
        yield found
        server.start()
        found.close()


def restart(weather: Weather, away: float, *, kill: bool = False) -> None:
    """The server goes, and is back after a while."""
    weather.server.stop(kill)
    time.sleep(away)
    weather.server.start()


def loading(weather: Weather, seconds: float) -> None:
    """It comes back, and reads what it has on its disk for a while: it is there, and has nothing yet."""
    server: Server = weather.server
    server.stop()
    commands = sum(file.read_bytes().count(b"\r\n*") for file in server.folder.rglob("*.aof"))
    server.configure({"key-load-delay": int(seconds * 1_000_000 / max(1, commands))})
    server.start(within=30 + 5 * seconds)  # the kernel sleeps a little longer each time than it was asked to
    server.configure({"key-load-delay": 0})
    server.command("CONFIG", "SET", "key-load-delay", 0)
    assert "errorstat_LOADING" in server.command("INFO", "errorstats"), "nobody has met it"


def clients_killed(weather: Weather, seconds: float) -> None:
    """All connections are killed, again and again."""
    killed, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        killed += weather.server.kill_clients()
        time.sleep(0.05)
    assert killed > 5


def paused(weather: Weather, seconds: float) -> None:
    """CLIENT PAUSE: nobody is answered."""
    weather.server.command("CLIENT", "PAUSE", int(seconds * 1000), "ALL")
    time.sleep(seconds)


def stands(weather: Weather, seconds: float) -> None:
    """The server is stopped; its kernel goes on taking connections and bytes."""
    weather.server.pause()
    time.sleep(seconds)
    weather.server.resume()


def full(weather: Weather, seconds: float) -> None:
    """Its memory is used up: it answers questions, and writes nothing."""
    weather.server.command("CONFIG", "SET", "maxmemory", "1mb")
    time.sleep(seconds)
    weather.server.command("CONFIG", "SET", "maxmemory", "0")


def read_only(weather: Weather, seconds: float) -> None:
    """Like a primary that has been demoted: it follows one that does not answer, and takes no writes."""
    weather.server.command("REPLICAOF", "127.0.0.1", "1")
    time.sleep(seconds)
    weather.server.command("REPLICAOF", "NO", "ONE")


def busy(weather: Weather, seconds: float) -> None:
    """A script of somebody else's does not come to an end: after a while the server says so to everybody."""
    server: Server = weather.server
    server.command("CONFIG", "SET", "busy-reply-threshold", 50)
    killer = threading.Timer(seconds, lambda: server.command("SCRIPT", "KILL"))
    killer.start()
    with redis.Redis(server.host, server.port, socket_timeout=seconds + 30) as other:
        with pytest.raises(redis.ResponseError, match="killed"):
            other.eval("while true do end", 0)
    killer.join()
    server.command("CONFIG", "SET", "busy-reply-threshold", 5000)


def forgetful(weather: Weather, seconds: float) -> None:
    """Somebody makes it forget all scripts, again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        weather.server.command("SCRIPT", "FLUSH")
        time.sleep(0.002)


EVENTS: dict[str, tuple[Callable[[Weather], None], bool]] = {  # and whether producers must be spared from errors
    "restart": (lambda weather: restart(weather, 0.3), True),
    "crash": (lambda weather: restart(weather, 0.3, kill=True), True),
    "clients killed": (lambda weather: clients_killed(weather, 1.0), True),
    "cut": (lambda weather: cuts(weather, 1.0), True),
    "paused": (lambda weather: paused(weather, 1.0), True),
    "stands": (lambda weather: stands(weather, 1.0), True),
    "swallowed": (lambda weather: swallow(weather, 1.0), True),
    "read-only": (lambda weather: read_only(weather, 1.0), True),
    "busy": (lambda weather: busy(weather, 1.0), True),
    "forgetful": (lambda weather: forgetful(weather, 1.0), True),
    "loading": (lambda weather: loading(weather, 1.5), True),
    "child stands": (lambda weather: child_stands(weather, 1.0), True),
    "supervisor stands": (lambda weather: supervisor_stands(weather, 1.0), True),
    "full": (lambda weather: full(weather, 1.0), False),
}


def test_a_day_of_bad_weather(weather: Weather) -> None:
    weather.flow()
    for name, (event, spared) in EVENTS.items():
        began = time.monotonic()
        event(weather)
        ended = time.monotonic()
        took = weather.flow()
        print(f"{name} ({ended - began:.1f} s): all go on after {took:.2f} s")
        if spared:
            assert weather.errors == [], name
    assert weather.errors, "nobody was told that the memory is full"
    assert {FULL in error for error in weather.errors} == {True}, weather.errors
    print(weather.clear_up())


LONG: dict[str, tuple[Callable[[Weather], None], bool, float]] = {  # and how long it may take until all go on
    "restart": (lambda weather: restart(weather, 30), False, 12),
    "crash": (lambda weather: restart(weather, 30, kill=True), False, 12),
    "clients killed": (lambda weather: clients_killed(weather, 20), True, 5),
    "cut": (lambda weather: cuts(weather, 20), True, 5),
    "paused": (lambda weather: paused(weather, 5), True, 5),
    "stands": (lambda weather: stands(weather, 8), True, 5),
    "swallowed": (lambda weather: swallow(weather, 20), False, 12),
    "slow": (lambda weather: slow(weather, 20), True, 12),
    "read-only": (lambda weather: read_only(weather, 20), False, 12),
    "busy": (lambda weather: busy(weather, 8), True, 5),
    "forgetful": (lambda weather: forgetful(weather, 10), True, 5),
    "loading": (lambda weather: loading(weather, 20), False, 12),
    "full": (lambda weather: full(weather, 20), False, 12),
    "child stands": (lambda weather: child_stands(weather, 8), True, 5),
    "supervisor stands": (lambda weather: supervisor_stands(weather, 25), True, 5),
}


@pytest.mark.torture
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", LONG)
def test_bad_weather_for_longer(weather: Weather, name: str) -> None:
    event, spared, patience = LONG[name]
    weather.flow()
    runs = [weather.place.enqueue("long", 10**6 + n, 40) for n in range(3)]
    event(weather)
    took = weather.flow(within=patience)
    if spared:
        assert weather.errors == []
    figures = weather.clear_up(beside=runs, within=80)
    assert [run.refresh().info.losses for run in runs] == [0] * 3
    print(f"{name}: all go on after {took:.2f} s; {figures}")


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_twenty_thousand_jobs_under_kills_and_restarts(
    new_redis: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is asked to end: then it writes all that it has acknowledged, also with `appendfsync everysec`."""
    server = new_redis()

    def restarted(number: int) -> str:
        server.restart()
        return "SIGTERM"

    monkeypatch.setattr(Four, "restart", staticmethod(restarted))
    monkeypatch.setattr(test_torture, "Chaos", Four)
    with new_url("redis", tmp_path, lambda: server) as url:
        place = Place(tmp_path, url)
        try:
            test_torture.torture(
                place, 20_000, every=1.0, least=60, within=800, orphans=True, seed=int(time.time()), longest=150
            )
            assert unfinished(url) == 0
        finally:
            server.start()
            place.close()
