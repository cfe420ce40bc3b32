"""What PostgreSQL's planner makes of the statements that must stay quick: with a million jobs of each kind, whatever it knows of
them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from on_postgres import VERSIONS, with_schema

from dray.model.clock import ManualClock
from dray.model.job import Executor
from dray.model.lifecycle import Move, decide
from dray.model.outcome import Returned
from dray.store.open import open_store
from dray.store.postgres.lines import SETTINGS
from dray.store.postgres.plans import PostgresPlans
from dray.store.values import Catch, NodeEntry, Want
from dray.testing.suite.scene import new_jobs

if TYPE_CHECKING:
    from servers.postgres import Cluster

MILLION = 1_000_000
FIGURES = 200_000
NOW = 1_800_000_000_000_000
SAY = PostgresPlans("dray").say
ID = "decode(lpad(to_hex(g), 32, '0'), 'hex')"
#: A million jobs that are ready, one that are scheduled, one that are final, and some that run; priorities and queues differ.
FILL = f"""
insert into dray.dray_lane (queue, executor, rank) select 'q' || q, 0, r from generate_series(1, 3) q, generate_series(-1, 1) r;
insert into dray.dray_job (seq, due, enqueued, later, lane, max_attempts, state, id, task, args)
    select g, {NOW} + g + case when g % 2 = 0 then 0 else 3600000000 end, {NOW},
           case when g % 2 = 1 then {NOW} + g + 3600000000 end,
           (g / 2 % 9 + 1) * case when g % 2 = 0 then 1 else -1 end, 20, 1 - g % 2, {ID}, 'task', '{{}}'
    from generate_series(1, {2 * MILLION}) g;
insert into dray.dray_done
    (seq, due, enqueued, finished, prune_after, lane, claim, attempt, losses, max_attempts, state, id, task, args)
    select g, {NOW}, {NOW}, {NOW} + g, {NOW} + 86400000000 + g, g % 9 + 1, 1, 1, 0, 20, case when g % 50 = 0 then 6 else 5 end,
           {ID}, 'task', '{{}}'
    from generate_series({2 * MILLION + 1}, {3 * MILLION}) g;
update dray.dray_job set state = 2, node = 1 where seq <= 200 and state = 1;
select setval(pg_get_serial_sequence('dray.dray_job', 'seq'), {3 * MILLION});
insert into dray.dray_figure (kind, span, series, at, source, data)
    select kind, 60, kind || chr(9) || '60' || chr(9) || 'q' || chr(9) || g % 1000, g * 60000000::bigint, '', ''
    from generate_series(1, {FIGURES}) g, lateral (select case when g % 2 = 0 then 'work' else 'use' end) k (kind);
insert into dray.dray_audit (at, by, via, action, target, detail) select g, '', '', '', '', '' from generate_series(1, 12000) g;
insert into dray.dray_node (name, host, pid, boot, until, entered, renewed, info)
    select 'n', 'h', 1, 'server', {NOW} * 2, 1, 1, '' from generate_series(1, 50) g;
