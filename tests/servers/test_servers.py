"""The servers, networks and faults that other tests rely on do what they say."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from servers import Unavailable, account, session
from servers.binaries import WANTED, binaries_of
from servers.hosts import Network
from servers.pgbouncer import PgBouncer
from servers.postgres import Cluster
from servers.proxy import Proxy

TESTS = Path(__file__).parent.parent


def prepare(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")


def rows(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT n FROM t ORDER BY n").fetchall()


def wait_for(ready: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def cluster(postgres: Cluster) -> Cluster:
    postgres.template("numbers", prepare)
    return postgres


# PostgreSQL


@pytest.mark.parametrize("version", WANTED)
def test_every_version_clones_a_template(cluster_of, database, version: int) -> None:
    cluster: Cluster = cluster_of(version)
    cluster.template("numbers", prepare)
    cluster.template("numbers", lambda url: pytest.fail("a template is prepared once"))
    first, second = database(cluster, "numbers"), database(cluster, "numbers")
    with psycopg.connect(first) as connection:
        assert connection.info.server_version // 10_000 == version
        connection.execute("INSERT INTO t VALUES (2)")
    assert (rows(first), rows(second)) == ([(1,), (2,)], [(1,)])
    assert cluster.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')") == [("off", "on")]


def test_a_database_is_dropped_though_in_use(cluster: Cluster) -> None:
    with cluster.fresh() as url:
        connection = psycopg.connect(url)
        name = connection.info.dbname
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT n FROM t")
    with pytest.raises(psycopg.OperationalError):
        connection.rollback()
    assert cluster.execute("SELECT 1 FROM pg_database WHERE datname = %s", name) == []


def test_a_template_that_fails_is_not_kept(cluster: Cluster) -> None:
    before = cluster.execute("SELECT datname FROM pg_database ORDER BY 1")
    with pytest.raises(ZeroDivisionError):
        cluster.template("broken", lambda url: 1 / 0)
    assert cluster.execute("SELECT datname FROM pg_database ORDER BY 1") == before
    with pytest.raises(KeyError), cluster.fresh("broken"):
        pass


def test_what_is_committed_survives_every_end(new_cluster) -> None:
    cluster: Cluster = new_cluster(settings={"max_connections": 20})
    assert cluster.execute("SELECT current_setting('fsync'), current_setting('max_connections')") == [("on", "20")]
    url = cluster.url(cluster.create_database())
    prepare(url)
    pids = {cluster.pid}
    for end in (lambda: cluster.stop("fast"), lambda: cluster.stop("immediate"), cluster.kill):
        held = psycopg.connect(url)
        end()
        assert not cluster.running
        with pytest.raises(psycopg.OperationalError):
            held.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=5)
        cluster.start()
        assert rows(url) == [(1,)]
        pids.add(cluster.pid)
    assert len(pids) == 4


def test_a_missing_version_is_named() -> None:
    with pytest.raises(Unavailable, match="PostgreSQL 9 is not on this machine"):
        binaries_of(9)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user starts servers as itself")
def test_programs_behind_a_closed_folder_are_copied(tmp_path: Path) -> None:
    (tmp_path / "tools" / "bin").mkdir(parents=True)
    program = tmp_path / "tools" / "bin" / "hello"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o700)
    assert not account.usable(program)
    copied = account.within_reach(tmp_path / "tools", "bin/hello") / "bin" / "hello"
    assert account.usable(copied)
    assert subprocess.run([copied], capture_output=True, text=True, cwd="/", **account.who()).stdout == "hello\n"


# What is left behind


RUN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from servers import session
from servers.postgres import Cluster
cluster = Cluster(int(sys.argv[2]), durable=False)
print(cluster.pid, session.folder(), cluster.folder, session._janitors.popitem()[1].pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("janitor", [True, False], ids=["by the janitor", "by the next run"])
def test_a_killed_run_leaves_nothing(cluster: Cluster, janitor: bool) -> None:
    command = [sys.executable, "-c", RUN, str(TESTS), str(cluster.version)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    with run, run.stdout:
        server, folder, files, cleaner = run.stdout.readline().split()
        assert session.birth(int(server))
        assert Path(folder).exists()
        assert Path(files).exists()
        assert Path(folder) != session.folder()
        if not janitor:
            os.kill(int(cleaner), signal.SIGKILL)
        run.kill()
        run.wait()
    if not janitor:
        session.sweep()
    wait_for(lambda: not (session.birth(int(server)) or Path(files).exists() or Path(folder).exists()))
    assert cluster.execute("SELECT 1") == [(1,)]


# PgBouncer


def test_pgbouncer_shares_connections_between_transactions(pgbouncer_for, cluster: Cluster) -> None:
    bouncer: PgBouncer = pgbouncer_for(cluster)
    with cluster.fresh("numbers") as direct:
        url = bouncer.url(direct.rpartition("/")[2])
        assert rows(url) == [(1,)]
        clients = [psycopg.connect(url, autocommit=True) for _ in range(20)]
        pids = {client.execute("SELECT pg_backend_pid()").fetchall()[0] for client in clients}
        assert len(pids) <= 5
        pool = next(row for row in bouncer.show("POOLS") if url.endswith("/" + row["database"]))
        assert (pool["pool_mode"], pool["cl_active"]) == ("transaction", 20)
        bouncer.stop()
        with pytest.raises(psycopg.OperationalError):
            clients[0].execute("SELECT 1")
        bouncer.start()
        assert rows(url) == [(1,)]
        for client in clients:
            client.close()


# The proxy


class Echo:
    """A connection through a proxy to a socket of our own."""

    def __init__(self, proxy: Proxy, server: socket.socket) -> None:
        self.client = socket.create_connection((proxy.host, proxy.port), timeout=10)
        self.server, _ = server.accept()
        self.server.settimeout(10)

    def ask(self, text: bytes) -> float:
        """The seconds that a round trip takes."""
        began = time.monotonic()
        self.client.sendall(text)
        assert self.server.recv(100) == text
        self.server.sendall(text)
        assert self.client.recv(100) == text
        return time.monotonic() - began

    def close(self) -> None:
        self.client.close()
        self.server.close()


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def test_the_proxy_passes_delays_and_swallows(proxy_to, listener: socket.socket) -> None:
    proxy: Proxy = proxy_to(listener.getsockname()[1])
    echo = Echo(proxy, listener)
    assert echo.ask(b"plain") < 0.1
    proxy.delay(to_server_ms=60, to_client_ms=40)
    assert 0.1 <= echo.ask(b"slow") < 1
    proxy.delay()

    proxy.swallow()
    echo.client.sendall(b"lost?")
    echo.server.settimeout(0.1)
    with pytest.raises(TimeoutError):
        echo.server.recv(100)
    new = socket.create_connection((proxy.host, proxy.port), timeout=10)  # accepted, and left without an answer
    listener.settimeout(0.1)
    with pytest.raises(TimeoutError):
        listener.accept()
    wait_for(lambda: proxy.open == 2)

    echo.server.settimeout(10)
    listener.settimeout(10)
    proxy.passing()
    assert echo.server.recv(100) == b"lost?"
    listener.accept()[0].close()
    assert new.recv(1) == b""  # the end of a stream is passed on
    new.close()
    wait_for(lambda: proxy.open == 1)
    echo.close()


@pytest.mark.parametrize("reset", [False, True])
def test_the_proxy_cuts_and_refuses(proxy_to, listener: socket.socket, reset: bool) -> None:
    proxy: Proxy = proxy_to(listener.getsockname()[1])
    echo = Echo(proxy, listener)
    echo.ask(b"plain")
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((proxy.host, proxy.port))
    echo.ask(b"still there")
    proxy.cut(reset=reset)
    for side in (echo.client, echo.server):
        if reset:
            with pytest.raises(ConnectionResetError):
                side.recv(1)
        else:
            assert side.recv(1) == b""
    echo.close()
    assert (proxy.open, proxy.accepted) == (0, 1)
    proxy.passing()
    again = Echo(proxy, listener)
    again.ask(b"again")
    proxy.close()
    proxy.close()
    assert again.client.recv(1) == b""
    again.close()


def test_the_proxy_carries_much_in_both_directions(proxy_to, cluster: Cluster) -> None:
    proxy: Proxy = proxy_to(cluster.port)
    text = "x" * 5_000_000
    with psycopg.connect(proxy.url(cluster.url())) as connection:
        assert connection.execute("SELECT %s::text || 'y'", [text]).fetchone() == (text + "y",)


def test_a_server_that_is_down_is_down_through_the_proxy_too(proxy_to, listener: socket.socket) -> None:
    proxy: Proxy = proxy_to(listener.getsockname()[1])
    listener.close()

    def call() -> None:  # the reset may come before connect() has returned
        with socket.create_connection((proxy.host, proxy.port), timeout=10) as client:
            client.recv(1)

    with pytest.raises(ConnectionResetError):
        call()


# Hosts

CLIENT = """
import sys, psycopg
connection = psycopg.connect(sys.argv[1], autocommit=True, connect_timeout=5)
for line in sys.stdin:
    print(connection.execute("SELECT host(inet_client_addr()), " + line).fetchone(), flush=True)
