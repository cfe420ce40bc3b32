"""Jobs in the caller's transaction, and tasks whose effect and success are one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from harness import eventually
from sqlalchemy.orm import Session

from dray import Backoff, Dray, JobFailed, StaleClaim, StoreError, current_job
from dray.errors import NotSupported, WrongDatabase

SOON = Backoff.fixed(0)


class Bench:
    """An app, a table of effects in its file, and tasks over it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "jobs.db"
        self.url = f"sqlite:///{self.file}"
        self.app = Dray(self.url)
        _ = self.app.store
        with self.connect() as connection:
            connection.execute("create table effect (word text unique)")
        self.engine = sa.create_engine(self.url)

    @contextlib.contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.file, timeout=30)) as connection, connection:
            yield connection

    def effects(self) -> list[str]:
        with self.connect() as connection:
            return [word for (word,) in connection.execute("select word from effect order by rowid")]

    def jobs(self) -> int:
        return sum(sum(states.values()) for states in self.app.insight.recount().values())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.engine.dispose()
    found.app.close()


def test_bind_a_sqlite3_connection(bench: Bench) -> None:
    @bench.app.task
    def work(n: int) -> int:
        return n

    with contextlib.closing(sqlite3.connect(bench.file)) as connection, bench.app.worker():
        connection.execute("insert into effect values ('a')")
        with bench.app.bind(connection):
            job = work.enqueue(1)
            bench.app.enqueue_many(work.call(n) for n in range(5))
        connection.rollback()
        assert (bench.jobs(), bench.effects()) == (0, [])
        connection.execute("insert into effect values ('b')")
        with bench.app.bind(connection):
            job = work.enqueue(2)
        assert bench.jobs() == 0, "not committed yet"
        connection.commit()
        assert job.result(timeout=10) == 2
        assert bench.effects() == ["b"]
        with connection, bench.app.bind(connection):
            job = work.enqueue(3)
            connection.execute("insert into effect values ('c')")
        assert job.result(timeout=10) == 3
        with contextlib.suppress(ZeroDivisionError), connection, bench.app.bind(connection):
            work.enqueue(4)
            connection.execute("insert into effect values ('d')")
            _ = 1 / 0
        assert bench.jobs() == 2
        assert bench.effects() == ["b", "c"]
    assert bench.app.insight.counts() == bench.app.insight.recount()


def test_bind_is_seen_by_its_own_thread_only(bench: Bench) -> None:
    @bench.app.task
    def work(n: int) -> int:
        return n

    with contextlib.closing(sqlite3.connect(bench.file)) as connection:
        with bench.app.bind(connection):
            thread = threading.Thread(target=lambda: work.enqueue(1))
            thread.start()
            thread.join()
            assert bench.jobs() == 1
            with bench.app.bind(connection):
                work.enqueue(2)
            work.enqueue(3)
        connection.rollback()
    assert bench.jobs() == 1


def test_bind_refuses_what_is_another_database(bench: Bench, tmp_path: Path) -> None:
    for file in (":memory:", tmp_path / "other.db"):
        with contextlib.closing(sqlite3.connect(file)) as connection, pytest.raises(WrongDatabase), bench.app.bind(connection):
            pass
    with pytest.raises(NotSupported), bench.app.bind(object()):
        pass
    memory = Dray("sqlite://")
    with contextlib.closing(sqlite3.connect(bench.file)) as connection, pytest.raises(WrongDatabase), memory.bind(connection):
        pass
    memory.close()


@pytest.mark.parametrize("kind", ["connection", "session"])
def test_bind_sqlalchemy(bench: Bench, kind: str) -> None:
    @bench.app.task
    def work(n: int) -> int:
        return n

    insert = sa.text("insert into effect values (:word)")
    with (bench.engine.connect() if kind == "connection" else Session(bench.engine)) as target, bench.app.worker():
        target.execute(insert, {"word": "a"})
        with bench.app.bind(target):
            work.enqueue(1)
        target.rollback()
        assert (bench.jobs(), bench.effects()) == (0, [])
        with bench.app.bind(target):  # the job is the first statement of the transaction
            job = work.enqueue(2)
        target.execute(insert, {"word": "b"})
        assert bench.jobs() == 0
        target.commit()
        assert job.result(timeout=10) == 2
        with bench.app.bind(target):
            job = work.enqueue(3)
            target.commit()
            assert job.result(timeout=10) == 3
            again = work.enqueue(4)  # a transaction of its own
            assert bench.jobs() == 2
            target.commit()
            assert again.result(timeout=10) == 4
    assert bench.effects() == ["b"]


def test_bind_async_sqlalchemy(bench: Bench) -> None:
    pytest.importorskip("aiosqlite")
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    @bench.app.task
    async def work(n: int) -> int:
        return n

    async def main() -> None:
        engine = create_async_engine(bench.url.replace("sqlite:", "sqlite+aiosqlite:"))
        async with AsyncSession(engine) as session:
            with bench.app.bind(session):
                await work.aenqueue(1)
            await session.rollback()
            assert bench.jobs() == 0
            with bench.app.bind(session):
                await work.aenqueue(2)
            await session.commit()
            assert bench.jobs() == 1
        await engine.dispose()

    asyncio.run(main())