"""
EMPTY_STATISTICS = "analyze dray.dray_job, dray.dray_done, dray.dray_lane, dray.dray_node, dray.dray_figure, dray.dray_audit"
LANES = "array[1,2,3,4,5,6,7,8,9]::int[]"
LOWS = "array[0,0,0,0,0,0,0,0,0]::bigint[]"
SEQS = f"'{{{','.join(str(n) for n in range(2, 202, 2))}}}'::bigint[]"
CLAIMS = f"'{{{','.join('0' * 100)}}}'::int[]"
HUNDRED = range(1, 101)
KEYS = {
    "kinds": f"array[{','.join(['$$work$$'] * 100)}]", "spans": f"array[{','.join(['60'] * 100)}]",
    "names": f"array[{','.join(f'$$q$$ || chr(9) || {n * 2}' for n in HUNDRED)}]",
    "ats": f"array[{','.join(str(n * 120_000_000) for n in HUNDRED)}]::bigint[]",
    "sources": f"array[{','.join(['$$$$'] * 100)}]",
}  # fmt: skip
WHILE = {"kind": "'work'", "span": "60", "n": "20000"}
END = str(1 << 62)
AN_ID = "decode(lpad(to_hex(777776), 32, '0'), 'hex')"
#: name: its parameters, and how many pages it may touch
CASES: dict[str, tuple[dict[str, str], int]] = {
    "survey": ({"node": "1", "boot": "'server'", "now": str(NOW), "low": "0"}, 60),
    "look": ({"now": str(NOW), "low": "0", "lanes": LANES, "lows": LOWS, "afters": LOWS}, 200),
    "claim": ({"lanes": LANES, "lows": LOWS, "afters": LOWS, "now": str(NOW), "node": "1", "n": "100"}, 2500),
    "promote": ({"low": "0", "now": str(NOW + 3_600_000_200), "n": "100"}, 6000),
    "due_first": ({"low": "0"}, 12),
    "succeed": ({"seqs": SEQS, "claims": CLAIMS, "keeps": CLAIMS, "now": str(NOW)}, 4000),
    "runs": ({"seqs": SEQS, "claims": CLAIMS}, 1500),
    "release": ({"seqs": SEQS, "claims": CLAIMS}, 1500),
    "still_mine": ({"seq": "500000", "claim": "1"}, 12),
    "extend": (
        {
            "now": str(NOW), "steady": str(NOW), "lease": "1", "boot": "'server'", "nodes": "array[7]::bigint[]",
            "ages": "array[0]::bigint[]",
        }, 60,
    ),
    "orders": ({"node": "1"}, 12),
    "chores": ({"boot": "'server'", "steady": str(NOW), "now": str(NOW), "low": "0"}, 250),
    "expiring": ({"now": str(NOW), "n": "100"}, 60),
    "prune": ({"low": "0", "now": str(NOW + 86_402_000_100 + 2 * MILLION), "n": "100"}, 8000),
    "get": ({"id": AN_ID}, 60),
    "outcome_of": ({"id": AN_ID}, 60),
    "hold_job": ({"id": AN_ID}, 60),
    "cancel_waiting": (
        {"seq": "500000", "state": "1", "now": str(NOW), "keep": "1", "lane": "1", "reason": "'x'"}, 80,
    ),
    "oldest_ready": ({"queue": "'q1'", "lanes": LANES, "lows": LOWS}, 120),
    "find": ({"open": "true", "final": "true", "before": END, "floor": "0", "n": "50"}, 200),
    "find_floor": ({"open": "true", "final": "true", "before": END, "most": "1000"}, 150),
    "find_ended": ({"failed": "true", "cancelled": "true", "before": END, "floor": "0", "n": "50"}, 200),
    "find_ended_floor": ({"failed": "true", "cancelled": "true", "before": END, "most": "1000"}, 1200),
    "find_listed": ({"running": "true", "blocked": "true", "scheduled": "false", "most": "400"}, 4000),
    "find_by_id": ({"low": AN_ID, "high": AN_ID, "n": "1001"}, 30),
    "find_among": ({"seqs": SEQS}, 1500),
    "find_rows": ({"seqs": SEQS}, 2000),
    "add_one": (
        {
            "now": "null", "at": "null", "delay": "0", "expires_at": "null", "expires_in": "null", "id": "'\\x01'::bytea",
            "task": "'t'", "lane": "1", "max_attempts": "20", "args": "''::bytea", "options": "null", "tags": "null",
            "schedule": "null", "parent": "null", "queue": "'q1'", "area": "1", "channel": "'c'", "ring": "true",
            "queue_lock": "7",
        }, 60,
    ),
    "add_new": (
        {
            "now": "null", "id": "'\\x01'::bytea", "task": "'t'", "lane": "1", "max_attempts": "20", "args": "''::bytea",
            "options": "null", "tags": "null", "queue": "'q1'", "area": "1", "channel": "'c'", "ring": "true", "queue_lock": "7",
        }, 60,
    ),
    "grab": (
        {
            "lanes": LANES, "lows": LOWS, "afters": LOWS, "queues": "array['q1','q1','q1','q2','q2','q2','q3','q3','q3']",
            "tasks": "array['task']", "now": str(NOW), "steady": "null", "boot": "'server'", "node": "1", "n": "100",
        }, 2600,
    ),
}  # fmt: skip
QUIET = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())


@pytest.fixture(scope="module", params=[VERSIONS[0], VERSIONS[-1]])
def server(request: pytest.FixtureRequest, cluster_of: Callable[[int], Cluster]) -> Iterator[psycopg.Connection[Any]]:
    cluster = cluster_of(request.param)
    with cluster.fresh(with_schema(cluster)) as url, psycopg.connect(url, autocommit=True, options=QUIET) as connection:
        for table in ("job", "done"):
            connection.execute(f"alter table dray.dray_{table} set (autovacuum_enabled = false)")  # type: ignore[arg-type]
        connection.execute(EMPTY_STATISTICS)
        connection.execute("set statement_timeout = 0")
        connection.execute(FILL)  # type: ignore[arg-type]
        yield connection


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plan", ["generic", "custom"])
@pytest.mark.parametrize("statistics", ["of an empty table", "fresh"])
def test_every_statement_touches_only_what_it_needs(server: psycopg.Connection[Any], statistics: str, plan: str) -> None:
    """In the order of the parameters: first with the statistics of the empty tables, then with fresh ones."""
    if statistics == "fresh" and not server.execute(
        "select 1 from pg_class where relname = 'dray_job' and reltuples > 1000000"
    ).fetchone():
        server.execute("analyze")
    for name, (values, most) in CASES.items():
        touched, text = run(server, getattr(SAY, name), values, plan)
        assert touched <= most, f"{name} touched {touched} pages, with {plan} plans and {statistics} statistics:\n{text}"
        assert "Seq Scan on dray_job" not in text, f"{name}:\n{text}"
        assert "Seq Scan on dray_done" not in text, f"{name}:\n{text}"
        if name.startswith("figure"):
            index = {"figures": "dray_figure_at", "figures_old": "dray_figure_old"}.get(name, "dray_figure_pkey")
            assert f"Index Scan using {index} on dray_figure" in text or name == "figure_put", f"{name}:\n{text}"
            assert not re.search("Sort|Join", text), f"{name}:\n{text}"


def run(server: psycopg.Connection[Any], sentence: str, values: dict[str, str], plan: str) -> tuple[int, str]:
    """How many pages a statement touches, and its plan. What it does is rolled back."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", sentence)))
    assert set(names) == set(values), f"parameters: {sorted(set(names) ^ set(values))}"
    numbered = sentence.replace("%%", "%")
    for at, name in enumerate(names, 1):
        numbered = numbered.replace(f"%({name})s", f"${at}")
    given = ", ".join(values[name] for name in names)
    server.execute(f"set plan_cache_mode = force_{plan}_plan")  # type: ignore[arg-type]
    server.execute("deallocate all")
    with server.transaction(force_rollback=True):
        server.execute(f"prepare it as {numbered}")  # type: ignore[arg-type]
        row = server.execute(f"explain (analyze, buffers, format json) execute it({given})").fetchone()  # type: ignore[arg-type]
        text = server.execute(f"explain execute it({given})").fetchall()  # type: ignore[arg-type]
    assert row is not None
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    top = found[0]["Plan"]
    return top["Shared Hit Blocks"] + top["Shared Read Blocks"], "\n".join(line for (line,) in text)