"""


def test_a_host_can_be_cut_off(network: Network, new_cluster) -> None:
    cluster: Cluster = new_cluster(durable=False, listen=network.address)
    here, there = network.host("here"), network.host("there")
    url = cluster.url().replace(cluster.host, network.address)
    command = [sys.executable, "-c", CLIENT, url]
    clients = [host.run(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for host in (here, there)]

    def ask(number: int, what: str) -> None:
        clients[number].stdin.write(what + "\n")

    def answer(number: int) -> str:
        return clients[number].stdout.readline().strip()

    for number, host in enumerate((here, there)):
        ask(number, "1")
        assert answer(number) == f"('{host.address}', 1)"
    here.cut()
    ask(0, "2")
    ask(1, "2")
    assert answer(1) == f"('{there.address}', 2)"
    # The server has not heard the question, nor that its client is gone.
    query = "SELECT state, query LIKE '%%2' FROM pg_stat_activity WHERE host(client_addr) = %s"
    assert cluster.execute(query, here.address) == [("idle", False)]
    here.mend()
    assert answer(0) == f"('{here.address}', 2)"
    for client in clients:
        client.stdin.close()
        assert client.wait(10) == 0
        client.stdout.close()


def left() -> set[str]:
    """The network interfaces and the namespaces that there are."""
    return {path.name for folder in ("/sys/class/net", "/run/netns") for path in Path(folder).glob("*")}


def test_a_closed_network_leaves_nothing() -> None:
    try:
        made = Network()
    except Unavailable as lack:
        pytest.skip(str(lack))
    host = made.host("a")
    process = host.run(["sleep", "60"])
    names = {made._bridge, host._link, host._namespace}
    assert names <= left()
    made.close()
    made.close()
    assert process.returncode == -signal.SIGKILL
    assert not names & left()
