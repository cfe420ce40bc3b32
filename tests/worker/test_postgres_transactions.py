"""Tasks whose effect and success are one commit, on PostgreSQL, for each driver and each colour."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import pytest
import sqlalchemy as sa
from harness import Place, eventually, kill, new_url
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from dray import Backoff, Dray, JobFailed, current_job
from dray.errors import ConfigurationError
from dray.model.lifecycle import decide
from dray.model.outcome import Returned
from dray.store.postgres.held import committed

SOON = Backoff.fixed(0)
KINDS = ["psycopg", "connection", "session", "async psycopg", "asyncpg", "async connection", "async session"]
INSERT = "insert into effect (word) values ('{}')"


class Bench:
    """An app, and a table of effects beside its jobs: a second one of the same word would be seen."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = Dray(url)
        self.execute("create table effect (word text)")

    def execute(self, text: str, *params: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True, application_name="bench") as connection:
            cursor = connection.execute(text, params)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def effects(self) -> list[str]:
        return [word for (word,) in self.execute("select word from effect order by word")]


@pytest.fixture
def bench(tmp_path: Any, postgres: Any) -> Iterator[Bench]:
    with new_url("postgres", tmp_path, lambda: postgres) as url:
        found = Bench(url)
        yield found
        found.app.close()


def declare(app: Dray, kind: str, during: Callable[[], object], *, name: str = "effect", **options: Any) -> Any:
    """A transactional task of a kind that writes an effect, does `during`, and then raises if that says so."""
    child: Any = app.tasks.get("child")
    if child is None:

        @app.task(name="child")
        def child(word: str) -> str:
            return word

    register = app.task(transactional=True, name=name, **{"backoff": SOON, "max_attempts": 2, **options})
    if kind == "psycopg":

        def plain(word: str, db: psycopg.Connection[Any]) -> str:
            db.execute(INSERT.format(word))  # type: ignore[arg-type]
            child.enqueue(word)
            during()
            return word

        return register(plain)
    if kind == "connection":

        def over_connection(word: str, *, db: sa.Connection) -> str:
            db.execute(sa.text(INSERT.format(word)))
            child.enqueue(word)
            during()
            return word

        return register(over_connection)
    if kind == "session":

        def over_session(word: str, db: Session | None = None) -> str:
            assert db is not None
            db.execute(sa.text(INSERT.format(word)))
            child.enqueue(word)
            during()
            return word

        return register(over_session)

    async def after(word: str) -> str:
        await child.aenqueue(word)
        await asyncio.to_thread(during)
        return word

    if kind == "async psycopg":

        async def coroutine(word: str, db: psycopg.AsyncConnection[Any]) -> str:
            await db.execute(INSERT.format(word))  # type: ignore[arg-type]
            return await after(word)

        return register(coroutine)
    if kind == "asyncpg":

        async def with_asyncpg(word: str, db: asyncpg.Connection) -> str:
            await db.execute(INSERT.format(word))
            return await after(word)

        return register(with_asyncpg)
    if kind == "async connection":

        async def over_async_connection(word: str, db: AsyncConnection) -> str:
            await db.execute(sa.text(INSERT.format(word)))
            return await after(word)

        return register(over_async_connection)

    async def over_async_session(word: str, db: AsyncSession) -> str:
        await db.execute(sa.text(INSERT.format(word)))
        return await after(word)

    return register(over_async_session)


