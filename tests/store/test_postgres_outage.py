"""Servers that go away under the calls of producers: what is acknowledged is there, once, and calls wait out what is short."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from on_postgres import with_schema
from postgres_watch import Call, ask, opened, terminate, until

from dray.errors import StoreError, StoreUnavailable
from dray.store.postgres.store import PostgresStore
from dray.store.values import NodeEntry
from dray.testing.suite.scene import new_jobs

if TYPE_CHECKING:
    from servers.postgres import Cluster
    from servers.proxy import Proxy

ROOM = 20  # connections that the server has


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
def url(server: Cluster, database: Any) -> str:
    server.start()
    return str(database(server, with_schema(server)))


class Producers:
    """Four that enqueue without a pause, in both colours, one job and many at a time."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        self.acknowledged: list[bytes] = []
        self.tried: list[bytes] = []
        self.errors: list[StoreError] = []
        self._going = True
        self._threads = [threading.Thread(target=self._produce, args=(n, colour)) for n in (1, 250) for colour in ("sync", "async")]

    def __enter__(self) -> Producers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def more(self, n: int = 4) -> None:
        """Wait until some more have been acknowledged."""
        seen = len(self.acknowledged)
        until(lambda: len(self.acknowledged) >= seen + n * 251, 20)

    def check(self, url: str) -> None:
        """All of what has been acknowledged is there, nothing twice, nothing that was not asked for."""
        kept = [bytes(row[0]) for row in ask(url, "select id from dray.dray_job")]
        assert len(kept) == len(set(kept))
        assert set(self.acknowledged) <= set(kept) <= set(self.tried)
        assert self.store.run(self.store.plans.counts) == self.store.run(self.store.plans.recount)

    def _produce(self, n: int, colour: str) -> None:
        plans = self.store.plans
        while self._going:
            jobs = new_jobs(n)
            ids = [job.id for job in jobs]
            self.tried += ids
            try:
                if colour == "sync":
                    self.store.run(plans.add, jobs)
                else:
                    asyncio.run(self.store.arun(plans.add, jobs))
            except StoreError as error:
                self.errors.append(error)
            else:
                self.acknowledged += ids


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_a_restart_is_waited_out(server: Cluster, url: str, mode: str) -> None:
    with opened(url) as store, Producers(store) as producers:
        for _ in range(2):
            producers.more()
            server.kill() if mode == "kill" else server.stop(mode)  # type: ignore[arg-type]
            time.sleep(0.3)
            began = time.monotonic()
            server.start()
            producers.more(1)
            print(f"{mode}: all go on {time.monotonic() - began:.2f} s after the start was begun")
    assert producers.errors == []
    with opened(url) as producers.store:
        producers.check(url)


def test_backends_that_are_terminated_all_the_time(server: Cluster, url: str) -> None:
    with opened(url) as store:
        with Producers(store) as producers:
            producers.more(1)
            killed, end = 0, time.monotonic() + 2.0
            while time.monotonic() < end:
                killed += terminate(url)
                time.sleep(0.02)
            producers.more(1)
        assert killed > 20
        assert producers.errors == []
        producers.check(url)


def test_a_network_that_cuts_connections(server: Cluster, url: str, proxy_to: Callable[[int], Proxy]) -> None:
    proxy = proxy_to(server.port)
    with opened(proxy.url(url)) as store:
        with Producers(store) as producers:
            for n in range(12):
                producers.more(1)
                proxy.cut(reset=bool(n % 2))
        assert producers.errors == []
        producers.check(url)


def test_a_slow_network(server: Cluster, url: str, proxy_to: Callable[[int], Proxy]) -> None:
    """Half a second each way: also a lease is renewed, on a new connection."""
    proxy = proxy_to(server.port)
    with opened(url) as direct, opened(proxy.url(url)) as store:
        node = direct.run(direct.plans.enter, NodeEntry("node", "host", 1))
        proxy.cut()
        proxy.delay(500, 500)
        call = Call(lambda: store.run(store.plans.extend, {node: 0.0})).wait(6)
        assert call.error is None
        assert call.took > 1.5, "it was slow"
        assert Call(lambda: store.run(store.plans.extend, {node: 0.0})).wait(6).took < 2


def test_no_connection_left(server: Cluster, url: str) -> None:
    with opened(url) as store, ExitStack() as others:
        store.run(store.plans.add, new_jobs(1))

        def full() -> bool:
            try:
                others.enter_context(psycopg.connect(url, autocommit=True))
            except psycopg.OperationalError:
                return True
            return False

        until(full)
        lines = store.session.lines
        lines.discard(lines.take(time.monotonic() + 5))
        assert lines._made == 0
        until(lambda: not full())  # the place that has just become free
        until(full)
        call = Call(lambda: store.run(store.plans.add, new_jobs(1)))
        time.sleep(0.5)
        assert not call.over
        others.close()
        assert call.wait(5).error is None
        assert store.run(store.plans.counts)["default"]["ready"] == 2


def test_an_outage_that_lasts_is_an_error_in_one_sentence(server: Cluster, url: str) -> None:
    with opened(url, timeout=3) as store:
        store.run(store.plans.add, new_jobs(1))
        server.stop()
        calls = [Call(lambda: store.run(store.plans.add, new_jobs(1))), Call(lambda: store.run(store.plans.counts))]
        for call in calls:
            assert isinstance(call.wait(5).error, StoreUnavailable)
            assert "cannot be reached" in str(call.error)
            assert "\n" not in str(call.error)
        server.start()
        assert store.run(store.plans.counts)["default"]["ready"] == 1
