"""Figures, audit, asks and space: what the suite does not see. The schema before, other processes, large tables, all keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from on_file import until
from on_postgres import with_schema

from dray.errors import SchemaMismatch
from dray.store.open import open_store
from dray.store.plan import Call, Plan
from dray.store.postgres import schema as postgres_schema
from dray.store.protocol import Store
from dray.store.redis.scripts import Scripts
from dray.store.sqlite import schema as sqlite_schema
from dray.store.sqlite import space
from dray.store.sqlite.store import SqliteStore
from dray.store.values import Ask, AuditEntry, Figure, NodeEntry
from dray.testing.suite.scene import new_jobs

if TYPE_CHECKING:
    from servers.postgres import Cluster
    from servers.redis import Server

FIGURE = Figure("work", 60_000_000, 60, "q\tt", b"\x90")
ENTRY = AuditEntry("ann", "cli", "retry", "1")


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/jobs.db"
    elif request.param == "postgres":
        cluster = request.getfixturevalue("postgres")
        yield request.getfixturevalue("database")(cluster, with_schema(cluster))
    else:
        with request.getfixturevalue("valkey").fresh() as fresh:
            yield f"{fresh}&risk=persistence"


# -- between processes


def test_an_ask_wakes_a_worker_elsewhere(url: str) -> None:
    with closing(open_store(url)) as worker, closing(open_store(url)) as other:
        operator = worker if url.startswith("sqlite") else other  # whose bell rings in this process for its own listeners only
        node = worker.run(worker.plans.enter, NodeEntry("w", "here", 1))
        listener = worker.listen("orders")
        try:
            listener.show()
            until(lambda: listener.remote or listener.wait(0.05) or listener.remote)
            while listener.wait(0.3):  # what has rung while it began to listen
                listener.hide()
                listener.show()
            assert operator.run(operator.plans.ask, node + 1, "dump") is False
            assert not listener.wait(0.2), "nobody is asked"
            assert operator.run(operator.plans.ask, node, "dump") is True
            assert listener.wait(10)
            assert worker.run(worker.plans.asked, node) == [Ask("dump", 1)]
        finally:
            listener.close()


# -- the schema before


def essentials_on_the_schema_before(store: Store, migrate: Callable[[], object]) -> None:
    """What is not there yet is not asked for; once it is there it is used."""
    p, run = store.plans, store.run
    node = run(p.enter, NodeEntry("w", "here", 1))
    run(p.put_figures, [FIGURE], [FIGURE])
    run(p.write_audit, ENTRY)
    run(p.answer, node, 1, "here")
    for verb, args in ((p.figures, ("work", 60, 0, 1 << 50)), (p.old_figures, (60, 1 << 50)), (p.audits, ()), (p.asked, (node,))):
        assert run(verb, *args) == []
    assert run(p.answered, node) is None
    assert run(p.prune_audit, 0, 0.0) == 0
    assert {one.name for one in run(p.space)} > {"dray_job"}
    with pytest.raises(SchemaMismatch, match="from schema 2 on, and the store has schema 1; run `dray migrate` on it"):
        run(p.ask, node, "dump")
    migrate()
    assert run(p.ask, node, "dump") is True
    assert len(run(p.asked, node)) == 1
    run(p.put_figures, [FIGURE])
    run(p.write_audit, ENTRY)
    assert run(p.old_figures, 60, 1 << 50) == [FIGURE]
    assert [one.target for one in run(p.audits)] == ["1"]
    run(p.leave, node)
    assert run(p.asked, node) == []


def test_new_code_on_the_schema_before_on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, all_ = f"sqlite:///{tmp_path}/jobs.db", sqlite_schema.migrations()
    with monkeypatch.context() as before:
        before.setattr(sqlite_schema, "migrations", lambda: all_[:1])
        open_store(url).close()
    with closing(open_store(url, migrate=False)) as store:
        essentials_on_the_schema_before(store, lambda: open_store(url).close())


def test_new_code_on_the_schema_before_on_postgres(
    postgres: Cluster, database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, all_ = database(postgres), postgres_schema.migrations()
    with monkeypatch.context() as before:
        before.setattr(postgres_schema, "migrations", lambda: all_[:1])
        open_store(url).close()
    with closing(open_store(url, migrate=False)) as store:
        essentials_on_the_schema_before(store, lambda: open_store(url).close())


def test_asks_go_with_the_node_whoever_deletes_it(url: str) -> None:
    """Code of the version before ends a node too, and knows nothing of asks."""
    with closing(open_store(url)) as store:
        p, run = store.plans, store.run
        node, other = (run(p.enter, NodeEntry(name, "here", 1)) for name in ("a", "b"))
        for one in (node, other):
            run(p.ask, one, "dump")
        run(p.answer, node, 1, "here")
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
                connection.execute("delete from dray_node where id = ?", (node,))
        elif url.startswith("postgres"):
            with psycopg.connect(url, autocommit=True) as server:
                server.execute("delete from dray.dray_node where id = %s", (node,))
        else:
            redis: Any = store
            redis.session.lines.ask("HDEL", f"{redis.place.tag(0)}:nodes", node)
            run(p.ask, other, "stop")  # on the way what is left of others is forgotten
            for key in ("asks", "answers"):
                assert str(node).encode() not in redis.session.lines.ask("HKEYS", f"{redis.place.tag(0)}:{key}")
        assert run(p.asked, node) == []
        assert run(p.answered, node) is None
        assert run(p.asked, other)[0] == Ask("dump", 1)


# -- space


@pytest.mark.parametrize("size", [10, 9000])
def test_space_on_sqlite_is_near_the_truth(tmp_path: Path, size: int) -> None:
    """Told from a part of each b-tree; 9,000 bytes of arguments stand beside it."""
    n = 20_000 if size == 10 else 2000
    with closing(SqliteStore(tmp_path / "jobs.db", synchronous="off")) as store:
        store.run(store.plans.add, new_jobs(n, args=b'"' + b"x" * size + b'"'))
        store.run(store.plans.put_figures, [Figure("work", at, 60, f"q\t{at % 50}", b"x" * 100) for at in range(n)])
        found = {one.name: one for one in store.run(store.plans.space)}
        exact = dict(store.session.writer.execute(
            "select m.tbl_name, sum(d.pgsize) from dbstat d join sqlite_master m on m.name = d.name group by 1"
        ).fetchall())  # fmt: skip
        pages = store.session.writer.execute("pragma page_count").fetchone()[0] * 4096
    assert exact["dray_job"] > 3 * space.SAMPLE * 4096, "far more than what is looked at"
    for name in ("dray_job", "dray_figure"):
        assert found[name].size == pytest.approx(exact[name], rel=0.3), name
        assert found[name].rows == pytest.approx(n, rel=0.3), name
    assert found["dray_audit"].rows == 0
    assert found["dray_meta"].rows == 2 + len(sqlite_schema.migrations())
    assert found["(file)"].size == pages


def test_space_without_dbstat(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "jobs.db")) as store:
        store.plans.say = type("Say", (), {"space": store.plans.say.space.replace("ENABLE_DBSTAT_VTAB", "NO_SUCH_THING")})()
        assert [one.name for one in store.run(store.plans.space)] == [space.FILE, space.FREE]


def test_space_on_postgres_knows_the_schema(postgres: Cluster, database: Callable[..., str]) -> None:
    url = database(postgres)
    with closing(open_store(f"{url}?schema=an 'odd\" name")) as store, closing(open_store(url)) as other:
        other.run(other.plans.add, new_jobs(5000))
        small, large = ({one.name: one for one in each.run(each.plans.space)} for each in (store, other))
        assert set(small) == set(large)
        assert small["dray_job"].rows is None, "nobody has counted yet"
        assert (large["dray_job"].size or 0) > 10 * (small["dray_job"].size or 0)
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("analyze dray.dray_job")
        assert {one.name: one.rows for one in other.run(other.plans.space)}["dray_job"] == 5000


def test_space_on_redis(valkey: Server) -> None:
    with valkey.fresh() as url, closing(open_store(f"{url}&risk=persistence")) as store:
        store.run(store.plans.add, new_jobs(500, args=b'"' + b"x" * 1000 + b'"'))
        first, *others, last = store.run(store.plans.space)
        found = {one.name: one for one in others}
        assert (first.name, first.rows) == ("body", 500)
        assert 500 * 1000 < (first.size or 0) < 500 * 2000
        assert {name: found[name].rows for name in ("ids", "ready", "counts")} == {"ids": 500, "ready": 500, "counts": 1}
        assert "live" not in found
        assert (last.name, last.rows) == ("(server)", None)
        assert (last.size or 0) > (first.size or 0)


def test_space_on_redis_knows_all_keys() -> None:
    scripts = Scripts()
    assert set(scripts.space.keys) == {key for script in scripts.all for key in script.keys}
    text = (Path(__file__).parents[2] / "docs/design/redis-keys.md").read_text(encoding="utf-8")
    assert {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")} == set(scripts.space.keys)
    assert f"{len(scripts.space.keys)} names" in text
    assert f"{len(scripts.space.keys)} keys" in text


# -- Redis: one thing at a time


def test_scripts_for_figures_keep_nobody_waiting(valkey: Server) -> None:
    """Whatever is asked for, one call sees to so many rows and so many moments."""
    with valkey.fresh() as url, closing(open_store(f"{url}&risk=persistence")) as store:
        rows = [Figure("use", n * 60_000_000, 60, "7", b"x") for n in range(1500)]
        rows += [Figure("work", 0, 60, f"q\t{n}", b"x") for n in range(1500)]
        store.run(store.plans.put_figures, rows)
        for name, kind, n, least in (
            ("7", "use", 1500, 4), (None, "use", 1500, 4), (None, "work", 1500, 4), ("no", "use", 0, 4), ("q\t7", "work", 1, 4),
        ):  # fmt: skip
            sizes: list[int] = []
            assert len(store.run(counted, store, name, kind, sizes)) == n
            assert len(sizes) >= least, "1,500 moments and rows are too much for one call"
            assert max(sizes) <= 500


def counted(store: Store, name: str | None, kind: str, sizes: list[int]) -> Plan[list[Figure]]:
    """`figures`, with the number of rows of each call."""
    plan = store.plans.figures(kind, 60, 0, 1 << 50, name)
    answer: Any = None
    while True:
        try:
            step = plan.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        assert isinstance(step, Call)
        answer = yield step
        sizes.append((len(answer) - 1) // 2)
