"""LISTEN and NOTIFY as a hint: given only when somebody sleeps, and not missed when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from on_postgres import with_schema
from postgres_watch import ask, asleep, clients, opened, terminate, until

from dray import Dray
from dray.model.job import Executor, State
from dray.model.lifecycle import Move
from dray.store.postgres.bell import PostgresListener
from dray.store.postgres.store import PostgresStore
from dray.store.values import NodeEntry, Want
from dray.testing.suite.scene import TASK, new_jobs

if TYPE_CHECKING:
    from servers.postgres import Cluster
    from servers.proxy import Proxy

CHANNELS = ("dray_dray_work", "dray_dray_done", "dray_dray_orders")


@pytest.fixture
def url(postgres: Cluster, database: Any) -> str:
    return str(database(postgres, with_schema(postgres)))


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    with opened(url) as found:
        yield found


@pytest.fixture
def stranger(url: str) -> Iterator[PostgresStore]:
    """What another process would open: it shares nothing with `store` but the database."""
    with opened(url) as found:
        yield found


class Wire:
    """Hears every NOTIFY."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        for name in CHANNELS:
            self._connection.execute(f"listen {name}")  # type: ignore[arg-type]

    def heard(self) -> list[str]:
        """What was notified since the last time, up to now."""
        self._connection.execute("select")
        return [note.channel for note in self._connection.notifies(timeout=0)]

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def wire(url: str) -> Iterator[Wire]:
    found = Wire(url)
    yield found
    found.close()


def awake(listener: PostgresListener) -> None:
    """Wait until others see that it sleeps."""
    until(lambda: listener.remote)
    time.sleep(0.01)


@contextlib.contextmanager
def store_listener(store: PostgresStore, *queues: str) -> Iterator[PostgresListener]:
    """Asleep, as the worker of some queues."""
    listener = store.listen("work")
    listener.only(queues)
    listener.show()
    try:
        awake(listener)
        yield listener
    finally:
        listener.close()


def pass_through(store: PostgresStore, n: int = 1) -> None:
    """Enqueue some jobs, claim and settle them."""
    node = store.run(store.plans.enter, NodeEntry("node", "host", 1))
    store.run(store.plans.add, new_jobs(n))
    want = Want({Executor.ASYNC: n}, None, frozenset({TASK}))
    jobs = store.run(store.plans.claim, want, node).jobs
    assert len(jobs) == n
    moves = [Move(job.seq, job.claim, job.queue, State.SUCCEEDED, "returned") for job in jobs]
    assert store.run(store.plans.exchange, moves, None, node)[0] == []


def test_nobody_is_notified_while_nobody_sleeps(store: PostgresStore, wire: Wire) -> None:
    pass_through(store)
    pass_through(store, 50)
    store.run(store.plans.add, new_jobs(300))
    asyncio.run(store.arun(store.plans.add, new_jobs(1)))
    ids = [job.id for job in new_jobs(2)]
    store.run(store.plans.cancel, ids)
    store.run(store.plans.resume, "q")
    assert wire.heard() == []


def test_who_has_woken_is_not_notified(store: PostgresStore, stranger: PostgresStore, wire: Wire) -> None:
    """Shortly after: a worker that sleeps again at once must not ask for its lock each time."""
    with asleep(store, "work") as listener:
        awake(listener)
        stranger.run(stranger.plans.add, new_jobs(1))
        assert listener.wait(5)
        assert wire.heard() == ["dray_dray_work"]
        listener.hide()
        until(lambda: not ask(
            stranger.url, "select 1 from pg_locks l join pg_database d on d.oid = l.database "
            "where locktype = 'advisory' and d.datname = current_database()",
        ))  # fmt: skip
        for _ in range(10):
            stranger.run(stranger.plans.add, new_jobs(1))
        assert wire.heard() == []


