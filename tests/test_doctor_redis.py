"""What doctor finds on Redis servers: each condition caused for real where that can be done in a test."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from msgspec import structs

from dray import Dray
from dray.doctor import Finding, examine
from dray.doctor.redis import asking, examine_server, memory, places, replicas, safety, server, slowness, spread
from dray.store.open import open_store
from dray.store.redis.place import place_of
from dray.store.redis.router import Router

if TYPE_CHECKING:
    from servers.redis import Server
    from servers.redis_cluster import ShardedCluster
    from servers.redis_sentinel import Sentinels

MEBI = 1024**2
ON_A_SERVER = {
    "server-version", "writable", "eviction", "durability", "last-writes", "replicas", "memory", "fragmentation", "connections",
    "clock-offset", "slow-scripts", "latency", "busy-threshold", "neighbours", "schema", "places",
}  # fmt: skip


@pytest.fixture
def own(new_redis: Any) -> Server:
    """A server of the test's own, with a store."""
    made = new_redis()
    open_store(made.url).close()
    return made  # type: ignore[no-any-return]


def everything(url: str, **more: Any) -> list[Finding]:
    found, _ = examine_server(url, **more)
    assert all(finding.fix for finding in found if finding.level != "ok")
    assert not [finding.message for finding in found if "was not answered" in finding.message]
    return found


def look(url: str, **more: Any) -> dict[str, Finding]:
    kept: dict[str, Finding] = {}
    for finding in everything(url, **more):
        kept.setdefault(finding.check, finding)
    return kept


def bad(findings: dict[str, Finding]) -> set[str]:
    return {check for check, finding in findings.items() if finding.level != "ok"}


def carry_out(server: Server, command: str | None) -> None:
    """What a finding tells to do, without redis-cli."""
    words = shlex.split(str(command))
    assert words[:5] == ["redis-cli", "-h", server.host, "-p", str(server.port)]
    server.command(*words[5:])


def at(url: str) -> asking.Server:
    place = place_of(url)
    return asking.connected(Router(place), place.hosts[0], [0])


# -- a healthy one


@pytest.mark.parametrize("kind", ["valkey-9", "redis-7.0", "redis-6.2"])
def test_a_healthy_server(new_redis: Any, kind: str) -> None:
    made = new_redis(kind, settings={"appendfsync": "always"})
    open_store(made.url).close()
    found = look(made.url, deep=True)
    assert bad(found) == set()
    assert set(found) == ON_A_SERVER
    name = "Valkey 9." if kind == "valkey-9" else f"Redis {kind.partition('-')[2]}."
    assert found["server-version"].message.startswith(f"The server is {name}")


def test_examine_looks_at_the_work_too(own: Server) -> None:
    app = Dray(own.url)

    @app.task(name="shop.add")
    def add(a: int) -> None: ...

    add.enqueue(1)
    app.close()
    found = {finding.check: finding for finding in examine(None, own.url, deep=True)}
    assert set(found) > ON_A_SERVER
    assert found["workers"].level == "wrong"
    assert (found["counters"].level, found["tasks"].level) == ("ok", "ok")
    own.command("HINCRBY", "{dray}:counts", b"default\x001", 7)
    found = {finding.check: finding for finding in examine(None, own.url, deep=True)}
    assert "default differ from a recount" in found["counters"].message


# -- no store


def test_a_server_that_is_not_there() -> None:
    findings, readable = examine_server("redis://127.0.0.1:1/0")
    assert not readable
    assert [(finding.check, finding.level) for finding in findings] == [("server-reachable", "wrong")]


def test_a_database_that_the_server_lacks(valkey: Server) -> None:
    findings, readable = examine_server(valkey.url.replace("/0", "/99"))
    assert not readable
    assert "has no database of that number" in findings[0].message


def test_looking_makes_no_store(valkey: Server) -> None:
    with valkey.fresh() as url:
        found, readable = examine_server(url)
        assert not readable
        assert (found[-1].check, found[-1].level) == ("schema", "note")
        assert examine(None, url)[-1] == found[-1]
        assert not valkey.command("KEYS", f"*{url.partition('namespace=')[2]}*")


