"""Jobs on the caller's own connection: they exist if and only if the caller commits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator

import pytest
from on_file import add_one, ready

from dray.errors import NotSupported, SchemaMismatch, WrongDatabase
from dray.store.open import open_store
from dray.store.sqlite.store import SqliteStore
from dray.testing.suite.scene import new_jobs


@pytest.fixture
def mine(store: SqliteStore) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(store.session.path or "")
    connection.execute("create table users (id integer primary key)")
    connection.commit()
    yield connection
    connection.close()


def test_commit(store: SqliteStore, mine: sqlite3.Connection) -> None:
    (job,) = new_jobs(1)
    mine.execute("insert into users default values")
    store.bound(mine).run(store.plans.add, [job])
    assert mine.in_transaction
    assert store.run(store.plans.get, job.id) is None, "nobody sees it before the commit"
    mine.commit()
    assert store.run(store.plans.get, job.id) is not None
    assert ready(store) == 1


def test_rollback(store: SqliteStore, mine: sqlite3.Connection) -> None:
    mine.execute("insert into users default values")
    bound = store.bound(mine)
    bound.run(store.plans.add, new_jobs(3))
    asyncio.run(bound.arun(store.plans.add, new_jobs(3)))
    mine.rollback()
    assert ready(store) == 0
    assert mine.execute("select count(*) from users").fetchone() == (0,)


def test_a_job_alone_opens_the_callers_transaction_as_any_insert_does(store: SqliteStore, mine: sqlite3.Connection) -> None:
    bound = store.bound(mine)
    bound.run(store.plans.add, new_jobs(1))
    assert mine.in_transaction
    mine.rollback()
    assert ready(store) == 0
    bound.run(store.plans.add, new_jobs(1))
    mine.commit()
    assert ready(store) == 1


def test_a_savepoint_of_the_caller(store: SqliteStore, mine: sqlite3.Connection) -> None:
    bound = store.bound(mine)
    mine.execute("insert into users default values")
    bound.run(store.plans.add, new_jobs(1))
    mine.execute("savepoint inner")
    bound.run(store.plans.add, new_jobs(5))
    mine.execute("rollback to inner")
    mine.execute("release inner")
    mine.commit()
    assert ready(store) == 1


def test_manual_transactions(store: SqliteStore) -> None:
    manual = sqlite3.connect(store.session.path or "", isolation_level=None)
    manual.execute("begin")
    store.bound(manual).run(store.plans.add, new_jobs(2))
    manual.execute("rollback")
    manual.execute("begin")
    store.bound(manual).run(store.plans.add, new_jobs(1))
    manual.execute("commit")
    assert ready(store) == 1
    manual.close()


def test_the_callers_row_factory_does_not_disturb(store: SqliteStore, mine: sqlite3.Connection) -> None:
    job, known = new_jobs(2)
    store.run(store.plans.add, [known])
    for factory in (sqlite3.Row, lambda cursor, row: {column[0]: row[n] for n, column in enumerate(cursor.description)}):
        mine.row_factory = factory
        store.bound(mine).run(store.plans.add, [job, known])
        mine.rollback()
        store.bound(mine).run(store.plans.cancel, [known.id])
        mine.rollback()
    assert ready(store) == 1


def test_the_caller_is_woken_for_after_the_commit_and_not_before(store: SqliteStore, mine: sqlite3.Connection) -> None:
    listener = store.listen("work")
    listener.show()
    bound = store.bound(mine)
    bound.run(store.plans.add, new_jobs(1))
    bound.left()
    assert listener.wait(0) is False
    mine.commit()
    bound.left()
    assert listener.wait(0) is True
    listener.close()


def test_another_database(store: SqliteStore) -> None:
    other = sqlite3.connect(":memory:")
    with pytest.raises(WrongDatabase, match=r"a database in memory.*but the jobs are kept in"):
        store.bound(other)
    other.close()


def test_another_file(store: SqliteStore, tmp_path: object) -> None:
    other = sqlite3.connect(f"{tmp_path}/other.db")
    with pytest.raises(WrongDatabase, match=r"other\.db.*jobs\.db"):
        store.bound(other)
    other.close()


def test_the_same_file_by_another_name(store: SqliteStore, tmp_path: object) -> None:
    path = store.session.path
    assert path is not None
    link = path.with_name("link.db")
    link.symlink_to(path)
    other = sqlite3.connect(link)
    store.bound(other).run(store.plans.add, new_jobs(1))
    other.commit()
    assert ready(store) == 1
    other.close()


def test_a_store_in_memory() -> None:
    store, mine = open_store("sqlite://"), sqlite3.connect(":memory:")
    with pytest.raises(WrongDatabase, match="in memory cannot share a transaction"):
        store.bound(mine)
    mine.close()
    store.close()


@pytest.mark.parametrize("what", [object(), "jobs.db", None])
def test_something_else(store: SqliteStore, what: object) -> None:
    with pytest.raises(NotSupported, match=r"bind\(\) was given a builtins"):
        store.bound(what)


def test_a_database_that_was_not_migrated(tmp_path: object) -> None:
    mine = sqlite3.connect(f"{tmp_path}/jobs.db")
    mine.execute("create table users (id integer primary key)")
    mine.commit()
    with pytest.raises(SchemaMismatch, match="dray migrate"):
        open_store(f"sqlite:///{tmp_path}/jobs.db", migrate=False)
    mine.close()


def test_others_write_before_and_after(store: SqliteStore, mine: sqlite3.Connection) -> None:
    add_one(store)
    store.bound(mine).run(store.plans.add, new_jobs(1))
    mine.commit()
    add_one(store)
    assert ready(store) == 3
