"""The schema of a PostgreSQL store: who makes it, when, and which code works with which."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from on_postgres import with_schema

from dray.errors import SchemaMismatch, StoreBusy, StoreUnavailable
from dray.model.job import Executor, State
from dray.model.lifecycle import Move
from dray.store.migrations import load, oldest_for
from dray.store.open import open_store
from dray.store.postgres import schema
from dray.store.postgres.lines import Lines
from dray.store.postgres.place import Place, place_of
from dray.store.sqlite import schema as sqlite_schema
from dray.store.values import NodeEntry, Want
from dray.testing.suite.scene import new_jobs

if TYPE_CHECKING:
    from servers.postgres import Cluster

MORE = "alter table dray.dray_job add column extra text;\n"  # expands: what the code before it uses stays
THIRD = "alter table dray.dray_job add column third text;"
NEWEST = schema.newest()
ALL = [number for number, _, _ in schema.migrations()]


@pytest.fixture
def url(postgres: Cluster, database: Any) -> str:
    """An empty database."""
    return str(database(postgres))


@pytest.fixture
def made(postgres: Cluster, database: Any) -> str:
    """A database with the schema of this code."""
    return str(database(postgres, with_schema(postgres)))


@pytest.fixture
def knows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make this code one that has more migrations, or has not."""
    first = list(schema.migrations())

    def know(*more: str) -> None:
        found = [*first, *((first[-1][0] + n, f"fake{n}", text) for n, text in enumerate(more, 1))]
        monkeypatch.setattr(schema, "migrations", lambda: found)

    return know


@pytest.fixture
def connect(url: str) -> Iterator[Callable[..., psycopg.Connection[Any]]]:
    """Connections of the store's own kind, or of somebody else."""
    open_: list[psycopg.Connection[Any]] = []

    def new(to: str = url, *, other: bool = False) -> psycopg.Connection[Any]:
        made = psycopg.connect(to, application_name="somebody") if other else Lines(place_of(to)).connect()
        open_.append(made)
        return made

    yield new
    for connection in open_:
        connection.close()


def tables(connection: psycopg.Connection[Any], name: str = "dray") -> set[str]:
    rows = connection.execute("select tablename from pg_tables where schemaname = %s", (name,)).fetchall()
    return {row[0] for row in rows}


def essentials(store: Any) -> None:
    """What every version of the code must be able to do: enqueue, claim, settle, ask."""
    store.run(store.plans.add, new_jobs(3))
    store.run(store.plans.add, new_jobs(300))  # the other way, by COPY
    node = store.run(store.plans.enter, NodeEntry("w", "here", 1, {}))
    jobs = store.run(store.plans.claim, Want(dict.fromkeys(Executor, 400), None, frozenset({"t"})), node).jobs
    assert len(jobs) == 303
    assert store.run(store.plans.settle, [Move(job.seq, job.claim, job.queue, State.SUCCEEDED, "returned") for job in jobs]) == []
    assert store.run(store.plans.counts) == store.run(store.plans.recount) == {"default": {"succeeded": 303}}
    store.run(store.plans.leave, node)


# -- making it


def test_it_is_made_once_and_says_since_when(url: str, connect: Any) -> None:
    connection, place = connect(), place_of(url)
    assert schema.version(connection, place) == (0, 0)
    assert schema.migrate(connection, place) == ALL
    assert schema.migrate(connection, place) == []
    meta = schema.meta(connection, place)
    assert (meta["schema"], meta["oldest"]) == (str(NEWEST), str(NEWEST - 1))
    assert meta["applied:1"].startswith("20")
    with closing(open_store(url, migrate=False)) as store:
        essentials(store)


def test_a_trial_changes_nothing(url: str, connect: Any) -> None:
    connection, place = connect(), place_of(url)
    assert schema.migrate(connection, place, keep=False) == ALL
    assert tables(connection) == set()
    assert schema.version(connection, place) == (0, 0)


