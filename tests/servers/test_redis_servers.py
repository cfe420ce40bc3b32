"""The Redis and Valkey servers that other tests rely on do what they say."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from servers import ServerFailed, Unavailable, ports, session
from servers.redis import Server, await_that
from servers.redis_binaries import KINDS, binaries_of
from servers.redis_cluster import ShardedCluster, Step
from servers.redis_sentinel import Sentinels

TESTS = Path(__file__).parent.parent


def plain(port: int, seconds: float = 10) -> redis.Redis:
    """A client that tries once."""
    return redis.Redis(port=port, socket_timeout=seconds, retry=Retry(NoBackoff(), 0))


# Single servers


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_namespaces_that_are_emptied(redis_of, kind: str) -> None:
    server: Server = redis_of(kind)
    assert server is redis_of(kind)
    family, _, number = kind.partition("-")
    assert ".".join(map(str, server.version)).startswith(number + ".")
    assert ("valkey_version" in server.client.info("server")) == (family == "valkey")
    assert server.client.config_get("appendonly") == {"appendonly": "no"}
    with server.fresh() as first, server.fresh() as second:
        names = [url.partition("?namespace=")[2] for url in (first, second)]
        assert (first, names[0] != names[1]) == (f"{server.url}?namespace={names[0]}", True)
        client = redis.Redis.from_url(first.partition("?")[0])
        for number_of in range(2500):
            client.set(f"dray:{{{names[0]}:{number_of % 3}}}:{number_of}", "x")
        client.set(f"{{{names[1]}}}", "kept until its own end")
        assert client.dbsize() == 2501
    assert client.dbsize() == 0
    with server.fresh() as url:
        client.set(f"{{{url.partition('=')[2]}}}a", "gone")
        client.set("other", "kept")
    assert client.keys() == [b"other"]
    client.delete("other")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_durable_server_keeps_its_data(new_redis, kind: str, kill: bool) -> None:
    server: Server = new_redis(kind)
    assert server.client.config_get("appendfsync") == {"appendfsync": "everysec"}
    client = plain(server.port)
    client.set("a", "1")
    before = server.pid
    server.stop(kill)
    assert (server.running, session.birth(before)) == (False, "")
    with pytest.raises(redis.ConnectionError):
        client.get("a")
    with pytest.raises(ServerFailed, match="does not run"):
        server.pid
    server.start()
    server.start()
    assert client.get("a") == b"1"
    assert server.pid != before


def test_one_that_is_not_durable_comes_back_empty(new_redis) -> None:
    server: Server = new_redis(durable=False)
    server.command("SET", "a", "1")
    server.restart()
    assert server.command("GET", "a") is None


def test_a_paused_server_is_silent_and_goes_on(new_redis) -> None:
    server: Server = new_redis(durable=False)
    client = plain(server.port, 0.2)
    client.set("a", "1")
    server.pause()
    assert server.running
    with pytest.raises(redis.TimeoutError):
        client.get("a")
    server.resume()
    assert client.get("a") == b"1"
    server.pause()
    server.stop()
    assert not server.running
    server.start()
    server.pause()
    server.resume()
    assert plain(server.port).ping()


def test_clients_are_cut_off(valkey: Server) -> None:
    held = [socket.create_connection((valkey.host, valkey.port), timeout=10) for _ in range(3)]
    for client, said in zip(held, (b"PING", b"SUBSCRIBE news", b"BLPOP list 0"), strict=True):
        client.sendall(said + b"\r\n")
    assert held[0].recv(100) == b"+PONG\r\n"
    assert b"subscribe" in held[1].recv(100)
    await_that(lambda: valkey.client.info("clients")["blocked_clients"] == 1, "one should wait for the list")
    assert valkey.kill_clients() >= 3
    assert [client.recv(100) for client in held] == [b"", b"", b""]
    for client in held:
        client.close()


def test_settings_and_the_password_are_in_force(new_redis) -> None:
    server: Server = new_redis(settings={"requirepass": "secret", "maxmemory": "50mb", "appendonly": False})
    assert f":secret@127.0.0.1:{server.port}/0" in server.url
    assert redis.Redis.from_url(server.url).config_get("maxmemory") == {"maxmemory": "52428800"}
    assert server.client.config_get("appendonly") == {"appendonly": "no"}
    with pytest.raises(redis.AuthenticationError):
        plain(server.port).ping()
    server.configure({"maxmemory": "60mb"})
    server.restart(kill=True)
    assert server.client.config_get("maxmemory") == {"maxmemory": "62914560"}


def test_one_that_cannot_start_says_why(new_redis) -> None:
    with pytest.raises(ServerFailed, match=r"(?s)instead of starting.*no-such-setting"):
        new_redis(settings={"no-such-setting": 1})


def test_a_missing_kind_is_named() -> None:
    with pytest.raises(Unavailable, match=r"redis-1\.0 is not on this machine"):
        binaries_of("redis-1.0")


# What is left behind


@pytest.mark.parametrize("durable", [True, False])
def test_a_closed_server_leaves_nothing(durable: bool) -> None:
    server = Server(durable=durable)
    pid, files = server.pid, server.folder
    assert files.exists()
    assert not ports.reserve(f"port-{server.port}")
    server.close()
    assert not session.birth(pid)
    assert not files.exists()
    assert ports.reserve(f"port-{server.port}")
    ports.release_port(server.port)


RUN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from servers import session
from servers.redis import Server
running, paused = Server(), Server(durable=False)
paused.pause()
print(running.pid, paused.pid, session.folder(), paused.folder, flush=True)
time.sleep(60)
"""


