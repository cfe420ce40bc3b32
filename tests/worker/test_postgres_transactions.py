"""Tasks whose effect and success are one commit, on PostgreSQL, for each driver and each colour."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from harness import eventually, new_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session
from transactional import KINDS, Bench, declare

from dray import Dray, JobFailed, current_job
from dray.errors import ConfigurationError
from dray.model.job import Claimed


@pytest.fixture
def bench(tmp_path: Any, postgres: Any) -> Iterator[Bench]:
    with new_url("postgres", tmp_path, lambda: postgres) as url:
        found = Bench(url)
        yield found
        found.app.close()


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


@pytest.mark.parametrize("how", ["the worker is taken for lost", "the job is given to another"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_claim_rolls_the_effect_back(bench: Bench, kind: str, how: str) -> None:
    begun, go = threading.Event(), threading.Event()
    claims: list[int] = []
    runs: list[Claimed] = []

    def during() -> None:
        claims.append(current_job().claim)
        runs.append(current_job().claimed)
        if len(claims) == 1:
            begun.set()
            assert go.wait(20)

    effect = declare(bench.app, kind, during)
    store = bench.app.store
    with bench.app.worker() as worker:
        job = effect.enqueue("w")
        assert begun.wait(10)
        # No lock of the queue is held while the function runs: a rescue takes the job at once.
        if how.startswith("the worker"):
            assert len(store.run(store.plans.bury, worker.node.id, "taken for lost", None)) == 1
        else:  # of which the worker hears nothing: only the fence is left
            store.run(store.plans.release, runs)
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
        effect = declare(bench.app, kind, lambda together=together: together.wait(20), name=f"effect{n}", max_attempts=1)
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
        with pytest.raises(JobFailed, match=r"annotate one with psycopg\.Connection, sqlalchemy\.Connection or"):
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
        (coroutine, "asks for a psycopg.Connection, but the task is an `async def`.*with psycopg.AsyncConnection, asyncpg"),
        (blocking, "asks for a sqlalchemy.Session, but the task is an `async def`"),
        (file, "asks for a sqlite3.Connection"),
        (two, "asyncpg.Connection and sqlalchemy.AsyncSession, which cannot be one connection"),
    ):
        app = Dray(bench.url)
        app.task(transactional=True)(func)
        with pytest.raises(ConfigurationError, match=text):
            app.worker().__enter__()
        app.close()
    app = Dray("sqlite://")
    app.task(transactional=True)(plain)
    with pytest.raises(ConfigurationError, match=r"jobs are kept in .*annotate it with sqlite3\.Connection"):
        app.worker().__enter__()
    app.close()


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
