"""What a user may get wrong about a Redis store: one clear sentence each, without a password in it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from on_redis import KINDS

from dray import Dray
from dray.errors import ConfigurationError, DrayError, NotAStore, NotSupported, SchemaMismatch, StoreUnavailable
from dray.model.job import Executor, State
from dray.model.lifecycle import Move
from dray.store.open import open_store, redacted
from dray.store.redis import greeting
from dray.store.redis.place import place_of
from dray.store.values import NodeEntry, Want
from dray.testing.suite.scene import new_jobs

if TYPE_CHECKING:
    from servers.redis import Server
    from servers.redis_cluster import ShardedCluster
    from servers.redis_sentinel import Sentinels

SECRET = "pa/ss#w@rd"
ENCODED = "pa%2Fss%23w%40rd"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server that asks for passwords, of four databases."""
    from servers import Unavailable
    from servers.redis import Server

    try:
        server = Server(durable=False, settings={"databases": 4})
    except Unavailable as lack:
        pytest.skip(str(lack))
    yield server
    server.close()


@pytest.fixture
def made(guarded: Server) -> Iterator[str]:
    """The URL of a namespace there, without a user."""
    with guarded.fresh() as url:
        yield f"{url}&risk=persistence"


def as_user(url: str, user: str, password: str = ENCODED) -> str:
    return url.replace("//", f"//{user}:{password}@")


def user(server: Server, name: str, *rules: str) -> None:
    """Make a user who may do what `rules` say."""
    server.command("ACL", "SETUSER", name, "reset", "on", f">{SECRET}", *rules)


def refusal(url: str, kind: type[DrayError] = StoreUnavailable) -> str:
    with pytest.raises(kind) as caught:
        open_store(url)
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith((".", "?"))
    for secret in ("secret", "pa/ss", "w@rd", "pa%2Fss", "pass/w", "pass#w", "pass?w", "word@"):
        assert secret not in said.replace("user:password@", "")
    return said


# -- URLs


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://u:secret@h:port/0", "'h:port' is not a host with a port from 1 to 65535; write redis://user:password@host:6379/0"),
        ("redis://h:99999/0", "is not a host with a port from 1 to 65535"),
        ("redis://:6379/0", "':6379' is not a host with a port"),
        ("redis://[::1/0", "an IPv6 address in square brackets"),
        ("redis://::1/0", "an IPv6 address in square brackets"),
        ("redis://u:secret@a,b/0", "names several servers; write redis+sentinel:// or redis+cluster:// if that is what they are"),
        ("redis://u:pass/word@h/0", "There is a / in the user or password of 'redis://u:***@h/0'; write it as %2F"),
        ("redis://u:pass#word@h/0", "There is a # in the user or password of 'redis://u:***@h/0'; write it as %23"),
        ("redis://u:pass?word@h/0", "There is a ? in the user or password of 'redis://u:***@h/0'; write it as %3F"),
        ("redis://u:secret@more@h/0", "several @ in 'redis://u:***@h/0'; in a user or password write it as %40"),
        ("redis://u:100%secret@h/0", "write the sign itself as %25"),
        ("redis://h/0#x", "write it as %23"),
        ("redis:h/0", "lacks the slashes of a URL; write redis://user:password@host:6379/0"),
        ("redis+asyncio://u:secret@h/0", "'redis+asyncio://u:***@h/0' is not the URL of a store; use sqlite:///relative.db"),
        ("redis://h/mail", "'mail' in 'redis://h/mail' is not the number of a database"),
        ("redis://h/-1", "is not the number of a database"),
        ("redis://h/1/2", "'1/2' in 'redis://h/1/2' is not the number of a database"),
        ("redis://h/0?namspace=x", "is no option of a Redis store; did you mean namespace?"),
        ("redis://h/0?colour=red", "is no option of a Redis store; it has namespace, timeout, wait, shards, risk"),
        ("redis://h/0?namespace=", "is not 1 to 100 letters, digits or _ . : -, such as dray"),
        ("redis://h/0?namespace=a{b}", "is not 1 to 100 letters"),
        ("redis://h/0?timeout=soon", "timeout='soon' in 'redis://h/0?timeout=soon' is not a number from 1 to 3600"),
        ("redis://h/0?timeout=nan", "is not a number from 1 to 3600"),
        ("redis://h/0?wait=-1", "is not a number from 0 to 100"),
        ("redis://h/0?wait=1.5", "wait='1.5' in 'redis://h/0?wait=1.5' is not a whole number"),
        ("redis://h/0?risk=evicton", "risk=evicton in 'redis://h/0?risk=evicton' is not one of eviction, persistence, or both"),
        ("redis://h/0?shards=3", "is an option of redis+cluster:// only"),
        ("redis+cluster://h?shards=0", "is not a number from 1 to 1024"),
        ("redis+cluster://h/1", "names a database, and a cluster has only one"),
        ("redis+sentinel://h:1", "does not say what the sentinels call the primary"),
        ("redis://h/0?sentinel_password=secret", "sentinel_password in 'redis://h/0?sentinel_password=***' is an option of"),
        ("redis://h/0?ssl_ca_certs=/x", "is an option of rediss:// only, which is over TLS"),
        ("rediss://h/0?ssl_cert_reqs=maybe", "is not one of none, optional, required"),
    ],
)
def test_a_url_with_a_slip(url: str, said: str) -> None:
    assert said in refusal(url, ConfigurationError)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://h", "redis://h:6379/0"), ("redis:///3", "redis://localhost:6379/3"), ("redis://u:p@[::1]:5/1", "redis://[::1]:5/1"),
        ("rediss://u:a%40b@h/0?ssl_cert_reqs=none", "rediss://h:6379/0"), ("VALKEY://h", "valkey://h:6379/0"),
        ("redis://h/0?namespace=shop.mail", "redis://h:6379/0 (namespace shop.mail)"),
        ("redis+sentinel://a,b:1/prim/2?sentinel_password=secret", "redis+sentinel://a:26379,b:1/prim/2"),
        ("redis+cluster://a:1,b:2?shards=16&wait=1", "redis+cluster://a:1,b:2"),
    ],
)  # fmt: skip
def test_a_url_that_is_right(url: str, where: str) -> None:
    assert place_of(url).where == where