@pytest.mark.parametrize("kind", KINDS)
def test_effect_and_success_are_one(bench: Bench, kind: str) -> None:
    def at_first() -> None:
        if current_job().attempt == 1:
            raise ValueError("after the effect")

    effect = declare(bench.app, kind, at_first)
    with bench.app.worker(concurrency=3):
        jobs = [effect.enqueue(f"w{n}") for n in range(6)]
        assert [job.result(timeout=30) for job in jobs] == [f"w{n}" for n in range(6)]
        eventually(lambda: bench.app.insight.counts()["default"] == {"succeeded": 12})
    assert bench.effects() == [f"w{n}" for n in range(6)]
    for job in jobs:
        assert job.refresh().info.attempt == 2
    children = bench.app.insight.jobs("task:child").jobs
    assert {info.parent for info in children} == {job.id for job in jobs}
    assert bench.app.insight.counts() == bench.app.insight.recount()


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_claim_rolls_the_effect_back(bench: Bench, kind: str) -> None:
    begun, go = threading.Event(), threading.Event()
    claims: list[int] = []

    def during() -> None:
        claims.append(current_job().claim)
        if len(claims) == 1:
            begun.set()
            assert go.wait(20)

    effect = declare(bench.app, kind, during)
    store = bench.app.store
    with bench.app.worker() as worker:
        job = effect.enqueue("w")
        assert begun.wait(10)
        # No lock of the queue is held while the function runs: a rescue takes the job at once.
        assert len(store.run(store.plans.bury, worker.node.id, "taken for lost", None)) == 1  # type: ignore[union-attr]
        eventually(lambda: len(claims) == 2, what="another run")
        eventually(lambda: job.refresh().state == "succeeded")
        go.set()
        assert job.result(timeout=10) == "w"
    assert bench.effects() == ["w"], "of the second run only"
    assert len(bench.app.insight.jobs("task:child").jobs) == 1
    assert claims[1] > claims[0]
    assert bench.app.insight.counts() == bench.app.insight.recount()


def test_transactions_run_side_by_side(bench: Bench) -> None:
    for n, kind in enumerate(KINDS):
        together = threading.Barrier(3)
        effect = declare(bench.app, kind, lambda together=together: together.wait(20), name=f"effect{n}", max_attempts=1)  # type: ignore[misc]
        with bench.app.worker(concurrency=4):
            for job in [effect.enqueue(f"{kind} {n}") for n in range(3)]:
                job.result(timeout=30)
    assert len(bench.effects()) == 3 * len(KINDS)


def test_an_error_of_the_function_is_its_own(bench: Bench) -> None:
    bench.execute("create table once (word text unique deferrable initially deferred)")
    give_up: dict[str, Any] = {"transactional": True, "give_up_on": (psycopg.IntegrityError,)}

    @bench.app.task(**give_up)
    def clash(db: psycopg.Connection[Any]) -> None:
        db.execute("set constraints all immediate")
        db.execute("insert into once values ('same')")
        db.execute("insert into once values ('same')")

    @bench.app.task(**give_up)
    def at_commit(db: psycopg.Connection[Any]) -> None:
        db.execute("insert into once values ('same'), ('same')")

    @bench.app.task(**give_up)
    async def at_commit_too(db: psycopg.AsyncConnection[Any]) -> None:
        await db.execute("insert into once values ('same'), ('same')")

    @bench.app.task(transactional=True, give_up_on=(asyncpg.IntegrityConstraintViolationError,))
    async def with_asyncpg(db: asyncpg.Connection) -> None:
        await db.execute("insert into once values ('same'), ('same')")

    with bench.app.worker():
        for task in (clash, at_commit, at_commit_too, with_asyncpg):
            job = task.enqueue()
            with pytest.raises(JobFailed) as caught:
                job.result(timeout=10)
            assert caught.value.error_type in ("psycopg.errors.UniqueViolation", "asyncpg.exceptions.UniqueViolationError")
            assert job.refresh().info.attempt == 1
    assert bench.execute("select * from once") == []