def test_one_hint_for_many_jobs_and_only_to_its_kind(store: PostgresStore, stranger: PostgresStore, wire: Wire) -> None:
    with asleep(store, "work") as listener:
        awake(listener)
        stranger.run(stranger.plans.add, new_jobs(500))
        assert wire.heard() == ["dray_dray_work"]
        stranger.run(stranger.plans.add, new_jobs(50))
        assert wire.heard() == ["dray_dray_work"]
        pass_through(stranger)
        assert "dray_dray_done" not in wire.heard()


def test_a_worker_of_some_queues_is_rung_for_those_only(store: PostgresStore, stranger: PostgresStore, wire: Wire) -> None:
    with store_listener(store, "a", "b") as listener:
        awake(listener)
        for _ in range(3):
            stranger.run(stranger.plans.add, new_jobs(1, queue="c"))
        assert wire.heard() == [], "nobody waits for it"
        stranger.run(stranger.plans.add, new_jobs(1, queue="b"))
        assert listener.wait(5)


def test_one_who_takes_from_all_queues_is_rung_beside_one_who_does_not(store: PostgresStore, stranger: PostgresStore) -> None:
    with store_listener(store, "a") as picky, asleep(store, "work") as other:
        awake(other)
        stranger.run(stranger.plans.add, new_jobs(1, queue="c"))
        assert other.wait(5)
        assert not picky.wait(0.02)
        stranger.run(stranger.plans.add, new_jobs(300, queue="c"))
        assert picky.wait(5), "for many at once all are rung"


def test_who_was_rung_for_one_queue_does_not_hold_back_another(store: PostgresStore, stranger: PostgresStore) -> None:
    stranger.run(stranger.plans.add, new_jobs(1, queue="a") + new_jobs(1, queue="b"))  # their lanes are there
    with store_listener(store, "a") as one, store_listener(store, "b") as two:
        awake(two)
        stranger.run(stranger.plans.add, new_jobs(1, queue="a"))
        stranger.run(stranger.plans.add, new_jobs(1, queue="b"))
        assert one.wait(5)
        assert two.wait(5)


def test_a_producer_that_never_rests_rings_again(store: PostgresStore, stranger: PostgresStore) -> None:
    """Whoever sleeps meanwhile, and for however long it has been ringing already."""
    with asleep(store, "work") as listener:
        awake(listener)
        for _ in range(3):
            until(lambda: (stranger.run(stranger.plans.add, new_jobs(1)), listener.wait(0.001))[1])
            listener.hide()
            listener.show()


def test_a_transaction_that_is_rolled_back_wakes_nobody(store: PostgresStore, url: str, wire: Wire) -> None:
    app = Dray(url)
    app.store.run(app.store.plans.counts)

    @app.task
    def nothing() -> None: ...

    with asleep(store, "work") as listener, psycopg.connect(url) as connection:
        awake(listener)
        with app.bind(connection):
            nothing.enqueue()
        connection.rollback()
        assert wire.heard() == []
        with app.bind(connection):
            nothing.enqueue()
        connection.commit()
        assert listener.wait(5)
        assert set(wire.heard()) == {"dray_dray_work"}
    app.close()


def test_two_schemas_do_not_wake_each_other(url: str, store: PostgresStore) -> None:
    from dray.store.open import open_store

    other = open_store(url + "?schema=second")
    try:
        with asleep(store, "work") as listener:
            awake(listener)
            other.run(other.plans.add, new_jobs(1))
            assert not listener.wait(0.2)
    finally:
        other.close()


def test_a_hint_comes_at_once(store: PostgresStore, stranger: PostgresStore) -> None:
    took = []
    for _ in range(20):
        with asleep(store, "work") as listener:
            awake(listener)
            began = time.monotonic()
            stranger.run(stranger.plans.add, new_jobs(1))
            assert listener.wait(5)
            took.append(time.monotonic() - began)
    assert sorted(took)[10] < 0.02, took


