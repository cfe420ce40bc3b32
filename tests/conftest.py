"""Servers for all tests. Nothing is imported or started before a test asks; what a machine lacks is skipped with the reason."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

import pytest

from servers import Unavailable

if TYPE_CHECKING:
    from servers.hosts import Network
    from servers.pgbouncer import PgBouncer
    from servers.postgres import Cluster
    from servers.proxy import Proxy
    from servers.redis import Server
    from servers.redis_cluster import ShardedCluster
    from servers.redis_sentinel import Sentinels


class NewCluster(Protocol):
    """Arguments as of `servers.postgres.Cluster`; the version is the default one."""

    def __call__(self, version: int | None = None, *, durable: bool = True, listen: str | None = None,
                 settings: dict[str, object] | None = None) -> Cluster: ...  # fmt: skip


class NewRedis(Protocol):
    """Arguments as of `servers.redis.Server`; the kind is the default one."""

    def __call__(self, kind: str | None = None, *, durable: bool = True, listen: str | None = None,
                 settings: dict[str, object] | None = None) -> Server: ...  # fmt: skip


class NewRedisCluster(Protocol):
    """Arguments as of `servers.redis_cluster.ShardedCluster`; the kind is the default one."""

    def __call__(self, kind: str | None = None, *, shards: int = 3, replicas: int = 0, durable: bool = False,
                 settings: dict[str, object] | None = None) -> ShardedCluster: ...  # fmt: skip


class Fresh(Protocol):
    """Cluster, and the name of a registered template."""

    def __call__(self, cluster: Cluster, template: str | None = None) -> str: ...


@contextlib.contextmanager
def _or_skip() -> Iterator[None]:
    try:
        yield
    except Unavailable as lack:
        pytest.skip(str(lack))


@pytest.fixture(scope="session")
def cluster_of() -> Iterator[Callable[[int], Cluster]]:
    """The shared cluster of a major version of PostgreSQL, fsync off. Tests must not stop it: for that, `new_cluster`."""
    from servers.postgres import Cluster

    running: dict[int, Cluster] = {}

    def of(version: int) -> Cluster:
        if version not in running:
            with _or_skip():
                running[version] = Cluster(version, durable=False)
        return running[version]

    yield of
    for cluster in running.values():
        cluster.close()


@pytest.fixture(scope="session")
def postgres(cluster_of: Callable[[int], Cluster]) -> Cluster:
    """The shared cluster of the default version: the newest that the system has, else 18."""
    from servers.binaries import default_version

    with _or_skip():
        return cluster_of(default_version())


@pytest.fixture
def new_cluster() -> Iterator[NewCluster]:
    """Clusters of the test's own, durable unless asked otherwise, to be stopped and killed at will."""
    from servers.binaries import default_version
    from servers.postgres import Cluster

    with contextlib.ExitStack() as stack:

        def new(version: int | None = None, *, durable: bool = True, listen: str | None = None,
                settings: dict[str, object] | None = None) -> Cluster:  # fmt: skip
            with _or_skip():
                cluster = Cluster(version or default_version(), durable=durable, listen=listen, settings=settings)
            stack.callback(cluster.close)
            return cluster

        yield new


@pytest.fixture
def database() -> Iterator[Fresh]:
    """URLs of new databases, empty or clones of a template; dropped after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda cluster, template=None: stack.enter_context(cluster.fresh(template))


@pytest.fixture(scope="session")
def pgbouncer_for() -> Iterator[Callable[[Cluster], PgBouncer]]:
    """The shared PgBouncer, in transaction mode, in front of a cluster."""
    from servers.pgbouncer import PgBouncer

    running: dict[int, PgBouncer] = {}

    def to(cluster: Cluster) -> PgBouncer:
        if cluster.port not in running:
            with _or_skip():
                running[cluster.port] = PgBouncer(cluster)
        return running[cluster.port]

    yield to
    for bouncer in running.values():
        bouncer.close()


@pytest.fixture(scope="session")
def redis_of() -> Iterator[Callable[[str], Server]]:
    """The shared server of a kind of `servers.redis_binaries.KINDS`, in memory. Tests take `with server.fresh() as url`, and
    must not stop it or change its settings: for that, `new_redis`."""
    from servers.redis import Server

    running: dict[str, Server] = {}

    def of(kind: str) -> Server:
        if kind not in running:
            with _or_skip():
                running[kind] = Server(kind, durable=False)
        return running[kind]

    yield of
    for server in running.values():
        server.close()


@pytest.fixture(scope="session")
def valkey(redis_of: Callable[[str], Server]) -> Server:
    """The shared server of the default kind: Valkey 9, else the next of the kinds that the machine has."""
    from servers.redis_binaries import default_kind

    with _or_skip():
        return redis_of(default_kind())


@pytest.fixture
def new_redis() -> Iterator[NewRedis]:
    """Redis servers of the test's own, durable unless asked otherwise, to be stopped, killed and paused at will."""
    from servers.redis import Server

    with contextlib.ExitStack() as stack:

        def new(kind: str | None = None, *, durable: bool = True, listen: str | None = None,
                settings: dict[str, object] | None = None) -> Server:  # fmt: skip
            with _or_skip():
                server = Server(kind, durable=durable, listen=listen, settings=settings)
            stack.callback(server.close)
            return server

        yield new


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    """A primary, two replicas and three Sentinels of the test's own."""
    from servers.redis_sentinel import Sentinels

    with _or_skip():
        made = Sentinels()
    yield made
    made.close()


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[ShardedCluster]:
    """The shared cluster of three primaries. Slots may be moved, and stay moved; for killing nodes, `new_redis_cluster`."""
    from servers.redis_cluster import ShardedCluster

    with _or_skip():
        made = ShardedCluster()
    yield made
    made.close()


@pytest.fixture
def new_redis_cluster() -> Iterator[NewRedisCluster]:
    """Redis Clusters of the test's own, in memory unless asked otherwise."""
    from servers.redis_cluster import ShardedCluster

    with contextlib.ExitStack() as stack:

        def new(kind: str | None = None, *, shards: int = 3, replicas: int = 0, durable: bool = False,
                settings: dict[str, object] | None = None) -> ShardedCluster:  # fmt: skip
            with _or_skip():
                made = ShardedCluster(kind, shards=shards, replicas=replicas, durable=durable, settings=settings)
            stack.callback(made.close)
            return made

        yield new


@pytest.fixture
def proxy_to() -> Iterator[Callable[[int], Proxy]]:
    """A proxy in front of a port; it is closed after the test."""
    from servers.proxy import Proxy

    with contextlib.ExitStack() as stack:

        def to(port: int) -> Proxy:
            proxy = Proxy(port)
            stack.callback(proxy.close)
            return proxy

        yield to


@pytest.fixture
def network() -> Iterator[Network]:
    """A network for hosts that can be cut off; removed after the test."""
    from servers.hosts import Network

    with _or_skip():
        made = Network()
    yield made
    made.close()