def test_a_password_is_read_and_hidden() -> None:
    place = place_of(f"redis://app:{ENCODED}@h/0")
    assert (place.username, place.password, place.where) == ("app", SECRET, "redis://h:6379/0")
    assert place_of("redis://:secret@h/0").username is None
    assert redacted(f"redis://app:{ENCODED}@h/0") == "redis://app:***@h/0"


# -- servers


def test_no_server() -> None:
    assert refusal("redis://u:secret@127.0.0.1:1/0") == (
        "The store redis://127.0.0.1:1/0 cannot be reached: Connection refused; start the server, or correct host and port in the "
        "URL."
    )
    assert "check the name of the host in the URL" in refusal("redis://no.such.host.invalid/0")
    for kind in ("redis+sentinel://127.0.0.1:1/prim", "redis+cluster://127.0.0.1:1,127.0.0.1:2"):
        assert "cannot be reached: Connection refused; start the server" in refusal(kind)


def test_the_login(guarded: Server, made: str) -> None:
    where = place_of(made).where
    user(guarded, "app", "+@all", "~*", "&*")
    assert refusal(as_user(made, "app", "secret")) == (
        f"The server of {where} refused the login: invalid username-password pair or user is disabled; check user and password in "
        "the URL."
    )
    assert "refused the login" in refusal(as_user(made, "nobody"))
    guarded.command("CONFIG", "SET", "requirepass", SECRET)
    try:
        assert "refused the login: Authentication required; check user and password" in refusal(made)
        assert "refused the login" in refusal(as_user(made, "", "secret"))
        open_store(as_user(made, "")).close()
        open_store(as_user(made, "app")).close()
    finally:
        guarded.client.connection_pool.disconnect()
        from redis import Redis

        with closing(Redis(guarded.host, guarded.port, password=SECRET)) as client:
            client.config_set("requirepass", "")


@pytest.mark.parametrize(
    ("rules", "lack"),
    [
        (("+@all", "~other*", "&*"), "No permissions to access a key"),
        (("+@all", "~*", "resetchannels"), "No permissions to access a channel"),
        (("+@all", "-@scripting", "~*", "&*"), "has no permissions to run the 'evalsha' command"),
        (("+ping", "~*", "&*"), "has no permissions to run"),
    ],
)
def test_a_user_who_lacks_a_right(guarded: Server, made: str, rules: tuple[str, ...], lack: str) -> None:
    """It is told when the store is opened, or refused whole: no script is to fail when a part of it is done."""
    user(guarded, "guest", *rules)
    with pytest.raises(StoreUnavailable) as caught, closing(open_store(as_user(made, "guest"))) as store:
        store.run(store.plans.add, new_jobs(1))
    said = str(caught.value)
    assert said.startswith(f"The user of {place_of(made).where} lacks a right: ")
    assert lack in said
    assert said.endswith("; let it run scripts and publish, on all keys and channels of the namespace.")
    with closing(open_store(made)) as store:
        assert store.run(store.plans.counts) == {}