def test_a_hint_that_comes_while_the_server_is_asked_something_is_heard(
    store: PostgresStore, stranger: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear: Any = store.bell.ear
    ask_server = ear._ask

    def ask_late(*args: Any) -> None:
        stranger.run(stranger.plans.add, new_jobs(1))
        time.sleep(0.05)  # the hint is there before the answer
        ask_server(*args)

    with asleep(store, "work") as listener:
        awake(listener)
        monkeypatch.setattr(ear, "_ask", ask_late)
        with asleep(store, "done"):
            assert listener.wait(5)
            monkeypatch.undo()


def test_a_listener_whose_connection_is_killed_looks_at_once_and_listens_again(
    url: str, store: PostgresStore, stranger: PostgresStore
) -> None:
    with asleep(store, "work") as listener:
        awake(listener)
        terminate(url)
        assert listener.wait(5), "there may have been a hint meanwhile"
        listener.hide()
        listener.show()
        until(lambda: listener.remote)
        time.sleep(0.01)
        while listener.wait(0.05):
            listener.hide()
            listener.show()
        stranger.run(stranger.plans.add, new_jobs(1))
        assert listener.wait(5)


def test_a_half_open_connection_is_noticed(
    url: str, postgres: Cluster, proxy_to: Callable[[int], Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dray.store.postgres import bell

    monkeypatch.setattr(bell, "HEARTBEAT", 0.3)
    monkeypatch.setattr(bell, "ANSWER", 0.5)
    proxy = proxy_to(postgres.port)
    with opened(proxy.url(url)) as store, asleep(store, "work") as listener:
        awake(listener)
        proxy.swallow()
        until(lambda: not listener.remote, 5)
        proxy.cut()
        proxy.passing()
        until(lambda: listener.remote, 10)


def test_looks_become_rarer(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed late, when the hint has been given or held back already, is found after as long again; at rest there is
    next to nothing to do for the server."""
    with asleep(store, "work") as listener:
        for remote, rare in ((True, 10.0), (False, 4.0)):
            monkeypatch.setattr(type(listener), "remote", property(lambda _, remote=remote: remote))
            glances = listener.glances()
            pauses, total = [], 0.0
            while total < 120:
                pauses.append(next(glances))
                assert pauses[-1] <= max(0.002, total * 1.01 + 0.002)
                total += pauses[-1]
            assert pauses[-1] == rare
            assert len(pauses) < (30 if remote else 90)


def test_no_wake_up_is_lost_between_processes(store: PostgresStore, stranger: PostgresStore) -> None:
    """However the steps of the two fall: the listener is rung, or sees the job at one of its looks, soon after the commit."""
    began: dict[bytes, float] = {}
    rounds = 60

    def produce() -> None:
        for n in range(rounds):
            time.sleep(0.0007 * (n % 13))
            (job,) = new_jobs(1)
            stranger.run(stranger.plans.add, [job])
            began[job.id] = time.monotonic()
            turn.acquire(timeout=20)

    turn = threading.Semaphore(0)
    producer = threading.Thread(target=produce)
    producer.start()
    found, late = 0, []
    listener = store.listen("work")
    while found < rounds:
        listener.show()
        glances = listener.glances()
        while True:
            rows = ask_ready(store)
            if rows > found:
                break
            listener.wait(next(glances))
        listener.hide()
        found = rows
        until(lambda n=rows: len(began) >= n)
        late.append(time.monotonic() - max(began.values()))
        turn.release()
    producer.join()
    listener.close()
    assert max(late) < 0.5, sorted(late)[-5:]


def ask_ready(store: PostgresStore) -> int:
    return store.run(store.plans.counts).get("default", {}).get("ready", 0)


def test_who_only_works_does_not_listen(url: str, store: PostgresStore) -> None:
    pass_through(store, 5)
    assert not any("listen" in query for _, _, query in clients(url))
    assert len(clients(url)) <= 2