def test_what_another_version_keeps(valkey: Server) -> None:
    with valkey.fresh() as url:
        open_store(f"{url}&risk=persistence").close()
        key = f"{place_of(url).tag(0)}:meta"
        valkey.command("HSET", key, "format", 9)
        assert "in form 9, and this version of Dray knows 1" in look(url)["schema"].message
        valkey.command("HSET", key, "format", 1, "shards", 4)
        found = look(url)["schema"]
        assert (found.level, found.fix) == ("wrong", "Write ?shards=4 in the URL, or use another namespace.")


# -- what is kept


def test_eviction(own: Server) -> None:
    own.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    found = look(own.url)["eviction"]
    assert (found.level, "if it had a maxmemory" in found.message) == ("note", True)
    own.command("CONFIG", "SET", "maxmemory", "200mb")
    findings = everything(own.url)
    found = next(finding for finding in findings if finding.check == "eviction")
    assert (found.level, "maxmemory-policy allkeys-lru" in found.message) == ("wrong", True)
    assert findings[-1].check == "places"  # it is opened and looked at all the same
    assert look(f"{own.url}?risk=eviction")["eviction"].level == "note"
    own.command("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
    assert "keys that have an expiry" in look(own.url)["eviction"].message
    carry_out(own, found.command)
    assert look(own.url)["eviction"].level == "ok"


def test_keys_that_were_thrown_away(new_redis: Any) -> None:
    made = new_redis(settings={"maxmemory-policy": "allkeys-random"})
    made.command("SET", "x", "y" * MEBI)
    made.command("CONFIG", "SET", "maxmemory", "1mb")
    with contextlib.suppress(redis.ResponseError):
        made.command("SET", "z", "z")
    made.command("CONFIG", "SET", "maxmemory", "100mb")
    assert "It has thrown away 1 key since it started." in look(made.url)["eviction"].message


def test_durability(own: Server) -> None:
    found = look(own.url)["durability"]
    assert (found.level, "appendfsync everysec" in found.message) == ("note", True)
    own.command("CONFIG", "SET", "appendfsync", "no")
    found = look(own.url)["durability"]
    assert found.level == "wrong"
    carry_out(own, found.command)
    assert look(own.url)["durability"].level == "note"
    own.command("CONFIG", "SET", "appendonly", "no")
    found = look(own.url)["durability"]
    assert (found.level, "Nothing is kept on disk" in found.message) == ("wrong", True)
    assert look(f"{own.url}?risk=persistence")["durability"].level == "note"
    own.command("CONFIG", "SET", "save", "900 1")
    own.command("SET", "x", 1)
    found = look(own.url)["durability"]
    assert found.level == "wrong"
    assert re.search(r"only snapshots are kept on disk: a crash would now lose \d changes", found.message)
    carry_out(own, found.command)
    assert look(own.url)["durability"].level == "note"
    assert safety.of_fsync(None, "").level == "note"


def test_a_snapshot_that_failed(own: Server) -> None:
    own.command("CONFIG", "SET", "save", "900 1")
    own.folder.chmod(0o555)
    own.command("BGSAVE")
    eventually(lambda: look(f"{own.url}?timeout=1")["last-writes"].level == "wrong")
    findings = everything(f"{own.url}?timeout=1")
    told = {finding.check: finding for finding in findings}
    assert "refuses to write jobs until one succeeds" in told["last-writes"].message
    assert (told["places"].level, "cannot write to its disk" in told["places"].message) == ("wrong", True)
    own.command("CONFIG", "SET", "save", "")
    found = look(own.url)["last-writes"]
    assert (found.level, found.message) == ("note", "The last snapshot failed.")
    own.folder.chmod(0o755)
    carry_out(own, found.command)
    eventually(lambda: look(own.url)["last-writes"].level == "ok")


def test_an_append_only_file_that_cannot_be_written(own: Server) -> None:
    there = at(own.url)
    told = {**there.told, "aof_last_write_status": "err", "aof_last_bgrewrite_status": "err"}
    found = safety.last_writes(structs.replace(there, told=told))
    assert [finding.level for finding in found] == ["wrong", "wrong"]
    assert "refuses to write jobs until it can" in found[0].message
    there.connection.disconnect()


def test_a_database_shared_with_a_cache(own: Server) -> None:
    app = Dray(own.url)

    @app.task(name="shop.add")
    def add(a: int) -> None: ...

    add.enqueue(1)
    app.close()
    assert look(own.url)["neighbours"].message == "Nobody else keeps keys in this database."
    open_store(f"{own.url}?namespace=other").close()
    found = look(own.url)["neighbours"]
    assert (found.level, found.message) == ("ok", "1 key of others is in database 0: those of other namespaces of Dray.")
    for n in range(150):
        own.client.set(f"session:{n}", n)
    found = look(own.url)["neighbours"]
    assert (found.level, "151 keys of others are in database 0, such as session:" in found.message) == ("note", True)
    for n in range(150):
        own.client.expire(f"session:{n}", 600)
    found = look(own.url)["neighbours"]
    assert (found.level, "150 have an expiry, so it is a cache" in found.message) == ("wrong", True)
    assert "150 have an expiry" not in look(f"{own.url.replace('/0', '/1')}")["neighbours"].message


# -- memory


def test_memory_that_is_nearly_full(own: Server) -> None:
    assert "the machine's (no maxmemory is set)" in look(own.url)["memory"].message
    own.command("SET", "x", "y" * 30 * MEBI)  # beside which buffers count for little
    used = int(own.client.info("memory")["used_memory"])
    own.command("CONFIG", "SET", "maxmemory", int(used / 0.9))
    assert look(own.url)["memory"].level == "note"
    own.command("CONFIG", "SET", "maxmemory", int(used / 0.98))
    found = look(own.url)["memory"]
    assert (found.level, "its maxmemory" in found.message) == ("wrong", True)


@pytest.mark.parametrize(
    ("used", "resident", "level"), [(1, 300, "note"), (800, 1000, "ok"), (800, 900, "ok"), (800, 400, "wrong"), (10, 5, "ok")]
)
def test_fragmentation(used: int, resident: int, level: str) -> None:
    assert memory.of_fragmentation(used * MEBI, resident * MEBI, "").level == level


# -- the server


@pytest.mark.parametrize(("version", "level"), [("5.0.14", "wrong"), ("6.0.1", "wrong"), ("6.2.0", "ok"), ("7.2.4", "ok")])
def test_versions(own: Server, version: str, level: str) -> None:
    there = at(own.url)
    told = {name: value for name, value in there.told.items() if not name.startswith("valkey")} | {"redis_version": version}
    (found,) = server.version(structs.replace(there, told=told))
    assert (found.level, f"Redis {version} " in found.message or f"Redis {version}." in found.message) == (level, True)
    there.connection.disconnect()


def test_connections_in_use(own: Server) -> None:
    own.command("CONFIG", "SET", "maxclients", 12)
    assert look(own.url)["connections"].level == "ok"
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            line = stack.enter_context(socket.create_connection((own.host, own.port)))
            line.sendall(b"PING\r\n")
            line.recv(100)
        found = look(own.url)["connections"]
        assert (found.level, "in use of 12" in found.message) == ("note", True)
    assert server.of_connections(99, 100, 3).level == "wrong"
    assert "has refused 3 since it started" in server.of_connections(99, 100, 3).message


def test_a_replica_is_no_place_for_jobs(own: Server, new_redis: Any) -> None:
    copy = new_redis(settings={"replicaof": f"{own.host} {own.port}"})
    findings, readable = examine_server(copy.url)
    assert not readable
    found = next(finding for finding in findings if finding.check == "writable")
    assert (found.level, f"is a replica of 127.0.0.1:{own.port}" in found.message) == ("wrong", True)
    assert "replicas" not in {finding.check for finding in findings}


def test_a_server_that_is_loading(own: Server) -> None:
    own.client.mset({f"key{n}": "x" * 100 for n in range(4000)})
    own.command("CONFIG", "SET", "loading-process-events-interval-bytes", 1024)
    own.command("CONFIG", "SET", "key-load-delay", 2000)
    thread = threading.Thread(target=lambda: redis.Redis.from_url(own.url, socket_timeout=60).execute_command("DEBUG", "RELOAD"))
    thread.start()
    try:
        eventually(lambda: any("reads its data from disk" in finding.message for finding in examine_server(own.url)[0]))
        findings, readable = examine_server(own.url)
        assert not readable
        assert {"writable"} <= {finding.check for finding in findings if finding.level == "wrong"}
        own.command("CONFIG", "SET", "key-load-delay", 0)
    finally:
        thread.join(30)
    assert look(own.url)["writable"].level == "ok"


def test_a_script_that_does_not_end(own: Server) -> None:
    own.command("CONFIG", "SET", "lua-time-limit", 50)
    found = look(own.url)["busy-threshold"]
    assert (found.level, "After 50 ms" in found.message) == ("note", True)

    def forever() -> None:
        with contextlib.suppress(redis.ResponseError):
            redis.Redis.from_url(own.url, socket_timeout=60).eval("while true do end", 0)

    thread = threading.Thread(target=forever)
    thread.start()
    try:
        eventually(lambda: "script kill" in examine_server(own.url)[0][0].fix)
    finally:
        own.command("SCRIPT", "KILL")
        thread.join(30)
    carry_out(own, found.command)
    assert look(own.url)["busy-threshold"].level == "ok"


# -- what takes long


def test_scripts_that_take_long(own: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Dray(own.url)

    @app.task(name="shop.add")
    def add(a: int) -> None: ...

    own.command("CONFIG", "SET", "slowlog-log-slower-than", 0)
    monkeypatch.setattr(slowness, "SLOW", 0)
    add.enqueue(1)
    app.close()
    found = look(own.url)["slow-scripts"]
    assert (found.level, "Scripts of Dray took more than 10 ms in the last hour: add" in found.message) == ("note", True)
    monkeypatch.setattr(slowness, "VERY_SLOW", 0)
    assert look(own.url)["slow-scripts"].level == "wrong"


def test_others_who_take_long(own: Server) -> None:
    own.command("CONFIG", "SET", "latency-monitor-threshold", 100)
    own.command("DEBUG", "SLEEP", 0.6)
    found = look(own.url)
    said = "Somebody else held the server up once in the last hour, by `DEBUG SLEEP 0.6` of 127.0.0.1:"
    assert found["slow-scripts"].message.startswith(said)
    assert "The server stalled: command (6" in found["latency"].message


def test_a_slow_log_that_is_off(own: Server) -> None:
    own.command("CONFIG", "SET", "slowlog-log-slower-than", -1)
    found = look(own.url)["slow-scripts"]
    assert (found.level, found.message) == ("note", "The server writes no slow log.")
    carry_out(own, found.command)
    assert look(own.url)["slow-scripts"].level == "ok"


def test_a_fork_that_takes_long(own: Server) -> None:
    there = at(own.url)
    (found,) = slowness.latency(structs.replace(there, told={**there.told, "latest_fork_usec": "700000"}))
    assert (found.level, "held the server up for 700 ms" in found.message) == ("note", True)
    there.connection.disconnect()


# -- replicas


def test_replicas_that_are_asked_for(own: Server, new_redis: Any) -> None:
    url = f"{own.url}?wait=1"
    assert "asks that a write be on 1 replica, and the server has 0" in look(url)["replicas"].message
    copy = new_redis(settings={"replicaof": f"{own.host} {own.port}"})
    eventually(lambda: look(url)["replicas"].level == "ok")
    assert "1 replica, at most" in look(url)["replicas"].message
    own.command("CONFIG", "SET", "min-replicas-to-write", 1)
    assert look(url)["replicas"].level == "ok"
    copy.stop()
    eventually(lambda: "refuses to write: it has 0 of the 1 replica" in told(f"{own.url}?timeout=1", "replicas"))
    (refusal,) = [one for one in everything(f"{own.url}?timeout=1") if one.check == "replicas"]
    carry_out(own, refusal.command)
    assert look(own.url)["replicas"].level == "ok"


def told(url: str, check: str) -> str:
    return " ".join(finding.message for finding in everything(url) if finding.check == check)


def one_replica(line: str, **more: str) -> list[Finding]:
    found = replicas.replicas_of({"connected_slaves": "1", "slave0": line, "master_repl_offset": "100000000", **more})
    return replicas.of_replicas(place_of("redis://h/0"), found)


@pytest.mark.parametrize(
    ("line", "level", "said"),
    [
        ("ip=h,port=1,state=online,offset=100000000,lag=1", "ok", "at most 0 B behind"),
        ("ip=h,port=1,state=online,offset=100000000,lag=40", "wrong", "last heard of 40 seconds ago"),
        ("ip=h,port=1,state=online,offset=1000,lag=1", "note", "95.4 MiB behind"),
        ("ip=h,port=1,state=wait_bgsave,offset=0,lag=0", "note", "not in step yet (wait_bgsave)"),
    ],
)
def test_a_replica(line: str, level: str, said: str) -> None:
    (found,) = one_replica(line)
    assert (found.level, said in found.message) == (level, True)


def test_nobody_to_take_over() -> None:
    assert replicas.of_replicas(place_of("redis+cluster://h"), [])[0].level == "note"
    assert replicas.of_replicas(place_of("redis://h"), [])[0].level == "ok"


# -- sentinels


def test_sentinels(sentinels: Sentinels) -> None:
    url = f"{sentinels.url}?risk=persistence"
    open_store(url).close()
    found = look(url)
    assert bad(found) == {"durability"}
    assert found["sentinels"].message == f"3 sentinels agree that 127.0.0.1:{sentinels.primary} is the primary."
    assert "2 replicas" in found["replicas"].message
    wrong = look(url.replace("/mymaster/", "/master/"))
    assert "knows no primary 'master'" in wrong["sentinels"].message
    assert wrong["server-reachable"].level == "wrong"
    findings, readable = examine_server(f"redis://{sentinels.sentinels[0].host}:{sentinels.sentinels[0].port}")
    assert not readable
    assert (findings[0].level, "is a Sentinel" in findings[0].message) == ("wrong", True)
    alone = url.replace(f"{sentinels.sentinels[1].host}:{sentinels.sentinels[1].port},", "")
    sentinels.sentinels[0].stop(kill=True)
    assert "does not answer" in look(url)["sentinels"].message
    sentinels.sentinels[1].stop(kill=True)
    eventually(lambda: "finds that no failover is possible" in told(alone, "sentinels"))
    victim = next(each for port, each in sentinels.servers.items() if port != sentinels.primary)
    victim.stop(kill=True)
    eventually(lambda: f"holds the replica 127.0.0.1:{victim.port} for down" in told(alone, "sentinels"))


# -- clusters


def test_a_cluster(redis_cluster: ShardedCluster) -> None:
    with redis_cluster.fresh() as fresh:
        url = f"{fresh}&risk=persistence&shards=6"
        app = Dray(url)

        @app.task(name="shop.add")
        def add(a: int) -> None: ...

        app.enqueue_many([add.call(n) for n in range(60)])
        app.close()
        found = look(url, deep=True)
        assert {"cluster", "shards", "places"} <= set(found)
        assert bad(found) <= {"durability", "replicas", "shards"}
        assert "by 3 nodes" in found["cluster"].message
        assert found["places"].message == "Each of the 60 jobs looked at is where it belongs."
        assert found["durability"].message.startswith("Node 127.0.0.1:")
        assert found["server-version"].message.endswith("; 2 others are in order, too.)")
        findings = {finding.check: finding for finding in examine(None, url, deep=True)}
        assert findings["counters"].level == "ok"


def test_slots_on_the_move(redis_cluster: ShardedCluster) -> None:
    with redis_cluster.fresh() as fresh:
        url = f"{fresh}&risk=persistence"
        open_store(url).close()
        seen: list[dict[str, Finding]] = []
        source = redis_cluster.node_of(7)
        target = next(node for node in redis_cluster.primaries if node is not source)
        asked = url.replace("//", f"//{source.host}:{source.port},", 1)  # nobody else tells of the moves of a node
        redis_cluster.move_slots([7], source, target, hook=lambda step: seen.append(look(asked)))
        assert seen[0]["cluster-moving"].message == "1 slot is being moved (7)."
        assert "cluster-moving" not in look(url)


def test_a_cluster_that_lacks_a_node(new_redis_cluster: Any) -> None:
    made = new_redis_cluster(settings={"cluster-require-full-coverage": "no"})
    url = f"{made.url}?risk=persistence&timeout=2"
    open_store(url).close()
    lost = made.node_of(made.slot_of("dray:0"))
    made.kill(lost)
    eventually(lambda: f"Node 127.0.0.1:{lost.port} is down" in told(url, "cluster"), 30)
    findings, readable = examine_server(url)
    assert not readable
    assert "server-reachable" in {finding.check for finding in findings if finding.level == "wrong"}


def test_a_server_that_is_no_cluster_and_the_opposite(valkey: Server, redis_cluster: ShardedCluster) -> None:
    findings, _ = examine_server(valkey.url.replace("redis://", "redis+cluster://"))
    assert "is no node of a cluster; write redis:// in the URL" in findings[0].message
    node = redis_cluster.nodes[0]
    assert look(node.url)["server-version"].fix == "Write redis+cluster:// in the URL."


def view(**more: Any) -> spread.View:
    a, b = ("a", 1), ("b", 2)
    plain = {"asked": a, "state": {"cluster_state": "ok"}, "slots": [(0, 8191, a), (8192, 16383, b)], "nodes": []}
    return spread.View(**{**plain, **more})


def test_slots_that_nobody_serves() -> None:
    place = place_of("redis+cluster://a?shards=8")
    (found,) = spread.cluster(place, view(slots=[(0, 8191, ("a", 1))]))
    assert (found.level, "8,192 slots of the cluster are served by nobody, and" in found.message) == ("wrong", True)
    (found,) = spread.cluster(place, view(state={"cluster_state": "fail"}))
    assert (found.level, "in state fail" in found.message) == ("wrong", True)
    lines = """\
        x a:1@11 myself,master - 0 0 1 connected 0-8191
        y b:2@12 master,fail? - 0 0 1 connected 8192-16383
        z c:3@13 slave,fail x 0 0 1 disconnected"""
    nodes = [line.split() for line in lines.splitlines()]
    told = {finding.message: finding.level for finding in spread.cluster(place, view(nodes=nodes))}
    assert told == {"Node b:2 does not answer.": "wrong", "Replica c:3 is down.": "note"}


def test_shards_on_few_nodes() -> None:
    place = place_of("redis+cluster://a?shards=8")
    where = [spread.slot_of(place, shard) for shard in range(8)]
    (found,) = spread.shards(place, view(slots=[(0, 0, ("b", 2)), (1, 16383, ("a", 1))]))
    assert 0 not in where
    assert (found.level, "8 on a:1 and 0 on b:2" in found.message) == ("note", True)
    assert f"such as {where[0]}, to b:2" in found.fix
    (found,) = spread.shards(place_of("redis+cluster://a?shards=1"), view())
    assert (found.level, "?shards=4" in found.fix) == ("note", True)


# -- the jobs


def test_jobs_that_are_not_in_their_place(own: Server) -> None:
    app = Dray(own.url)

    @app.task(name="shop.add")
    def add(a: int) -> None: ...

    app.enqueue_many([add.call(n) for n in range(1000)])
    found = look(own.url)["places"]
    assert (found.level, found.message) == ("ok", "Each of the 1,000 jobs looked at is where it belongs.")
    (member, *_) = own.command("ZRANGE", "{dray}:ready", 0, 0)
    own.command("ZREM", "{dray}:ready", member)
    assert look(own.url)["places"].message.startswith("1 job is not in its place")
    (one,) = own.command("HRANDFIELD", "{dray}:body", 1)
    own.command("HDEL", "{dray}:body", one)
    assert look(own.url)["places"].message.startswith("2 jobs are not in their place")
    app.store.run(app.store.plans.tidy)
    app.close()
    assert look(own.url)["places"].level == "ok"


def test_few_are_looked_at_unless_all_are_to_be(own: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "AT_ONCE", 10)
    monkeypatch.setattr(places, "AT_MOST", 20)
    app = Dray(own.url)

    @app.task(name="shop.add")
    def add(a: int) -> None: ...

    app.enqueue_many([add.call(n) for n in range(50)])
    app.close()
    assert look(own.url)["places"].message == "Each of the 20 jobs looked at is where it belongs."
    assert look(own.url, deep=True)["places"].message == "Each of the 50 jobs looked at is where it belongs."
    (member, *_) = own.command("ZRANGE", "{dray}:ready", -1, -1)
    own.command("ZREM", "{dray}:ready", member)  # further behind: it is missed in the numbers
    assert look(own.url)["places"].message.startswith("1 job is not in its place")


# -- rights


@pytest.fixture
def shopkeeper(own: Server) -> str:
    """The URL of a user who may what the guide says that workers, producers and operators must, and no more."""
    own.command(*rights())
    return own.url.replace("//", "//shop:secret@")


def rights() -> list[str]:
    """The words of the command that the guide has for it."""
    text = (Path(__file__).parents[1] / "docs" / "redis.md").read_text(encoding="utf-8")
    return text[text.index("ACL SETUSER") :].partition("```")[0].split()


@pytest.mark.parametrize("kind", ["valkey-9", "redis-7.0", "redis-6.2"])
def test_the_rights_that_the_guide_names_are_enough(new_redis: Any, kind: str) -> None:
    made = new_redis(kind)
    made.command(*rights())
    app = Dray(made.url.replace("//", "//shop:secret@"))

    @app.task(name="shop.add")
    def add(a: int, b: int) -> int:
        return a + b

    app.schedules.put("weekly", add.call(1, 1), "0 7 * * mon")
    with app.worker():
        assert add.enqueue(1, 2).result(timeout=10) == 3
        assert len(app.insight.jobs("state:succeeded").jobs) == 1
    app.close()
    refused = {entry[b"object"] for entry in made.command("ACL", "LOG")}
    assert refused <= {b"client", b"client|setinfo"}  # the driver gives its name, and takes no for an answer


def test_what_is_refused_is_not_looked_at(own: Server, shopkeeper: str) -> None:
    findings, readable = examine_server(shopkeeper)
    assert readable
    found = {finding.check: finding for finding in findings}
    assert set(found) == ON_A_SERVER - {"slow-scripts", "busy-threshold"} | {"not-looked-at"}
    message = "Not looked at, because the server does not let this user ask: busy-threshold (CONFIG) and slow-scripts (SLOWLOG)."
    assert sorted(found["not-looked-at"].message) == sorted(message)
    assert found["not-looked-at"].level == "note"
    assert "how often it is flushed to disk is not told" in found["durability"].message
    assert "redis-cli" in str(look_with(own, shopkeeper).command)
    assert "secret" not in str(findings)


def look_with(own: Server, url: str) -> Finding:
    own.command("CONFIG", "SET", "appendonly", "no")
    found = {finding.check: finding for finding in examine_server(url)[0]}["durability"]
    assert "--user shop --askpass" in str(found.command)
    return found


def test_a_wrong_password(own: Server) -> None:
    own.command("ACL", "SETUSER", "shop", "on", ">secret", "+@all", "~*")
    findings, readable = examine_server(own.url.replace("//", "//shop:wrong@"))
    assert not readable
    assert "refused the login" in findings[0].message


def eventually(said: Any, seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
