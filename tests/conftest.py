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


class NewCluster(Protocol):
    """Arguments as of `servers.postgres.Cluster`; the version is the default one."""

    def __call__(self, version: int | None = None, *, durable: bool = True, listen: str | None = None,
                 settings: dict[str, object] | None = None) -> Cluster: ...  # fmt: skip


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