def test_what_a_function_must_not_do(bench: Bench) -> None:
    app = bench.app
    once: dict[str, Any] = {"transactional": True, "max_attempts": 1}

    @app.task(**once)
    def rolls_back(db: psycopg.Connection[Any]) -> None:
        db.execute("insert into effect values ('mine')")
        db.rollback()

    @app.task(**once)
    def ends_it_by_hand(db: psycopg.Connection[Any]) -> None:
        db.execute("rollback")
        db.execute("select 1")

    @app.task(**once)
    def closes(db: psycopg.Connection[Any]) -> None:
        db.close()

    @app.task(**once)
    def commits_over(db: sa.Connection) -> None:
        db.commit()

    @app.task(**once)
    async def rolls_back_too(db: psycopg.AsyncConnection[Any]) -> None:
        await db.rollback()

    @app.task(**once)
    async def ends_it_by_hand_too(db: asyncpg.Connection) -> None:
        await db.execute("rollback")

    @app.task(**once)
    async def commits_over_too(db: AsyncConnection) -> None:
        await db.commit()

    @app.task(**once)
    def swallows(db: psycopg.Connection[Any]) -> None:
        db.execute("insert into effect values ('mine')")
        with contextlib.suppress(psycopg.Error):
            db.execute("select 1 / 0")

    @app.task(**once)
    async def swallows_too(db: asyncpg.Connection) -> None:
        await db.execute("insert into effect values ('mine')")
        with contextlib.suppress(asyncpg.PostgresError):
            await db.execute("select 1 / 0")

    @app.task(**once)
    def takes_none(n: int) -> None: ...

    @app.task(**once)
    def savepoints(db: psycopg.Connection[Any]) -> str:
        with contextlib.suppress(psycopg.Error), db.transaction():
            db.execute("insert into effect values ('inner')")
            db.execute("select 1 / 0")
        with db.transaction():
            db.execute("insert into effect values ('kept')")
        return "fine"

    @app.task(**once)
    async def savepoints_too(db: asyncpg.Connection) -> str:
        with contextlib.suppress(asyncpg.PostgresError):
            async with db.transaction():
                await db.execute("insert into effect values ('inner')")
                await db.execute("select 1 / 0")
        async with db.transaction():
            await db.execute("insert into effect values ('kept')")
        return "fine"

    said = "leave that to the worker"
    with app.worker():
        for task, text in (
            (rolls_back, said), (ends_it_by_hand, said), (closes, said), (rolls_back_too, said), (ends_it_by_hand_too, said),
            (commits_over, "must neither commit nor roll back"), (commits_over_too, "must neither commit nor roll back"),
            (swallows, "let the error out"), (swallows_too, "let the error out"),
        ):  # fmt: skip
            with pytest.raises(JobFailed, match=text):
                task.enqueue().result(timeout=10)
        with pytest.raises(JobFailed, match="annotate one with psycopg.Connection, sqlalchemy.Connection or"):
            takes_none.enqueue(1).result(timeout=10)
        assert savepoints.enqueue().result(timeout=10) == "fine"
        assert savepoints_too.enqueue().result(timeout=10) == "fine"
    assert bench.effects() == ["kept", "kept"]


def test_wrong_pairings_are_refused_when_a_worker_starts(bench: Bench) -> None:
    def plain(db: psycopg.AsyncConnection[Any]) -> None: ...
    async def coroutine(db: psycopg.Connection[Any]) -> None: ...
    async def blocking(db: Session) -> None: ...
    def file(db: sqlite3.Connection) -> None: ...
    async def two(db: asyncpg.Connection, other: AsyncSession) -> None: ...

    for func, text in (
        (plain, "db .*asks for a psycopg.AsyncConnection, but the task is a plain function and its jobs are kept in postgresql"),
        (coroutine, "asks for a psycopg.Connection, but the task is an `async def`.*annotate it with psycopg.AsyncConnection, asyncpg"),
        (blocking, "asks for a sqlalchemy.Session, but the task is an `async def`"),
        (file, "asks for a sqlite3.Connection"),
        (two, "asyncpg.Connection and sqlalchemy.AsyncSession, which cannot be one connection"),
    ):
        app = Dray(bench.url)
        app.task(transactional=True)(func)  # type: ignore[call-overload]
        with pytest.raises(ConfigurationError, match=text):
            app.worker().__enter__()
        app.close()
    app = Dray("sqlite://")
    app.task(transactional=True)(plain)
    with pytest.raises(ConfigurationError, match="jobs are kept in .*annotate it with sqlite3.Connection"):
        app.worker().__enter__()
    app.close()


