"""Every call on a PostgreSQL server comes back by its deadline, whatever the server, the network and other callers do; and what
has come back late, broken off or in the wrong process spoils nothing for those who come after."""

from __future__ import annotations

import _thread
import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from on_postgres import with_schema
from postgres_watch import Call, ask, asleep, clients, locked, opened, terminate, until, writes

from dray.errors import StoreBusy, StoreError, StoreUnavailable
from dray.store.plan import Plan, Query
from dray.store.values import NodeEntry
from dray.testing.suite.scene import new_jobs

if TYPE_CHECKING:
    from servers.postgres import Cluster
    from servers.proxy import Proxy

SLACK = 1.0  # seconds that a call may be late


@pytest.fixture
def url(postgres: Cluster, database: Any) -> str:
    return str(database(postgres, with_schema(postgres)))


def jobs_of(url: str) -> int:
    return int(ask(url, "select count(*) from dray.dray_job")[0][0])


@pytest.mark.parametrize("connected", [True, False])
def test_a_network_that_swallows_everything(
    url: str, postgres: Cluster, proxy_to: Callable[[int], Proxy], connected: bool
) -> None:
    proxy = proxy_to(postgres.port)
    with opened(proxy.url(url), timeout=3) as store:
        job = new_jobs(1)[0]
        store.run(store.plans.add, [job])
        node = store.run(store.plans.enter, NodeEntry("n", "h", 1))
        if not connected:
            proxy.cut()
        proxy.swallow()
        began = time.monotonic()
        calls = [
            Call(lambda: store.run(store.plans.add, new_jobs(1))),
            Call(lambda: store.run(store.plans.get, job.id)),
            Call(lambda: store.run(store.plans.extend, {node: 0.0})),
            Call(lambda: asyncio.run(store.arun(store.plans.add, new_jobs(1)))),
            Call(lambda: asyncio.run(store.arun(store.plans.add, new_jobs(300)))),
            Call(lambda: asyncio.run(store.arun(store.plans.counts))),
            Call(lambda: store.run(store.plans.settle, [])),
        ]
        for call in calls:
            call.wait(3 + SLACK - (time.monotonic() - began) + 5)
        assert all(isinstance(call.error, StoreError) for call in calls[:-1]), [call.error for call in calls]
        assert max(call.took for call in calls) < 3 + SLACK, [call.took for call in calls]
        proxy.passing()
        assert store.run(store.plans.extend, {node: 0.0}).expelled == frozenset()
        store.run(store.plans.add, new_jobs(1))
        assert len(clients(url)) <= 3


def test_a_lease_is_renewed_within_four_seconds_or_given_up(url: str, postgres: Cluster, proxy_to: Callable[[int], Proxy]) -> None:
    """Even by a store whose other calls may take half a minute, so that there is time for another try within the lease."""
    proxy = proxy_to(postgres.port)
    with opened(proxy.url(url)) as store:
        node = store.run(store.plans.enter, NodeEntry("n", "h", 1))
        proxy.swallow()
        call = Call(lambda: store.run(store.plans.extend, {node: 0.0})).wait(8)
        assert isinstance(call.error, StoreUnavailable)
        assert call.took < 4 + SLACK
        proxy.passing()
        assert Call(lambda: store.run(store.plans.extend, {node: 0.0})).wait(4).answer.expelled == frozenset()


def test_a_lease_is_renewed_while_all_connections_are_busy(url: str) -> None:
    """The one that listens gives way, and comes back; there are never more than three."""
    with opened(url) as store, asleep(store) as listener:
        until(lambda: listener.remote)
        node = store.run(store.plans.enter, NodeEntry("n", "h", 1))
        with locked(url, "dray_tally", "exclusive"):
            stuck = [Call(lambda: store.run(store.plans.add, new_jobs(1))) for _ in range(4)]
            until(lambda: sum(state == "active" for _, state, _ in clients(url)) == 2)
            for _ in range(3):
                call = Call(lambda: store.run(store.plans.extend, {node: 0.0}))
                until(lambda call=call: call.over)  # type: ignore[misc]
                assert call.error is None
                assert call.took < 2.0
                assert len(clients(url)) <= 3
            assert not any(call.over for call in stuck)
        assert [call.wait(10).error for call in stuck] == [None] * 4
        until(lambda: listener.remote)
        assert len(clients(url)) <= 3
        assert jobs_of(url) == 4