def test_a_killed_run_leaves_nothing(valkey: Server) -> None:
    run = subprocess.Popen([sys.executable, "-c", RUN, str(TESTS)], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    with run, run.stdout:
        running, paused, folder, files = run.stdout.readline().split()
        assert session.birth(int(running))
        assert session.birth(int(paused))
        assert Path(folder).exists()
        assert Path(files).exists()
        run.send_signal(signal.SIGKILL)
        run.wait()
    await_that(
        lambda: not (session.birth(int(running)) or session.birth(int(paused)) or Path(files).exists() or Path(folder).exists()),
        "the janitor should clean up",
        10,
    )
    assert valkey.command("PING")


# Sentinel


def test_another_server_becomes_primary(sentinels: Sentinels) -> None:
    host, _, path = sentinels.url.removeprefix("redis+sentinel://").partition("/")
    assert path == "mymaster/0"
    addresses = [(name, int(port)) for name, _, port in (each.partition(":") for each in host.split(","))]
    assert len(addresses) == 3
    client = redis.Sentinel(addresses, socket_timeout=5).master_for("mymaster", retry=Retry(NoBackoff(), 0))
    first = sentinels.primary
    client.set("a", "1")
    assert client.wait(2, 5000) == 2

    second = sentinels.kill_primary()
    assert (second in sentinels.servers, second != first) == (True, True)
    assert not sentinels.servers[first].running
    await_that(lambda: client.set("b", "2"), "the client should find the new primary", 10)
    sentinels.restore()
    assert sentinels.primary == second
    old = sentinels.servers[first]
    assert old.command("ROLE")[0] == b"slave"
    client.wait(2, 5000)
    assert (old.command("GET", "a"), old.command("GET", "b")) == (b"1", b"2")

    # A primary that was silent for a while wakes up as one: what it takes until it is told is lost.
    third = sentinels.pause_primary()
    assert third != second
    sentinels.servers[second].resume()
    sentinels.restore()
    assert sentinels.primary == third
    assert sentinels.fail_over() != third
    with sentinels.fresh() as url:
        name = url.partition("?namespace=")[2]
        primary = sentinels.servers[sentinels.primary]
        primary.command("SET", f"{{{name}}}a", "1")
    assert primary.command("EXISTS", f"{{{name}}}a", "a") == 1
    pids = [each.pid for each in (*sentinels.sentinels, *sentinels.servers.values())]
    sentinels.close()
    assert not any(map(session.birth, pids))


# Cluster


def test_the_shared_cluster_is_split_and_emptied(redis_cluster: ShardedCluster) -> None:
    first, last = redis_cluster.node_of(0), redis_cluster.node_of(16383)
    assert first is not last
    assert len(redis_cluster.primaries) == 3
    assert redis_cluster.url == "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in redis_cluster.nodes)
    with redis_cluster.fresh() as url:
        name = url.removeprefix(redis_cluster.url + "?namespace=")
        client = redis_cluster.client()
        keys = [f"{{{name}:{shard}}}:{number}" for shard in range(12) for number in range(10)]
        for key in keys:
            client.set(key, "x")
        spread = Counter(redis_cluster.node_of(redis_cluster.slot_of(f"{name}:{shard}")).port for shard in range(12))
        assert {node.port: node.client.dbsize() for node in redis_cluster.primaries if node.client.dbsize()} == {
            port: 10 * shards for port, shards in spread.items()
        }
        client.close()
    assert [node.client.dbsize() for node in redis_cluster.primaries] == [0, 0, 0]


def load(cluster: ShardedCluster, tag: str, keys: int, stop: threading.Event, wrong: list[object], rounds: Counter[int]) -> None:
    """Count every key up, one after the other, and check each answer."""
    client = cluster.client()
    while not stop.is_set():
        for number in range(keys):
            rounds[number] += 1
            try:
                answer: object = client.incr(f"{{{tag}}}{number}")
            except redis.RedisError as error:
                answer = error
            if answer != rounds[number]:
                wrong.append(answer)
                stop.set()
    client.close()


@pytest.mark.parametrize("kind", KINDS)
def test_slots_move_under_a_client(new_redis_cluster, kind: str) -> None:
    cluster: ShardedCluster = new_redis_cluster(kind)
    tag, keys = "moving", 60
    slot = cluster.slot_of(tag)
    assert slot == cluster.slot_of("{moving}17") == redis.crc.key_slot(b"{moving}")
    source = cluster.node_of(slot)
    target = next(node for node in cluster.nodes if node is not source)
    stop, wrong, rounds = threading.Event(), list[object](), Counter[int]()
    loader = threading.Thread(target=load, args=(cluster, tag, keys, stop, wrong, rounds))
    loader.start()
    seen: list[Step] = []

    def look(step: Step) -> None:
        """Half way, the slot stays in two parts for as long as the load takes to go twice over all keys."""
        seen.append(step)
        if step.moved == 40:
            answers = [asked(plain(source.port), number) for number in range(keys)]
            assert answers.count(f"ASK {slot} 127.0.0.1:{target.port}") == 40
            assert cluster.node_of(slot) is source
            passed(2)

    def passed(times: int) -> None:
        goal = rounds[0] + times
        await_that(lambda: rounds[0] >= goal or wrong, "the load should go on", 10)

    try:
        passed(2)
        assert cluster.move_slots([slot, slot + 1], source, target, batch=20, hook=look) == keys
        assert cluster.node_of(slot) is target
        passed(2)
        assert cluster.move_slots([slot, slot + 1], target, source) == keys
        passed(2)
    finally:
        stop.set()
        loader.join()
    assert wrong == []
    assert seen == [Step(slot, moved, keys - moved) for moved in (0, 20, 40, 60)] + [Step(slot + 1, 0, 0)]
    assert {int(source.command("GET", f"{{{tag}}}{number}")) - rounds[number] for number in range(keys)} == {0}


def asked(client: redis.Redis, number: int) -> str:
    """What a node says when it is asked for a key: its value, or where to go."""
    try:
        return str(client.get(f"{{moving}}{number}"))
    except redis.ResponseError as error:
        return f"{type(error).__name__.removesuffix('Error').upper()} {error}"
    finally:
        client.connection_pool.disconnect()


def test_a_replica_takes_the_place_of_a_node(new_redis_cluster) -> None:
    cluster: ShardedCluster = new_redis_cluster(shards=3, replicas=1)
    node = cluster.node_of(5)
    client = cluster.client()
    client.set("{a}1", "1")
    cluster.kill(node)
    with pytest.raises(LookupError, match="serves slot 5"):
        cluster.node_of(5)
    cluster.wait_ok()
    assert cluster.node_of(5) not in (node, *cluster.nodes[:3])
    cluster.restart(node)
    assert node.command("ROLE")[0] == b"slave"
    assert client.get("{a}1") == b"1"
    client.close()
    pids = [each.pid for each in cluster.nodes]
    cluster.close()
    assert not any(map(session.birth, pids))
    assert not any(each.folder.exists() for each in cluster.nodes)
