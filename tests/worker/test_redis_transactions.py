"""Transactional tasks over a store that has no transactions: refused in one sentence wherever they could begin."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from dray import Dray
from dray.errors import NotSupported
from dray.model.job import Claimed, Executor
from dray.store.values import NodeEntry, Want
from dray.worker.transaction import arun_alone, arun_in_transaction, run_in_transaction

if TYPE_CHECKING:
    from servers.redis import Server


@pytest.fixture
def app(valkey: Server) -> Iterator[Dray]:
    with valkey.fresh() as url, closing(Dray(f"{url}&risk=persistence")) as found:
        yield found


def refusal(app: Dray) -> str:
    return (
        f"Task 'move' is transactional, and the store {app.store.where} has no transactions to share; use a store on sqlite:// or "
        "postgresql:// for it, or take transactional=True off and make the task safe to run twice."
    )


def with_connection(n: int, connection: sqlite3.Connection) -> None: ...
async def with_connection_async(n: int, connection: sqlite3.Connection) -> None: ...
def without(n: int) -> None: ...


@pytest.mark.parametrize("func", [with_connection, with_connection_async, without])
def test_a_worker_does_not_start(app: Dray, func: Any) -> None:
    app.task(func, name="move", transactional=True)
    with pytest.raises(NotSupported) as caught, app.worker():
        pass
    assert str(caught.value) == refusal(app)
    assert app.insight.workers() == []


def test_a_run_does_not_begin(app: Dray) -> None:
    """As in a pool child, or under a worker that was started before the task was there."""
    task = app.task(with_connection, name="move", transactional=True)
    job = task.enqueue(1)
    node = app.store.run(app.store.plans.enter, NodeEntry("hands", "here", 1, {}))
    claimed: Claimed
    (claimed,) = app.store.run(
        app.store.plans.claim, Want(dict.fromkeys(Executor, 1), None, frozenset({"move"})), node
    ).jobs
    with pytest.raises(NotSupported) as caught:
        run_in_transaction(app, task, claimed, [1], {})
    assert str(caught.value) == refusal(app)
    for run in (arun_in_transaction, arun_alone):
        with pytest.raises(NotSupported) as caught:
            asyncio.run(run(app, task, claimed, [1], {}))
        assert str(caught.value) == refusal(app)
    assert job.refresh().info.state == "running"


def test_the_store_refuses_too(app: Dray) -> None:
    """Whoever holds a job for a transaction by himself."""
    transactions = app.store.transactions
    assert not app.store.can.transactions
    assert transactions.kinds(False) == transactions.kinds(True) == ()
    for hold in (transactions.held, transactions.aheld):
        with pytest.raises(NotSupported) as caught:
            hold("move", None, "sqlite3")  # type: ignore[arg-type]
        assert str(caught.value) == refusal(app)


def test_jobs_in_the_callers_transaction(app: Dray) -> None:
    task = app.task(without, name="plain")
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(NotSupported) as caught, app.bind(connection):
        task.enqueue(1)
    assert str(caught.value) == (
        f"The store {app.store.where} cannot take part in the transaction of Connection; enqueue after its commit, or keep the "
        "jobs in that database (sqlite:// or postgresql://)."
    )
    assert app.insight.counts() == {}
