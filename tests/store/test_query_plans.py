"""Each sentence on the worker's way uses its index, with a million finished and a million future rows behind it, whatever SQLite
believes about the tables; and no verb there walks over more rows than it has to. Nothing here measures time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dray.model.clock import SECOND, ManualClock
from dray.model.job import Executor
from dray.model.lifecycle import Move, decide
from dray.model.outcome import ErrorRecord, Raised, Returned
from dray.store.sqlite.store import SqliteStore, sentences
from dray.store.values import Figure, Filter, NodeEntry, Want
from dray.testing.suite.scene import new_jobs

FINISHED = FUTURE = 1_000_000
READY = 50_000

FILL = """
with recursive number (n) as (select 1 union all select n + 1 from number where n < :count)
insert into dray_job
    (id, task, queue, executor, rank, due, state, claim, attempt, max_attempts, enqueued, args, finished, prune_after)
select cast(printf('%s%014d', :mark, n) as blob), 't', 'default', 0, 0, :due + n, :state + n % :states, 1, 1, 20, :now, x'7b7d',
       case when :keep then :now end, case when :keep then :now + :keep + n end
from number
"""

FIGURES = """
with recursive number (n) as (select 0 union all select n + 1 from number where n < 200000)
insert into dray_figure (kind, span, name, at, source, data)
select case when n % 2 then 'work' else 'use' end, 60, 'q' || char(9) || n % 1000, (n + 1) * 60000000, '', x'90' from number
"""

# The index (or the primary key) that each sentence must go by; None: several, looked at below.
INDEXES = {
    "claim": "dray_job_ready", "claim_parked": "dray_job_parked", "promote": "dray_job_due", "due_first": "dray_job_due",
    "succeed": "INTEGER PRIMARY KEY", "settle": "INTEGER PRIMARY KEY", "settle_history": "INTEGER PRIMARY KEY",
    "settled_by": "INTEGER PRIMARY KEY", "still_mine": "INTEGER PRIMARY KEY", "release": "INTEGER PRIMARY KEY",
    "park": "INTEGER PRIMARY KEY", "progress": "INTEGER PRIMARY KEY", "prune": "dray_job_prune", "expiring": "dray_job_expires",
    "running_of": "dray_job_running", "running_count": "dray_job_running", "orders": "dray_job_running",
    "nodes_orphaned": "dray_job_running", "lanes": "dray_job_ready", "holds": "dray_job_parked", "ready_any": "dray_job_ready",
    "oldest_ready": "dray_job_ready", "find": "INTEGER PRIMARY KEY", "find_floor": "INTEGER PRIMARY KEY", "get": "dray_job_id",
    "outcome_of": "dray_job_id", "seq_of": "dray_job_id", "by_prefix": "dray_job_id", "schedule_unfinished": "dray_job_schedule",
    "blocked_schedules": "dray_job_schedule", "schedule_next": "dray_schedule_next", "prune_job": "INTEGER PRIMARY KEY",
    "find_ended": "dray_job_ended (state=? AND rowid>? AND rowid<?)", "find_ended_floor": "dray_job_ended (state=? AND rowid<?)",
    "find_listed": "INDEX dray_job_", "find_by_id": "dray_job_id (id>? AND id<?)",
    "find_among": "INTEGER PRIMARY KEY", "find_rows": "INTEGER PRIMARY KEY", "prune_history": "PRIMARY KEY",
    "prune_log": "PRIMARY KEY", "logs": "PRIMARY KEY", "history": "PRIMARY KEY", "extend": "INTEGER PRIMARY KEY",
    "figure_drop": "source=?)",  # all of the key, whichever index that is
    "figures": "dray_figure_at (kind=? AND span=? AND at>? AND at<?)", "figures_old": "dray_figure_old (span=? AND at<?)",
    "figures_named": "PRIMARY KEY (kind=? AND span=? AND name=? AND at>? AND at<?)", "audits": "INTEGER PRIMARY KEY",
    "audit_prune": "INTEGER PRIMARY KEY", "asks_held": "INTEGER PRIMARY KEY", "asked": "INTEGER PRIMARY KEY",
    "ask": "INTEGER PRIMARY KEY", "answer": "INTEGER PRIMARY KEY", "answered": "INTEGER PRIMARY KEY",
}  # fmt: skip
PARAMETERS: dict[str, Any] = {
    "node": 1, "now": 1, "queue": "default", "executor": 0, "n": 10, "hold": "task:x", "seq": 1, "claim": 1, "id": b"x",
    "before": 1 << 62, "name": "s", "low": b"",
    "high": b"x", "after": 0, "keep": 0.0, "kind": "work", "span": 60, "since": 0, "until": 1,
    "floor": 0, "most": 10, "seqs": "[1]", "failed": 1, "cancelled": 1, "ready": 1, "scheduled": 1,
    "running": 1, "blocked": 1, "sleeping": 1, "old": 1, "number": 1, "asks": b"", "answer": "",
}  # fmt: skip


class Big:
    """A store with very many rows."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.store = SqliteStore(path, clock=self.clock, synchronous="normal")
        self.connection = self.store.session.writer
        self.node = self.store.run(self.store.plans.enter, NodeEntry("node", "host", 1))

    def fill(self) -> None:
        now = self.clock.wall()
        common = {"now": now, "states": 1, "keep": 0}
        fill = self.connection.execute
        fill("begin")
        # In a day all of the finished are to be pruned, in an hour all of the future ones are due.
        fill(FILL, {**common, "mark": "a", "count": FINISHED, "due": 0, "state": 5, "states": 3, "keep": 86_400 * SECOND})
        fill(FILL, {**common, "mark": "b", "count": FUTURE, "due": now + 3600 * SECOND, "state": 0})
        fill(FILL, {**common, "mark": "c", "count": READY, "due": now - 3600 * SECOND, "state": 1})
        fill(FIGURES)
        fill("insert into dray_tally select queue, state, count(*) from dray_job group by queue, state")
        fill("commit")

    def plan_of(self, name: str) -> list[str]:
        sentence = getattr(sentences(), name)
        names = {key: PARAMETERS.get(key) for key in ("until", "claimed", "boot", "steady", "word", "reason", "error", "back")}
        values = {**names, **PARAMETERS, **dict.fromkeys(("state", "due", "finished", "prune_after", "result", "lost"))}
        given: Any = [1] * sentence.count("?") if "?" in sentence else values
        return [row[3] for row in self.connection.execute("explain query plan " + sentence, given)]

    def steps(self, verb: Callable[..., Any], *args: Any) -> tuple[int, Any]:
        """How many steps of SQLite's virtual machine a verb takes, and its answer."""
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        for connection in (self.connection, self.store.session._reader):
            connection.set_progress_handler(step, 1)
        try:
            answer = self.store.run(verb, *args)
        finally:
            for connection in (self.connection, self.store.session._reader):
                connection.set_progress_handler(None, 0)
        return count, answer


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Big]:
    big = Big(tmp_path_factory.mktemp("big") / "jobs.db")
    big.fill()
    yield big
    big.store.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Big]:
    empty = Big(tmp_path / "jobs.db")
    yield empty
    empty.store.close()