@pytest.mark.parametrize("colour", ["blocking", "psycopg", "asyncpg"])
def test_connections_are_kept_cleaned_and_replaced(bench: Bench, colour: str) -> None:
    """One run leaves nothing to the next; a connection that died in between is replaced without anybody's noticing."""
    seen: list[tuple[int, str]] = []
    say = "set search_path = nowhere; set application_name = 'tasks'"
    ask = "select pg_backend_pid(), current_setting('search_path') || current_setting('enable_seqscan')"
    usual = bench.execute("select current_setting('search_path') || 'on'")[0][0]
    if colour == "blocking":

        @bench.app.task(transactional=True, max_attempts=1)
        def look(db: psycopg.Connection[Any]) -> None:
            seen.append(db.execute(ask).fetchone())  # type: ignore[arg-type]
            db.row_factory = dict_row  # type: ignore[assignment]
            db.execute(say)
    elif colour == "psycopg":

        @bench.app.task(transactional=True, max_attempts=1)
        async def look(db: psycopg.AsyncConnection[Any]) -> None:
            seen.append(await (await db.execute(ask)).fetchone())  # type: ignore[arg-type]
            db.row_factory = dict_row  # type: ignore[assignment]
            await db.execute(say)
    else:

        @bench.app.task(transactional=True, max_attempts=1)
        async def look(db: asyncpg.Connection) -> None:
            seen.append(tuple(await db.fetchrow(ask)))
            await db.execute(say)

    with bench.app.worker():
        for _ in range(3):
            look.enqueue().result(timeout=10)
        assert len({pid for pid, _ in seen}) == 1, "the same connection each time"
        bench.execute("select pg_terminate_backend(%s)", seen[0][0])
        eventually(lambda: not bench.execute("select 1 from pg_stat_activity where pid = %s", seen[0][0]))
        look.enqueue().result(timeout=10)
        assert len({pid for pid, _ in seen}) == 2
    assert {text for _, text in seen} == {usual}
    bench.app.close()
    eventually(lambda: not bench.execute("select 1 from pg_stat_activity where pid = %s", seen[-1][0]), what="it is closed")


