"""A PostgreSQL server that fails under workers and producers: all recover by themselves, and nothing is lost or done twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import test_torture
from harness import Place, eventually, kill, new_url
from weather import CODE, Four, Weather, child_stands, cuts, slow, supervisor_stands, swallow

if TYPE_CHECKING:
    from dray.store.postgres.edge import Edge
    from dray.store.postgres.lines import Line
    from servers.pgbouncer import PgBouncer
    from servers.postgres import Cluster
    from servers.proxy import Proxy

ROOM = 40  # connections that the server has
TERMINATE = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dray'"


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """One that may be stopped and killed. (Without fsync: it does not crash with the machine.)"""
    from servers import Unavailable
    from servers.binaries import default_version
    from servers.postgres import Cluster

    try:
        cluster = Cluster(default_version(), durable=False, settings={"max_connections": ROOM})
    except Unavailable as lack:
        pytest.skip(str(lack))
    yield cluster
    cluster.close()


@pytest.fixture
def weather(
    server: Cluster, tmp_path: Path, proxy_to: Callable[[int], Proxy], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Weather]:
    server.start()
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    with new_url("postgres", tmp_path, lambda: server) as url:
        found = Weather(tmp_path, url, server, proxy_to(server.port))
        yield found
        server.start()
        found.close()


def restart(weather: Weather, mode: str, away: float) -> None:
    """The server goes, and is back after a while."""
    weather.server.kill() if mode == "kill" else weather.server.stop(mode)  # type: ignore[arg-type]
    time.sleep(away)
    weather.server.start()


def terminate(weather: Weather, seconds: float) -> None:
    """All sessions are terminated, again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        weather.terminate()
        time.sleep(0.05)


def hasty(weather: Weather, seconds: float) -> None:
    """Somebody has given the database short time-outs, and all connect anew."""
    name = weather.ask("select current_database()")[0][0]
    for setting in ("statement_timeout = '50ms'", "lock_timeout = '20ms'"):
        weather.ask(f'alter database "{name}" set {setting}')
    weather.terminate()
    time.sleep(seconds)
    for setting in ("statement_timeout", "lock_timeout"):
        weather.ask(f'alter database "{name}" reset {setting}')


def read_only(weather: Weather, seconds: float) -> None:
    """Like a primary that has been demoted."""
    execute = weather.server.execute
    execute("set default_transaction_read_only = off")
    execute("alter system set default_transaction_read_only = on")
    execute("select pg_reload_conf()")
    time.sleep(seconds)
    execute("alter system reset default_transaction_read_only")
    execute("select pg_reload_conf()")


def crowded(weather: Weather, seconds: float) -> None:
    """Others have taken all connections."""
    refused, end = 0, time.monotonic() + seconds
    with ExitStack() as others:
        cut_off = False
        while time.monotonic() < end:
            try:
                others.enter_context(psycopg.connect(weather.url, autocommit=True))
            except psycopg.OperationalError:
                refused += 1
                if not cut_off:
                    weather.server.execute(TERMINATE)
                    cut_off = True
                time.sleep(0.001)
    assert refused > 5


def lock(weather: Weather, seconds: float) -> None:
    """Somebody alters the table of jobs, and does not come to an end."""
    with psycopg.connect(weather.url) as other:
        other.execute("set idle_in_transaction_session_timeout = 0; lock table dray.dray_job in access exclusive mode")
        time.sleep(seconds)
        other.rollback()


EVENTS: dict[str, tuple[Callable[[Weather], None], bool]] = {  # and whether producers must be spared from errors
    "fast restart": (lambda weather: restart(weather, "fast", 0.3), True),
    "crash": (lambda weather: restart(weather, "kill", 0.3), True),
    "terminated": (lambda weather: terminate(weather, 1.0), True),
    "cut": (lambda weather: cuts(weather, 1.0), True),
    "swallowed": (lambda weather: swallow(weather, 1.0), True),
    "short time-outs": (lambda weather: hasty(weather, 0.5), True),
    "read-only": (lambda weather: read_only(weather, 1.0), True),
    "crowded": (lambda weather: crowded(weather, 1.0), True),
    "locked": (lambda weather: lock(weather, 1.5), True),
    "child stands": (lambda weather: child_stands(weather, 1.0), True),
    "supervisor stands": (lambda weather: supervisor_stands(weather, 1.0), True),
    "immediate restart": (lambda weather: restart(weather, "immediate", 0.3), True),
}