@pytest.fixture(params=["no statistics", "stale statistics", "fresh statistics"])
def believing(request: pytest.FixtureRequest, big: Big) -> Big:
    """The big store, with what SQLite believes about it."""
    run = big.connection.execute
    if request.param == "fresh statistics":
        run("pragma analysis_limit = 1000")
        run("analyze")
        return big
    run("analyze sqlite_master")
    if run("select 1 from sqlite_master where name = 'sqlite_stat1'").fetchone():
        run("delete from sqlite_stat1")
    if request.param == "stale statistics":  # from the day when there were three jobs
        if not run("select 1 from sqlite_master where name = 'sqlite_stat1'").fetchone():
            run("analyze dray_meta")
            run("delete from sqlite_stat1")
        for (index,) in run("select name from sqlite_master where type = 'index' and tbl_name = 'dray_job'").fetchall():
            columns = len(run(f"pragma index_info({index})").fetchall())
            run("insert into sqlite_stat1 values ('dray_job', ?, ?)", (index, " ".join(["3"] + ["1"] * columns)))
    run("analyze sqlite_master")  # makes SQLite read the statistics again
    return big


@pytest.mark.parametrize("name", INDEXES)
def test_a_sentence_goes_by_its_index(believing: Big, name: str) -> None:
    plan = believing.plan_of(name)
    assert any(INDEXES[name] in line for line in plan), plan
    for line in plan:
        # A walk is allowed over a partial index that holds only what lives, and over nodes and what a recursion has found.
        assert not line.startswith("SCAN dray_job") or INDEXES[name] in line, plan


SORTED = (
    "claim", "claim_parked", "due_first", "promote", "prune", "lanes", "holds", "oldest_ready", "figures", "figures_named",
    "figures_old", "audits",
)  # fmt: skip


@pytest.mark.parametrize("name", SORTED)
def test_no_sentence_sorts_more_than_it_takes(big: Big, name: str) -> None:
    assert not any("TEMP B-TREE" in line for line in big.plan_of(name)), big.plan_of(name)


def test_every_sentence_compiles(big: Big) -> None:
    """A sentence that no plan has run yet is wrong only when somebody needs it: find out now."""
    for name in vars(sentences()):
        try:
            big.plan_of(name)
        except sqlite3.ProgrammingError as error:
            if "did not supply a value" not in str(error):  # its parameters are its own; its tables and columns exist
                raise


def want(n: int) -> Want:
    return Want({Executor.ASYNC: n}, None, frozenset({"t"}))