def test_who_waits_for_a_connection_has_a_deadline_too(url: str) -> None:
    with opened(url, timeout=1) as store, locked(url, "dray_tally", "exclusive"):
        calls = [Call(lambda: store.run(store.plans.add, new_jobs(1))) for _ in range(5)]
        calls.append(Call(lambda: asyncio.run(store.arun(store.plans.add, new_jobs(1)))))
        for call in calls:
            assert isinstance(call.wait(6).error, StoreError)
            assert call.took < 1 + SLACK
        assert any("were busy" in str(call.error) for call in calls)


def test_coroutines_do_not_wait_one_deadline_after_the_other(url: str) -> None:
    """A few threads work for all of them: who stands behind another one has been waiting all the while."""
    with opened(url, timeout=1) as store, locked(url, "dray_job"):

        async def crowd() -> list[Any]:
            verbs = [store.arun(store.plans.get, job.id) for job in new_jobs(8)]
            return await asyncio.gather(*verbs, return_exceptions=True)

        began = time.monotonic()
        answers = asyncio.run(crowd())
        assert time.monotonic() - began < 1 + SLACK
        assert all(isinstance(answer, StoreError) for answer in answers)


def test_a_commit_without_an_answer(url: str, postgres: Cluster, proxy_to: Callable[[int], Proxy]) -> None:
    """It may have been carried out: who may not repeat it is told so, and the connection is not used again."""
    proxy = proxy_to(postgres.port)
    insert = "insert into dray.dray_meta (key, value) values ('once', '1')"
    with opened(proxy.url(url), timeout=2) as store:
        call = Call(lambda: store.run(writes(insert, proxy.swallow))).wait(5)
        assert isinstance(call.error, StoreUnavailable)
        assert "not known" in str(call.error)
        assert call.took < 2 + SLACK
        proxy.passing()
        assert store.run(store.plans.counts) == {}
        assert len(store.session.lines._all) == store.session.lines._made == 1
        assert ask(url, "select count(*) from dray.dray_meta where key = 'once'")[0][0] in (0, 1)


def test_a_broken_commit_is_not_sent_again_unless_that_is_safe(
    url: str, postgres: Cluster, proxy_to: Callable[[int], Proxy]
) -> None:
    proxy = proxy_to(postgres.port)
    bump = "update dray.dray_meta set value = (value::int + 1)::text where key = 'n'"
    ask(url, "insert into dray.dray_meta (key, value) values ('n', '0')")
    times: list[None] = []

    def cut_once() -> None:
        times.append(None)
        if len(times) == 1:
            proxy.cut(reset=True)

    with opened(proxy.url(url)) as store:
        store.run(store.plans.counts)
        with pytest.raises(StoreUnavailable):
            store.run(writes(bump, cut_once))
        assert len(times) == 1
        times.clear()
        safe = writes(bump, cut_once)
        safe.repeatable = True  # type: ignore[attr-defined]
        store.run(safe)
        assert len(times) == 2
    assert ask(url, "select value from dray.dray_meta where key = 'n'") in ([("1",)], [("2",)], [("3",)])


def test_what_a_server_refuses_has_not_been_carried_out(url: str) -> None:
    """So it may be sent again, whatever it is: here the server takes writes again after a while."""
    insert = "insert into dray.dray_meta (key, value) values ('later', '1')"
    with opened(url) as store:
        name = ask(url, "select current_database()")[0][0]
        ask(url, f'alter database "{name}" set default_transaction_read_only = on')
        terminate(url)
        tries: list[None] = []

        def verb() -> Plan[None]:
            tries.append(None)
            yield Query(insert)

        call = Call(lambda: store.run(verb))
        until(lambda: len(tries) > 1)
        assert not call.over
        ask(url, f'alter database "{name}" reset default_transaction_read_only')
        assert call.wait(10).error is None
    assert ask(url, "select value from dray.dray_meta where key = 'later'") == [("1",)]


def test_dead_connections_are_found_before_they_are_used(url: str) -> None:
    """So not even a statement that may not be repeated fails after the server has closed idle connections."""
    with opened(url) as store:
        for _ in range(5):
            store.run(store.plans.pause, "q", "me")
            assert terminate(url) >= 1
            until(lambda: not clients(url))
            store.run(writes("select 1"))


