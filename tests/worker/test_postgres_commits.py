"""The connections of transactional tasks, and what is lost around their commits, on PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from harness import Place, eventually, kill, new_url
from psycopg.rows import dict_row
from transactional import Bench, declare

from dray import Dray, current_job
from dray.model.lifecycle import decide
from dray.model.outcome import Returned
from dray.store.postgres.held import committed


@pytest.fixture
def bench(tmp_path: Any, postgres: Any) -> Iterator[Bench]:
    with new_url("postgres", tmp_path, lambda: postgres) as url:
        found = Bench(url)
        yield found
        found.app.close()


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
            seen.append(db.execute(ask).fetchone())
            db.row_factory = dict_row
            db.execute(say)
    elif colour == "psycopg":

        @bench.app.task(transactional=True, max_attempts=1)
        async def look(db: psycopg.AsyncConnection[Any]) -> None:
            seen.append(await (await db.execute(ask)).fetchone())
            db.row_factory = dict_row
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
        asking = threading.Thread(target=lambda: answers.append(committed(store, claimed[0])))
        asking.start()
        eventually(lambda: bench.execute("select 1 from pg_stat_activity where wait_event_type = 'Lock'"), what="it waits")
        assert answers == []
        getattr(mine, end)()
        asking.join(10)
        assert answers == [end == "commit"]
        go.set()
        job.result(timeout=10)


@pytest.mark.parametrize("kind", ["psycopg", "session", "async psycopg", "asyncpg"])
def test_through_a_pooler(bench: Bench, kind: str, pgbouncer_for: Any, postgres: Any) -> None:
    """Sessions end with each transaction; the caller's connection may come from either side. Fewer run at once than the pool has
    connections: what they enqueue needs one more."""
    through = pgbouncer_for(postgres).url(bench.url.rpartition("/")[2])
    app = Dray(through)
    effect = declare(app, kind, lambda: None)
    with app.worker(concurrency=2):
        assert [job.result(timeout=20) for job in [effect.enqueue(f"w{n}") for n in range(5)]] == [f"w{n}" for n in range(5)]
        for url in (bench.url, through):
            with contextlib.closing(psycopg.connect(url, prepare_threshold=None)) as mine, app.bind(mine):
                for word in ("rolled back", f"by {url == through}"):
                    job = effect.enqueue(word)
                    (mine.rollback if word == "rolled back" else mine.commit)()
                assert job.result(timeout=20) == word
    assert bench.effects() == ["by False", "by True", *(f"w{n}" for n in range(5))]
    app.close()


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