class Answers:
    """Loses the answers to some commits: they have been carried out, and whoever sent them does not know."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, every: int) -> None:
        from dray.store.postgres.session import PostgresSession

        self.lost: list[str] = []
        self._verbs: dict[str, int] = {}
        real = PostgresSession._finish

        def finish(session: PostgresSession, line: Line, edge: Edge, answer: object) -> object:
            begun = edge.begun
            found = real(session, line, edge, answer)
            name = self.verb
            if begun and name in ("exchange", "settle", "add", "release"):
                self._verbs[name] = self._verbs.get(name, 0) + 1
                if self._verbs[name] % every == 0:
                    self.lost.append(name)
                    line.hang_up()
                    line.connection.execute("select 1")
            return found

        real_run = PostgresSession._run

        def run(session: PostgresSession, began: float, verb: Any, *args: object) -> object:
            self._local.name = getattr(getattr(verb, "func", verb), "__name__", "")
            return real_run(session, began, verb, *args)

        self._local = threading.local()
        monkeypatch.setattr(PostgresSession, "_finish", finish)
        monkeypatch.setattr(PostgresSession, "_run", run)

    @property
    def verb(self) -> str:
        return str(getattr(self._local, "name", ""))


def test_outcomes_whose_writing_was_not_acknowledged_are_neither_lost_nor_reported_as_stale(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    with new_url("postgres", tmp_path, lambda: postgres) as url:
        place = Place(tmp_path, url)
        place.code(CODE)
        answers = Answers(monkeypatch, 3)
        with place.app.worker(concurrency=4):
            jobs = [place.enqueue(task, n) for n in range(12) for task in ("coroutine", "unlucky", "thread")]
            jobs += place.calls("coroutine", [(n,) for n in range(300, 550)])
            assert place.wait_final(jobs) == ["succeeded"] * len(jobs)
            eventually(lambda: place.query("select count(*) from dray_job") == [(0,)])
        assert {"exchange", "add"} <= set(answers.lost)
        assert "came too late" not in caplog.text
        assert place.query("select count(*) from dray_done") == [(len(jobs),)]
        assert {job.info.losses for job in jobs} == {0}
        assert place.query("select max(n) from (select count(*) n from dray_history group by seq, claim) c") == [(1,)]
        assert place.app.insight.counts() == place.app.insight.recount()
        place.close()
    starts = [mark[3] for mark in Place.marks(place) if mark[0] == "start"]
    assert len(starts) == 12 * 3 + 24 + 250


def test_a_day_of_bad_weather(weather: Weather) -> None:
    weather.flow()
    for name, (event, spared) in EVENTS.items():
        event(weather)
        took = weather.flow()
        print(f"{name}: all go on after {took:.2f} s")
        if spared:
            assert weather.errors == [], name
    print(weather.clear_up())


LONG: dict[str, tuple[Callable[[Weather], None], bool, float]] = {  # and how long it may take until all go on
    "restart": (lambda weather: restart(weather, "fast", 30), False, 12),
    "crash": (lambda weather: restart(weather, "kill", 30), False, 12),
    "terminated": (lambda weather: terminate(weather, 20), True, 5),
    "cut": (lambda weather: cuts(weather, 20), True, 5),
    "swallowed": (lambda weather: swallow(weather, 20), False, 12),
    "slow": (lambda weather: slow(weather, 20), True, 12),
    "short time-outs": (lambda weather: hasty(weather, 10), True, 5),
    "read-only": (lambda weather: read_only(weather, 20), False, 12),
    "crowded": (lambda weather: crowded(weather, 20), False, 12),
    "locked": (lambda weather: lock(weather, 10), False, 12),
    "child stands": (lambda weather: child_stands(weather, 8), True, 5),
    "supervisor stands": (lambda weather: supervisor_stands(weather, 25), True, 5),
}


@pytest.mark.torture
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


def test_a_worker_process_behind_a_pooler_is_killed(
    postgres: Cluster, pgbouncer_for: Callable[[Cluster], PgBouncer], tmp_path: Path
) -> None:
    bouncer = pgbouncer_for(postgres)
    with new_url("postgres", tmp_path, lambda: postgres) as url:
        place = Place(tmp_path, bouncer.url(url.rpartition("/")[2]))
        try:
            place.code(CODE)
            worker = place.start("--concurrency", "4")
            long = place.enqueue("long", -1, 60)
            jobs = place.calls("coroutine", [(n,) for n in range(400)])
            place.wait_mark("end", 20)
            kill(worker.child())
            assert place.wait_final(jobs) == ["succeeded"] * 400
            eventually(lambda: long.refresh().info.state == "running" and long.info.losses == 1, what="it runs again")
            long.cancel("enough")
            assert place.wait_final([long]) == ["cancelled"]
            worker.wait_ready(2)
            assert worker.log.count("is behind a pooler") == 3, "found by itself, by each process"
            assert place.app.insight.counts() == place.app.insight.recount()
            assert worker.stop() == 0
            eventually(lambda: place.nodes() == [])
        finally:
            place.close()


def restarted(server: Cluster, number: int) -> str:
    """The server is restarted, each time in another way; the way."""
    mode = ("fast", "immediate", "kill")[number % 3]
    server.kill() if mode == "kill" else server.stop(mode)  # type: ignore[arg-type]
    server.start()
    return mode


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_twenty_thousand_jobs_under_kills_and_restarts(
    new_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: Cluster = new_cluster()
    monkeypatch.setattr(Four, "restart", staticmethod(lambda number: restarted(server, number)))
    monkeypatch.setattr(test_torture, "Chaos", Four)
    with new_url("postgres", tmp_path, lambda: server) as url:
        place = Place(tmp_path, url)
        try:
            test_torture.torture(
                place, 20_000, every=1.0, least=60, within=800, orphans=True, seed=int(time.time()), longest=150
            )
        finally:
            server.start()
            place.close()