def test_the_script_does_the_same(url: str, connect: Any) -> None:
    place = place_of(f"{url}?schema=an 'odd\" name")
    connect(other=True).execute(schema.script(0, place))
    connection = connect(place.url)
    assert schema.version(connection, place) == (NEWEST, NEWEST - 1)
    assert schema.migrate(connection, place) == []
    with closing(open_store(place.url, migrate=False)) as store:
        essentials(store)


def test_a_migration_that_fails_leaves_nothing(url: str, connect: Any, knows: Any) -> None:
    knows("create table dray.dray_extra (a int); create table dray.dray_job (twice int);")
    connection = connect()
    with pytest.raises(StoreUnavailable, match="already exists"):
        schema.migrate(connection, place_of(url))
    assert tables(connection) == set()


def test_processes_that_open_it_at_once_make_it_once(url: str, connect: Any) -> None:
    code = (
        "import sys; from dray.store.open import open_store; print('here', flush=True); sys.stdin.read(1)\n"
        "store = open_store(sys.argv[1]); print(sum(store.run(store.plans.counts).get('default', {}).values())); store.close()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
        for _ in range(6)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("!")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out == "0\n"
    rows = connect(other=True).execute("select count(*) from dray.dray_meta where key like 'applied:%'").fetchone()
    assert rows == (len(schema.migrations()),)


# -- waiting


def test_a_migration_waits_for_another_and_says_so(url: str, connect: Any) -> None:
    first, place = connect(other=True), place_of(url)
    first.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", (schema.LOCK, place.schema))
    told = threading.Event()
    said: list[str] = []
    done: list[list[int]] = []

    def tell(sentence: str) -> None:
        said.append(sentence)
        told.set()

    waiting = connect()
    thread = threading.Thread(target=lambda: done.append(schema.migrate(waiting, place, tell=tell)))
    thread.start()
    assert told.wait(20)
    assert "another process is migrating it" in said[0]
    assert f"pid {first.info.backend_pid}, application somebody" in said[0]
    assert done == []
    first.rollback()
    thread.join(20)
    assert done == [ALL]
    assert len(said) == 1


def test_it_does_not_wait_for_ever_for_another(url: str, connect: Any) -> None:
    place = place_of(url)
    connect(other=True).execute("select pg_advisory_xact_lock(%s, hashtext(%s))", (schema.LOCK, place.schema))
    with pytest.raises(StoreBusy, match=r"another process is migrating it \(pid \d+, application somebody"):
        schema.migrate(connect(), place, patience=1.0)


def test_it_says_whose_transaction_is_in_the_way(made: str, connect: Any, knows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    knows(MORE)
    monkeypatch.setattr(schema, "TABLE_LOCK", 1.0)
    other = connect(made, other=True)
    other.execute("lock table dray.dray_job in access share mode")
    said: list[str] = []
    with pytest.raises(StoreBusy, match=rf"a transaction uses its tables \(pid {other.info.backend_pid}, application somebody"):
        schema.migrate(connect(made), place_of(made), patience=1.0, tell=said.append)
    assert len(said) == 1
    other.rollback()
    assert schema.migrate(connect(made), place_of(made)) == [NEWEST + 1]


# -- two codes, one database


def test_older_code_works_with_the_schema_after_its_own(made: str, connect: Any, knows: Any) -> None:
    knows(MORE)
    assert schema.migrate(connect(made), place_of(made)) == [NEWEST + 1]
    assert schema.version(connect(made), place_of(made)) == (NEWEST + 1, NEWEST)
    knows()
    for migrate in (False, True):
        store = open_store(made, migrate=migrate)
        assert schema.version(connect(made), place_of(made)) == (NEWEST + 1, NEWEST)
        if not migrate:
            essentials(store)
        store.close()


@pytest.mark.parametrize("more", [(f"-- oldest: {NEWEST + 1}\n{MORE}",), (MORE, THIRD)])
def test_older_code_is_refused_by_what_no_longer_serves_it(made: str, connect: Any, knows: Any, more: tuple[str, ...]) -> None:
    knows(*more)
    schema.migrate(connect(made), place_of(made))
    knows()
    for migrate in (False, True):
        with pytest.raises(SchemaMismatch, match=f"up to {NEWEST}, and .* a Dray that knows schema {NEWEST + 1}; install"):
            open_store(made, migrate=migrate)


def test_newer_code_works_with_the_schema_before_its_own(made: str, knows: Any) -> None:
    knows(MORE)
    store = open_store(made, migrate=False)
    essentials(store)
    store.close()
    knows(MORE, THIRD)
    with pytest.raises(SchemaMismatch, match=f"has schema {NEWEST}, .* needs {NEWEST + 1} or {NEWEST + 2}; run `dray migrate`"):
        open_store(made, migrate=False)


def test_without_a_schema_nothing_is_made_where_it_must_not(url: str, connect: Any) -> None:
    with pytest.raises(SchemaMismatch, match=r"has no Dray schema; run `dray migrate` on it"):
        open_store(url, migrate=False)
    assert tables(connect()) == set()


def test_which_code_a_migration_serves(tmp_path: Path) -> None:
    (tmp_path / "0003_drop.sql").write_text("-- Drops what nobody uses.\n-- oldest: 3\ndrop table x;\n")
    (tmp_path / "0002_add.sql").write_text("create table x (a int);\n")
    assert [(number, name) for number, name, _ in load(tmp_path)] == [(2, "add"), (3, "drop")]
    assert [oldest_for(number, text) for number, _, text in load(tmp_path)] == [1, 3]


@pytest.mark.parametrize(("text", "serves"), [("create table dray_extra (a integer);", True), ("-- oldest: 3\nselect 1;", False)])
def test_the_same_rule_holds_on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, serves: bool) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    open_store(url).close()
    first = list(sqlite_schema.migrations())
    monkeypatch.setattr(sqlite_schema, "migrations", lambda: [*first, (3, "fake", text)])
    open_store(url, migrate=False).close()  # code 3, schema 2
    open_store(url).close()
    monkeypatch.undo()
    if serves:
        store = open_store(url)  # code 2, schema 3
        essentials(store)
        store.close()
    else:
        with pytest.raises(SchemaMismatch, match="needs a Dray that knows schema 3"):
            open_store(url)


# -- two applications


def both(url: str) -> tuple[Place, Place]:
    return place_of(f"{url}?schema=a"), place_of(f"{url}?schema=b")


def test_two_schemas_do_not_see_each_other(url: str) -> None:
    a, b = (open_store(place.url) for place in both(url))
    a.run(a.plans.add, new_jobs(2))
    assert a.run(a.plans.counts) == {"default": {"ready": 2}}
    assert b.run(b.plans.counts) == {}
    essentials(b)
    assert a.run(a.plans.counts) == {"default": {"ready": 2}}
    a.close()
    b.close()


def test_two_schemas_do_not_wake_each_other(url: str) -> None:
    a, b, again = (open_store(place.url) for place in (*both(url), both(url)[0]))
    ears = a.listen("work"), b.listen("work")
    for ear in ears:
        ear.show()
        while not ear.remote:  # heard from other processes, too
            ear.wait(0.05)
        while ear.wait(0.3):  # what has rung while it began to listen
            ear.hide()
            ear.show()
    again.run(again.plans.add, new_jobs(1))
    assert ears[0].wait(10)
    assert not ears[1].wait(0.5)
    for one in (*ears, a, b, again):
        one.close()
    assert a.plans.area != b.plans.area  # type: ignore[attr-defined]
    assert not set(a.plans.channels.values()) & set(b.plans.channels.values())  # type: ignore[attr-defined]