def declare(bench: Bench, kind: str) -> Any:
    """A transactional task that writes an effect and a child job, and raises at the first attempt."""
    app = bench.app

    @app.task
    def child(word: str) -> str:
        return word

    def first(word: str) -> None:
        child.enqueue(word)
        if current_job().attempt == 1:
            raise ValueError("after the effect")

    insert = "insert into effect values (:word)"
    if kind == "sqlite3":

        @app.task(transactional=True, backoff=SOON, max_attempts=2)
        def effect(word: str, db: sqlite3.Connection) -> str:
            db.execute(insert, {"word": word})
            first(word)
            return word

        return effect
    if kind == "connection":

        @app.task(transactional=True, backoff=SOON, max_attempts=2, name="effect")
        def over_connection(word: str, db: sa.Connection) -> str:
            db.execute(sa.text(insert), {"word": word})
            first(word)
            return word

        return over_connection
    if kind == "session":

        @app.task(transactional=True, backoff=SOON, max_attempts=2, name="effect")
        def over_session(word: str, *, db: Session) -> str:
            db.execute(sa.text(insert), {"word": word})
            db.flush()
            first(word)
            return word

        return over_session

    @app.task(transactional=True, backoff=SOON, max_attempts=2, name="effect")
    async def coroutine(word: str, db: sqlite3.Connection) -> str:
        db.execute(insert, {"word": word})
        await asyncio.sleep(0.01)
        await child.aenqueue(word)
        if current_job().attempt == 1:
            raise ValueError("after the effect")
        return word

    return coroutine


@pytest.mark.parametrize("kind", ["sqlite3", "connection", "session", "coroutine"])
def test_effect_and_success_are_one(bench: Bench, kind: str) -> None:
    effect = declare(bench, kind)
    with bench.app.worker(concurrency=3):
        jobs = [effect.enqueue(f"w{n}") for n in range(6)]
        assert [job.result(timeout=30) for job in jobs] == [f"w{n}" for n in range(6)]
        eventually(lambda: bench.app.insight.counts()["default"] == {"succeeded": 12})
    assert sorted(bench.effects()) == [f"w{n}" for n in range(6)]
    for job in jobs:
        assert job.refresh().info.attempt == 2
    children = bench.app.insight.jobs("task:*child").jobs
    assert {info.parent for info in children} == {job.id for job in jobs}
    assert bench.app.insight.counts() == bench.app.insight.recount()


def test_an_error_of_the_function_is_its_own(bench: Bench) -> None:
    @bench.app.task(transactional=True, give_up_on=(sqlite3.IntegrityError,))
    def clash(db: sqlite3.Connection) -> None:
        db.execute("insert into effect values ('same')")
        db.execute("insert into effect values ('same')")

    @bench.app.task(transactional=True, max_attempts=1)
    def commits(db: sqlite3.Connection) -> None:
        db.execute("insert into effect values ('mine')")
        db.rollback()

    @bench.app.task(transactional=True, max_attempts=1)
    def takes_none(n: int) -> None: ...

    with bench.app.worker():
        job = clash.enqueue()
        with pytest.raises(JobFailed) as caught:
            job.result(timeout=10)
        assert caught.value.error_type == "sqlite3.IntegrityError"
        assert job.refresh().info.attempt == 1
        with pytest.raises(JobFailed, match="leave that to the worker"):
            commits.enqueue().result(timeout=10)
        with pytest.raises(JobFailed, match="annotate one with"):
            takes_none.enqueue(1).result(timeout=10)
    assert bench.effects() == []


def test_a_lost_claim_rolls_the_effect_back(bench: Bench) -> None:
    begun, go = threading.Event(), threading.Event()
    told: list[str] = []

    @bench.app.task(transactional=True)
    def effect(db: sqlite3.Connection) -> str:
        if current_job().claim > 1:
            return "second"
        # The write lock is ours: what follows is what a rescue before it would have written.
        db.execute("update dray_job set claim = claim + 1, node = null, state = 1 where state = 2")
        db.execute("insert into effect values ('lost')")
        begun.set()
        go.wait(10)
        return "first"

    with bench.app.worker() as worker:
        job = effect.enqueue()
        assert begun.wait(10)
        go.set()
        # Its own update was rolled back as well, so that the run is simply one that raised StaleClaim.
        eventually(lambda: job.refresh().info.state == "scheduled")
        told.append(job.info.error["type"])
        assert worker.node is not None
    assert told == ["StaleClaim"]
    assert bench.effects() == []
    assert issubclass(StaleClaim, Exception)
    assert not issubclass(StaleClaim, StoreError)


def test_a_waiting_transactional_coroutine_does_not_stop_the_event_loop(bench: Bench) -> None:
    ticks: list[float] = []

    @bench.app.task(transactional=True)
    async def effect(db: sqlite3.Connection) -> None:
        db.execute("insert into effect values ('a')")

    @bench.app.task
    async def ticking() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.02)

    with bench.app.worker(grace=0):
        ticking.enqueue()
        eventually(lambda: len(ticks) > 3)
        with contextlib.closing(sqlite3.connect(bench.file, isolation_level=None)) as other:
            job = effect.enqueue()
            eventually(lambda: job.state in ("running", "succeeded"))
            if job.state == "running":
                other.execute("begin immediate")
                seen = len(ticks)
                eventually(lambda: len(ticks) > seen + 20, within=5, what="the loop goes on")
                other.execute("rollback")
        job.result(timeout=10)
    gaps = [b - a for a, b in itertools.pairwise(ticks)]
    assert max(gaps) < 0.8


def test_in_a_pool_child(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "transactional_tasks.py").write_text(
        "import sqlite3\n"
        "from dray import Dray\n"
        "app = Dray()\n"
        "@app.task(transactional=True, executor='process')\n"
        "def effect(word: str, db: sqlite3.Connection) -> str:\n"
        "    db.execute('insert into effect values (?)', (word,))\n"
        "    return word\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import transactional_tasks  # type: ignore[import-not-found]

    transactional_tasks.app.configure(url=bench.url)
    with transactional_tasks.app.worker(process_slots=1):
        assert transactional_tasks.effect.enqueue("a").result(timeout=15) == "a"
    transactional_tasks.app.close()
    assert bench.effects() == ["a"]