def test_ctrl_c_in_a_call(url: str) -> None:
    with opened(url) as store:
        with locked(url, "dray_tally", "exclusive"):
            for _ in range(3):
                threading.Timer(0.3, _thread.interrupt_main).start()
                began = time.monotonic()
                with pytest.raises(KeyboardInterrupt):
                    store.run(store.plans.add, new_jobs(1))
                assert time.monotonic() - began < 2
        store.run(store.plans.add, new_jobs(1))
        assert jobs_of(url) == 1
        assert len(store.session.lines._all) == store.session.lines._made <= 2


def test_a_connection_that_nobody_gives_back_is_replaced(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl-C between taking it and using it."""
    from dray.store.postgres import lines as module

    monkeypatch.setattr(module, "FORGOTTEN", 0.5)
    with opened(url, timeout=1) as store:
        lines = store.session.lines
        for _ in range(2):
            lines.take(time.monotonic() + 0.3)
        with pytest.raises(StoreBusy):
            store.run(store.plans.counts)
        until(lambda: lines._made == 0, 8)
        assert store.run(store.plans.counts) == {}


def test_closing_while_calls_run(url: str) -> None:
    with opened(url) as store:
        store.run(store.plans.add, new_jobs(1))
        with locked(url, "dray_tally", "exclusive"):
            calls = [Call(lambda: store.run(store.plans.add, new_jobs(1))) for _ in range(3)]
            until(lambda: sum(state == "active" for _, state, _ in clients(url)) == 2)
            store.close()
            waited = until(lambda: [call for call in calls if call.over])
            assert ["has been closed" in str(call.error) for call in waited] == [True]
        carried = [call.wait(10) for call in calls if call not in waited]
        assert [call.error for call in carried] == [None, None]
        until(lambda: not clients(url))
        assert jobs_of(url) == 3
        with pytest.raises(StoreUnavailable, match="has been closed"):
            store.run(store.plans.counts)


FORK = """
import os, sys, threading, time
from dray.store.open import open_store
from dray.testing.suite.scene import new_jobs
store = open_store(sys.argv[1])
store.run(store.plans.add, new_jobs(1))
listener = store.listen("work")
listener.show()
while not listener.remote: time.sleep(0.01)
child = os.fork()
if child == 0:
    store.run(store.plans.add, new_jobs(2))
    again = store.listen("work")
    again.show()
    while not again.remote: time.sleep(0.01)
    other = os.fork()
    if other == 0:
        os._exit(0 if store.run(store.plans.counts)["default"]["ready"] == 3 else 3)
    ended = os.waitpid(other, 0)[1]
    store.close()
    os._exit(0 if ended == 0 else 4)
assert os.waitpid(child, 0)[1] == 0
assert listener.remote
store.run(store.plans.add, new_jobs(1))
assert store.run(store.plans.counts)["default"]["ready"] == 4
store.close()
print("well")
"""


def test_after_a_fork_each_has_its_own_connections(url: str) -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK, url], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "well\n", "")


def test_the_servers_own_limits_do_not_bind_us(url: str) -> None:
    """Somebody has set short time-outs for the database, for the sake of a web application."""
    name = ask(url, "select current_database()")[0][0]
    for setting in ("statement_timeout = '50ms'", "lock_timeout = '20ms'", "idle_in_transaction_session_timeout = '50ms'"):
        ask(url, f'alter database "{name}" set {setting}')
    with opened(url) as store:
        with locked(url, "dray_tally", "exclusive"):
            call = Call(lambda: store.run(store.plans.add, new_jobs(1)))
            time.sleep(0.3)
            assert not call.over
        assert call.wait(5).error is None
        store.run(writes("select 1", lambda: time.sleep(0.2)))


def test_a_client_that_has_gone_does_not_wait_for_locks(url: str) -> None:
    """What was given up by its deadline is not carried out a minute later, when nobody expects it any more."""
    with opened(url, timeout=1) as store, locked(url, "dray_tally", "exclusive"):
        assert isinstance(Call(lambda: store.run(store.plans.add, new_jobs(1))).wait(3).error, StoreError)
        until(lambda: not any(state == "active" for _, state, _ in clients(url)), 5)
    assert jobs_of(url) == 0