def test_the_rights_that_are_enough(guarded: Server, made: str) -> None:
    """Nothing outside of the namespace, and nothing dangerous."""
    name = place_of(made).namespace
    user(guarded, "app", "+@all", "-@dangerous", "+info", f"~{{{name}}}:*", f"&{name}:*")
    with closing(open_store(as_user(made, "app"))) as store:
        store.run(store.plans.add, new_jobs(300))
        node = store.run(store.plans.enter, NodeEntry("w", "here", 1, {}))
        jobs = store.run(store.plans.claim, Want(dict.fromkeys(Executor, 9), None, frozenset({"t"})), node).jobs
        assert jobs
        store.run(store.plans.settle, [Move(job.seq, job.claim, job.queue, State.SUCCEEDED, "returned") for job in jobs])
        for verb in (store.plans.tidy, store.plans.prune, store.plans.promote, store.plans.rescue, store.plans.queues):
            store.run(verb)
        with closing(store.listen("work")) as listener:
            listener.show()
            listener.wait(0.2)
            assert listener.remote


def test_a_database_number_that_is_missing(guarded: Server, made: str) -> None:
    assert refusal(made.replace("/0?", "/4?"), ConfigurationError) == (
        f"The server of {place_of(made.replace('/0?', '/4?')).where} has no database of that number (DB index is out of range); "
        "correct the URL."
    )
    open_store(made.replace("/0?", "/3?")).close()


def test_a_server_that_is_too_old(made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "info", lambda raw: {"redis_version": "6.0.16"})
    assert refusal(made) == f"The server of {place_of(made).where} is Redis 6.0.16; Dray needs Redis 6.2 or Valkey."


def test_a_server_that_throws_keys_away(new_redis: Callable[..., Server]) -> None:
    server = new_redis(settings={"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"})
    said = refusal(server.url)
    assert "throws keys away when its memory is full (maxmemory-policy allkeys-lru), and jobs with them" in said
    assert "set `maxmemory-policy noeviction` there, use a server of its own, or accept it with ?risk=eviction" in said
    open_store(server.url + "?risk=eviction").close()
    server.command("CONFIG", "SET", "maxmemory-policy", "volatile-lru")  # jobs have no expiry there
    open_store(server.url).close()


def test_a_server_that_keeps_nothing(made: str, caplog: pytest.LogCaptureFixture, new_redis: Callable[..., Server]) -> None:
    with caplog.at_level(logging.WARNING, "dray"):
        open_store(made).close()
        open_store(new_redis().url).close()
        assert caplog.messages == []
        open_store(made.replace("&risk=persistence", "")).close()
    (said,) = caplog.messages
    assert "keeps nothing on disk (no append-only file)" in said
    assert "Set `appendonly yes` there, or accept it with ?risk=persistence in the URL." in said


def test_a_node_of_a_cluster(redis_cluster: ShardedCluster) -> None:
    url = redis_cluster.nodes[0].url
    assert refusal(url, ConfigurationError) == (
        f"The server of {place_of(url).where} is a node of a cluster; write redis+cluster:// in the URL."
    )


def test_a_server_that_is_no_cluster_and_no_sentinel(guarded: Server) -> None:
    address = f"{guarded.host}:{guarded.port}"
    assert "write redis:// in the URL if it is no cluster" in refusal(f"redis+cluster://{address}")
    assert "write redis:// in the URL if it is no Sentinel" in refusal(f"redis+sentinel://{address}/prim")