@pytest.mark.parametrize("kind", ["psycopg", "async psycopg", "asyncpg"])
def test_a_commit_whose_answer_is_lost(bench: Bench, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was carried out is found out: a success is not told as an error, and what was rolled back is run again."""
    outcomes: list[str] = []
    lose: list[str] = ["after the commit", "before the commit"]

    def middleware(job: Any) -> Any:
        outcome = yield
        if job.task == "effect":
            outcomes.append(type(outcome).__name__)

    app = Dray(bench.url, middleware=[middleware])
    effect = declare(app, kind, lambda: None)
    if kind == "psycopg":
        blocking = psycopg.Connection.commit

        def commit(connection: Any) -> None:
            way = lose.pop(0) if lose else ""
            if way.startswith("before"):
                bench.execute("select pg_terminate_backend(%s)", connection.info.backend_pid)
            blocking(connection)
            if way.startswith("after"):
                raise psycopg.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(psycopg.Connection, "commit", commit)
    else:
        owner: Any = psycopg.AsyncConnection if kind == "async psycopg" else asyncpg.transaction.Transaction
        coroutine = owner.commit

        async def acommit(target: Any) -> None:
            way = lose.pop(0) if lose else ""
            if way.startswith("before"):
                pid = target.info.backend_pid if kind == "async psycopg" else target._connection.get_server_pid()
                await asyncio.to_thread(bench.execute, "select pg_terminate_backend(%s)", pid)
            await coroutine(target)
            if way.startswith("after"):
                raise psycopg.OperationalError("gone") if kind == "async psycopg" else ConnectionResetError("gone")

        monkeypatch.setattr(owner, "commit", acommit)
    with app.worker():
        first = effect.enqueue("first")
        assert first.result(timeout=20) == "first"
        second = effect.enqueue("second")
        assert second.result(timeout=20) == "second"
        eventually(lambda: len(outcomes) == 3)
    assert not lose
    assert outcomes == ["Returned", "Raised", "Returned"]
    assert (first.refresh().info.attempt, second.refresh().info.attempt) == (1, 2)
    assert bench.effects() == ["first", "second"]
    app.close()


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_commit_in_doubt_is_waited_for(bench: Bench, end: str) -> None:
    """The job's row tells only when the transaction that writes it is over."""
    store = bench.app.store
    claimed: list[Any] = []
    go = threading.Event()

    @bench.app.task
    def runs() -> None:
        claimed.append(current_job().claimed)
        go.wait(20)

    with bench.app.worker(), contextlib.closing(psycopg.connect(bench.url)) as mine:
        job = runs.enqueue()
        eventually(lambda: claimed)
        store.bound(mine).run(store.plans.settle, [decide(claimed[0], Returned(), 0)])
        answers: list[bool] = []
        asking = threading.Thread(target=lambda: answers.append(committed(store, claimed[0])))  # type: ignore[arg-type]
        asking.start()
        eventually(lambda: bench.execute("select 1 from pg_stat_activity where wait_event_type = 'Lock'"), what="it waits")
        assert answers == []
        getattr(mine, end)()
        asking.join(10)
        assert answers == [end == "commit"]
        go.set()
        job.result(timeout=10)


@pytest.mark.parametrize("kind", ["psycopg", "asyncpg"])
def test_a_timeout_and_a_cancel_roll_back(bench: Bench, kind: str) -> None:
    @bench.app.task(transactional=True, timeout=0.5, max_attempts=1)
    async def slow(db: psycopg.AsyncConnection[Any]) -> None:
        await db.execute("insert into effect values ('slow')")
        await db.execute("select pg_sleep(30)")

    @bench.app.task(transactional=True, timeout=0.5, max_attempts=1)
    async def slow_too(db: asyncpg.Connection) -> None:
        await db.execute("insert into effect values ('slow')")
        await db.execute("select pg_sleep(30)")

    with bench.app.worker():
        with pytest.raises(JobFailed, match="timeout"):
            (slow if kind == "psycopg" else slow_too).enqueue().result(timeout=10)
        sleeping = "select 1 from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'"
        eventually(lambda: not bench.execute(sleeping), what="the server has stopped it")
    assert bench.effects() == []


TASKS = """
import asyncio, psycopg, asyncpg
from sqlalchemy import text
from sqlalchemy.orm import Session
soon = Backoff.fixed(0)

@app.task(transactional=True, backoff=soon)
def plain(word: str, db: psycopg.Connection) -> str:
    db.execute("insert into effect values (%s)", (word,))
    mark("during", word)
    time.sleep(0.05)
    return word

@app.task(transactional=True, backoff=soon)
async def coroutine(word: str, db: asyncpg.Connection) -> str:
    await db.execute("insert into effect values ($1)", word)
    mark("during", word)
    await asyncio.sleep(0.05)
    return word

@app.task(transactional=True, backoff=soon, executor="process")
def child(word: str, db: Session) -> str:
    db.execute(text("insert into effect values (:word)"), {"word": word})
    mark("during", word)
    time.sleep(0.05)
    return word

@app.task(transactional=True, backoff=soon, executor="process")
async def child_too(word: str, db: psycopg.AsyncConnection) -> str:
    await db.execute("insert into effect values (%s)", (word,))
    mark("during", word)
    return word
"""


def test_effects_happen_once_though_workers_are_killed(bench: Bench, tmp_path: Any) -> None:
    place = Place(tmp_path, bench.url)
    try:
        place.code(TASKS)
        worker = place.start("--concurrency", "4")
        names = ["plain", "coroutine", "child", "child_too"]
        jobs = [place.enqueue(name, f"{name} {n}") for n in range(25) for name in names]
        seen = 0
        for _ in range(4):
            seen = len(place.wait_mark("during", seen + 8, within=30))
            kill(worker.child(), signal.SIGKILL)
        assert place.wait_final(jobs, within=60) == ["succeeded"] * len(jobs)
        assert bench.effects() == sorted(f"{name} {n}" for n in range(25) for name in names)
        assert len(place.marks("during")) > len(jobs), "some ran in vain"
        assert place.app.insight.counts() == place.app.insight.recount()
        assert worker.stop() == 0
    finally:
        place.close()
