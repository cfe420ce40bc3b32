"""What doctor finds on a PostgreSQL server: each condition caused for real where that can be done in a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from dray import Dray
from dray.doctor import Finding, clocks, examine
from dray.doctor.postgres import asking, examine_server, server, sessions, tables
from dray.doctor.postgres.layout import expected_indexes, expected_settings
from dray.explain import explain, gather
from dray.model.job import Executor
from dray.store.open import open_store
from dray.store.postgres import schema
from dray.store.postgres.place import place_of
from dray.store.values import NodeEntry, Want

if TYPE_CHECKING:
    from servers.postgres import Cluster

Connect = Callable[..., "psycopg.Connection[Any]"]


@pytest.fixture
def url(postgres: Cluster, database: Any) -> str:
    """An empty store."""
    postgres.template("dray", lambda to: open_store(to).close())
    return str(database(postgres, "dray"))


@pytest.fixture
def connect(url: str) -> Iterator[Connect]:
    """Connections of somebody else."""
    made: list[psycopg.Connection[Any]] = []

    def new(to: str = url, name: str = "somebody", **more: Any) -> psycopg.Connection[Any]:
        made.append(psycopg.connect(to, application_name=name, **more))
        return made[-1]

    yield new
    for connection in made:
        connection.close()


@pytest.fixture
def app(url: str) -> Iterator[Dray]:
    made = Dray(url)

    @made.task(name="shop.add")
    def add(a: int) -> int:
        return a

    yield made
    made.close()


def look(url: str) -> dict[str, Finding]:
    found, _ = examine_server(url)
    assert all(finding.fix for finding in found if finding.level == "wrong")
    assert not [finding.message for finding in found if "was not answered" in finding.message]
    kept: dict[str, Finding] = {}
    for finding in found:
        kept.setdefault(finding.check, finding)
    return kept


def bad(findings: dict[str, Finding]) -> set[str]:
    return {check for check, finding in findings.items() if finding.level != "ok"}


# -- a healthy one


@pytest.mark.parametrize("version", [15, 16, 18])
def test_a_healthy_server(cluster_of: Any, version: int) -> None:
    cluster = cluster_of(version)
    cluster.template("dray", lambda to: open_store(to).close())
    with cluster.fresh("dray") as url:
        found = look(url)
        assert bad(found) == {"durability"}  # the clusters of the tests run without fsync
        assert set(found) == {
            "server-version", "writable", "durability", "clock-offset", "connections", "pooler", "wraparound", "notifications",
            "replication-slots", "vacuum-horizon", "slow-statements", "schema", "autovacuum", "dead-rows", "table-settings",
            "indexes", "hot-updates", "bloat", "history", "ledger",
        }  # fmt: skip


def test_examine_looks_at_the_work_too(app: Dray, url: str) -> None:
    app.tasks["shop.add"].enqueue(1)
    found = {finding.check: finding for finding in examine(None, url, deep=True)}
    assert {"schema", "workers", "tasks", "counters"} <= set(found)
    assert found["workers"].level == "wrong"
    assert found["counters"].level == "ok"


def test_counters_that_differ_from_a_recount(app: Dray, url: str, connect: Connect) -> None:
    app.tasks["shop.add"].enqueue(1)
    with connect(autocommit=True) as connection:
        connection.execute("insert into dray.dray_tally values ('default', 1, 7)")
    found = {finding.check: finding for finding in examine(None, url, deep=True)}
    assert "default differ from a recount" in found["counters"].message


# -- no store


def test_a_server_that_is_not_there() -> None:
    findings, readable = examine_server("postgresql://127.0.0.1:1/x")
    assert not readable
    assert [(finding.check, finding.level) for finding in findings] == [("server-reachable", "wrong")]


def test_a_database_without_a_store(postgres: Cluster, database: Any) -> None:
    url = database(postgres)
    findings, readable = examine_server(url)
    assert not readable
    assert (findings[-1].check, findings[-1].command) == ("schema", "dray migrate")
    assert "server-version" in {finding.check for finding in findings}  # it is looked at all the same


def test_schemas_of_other_versions(url: str, monkeypatch: pytest.MonkeyPatch, connect: Connect) -> None:
    first = list(schema.migrations())
    monkeypatch.setattr(schema, "migrations", lambda: [*first, (3, "fake", "")])
    assert (look(url)["schema"].level, look(url)["schema"].command) == ("note", "dray migrate")
    monkeypatch.undo()
    with connect(autocommit=True) as connection:
        connection.execute("update dray.dray_meta set value = '3' where key = 'schema'")
        assert look(url)["schema"].level == "note"
        connection.execute("update dray.dray_meta set value = '3' where key = 'oldest'")
    findings, readable = examine_server(url)
    assert not readable
    assert (findings[-1].level, findings[-1].fix, findings[-1].command) == ("wrong", "Upgrade Dray.", None)


def test_a_user_without_rights(url: str, postgres: Cluster, connect: Connect) -> None:
    postgres.execute("drop role if exists nosy")
    postgres.execute("create role nosy login")
    findings, readable = examine_server(url.replace("//dray@", "//nosy@"))
    assert not readable
    assert findings[-1].check == "schema"
    assert "permission denied for schema dray" in findings[-1].message
    with connect(autocommit=True) as connection:
        connection.execute("grant usage on schema dray to nosy; grant select on dray.dray_meta to nosy")
    findings, _ = examine_server(url.replace("//dray@", "//nosy@"))
    unanswered = [finding for finding in findings if "was not answered" in finding.message]
    assert {finding.check for finding in unanswered} == {"history", "ledger"}
    assert all("pg_monitor" in finding.fix or "Grant" in finding.fix for finding in unanswered)
    with connect(autocommit=True) as connection:
        connection.execute("drop owned by nosy")
    postgres.execute("drop role nosy")


# -- sessions


def test_a_transaction_that_holds_back_vacuum(url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    other = connect(name="report")
    other.execute("select txid_current()")
    assert look(url)["vacuum-horizon"].level == "ok"  # not long enough
    monkeypatch.setattr(sessions, "LONG", 0.0)
    found = look(url)["vacuum-horizon"]
    assert found.level == "note"
    assert f"A transaction of report (pid {other.info.backend_pid}, idle in transaction: select txid_current())" in found.message
    assert found.command is not None
    assert found.command.endswith(f"-c 'select pg_terminate_backend({other.info.backend_pid})'")
    assert "idle_in_transaction_session_timeout" in found.fix
    monkeypatch.setattr(sessions, "VERY_LONG", 0.0)
    assert look(url)["vacuum-horizon"].level == "wrong"
    other.rollback()
    assert look(url)["vacuum-horizon"].level == "ok"


def test_a_running_query_is_cancelled_not_ended(url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LONG", 0.0)
    gate, other = connect(), connect(name="report")
    gate.execute("select pg_advisory_lock(7)")
    thread = threading.Thread(target=lambda: other.execute("select txid_current(), pg_advisory_lock(7)"))
    thread.start()
    try:
        while "pg_advisory_lock(7)" not in (found := look(url)["vacuum-horizon"]).message:
            assert thread.is_alive()
        assert "pg_cancel_backend" in str(found.command)
    finally:
        gate.close()
        thread.join(10)


def test_prepared_transactions_and_slots(new_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = new_cluster(durable=False, settings={"max_prepared_transactions": 5, "wal_level": "logical"})
    url = cluster.url(cluster.create_database())
    open_store(url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("begin; select txid_current(); prepare transaction 'it''s'")
        monkeypatch.setattr(sessions, "LONG", 0.0)
        found = look(url)["vacuum-horizon"]
        assert "The prepared transaction it's of dray has held back vacuum" in found.message
        assert "rollback prepared" in str(found.command)
        connection.execute("rollback prepared 'it''s'")
        connection.execute("select pg_create_physical_replication_slot('left', true)")
        assert look(url)["replication-slots"].level == "ok"
        monkeypatch.setattr(server, "RETAINED", -1)
        found = look(url)["replication-slots"]
        assert "Replication slot left (inactive) keeps" in found.message
        assert "pg_drop_replication_slot" in str(found.command)
        connection.execute("select pg_drop_replication_slot('left')")


def holder(**fields: Any) -> Finding | None:
    given = {"kind": "slot", "name": "s", "age": 1, "seconds": None, "application": "a", "state": "inactive", "query": "", **fields}
    ask = asking.Asking(place_of("postgresql://u@h/d"), None, False, 150_000)  # type: ignore[arg-type]
    return sessions.of_holder(sessions.Holder(**given), ask)


def test_what_holds_back_vacuum_by_transactions() -> None:
    assert holder(age=10) is None
    far = holder(age=2_000_000)
    assert far is not None
    assert far.message.startswith("Replication slot s (inactive) has held back vacuum for 2,000,000 transactions")
    assert far.command == "psql postgresql://u@h/d -c 'select pg_drop_replication_slot('\"'\"'s'\"'\"')'"
    standby = holder(kind="standby", seconds=700.0)
    assert standby is not None
    assert (standby.level, "hot_standby_feedback" in standby.message) == ("wrong", True)


def test_a_statement_of_ours_that_waits_for_somebody(url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    other, ours = connect(name="report"), connect(name="dray", autocommit=True)
    other.execute("lock table dray.dray_job")
    thread = threading.Thread(target=lambda: ours.execute("update dray.dray_job set claim = claim where seq = 1"))
    thread.start()
    try:
        while (found := look_at_sessions(url)).level == "ok":
            assert thread.is_alive()
        assert found.level == "wrong"
        assert f"Dray (pid {ours.info.backend_pid}: update dray.dray_job" in found.message
        assert f"it waits for pid {other.info.backend_pid} (report, idle in transaction" in found.message
        assert f"pg_terminate_backend({other.info.backend_pid})" in str(found.command)
        monkeypatch.setattr("dray.doctor.postgres.asking.DEADLINE", "1s")
        everything = {finding.check: finding for finding in examine(None, f"{url}?timeout=1")}
        assert everything["work"].level == "wrong"  # doctor itself cannot look at the jobs, and says so instead of ending there
    finally:
        other.rollback()
        thread.join(10)
    assert look_at_sessions(url).level == "ok"


def look_at_sessions(url: str) -> Finding:
    with asking.connected(place_of(url)) as ask:
        (found,) = sessions.slow(ask)
    return found


def test_a_slow_statement_that_waits_for_nobody(url: str, connect: Connect) -> None:
    ours = connect(name="dray", autocommit=True)
    thread = threading.Thread(target=lambda: ours.execute("select pg_sleep(2.5)"))
    thread.start()
    while (found := look_at_sessions(url)).level == "ok":
        assert thread.is_alive()
    assert "select pg_sleep(2.5)) has run for" in found.message
    assert "waits for Timeout PgSleep" in found.message
    thread.join(10)


# -- tables


def test_indexes(url: str, connect: Connect) -> None:
    with connect(autocommit=True) as connection:
        connection.execute("drop index dray.dray_job_lane; create index mine on dray.dray_job (state)")
        connection.execute("update pg_index set indisvalid = false where indexrelid = 'dray.dray_job_later'::regclass")
        found, _ = examine_server(url)
        told = {finding.message.partition(":")[0]: finding for finding in found if finding.check == "indexes"}
        assert set(told) == {
            "The index dray_job_lane on dray_job is missing", "The index dray_job_later on dray_job is invalid",
            "The index mine on dray_job is none of Dray's",
        }  # fmt: skip
        make = str(told["The index dray_job_lane on dray_job is missing"].command)
        assert make.endswith("""-c 'create index concurrently dray_job_lane on "dray".dray_job (lane, due, seq)'""")
        connection.execute(make.partition(" -c '")[2][:-1])
        connection.execute("drop index dray.mine; reindex index dray.dray_job_later")
    assert look(url)["indexes"].level == "ok"


def test_settings_of_tables(url: str, connect: Connect) -> None:
    with connect(autocommit=True) as connection:
        connection.execute("alter table dray.dray_job reset (fillfactor)")
        connection.execute("alter table dray.dray_done set (autovacuum_enabled = off)")
        connection.execute("alter table dray.dray_node set (fillfactor = 70)")  # changed on purpose
        found = look(url)
        assert "dray_job has lost storage settings (fillfactor)" in found["table-settings"].message
        assert "set (fillfactor = 45)" in str(found["table-settings"].command)
        assert "switched off for dray_done" in found["autovacuum"].message
        connection.execute("alter table dray.dray_job set (fillfactor = 45); alter table dray.dray_done reset (autovacuum_enabled)")
    assert not {"table-settings", "autovacuum"} & bad(look(url))


def test_what_the_migrations_make_is_what_is_there(url: str, connect: Connect) -> None:
    rows = connect().execute("select relname, reloptions from pg_class where reloptions is not null and relkind = 'r' "
                             "and relnamespace = 'dray'::regnamespace").fetchall()  # fmt: skip
    there = {name: {option.partition("=")[0] for option in options} for name, options in rows}
    said = {name: set(options) for name, options in expected_settings(schema.newest()).items() if options}
    assert said == there
    sentence = "select indexname from pg_indexes where schemaname = 'dray' and indexname !~ '_(pkey|key)$'"
    names = connect().execute(sentence).fetchall()
    assert set(expected_indexes(schema.newest(), "dray")) == {name for (name,) in names}


def test_dead_rows_that_vacuum_does_not_remove(url: str, connect: Connect) -> None:
    with connect(autocommit=True) as connection:
        connection.execute("alter table dray.dray_tally set (autovacuum_vacuum_threshold = 100, autovacuum_enabled = off)")
        connection.execute("insert into dray.dray_tally select 'q', 1, 1 from generate_series(1, 4000)")
        connection.execute("delete from dray.dray_tally")
        connection.execute("select pg_stat_force_next_flush()")
        connection.execute("select 1")
        found = look(url)["dead-rows"]
        assert found.level == "note"
        assert "dray_tally has 4,000 dead rows for 0 live ones; vacuum should have begun at 100" in found.message
        assert "Last vacuum: never" in found.message
        connection.execute(str(found.command).partition(" -c '")[2][:-1])
    assert look(url)["dead-rows"].level == "ok"


def test_history_that_nobody_prunes(url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "OVERDUE_ROWS", 50)
    monkeypatch.setattr(tables, "LEDGER", 50)
    with connect(autocommit=True) as connection:
        connection.execute(
            "insert into dray.dray_done (seq, due, enqueued, finished, prune_after, lane, claim, attempt, losses, max_attempts, "
            "state, id, task, args) select g, 1, 1, 1, 1, 1, 1, 1, 0, 1, 5, int4send(g), 't', '' from generate_series(1, 60) g"
        )
        connection.execute("insert into dray.dray_tally select 'q', 1, 1 from generate_series(1, 60)")
    found = look(url)
    assert found["history"].level == "wrong"
    assert "at least 50 of them should have gone an hour ago" in found["history"].message
    assert found["ledger"].level == "note"


def test_much_room_for_few_rows(url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGE", 64 * 1024)
    with connect(autocommit=True) as connection:
        connection.execute("alter table dray.dray_log set (autovacuum_enabled = off)")
        connection.execute("insert into dray.dray_log select g, 1, 1, 1, 'info', repeat('x', 500) from generate_series(1, 3000) g")
        connection.execute("delete from dray.dray_log where seq % 100 > 0")
        connection.execute("analyze dray.dray_log")
        found, _ = examine_server(url)
        told = [finding.message for finding in found if finding.check == "bloat"]
        assert any(message.startswith("dray_log takes ") for message in told)
        connection.execute("vacuum (full, analyze) dray.dray_log")
    assert look(url)["bloat"].level == "ok"


@pytest.mark.parametrize(("updates", "hot", "level"), [(100, 0, "ok"), (50_000, 49_000, "ok"), (50_000, 10_000, "note")])
def test_heap_only_updates(updates: int, hot: int, level: str) -> None:
    assert tables.of_updates(updates, hot).level == level


# -- the server


@pytest.mark.parametrize(
    ("number", "level"),
    [(120_022, "wrong"), (130_020, "note"), (150_008, "note"), (160_004, "ok"), (180_001, "ok"), (250_000, "ok")],
)  # fmt: skip
def test_versions(number: int, level: str) -> None:
    assert server.of_version(number, date(2027, 7, 1)).level == level


@pytest.mark.parametrize(
    ("offset", "trip", "level"), [(0.2, 0.01, "ok"), (1.2, 1.0, "ok"), (-5.0, 0.01, "note"), (90.0, 0.01, "wrong")],
)  # fmt: skip
def test_clocks(offset: float, trip: float, level: str) -> None:
    found = clocks.of_offset(offset, trip)
    assert found.level == level
    assert ("behind" in found.message) == (offset == -5.0)


@pytest.mark.parametrize(("used", "level"), [(50, "ok"), (80, "note"), (96, "wrong")])
def test_connections_in_use(used: int, level: str) -> None:
    assert server.of_connections("The server", used, 100, 3).level == level


def test_a_limit_of_the_database(url: str, postgres: Cluster, connect: Connect) -> None:
    name = url.rpartition("/")[2]
    connect()
    with connect(autocommit=True) as connection:
        connection.execute(f"alter database {name} connection limit 4")  # type: ignore[arg-type]
        connect()
        found = look(url)["connections"]
    assert found.level in ("note", "wrong")
    assert "The database has 4 connections in use of 4" in found.message


@pytest.mark.parametrize(("age", "level"), [(1000, "ok"), (500_000_000, "note"), (1_100_000_000, "wrong")])
def test_wraparound(age: int, level: str) -> None:
    assert server.of_age(age, 200_000_000).level == level


@pytest.mark.parametrize(("usage", "level"), [(0.0, "ok"), (0.2, "note"), (0.6, "wrong")])
def test_notifications(usage: float, level: str) -> None:
    found = server.of_usage(usage, ["pid 7 (x)"])
    assert found.level == level
    assert ("pid 7 (x)" in found.fix) == (level != "ok")


def test_settings_that_lose_jobs(url: str, connect: Connect) -> None:
    name = url.rpartition("/")[2]
    with connect(autocommit=True) as connection:
        connection.execute(f"alter database {name} set synchronous_commit = off")  # type: ignore[arg-type]
        connection.execute(f"alter database {name} set default_transaction_read_only = on")  # type: ignore[arg-type]
    found, _ = examine_server(url)
    told = [(finding.level, finding.message) for finding in found if finding.check in ("durability", "writable")]
    assert any(level == "note" and message.startswith("synchronous_commit is off") for level, message in told)
    assert any(level == "wrong" and message.startswith("fsync is off") for level, message in told)
    assert any(level == "wrong" and "default_transaction_read_only is on" in message for level, message in told)


def test_a_pooler(url: str, postgres: Cluster, pgbouncer_for: Any) -> None:
    bouncer = pgbouncer_for(postgres)
    found = look(bouncer.url(url.rpartition("/")[2]))["pooler"]
    assert found.level == "note"
    assert "A pooler stands between" in found.message


# -- explain


def test_a_job_that_somebody_else_has_locked(app: Dray, connect: Connect) -> None:
    handle = app.tasks["shop.add"].enqueue(1)
    store = app.store
    node = store.run(store.plans.enter, NodeEntry("w", "here", 1, {"tasks": ["shop.add"], "slots": {"thread": 5}}))
    other = connect(name="report")
    other.execute("select * from dray.dray_job for update")
    want = Want({Executor.THREAD: 5}, None, frozenset({"shop.add"}))
    assert store.run(store.plans.claim, want, node).jobs == []
    answer = explain(gather(app.insight, handle.id))
    assert answer.code == "locked"
    assert f"that of report (pid {other.info.backend_pid}, idle in transaction, open for" in answer.why
    assert answer.command == f"psql -c 'select pg_terminate_backend({other.info.backend_pid})'"
    other.rollback()
    assert explain(gather(app.insight, handle.id)).code == "starting"
    with closing(other):
        assert len(store.run(store.plans.claim, want, node).jobs) == 1