def test_a_sentinel_and_a_replica(sentinels: Sentinels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "PATIENCE", 0.3)  # it might become the primary in a moment
    assert "is a Sentinel; write redis+sentinel://" in refusal(sentinels.sentinels[0].url, ConfigurationError)
    replica = next(server for port, server in sentinels.servers.items() if port != sentinels.primary)
    assert "is a replica, and takes no writes; name the primary in the URL, or the sentinels" in refusal(
        f"{replica.url}?risk=persistence"
    )
    assert "the sentinels know no primary 'other'" in refusal(sentinels.url.replace("mymaster", "other"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_made_a_replica(kind: str, new_redis: Callable[..., Server]) -> None:
    """For a while it is waited for: it may be the primary again, as in a failover; then it is told."""
    server = new_redis(kind, durable=False)
    with closing(open_store(f"{server.url}?risk=persistence&timeout=1")) as store:
        server.command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StoreUnavailable, match="is a replica, and takes no writes; name the primary in the URL"):
            store.run(store.plans.add, new_jobs(1))
        again = threading.Timer(0.3, lambda: server.command("REPLICAOF", "NO", "ONE"))
        again.start()
        store.run(store.plans.add, new_jobs(1))
        again.join()
        assert store.run(store.plans.counts) == {"default": {"ready": 1}}


def test_what_is_no_redis() -> None:
    """Another service, and one that never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as service:
        url = f"redis://127.0.0.1:{service.getsockname()[1]}/0?timeout=1"
        assert "cannot be reached: Timeout reading from socket; check host, port and firewall" in refusal(url)
        assert "check host, port and firewall, and that the server speaks TLS there" in refusal(url.replace("redis", "rediss"))

        def answer() -> None:
            for _ in range(3):  # two that have been given up, and one more
                connection, _ = service.accept()
                with closing(connection):
                    connection.recv(1000)
                    try:
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    except OSError:
                        continue

        thread = threading.Thread(target=answer)
        thread.start()
        assert f"What answers at {place_of(url).where} is no Redis server" in refusal(url, NotAStore)
        thread.join(10)


# -- what is kept there


def test_names_that_belong_to_somebody_else(guarded: Server, made: str) -> None:
    guarded.command("SET", f"{place_of(made).tag(0)}:meta", "theirs")
    assert refusal(made, NotAStore) == (
        f"Something else keeps its own under the names that jobs have in {place_of(made).where}; choose another ?namespace=."
    )


def test_what_another_version_has_written(guarded: Server, made: str, redis_cluster: ShardedCluster) -> None:
    open_store(made).close()
    guarded.command("HSET", f"{place_of(made).tag(0)}:meta", "format", greeting.FORMAT + 1)
    assert f"are kept in form {greeting.FORMAT + 1}, and this version of Dray knows {greeting.FORMAT}" in refusal(
        made, SchemaMismatch
    )
    with redis_cluster.fresh() as url:
        open_store(f"{url}&risk=persistence&shards=3").close()
        assert "are spread over 3 shards, and the URL says 8; write ?shards=3, or use another namespace" in refusal(
            f"{url}&risk=persistence", ConfigurationError
        )


def test_the_callers_transaction_is_refused(made: str) -> None:
    with closing(Dray(made)) as app, pytest.raises(NotSupported) as caught, app.bind(object()):
        pass
    assert str(caught.value) == (
        f"The store {place_of(made).where} cannot take part in the transaction of object; enqueue after its commit, or keep the "
        "jobs in that database (sqlite:// or postgresql://)."
    )


def test_what_jobs_say_is_kept_whatever_it_is(made: str) -> None:
    bad, good = "a\0b\ud800ü", "a\0b\\ud800ü"
    with closing(open_store(made)) as store:
        first, second, third = new_jobs(3)
        store.run(store.plans.add, [first, second, third])
        node = store.run(store.plans.enter, NodeEntry("w", "here", 1, {}))
        jobs = store.run(store.plans.claim, Want(dict.fromkeys(Executor, 2), None, frozenset({"t"})), node).jobs
        ends, runs = jobs[:2]
        store.run(store.plans.note, [], [(1, "info", bad, ends.seq, ends.claim)], 100)
        assert [line.text for line in store.run(store.plans.logs, ends.id)] == [good]
        moves: list[Any] = [
            Move(ends.seq, ends.claim, ends.queue, State.CANCELLED, "cancelled", reason=bad),
            Move(runs.seq, runs.claim, runs.queue, State.SCHEDULED, "snoozed", reason=bad, delay=60.0),
        ]
        assert store.run(store.plans.settle, moves) == []
        assert store.run(store.plans.cancel, [third.id], bad) == {third.id: "cancelled"}
        store.run(store.plans.pause, "q", bad)
        assert {store.run(store.plans.get, id_).reason for id_ in (ends.id, runs.id, third.id)} == {good}  # type: ignore[union-attr]
        assert [queue.paused_by for queue in store.run(store.plans.queues) if queue.name == "q"] == [good]
