"""The session within one process: group commit, threads and coroutines, interruptions, closing."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from on_file import add_one, add_then, half_written, ready

from dray.errors import StoreBusy, StoreUnavailable
from dray.store.open import open_store
from dray.store.plan import Many, Plan, Query
from dray.store.sqlite import session as session_module
from dray.store.sqlite.session import Request
from dray.store.sqlite.store import SqliteStore
from dray.testing.suite.scene import new_jobs


def wrong_sql() -> Plan[None]:
    yield Query("insert into dray_meta (key, value) values ('half', 'written')")
    yield Query("insert into dray_meta (key, value) values ('half', 'written')")


def pending(store: SqliteStore, *jobs: Any) -> list[Request]:
    """Requests of others that wait to be carried out."""
    requests = [Request(store.plans.add, ([job],)) for job in jobs]
    store.session._pending.extend(requests)
    return requests


def shorten(monkeypatch: pytest.MonkeyPatch, store: SqliteStore) -> None:
    """Do not wait for others for long."""
    monkeypatch.setattr(session_module, "BUSY_AFTER", 0.2)
    store.session.writer.execute("pragma busy_timeout = 50")


# -- group commit


def test_what_is_pending_is_written_in_one_transaction(store: SqliteStore) -> None:
    statements: list[str] = []
    store.session.writer.set_trace_callback(statements.append)
    requests = pending(store, *new_jobs(20))
    add_one(store)
    store.session.writer.set_trace_callback(None)
    assert all(request.done and request.error is None for request in requests)
    assert [s for s in statements if s in ("begin immediate", "commit")] == ["begin immediate", "commit"]
    assert ready(store) == 21


def test_more_than_one_transactions_worth(store: SqliteStore) -> None:
    for _ in pending(store, *new_jobs(3 * session_module.AT_ONCE)):
        store.session._tokens.put(True)
    add_one(store)
    assert ready(store) == 3 * session_module.AT_ONCE + 1


@pytest.mark.parametrize("verb", [add_then(ValueError("bad")), wrong_sql], ids=["an error of the plan", "an error of SQLite"])
def test_one_bad_verb_in_a_group_fails_alone(store: SqliteStore, verb: Callable[[], Plan[None]]) -> None:
    before = pending(store, *new_jobs(3))
    bad = Request(verb, ())
    store.session._pending.append(bad)
    after = pending(store, *new_jobs(3))
    add_one(store)
    assert isinstance(bad.error, ValueError | StoreUnavailable)
    assert all(request.done and request.error is None for request in before + after)
    assert not half_written(store)
    assert ready(store) == 7


def test_a_bad_verb_alone_changes_nothing(store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="bad"):
        store.run(add_then(ValueError("bad")))
    assert not half_written(store)
    add_one(store)


def test_a_plan_may_catch_what_the_edge_raised(store: SqliteStore) -> None:
    def verb() -> Plan[str]:
        try:
            yield Query("select nonsense")
        except sqlite3.OperationalError as error:
            return str(error)
        return "nothing"

    assert store.run(verb) == "no such column: nonsense"


def test_a_reading_verb_cannot_write_and_leaves_reading_possible(store: SqliteStore) -> None:
    def verb() -> Plan[None]:
        yield Query("insert into dray_meta (key, value) values ('half', 'written')")

    verb.reads = True  # type: ignore[attr-defined]
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        store.run(verb)
    assert ready(store) == 0


# -- threads and coroutines


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_threads_and_coroutines_together(kind: str, url: str) -> None:
    store = open_store(url + "?synchronous=normal" if kind == "file" else "sqlite://")
    jobs = new_jobs(800)

    async def coroutines() -> None:
        await asyncio.gather(*(store.arun(store.plans.add, [job]) for job in jobs[400:]))
        found = await asyncio.gather(*(store.arun(store.plans.get, job.id) for job in jobs[400:]))
        assert None not in found

    def blocking(part: int) -> None:
        for job in jobs[part * 100 : part * 100 + 100]:
            store.run(store.plans.add, [job])
            assert store.run(store.plans.get, job.id) is not None

    with ThreadPoolExecutor(5) as pool:
        loop = pool.submit(asyncio.run, coroutines())
        for future in [*[pool.submit(blocking, part) for part in range(4)], loop]:
            future.result(timeout=60)
    assert ready(store) == 800
    store.close()


def test_each_coroutine_gets_its_own_answer_or_error(store: SqliteStore) -> None:
    def number(n: int) -> Plan[int]:
        if n % 10 == 3:
            raise ValueError(str(n))
        rows = yield Query("select :n", {"n": n})
        return int(rows[0][0])

    async def main() -> list[Any]:
        return await asyncio.gather(*(store.arun(number, n) for n in range(100)), return_exceptions=True)

    for n, answer in enumerate(asyncio.run(main())):
        if n % 10 == 3:
            assert isinstance(answer, ValueError)
            assert str(answer) == str(n)
        else:
            assert answer == n


def test_a_cancelled_coroutine_disturbs_nobody(store: SqliteStore) -> None:
    async def main() -> None:
        one = asyncio.ensure_future(store.arun(store.plans.add, new_jobs(1)))
        other = asyncio.ensure_future(store.arun(store.plans.add, new_jobs(1)))
        await asyncio.sleep(0)
        one.cancel()
        await other
        with pytest.raises(asyncio.CancelledError):
            await one

    asyncio.run(main())
    assert ready(store) in (1, 2)


def test_a_loop_that_was_closed_while_its_request_waited(store: SqliteStore) -> None:
    loop = asyncio.new_event_loop()
    with store.session._writing:

        async def ask() -> None:
            task = asyncio.ensure_future(store.arun(store.plans.add, new_jobs(1)))
            await asyncio.sleep(0)
            task.cancel()

        loop.run_until_complete(ask())
        loop.close()
    add_one(store)
    assert asyncio.run(store.arun(store.plans.counts)) == {"default": {"ready": 2}}


def test_reading_takes_no_write_lock_in_either_colour(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    id_ = add_one(store)
    shorten(monkeypatch, store)
    other = sqlite3.connect(store.session.path or "", isolation_level=None)
    other.execute("begin immediate")
    assert store.run(store.plans.get, id_) is not None
    assert asyncio.run(store.arun(store.plans.get, id_)) is not None
    assert asyncio.run(store.arun(store.plans.counts)) == {"default": {"ready": 1}}
    other.close()


# -- others hold the lock


def test_a_foreign_write_lock_becomes_one_clear_sentence_and_passes(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, store)
    other = sqlite3.connect(store.session.path or "", isolation_level=None)
    other.execute("begin immediate")
    for attempt in (lambda: add_one(store), lambda: asyncio.run(store.arun(store.plans.add, new_jobs(1)))):
        with pytest.raises(StoreBusy, match="kept locked by another connection"):
            attempt()
    other.execute("rollback")
    add_one(store)
    assert ready(store) == 1
    other.close()


def test_a_short_foreign_transaction_is_waited_for(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.session.writer.execute("pragma busy_timeout = 10")  # shorter than the transaction: Dray itself must go on trying
    other = sqlite3.connect(store.session.path or "", isolation_level=None, check_same_thread=False)
    other.execute("begin immediate")
    tries: list[str] = []
    real = session_module.is_busy

    def busy(error: sqlite3.Error) -> bool:
        tries.append(str(error))
        if len(tries) == 3:
            other.execute("rollback")
        return real(error)

    monkeypatch.setattr(session_module, "is_busy", busy)
    add_one(store)
    assert len(tries) == 3
    other.close()


def test_a_group_that_found_the_store_busy_does_not_wait_for_each_of_its_members(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def begin() -> None:
        calls.append(1)
        raise session_module.busy("here")

    monkeypatch.setattr(store.session, "_begin", begin)
    requests = pending(store, *new_jobs(5))
    with pytest.raises(StoreBusy):
        add_one(store)
    assert [type(request.error) for request in requests] == [StoreBusy] * 5
    assert len(calls) == 1


# -- closing


def test_a_closed_store_says_so_in_both_colours(store: SqliteStore) -> None:
    asyncio.run(store.arun(store.plans.add, new_jobs(1)))
    store.close()
    store.close()
    for verb, *args in ((store.plans.add, new_jobs(1)), (store.plans.counts,)):
        with pytest.raises(StoreUnavailable, match="has been closed"):
            store.run(verb, *args)
        with pytest.raises(StoreUnavailable, match="has been closed"):
            asyncio.run(asyncio.wait_for(store.arun(verb, *args), 10))
    with pytest.raises(StoreUnavailable, match="has been closed"):
        store.pulse()


def test_closing_waits_for_what_is_being_written(url: str) -> None:
    store = open_store(url)
    entered, go_on = threading.Event(), threading.Event()

    def slow() -> Plan[str]:
        entered.set()
        go_on.wait(10)
        yield Many("insert into dray_meta (key, value) values (?, ?)", [("slow", "done")])
        return "done"

    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(store.run, slow)
        assert entered.wait(10)
        closing = pool.submit(store.close)
        go_on.set()
        assert writing.result(10) == "done"
        closing.result(10)


def test_the_pulse_changes_with_the_commits_of_others(store: SqliteStore, url: str) -> None:
    other = open_store(url)
    before = store.pulse()
    assert store.pulse() == before
    add_one(other)
    assert store.pulse() != before
    other.close()