def life(place: Big, n: int = 50) -> dict[str, int]:
    """What a worker and its maintenance do all day, with the steps that each of it takes."""
    p, steps = place.store.plans, {}
    steps["add"], _ = place.steps(p.add, new_jobs(n, priority=1))
    steps["waiting"], (found, _) = place.steps(p.waiting, want(1))
    assert found
    steps["claim"], catch = place.steps(p.claim, want(n), place.node)
    assert len(catch.jobs) == n
    moves = [decide(job, Returned(b"1"), 0) for job in catch.jobs]
    bad: list[Move] = [decide(job, Raised(ErrorRecord("E", "m"), final=True), 0) for job in catch.jobs[: n // 2]]
    steps["settle failures"], stale = place.steps(p.settle, bad)
    assert stale == []
    steps["settle"], stale = place.steps(p.settle, moves[n // 2 :])
    assert stale == []
    steps["exchange"], _ = place.steps(p.exchange, [], want(0), place.node)
    steps["extend"], _ = place.steps(p.extend, {place.node: 0.0})
    steps["orders"], _ = place.steps(p.orders, place.node)
    steps["promote"], moved = place.steps(p.promote)
    assert moved == 0
    steps["expire"], _ = place.steps(p.expire)
    steps["rescue"], _ = place.steps(p.rescue)
    steps["prune"], gone = place.steps(p.prune)
    assert gone == 0
    steps["tick"], _ = place.steps(p.tick)
    steps["get"], _ = place.steps(p.get, catch.jobs[0].id)
    figure = Figure("failures", 0, 60, "x", b"")
    steps["put figures"], _ = place.steps(p.put_figures, [figure], [figure])
    for name in (None, "x"):
        steps[f"figures of {name}"], rows = place.steps(p.figures, "failures", 60, 0, 1 << 50, name)
        assert rows == [figure]
    steps["figures of work"], rows = place.steps(p.figures, "work", 60, 0, 3 * 60 * SECOND, "q\tt")
    assert rows == []
    steps["old figures"], rows = place.steps(p.old_figures, 60, 60 * SECOND)
    assert rows == [figure]
    steps["put figures"], _ = place.steps(p.put_figures, [figure], [figure])
    steps["asked"], _ = place.steps(p.asked, place.node)
    steps["counts"], _ = place.steps(p.counts)
    steps["queues"], _ = place.steps(p.queues)
    steps["find"], page = place.steps(p.find, Filter(), 10)
    steps["find more"], page = place.steps(p.find, Filter(), 10, page.next)
    return steps


def test_a_workers_day_takes_no_more_steps_than_in_an_empty_store(believing: Big, empty: Big) -> None:
    alone, crowded = life(empty), life(believing)
    slower = {name: (alone[name], n) for name, n in crowded.items() if n > 2 * alone[name] + 200}
    assert not slower, "steps in an empty store, and in a full one"


def test_the_steps_of_a_claim_grow_with_what_is_taken_only(big: Big) -> None:
    p = big.store.plans
    one, catch = big.steps(p.claim, want(1), big.node)
    big.store.run(p.release, catch.jobs)
    hundred, catch = big.steps(p.claim, want(100), big.node)
    big.store.run(p.release, catch.jobs)
    assert one < 2000
    assert hundred < 100 * one


def test_many_parked_jobs_cost_a_claim_nothing(big: Big) -> None:
    p = big.store.plans
    ready, catch = big.steps(p.claim, want(10), big.node)
    big.store.run(p.release, catch.jobs)
    big.connection.execute("update dray_job set state = 8, hold = 'task:x' where state = 1 and seq % 2")
    parked, catch = big.steps(p.claim, want(10), big.node)
    big.store.run(p.release, catch.jobs)
    assert len(catch.jobs) == 10
    assert parked < 2 * ready


def test_a_claim_that_knows_none_of_very_many_ends_soon_and_says_that_there_is_more(big: Big) -> None:
    ignorant = Want({Executor.ASYNC: 100}, None, frozenset({"u"}))
    steps, catch = big.steps(big.store.plans.claim, ignorant, big.node)
    assert (catch.jobs, catch.next_due) == ([], 0.0)
    assert steps < 10_100 * 500


def test_a_thousand_of_a_million_due_at_once_are_promoted_in_steps_for_a_thousand(big: Big) -> None:
    big.clock.advance(10)
    big.store.run(big.store.plans.extend, {big.node: 0.0})
    big.clock.step(3600)
    steps, moved = big.steps(big.store.plans.promote)
    assert moved == 1000
    assert steps < 1000 * 200


def test_pruning_takes_steps_for_what_is_pruned(big: Big) -> None:
    big.clock.step(86_400)
    steps, gone = big.steps(big.store.plans.prune, 500)
    assert gone == 500
    assert steps < 500 * 150