def test_an_old_transaction_elsewhere_costs_the_claim_nothing(postgres: Cluster, database: Callable[..., str]) -> None:
    """What was taken cannot be removed while it is open; who looked from the start of the lane would walk over all of it."""
    url = database(postgres, with_schema(postgres))
    clock = ManualClock()
    store = open_store(url, clock=clock)
    try:
        with psycopg.connect(url) as old, psycopg.connect(url, autocommit=True, options=QUIET) as server:
            old.execute("set transaction isolation level repeatable read")
            old.execute("select count(*) from dray.dray_job")
            node = store.run(store.plans.enter, NodeEntry("n", "h", 1))
            want = Want({Executor.ASYNC: 500}, None, frozenset(["t"]))
            moves: list[Move] = []
            for _ in range(4):
                store.run(store.plans.add, new_jobs(5000))
                while jobs := (store.run(store.plans.exchange, moves, want, node)[1] or Catch([], None, 0)).jobs:
                    moves = [decide(job, Returned(None), job.started) for job in jobs]
                moves = []
                clock.advance(5)
                store.run(store.plans.exchange, moves, want, node)
            store.run(store.plans.add, new_jobs(100))
            plans: Any = store.plans
            (lane,) = plans.ways
            values = {"lanes": f"array[{lane}]", "now": str(NOW), "node": "1", "n": "100"}
            ((due, seq),), _ = plans.marks.ask([lane])
            near, _ = run(server, SAY.claim, values | mark(due, seq), "custom")
            far, _ = run(server, SAY.claim, values | mark(0, 0), "custom")
            assert far > 1_500, "the dead rows are still there, and are walked over from the start"
            assert near < far / 3, f"from the mark {near} pages are touched, from the start {far}"
    finally:
        store.close()


def mark(due: int, seq: int) -> dict[str, str]:
    """The parameters that say from where to look."""
    return {"lows": f"array[{due}]::bigint[]", "afters": f"array[{seq}]::bigint[]"}
