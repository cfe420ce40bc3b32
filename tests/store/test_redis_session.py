"""What a Redis store does when an answer is lost, when something is missing, and what its scripts may do."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from dray.errors import StoreError
from dray.model import ids
from dray.model.clock import ManualClock
from dray.model.job import Executor, State
from dray.model.lifecycle import Move
from dray.model.outcome import Returned, Snoozed
from dray.store.plan import once_more
from dray.store.redis.lines import Line, Lines
from dray.store.redis.place import place_of
from dray.store.redis.plans import RedisPlans
from dray.store.redis.scripts import FOLDER, Script
from dray.store.redis.store import RedisStore
from dray.store.redis.trouble import Gone
from dray.store.values import AuditEntry, Figure, NodeEntry, Want
from dray.testing.suite.scene import DONE, TASK, Scene, new_jobs, raised
from dray.testing.suite.schedules import row

if TYPE_CHECKING:
    from servers.redis import Server
    from servers.redis_cluster import ShardedCluster

Lose = Callable[[], None]


@pytest.fixture
def url(valkey: Server) -> Iterator[str]:
    with valkey.fresh() as found:
        yield f"{found}&risk=persistence"


@pytest.fixture
def s(url: str) -> Iterator[Scene]:
    clock = ManualClock()
    store = RedisStore(place_of(url), clock=clock)
    scene = Scene(store, clock, "sync")
    yield scene
    scene.check_counts()
    scene.driver.close()
    store.close()


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Lose:
    """The next answer is lost, with its connection, after the server has carried out what was asked."""
    receive = Line.receive
    waiting: list[int] = []

    def forgetful(line: Line, timeout: float) -> Any:
        answer = receive(line, timeout)
        if waiting and not isinstance(answer, Exception):
            waiting.pop()
            raise Gone(ConnectionError("cut off"), sent=True)
        return answer

    monkeypatch.setattr(Line, "receive", forgetful)
    return lambda: waiting.append(1)


def test_an_enqueue_whose_answer_was_lost_is_one_job(s: Scene, lose: Lose) -> None:
    s.add_one()
    lose()
    s.add_one()
    lose()
    s.add(700)
    assert s.do(s.plans.counts) == {"default": {"ready": 702}}


@pytest.mark.parametrize("outcome", [DONE, raised(), raised(final=True), Snoozed(5.0)], ids=lambda o: type(o).__name__)
def test_a_settle_whose_answer_was_lost_is_written_once_and_not_stale(s: Scene, lose: Lose, outcome: Any) -> None:
    id_ = s.add_one()
    job = s.claim_one(s.enter())
    lose()
    assert s.end(job, outcome) == []
    assert s.info(id_).attempt == (0 if isinstance(outcome, Snoozed) else 1)
    assert len(s.history(id_)) == (outcome is not DONE)


def test_a_rescued_job_is_stale_also_for_one_who_is_not_sure(s: Scene) -> None:
    s.add_one()
    node = s.enter()
    job = s.claim_one(node)
    s.do(s.plans.bury, node, "signal 9", None)
    assert s.store.run(once_more(s.plans.settle), [s.decided(job, DONE)]) == [job.seq]
    assert s.store.run(once_more(s.plans.settle), [s.decided(job, raised())]) == [job.seq]


def test_an_exchange_whose_answer_was_lost(s: Scene, lose: Lose) -> None:
    """What it settled is not stale the second time; what it claimed is given back by `reclaim`."""
    s.add(3)
    node = s.enter()
    mine = s.claim(node, 1)
    want = Want({Executor.ASYNC: 5}, None, frozenset({TASK}))
    moves = [s.decided(mine[0], Returned(b"1"))]
    lose()
    with pytest.raises(StoreError, match="cannot be reached"):
        s.do(s.plans.exchange, moves, want, node)
    stale, catch = s.store.run(once_more(s.plans.exchange), moves, want, node)
    assert stale == []
    assert catch is not None
    assert catch.jobs == []
    assert s.do(s.plans.reclaim, node, frozenset()) == 2
    assert [job.attempt for job in s.claim(node)] == [1, 1]


def test_a_tick_whose_answer_was_lost_has_fired_once(s: Scene, lose: Lose) -> None:
    s.do(s.plans.put_schedule, row())
    s.clock.advance(60)
    assert len(s.do(s.plans.tick)) == 1, "the server knows the script now"
    s.clock.advance(60)
    fire = s.plans.say.fire  # type: ignore[attr-defined]
    session = s.store.session  # type: ignore[attr-defined]
    command = session.command

    def arm(call: Any) -> Any:
        if call.script is fire:
            lose()
        return command(call)

    session.command = arm
    with pytest.raises(StoreError):
        s.do(s.plans.tick)
    session.command = command
    assert s.do(s.plans.tick) == []
    assert s.do(s.plans.counts) == {"default": {"ready": 2}}


def test_what_insight_writes_may_be_sent_again(s: Scene, lose: Lose) -> None:
    p, node, figure = s.plans, s.enter(), Figure("work", 60_000_000, 60, "", b"")
    for verb, args in (
        (p.put_figures, ([figure],)), (p.ask, (node, "dump")), (p.answer, (node, 2, "here")), (p.prune_audit, (9, 9.0)),
    ):  # fmt: skip
        s.do(verb, *args)  # the server has to learn the script first
        lose()
        s.do(verb, *args)
    assert s.do(p.old_figures, 60, 1 << 50) == [figure]
    assert s.do(p.answered, node) == (s.clock.wall(), "here")
    assert [ask.number for ask in s.do(p.asked, node)] == [1, 3], "what was asked again is asked twice"
    s.do(p.write_audit, AuditEntry("ann", "cli", "retry", "1"))
    lose()
    with pytest.raises(StoreError):  # it would be there twice
        s.do(p.write_audit, AuditEntry("ann", "cli", "retry", "2"))
    assert [one.target for one in s.do(p.audits)] == ["2", "1"]


@pytest.mark.parametrize("verb", ["elect", "release", "extend", "put_schedule", "bury", "leave"])
def test_what_may_be_sent_again_is(s: Scene, lose: Lose, verb: str) -> None:
    id_ = s.add_one()
    node = s.enter()
    job = s.claim_one(node)
    args: dict[str, tuple[Any, ...]] = {
        "elect": ("maintenance", "a"), "release": ([job],), "extend": ({node: 0.0},), "put_schedule": (row(),),
        "bury": (node, "signal 9", None), "leave": (node,),
    }  # fmt: skip
    lose()
    answer = s.do(getattr(s.plans, verb), *args[verb])
    if verb == "elect":
        assert answer is True
    elif verb == "extend":
        assert answer.expelled == frozenset()
    elif verb != "put_schedule":
        assert s.state(id_) is State.READY


def everything(valkey: Server, tag: str) -> dict[bytes, bytes]:
    """A copy of what is kept."""
    return {key: valkey.command("DUMP", key) for key in valkey.command("KEYS", f"{tag}:*")}


def put_back(valkey: Server, tag: str, kept: dict[bytes, bytes]) -> None:
    """What was written since is lost, as by a failover to a replica that had not got it."""
    for key in valkey.command("KEYS", f"{tag}:*"):
        valkey.command("DEL", key)
    for key, raw in kept.items():
        valkey.command("RESTORE", key, 0, raw)


def test_who_works_on_what_the_server_has_forgotten_is_stale(url: str, valkey: Server) -> None:
    """Also if the same numbers are given again: to another claim of the job, and to another job."""
    clock, others_clock = ManualClock(), ManualClock()
    one, other = (Scene(RedisStore(place_of(url), clock=at), at, "sync") for at in (clock, others_clock))
    tag = one.store.place.tag(0)  # type: ignore[attr-defined]
    node, others = one.enter(), one.enter()
    id_ = one.add_one()
    before = everything(valkey, tag)
    mine = one.claim_one(node)
    lost = one.add_one()
    lost_job = one.claim_one(node)
    put_back(valkey, tag, before)
    others_clock.advance(1)
    theirs = other.claim_one(others)
    assert (theirs.id, theirs.seq, theirs.claim) == (mine.id, mine.seq, mine.claim)
    new = other.add_one()
    new_job = other.claim_one(others)
    assert new_job.seq != lost_job.seq
    clock.advance(2)
    assert not one.do(one.plans.own, mine.seq, mine.claim)
    assert one.end(mine, DONE) == [mine.seq]
    assert one.end(lost_job, raised()) == [lost_job.seq]
    assert one.do(one.plans.get, lost) is None
    assert other.states([id_, new]) == [State.RUNNING, State.RUNNING]
    assert other.end(theirs, DONE) == []
    assert other.end(new_job, DONE) == []
    other.check_counts()
    for scene in (one, other):
        scene.driver.close()
        scene.store.close()


def test_a_question_whose_answer_was_lost_is_asked_again(s: Scene, lose: Lose) -> None:
    id_ = s.add_one()
    lose()
    assert s.state(id_) is State.READY


def test_jobs_that_are_not_in_their_place_are_put_there(url: str, valkey: Server) -> None:
    """As after writes that got lost: nothing that is kept may be out of reach."""
    store = RedisStore(place_of(url))
    tag = store.place.tag(0)
    jobs = new_jobs(1) + new_jobs(1, delay=600.0) + new_jobs(1, task="gone")
    store.run(store.plans.add, jobs)
    for name in ("ready", "due"):
        valkey.command("DEL", f"{tag}:{name}")
    (gone,) = (member for member in valkey.command("ZRANGE", f"{tag}:ids", 0, -1) if member.startswith(jobs[2].id))
    valkey.command("HDEL", f"{tag}:body", str(int(struct.unpack(">d", gone[16:])[0])))
    valkey.command("ZADD", f"{tag}:due", 1, "424242")
    valkey.command("ZADD", f"{tag}:ready", 0, b"\0default\0\x80" + struct.pack(">dd", 1, 424243))
    assert store.run(store.plans.chores).untidy
    store.run(store.plans.tidy)
    assert not store.run(store.plans.chores).untidy, "for a while"
    states = [store.run(store.plans.get, job.id) for job in jobs]
    assert [info and str(info.state) for info in states] == ["ready", "scheduled", None]
    assert valkey.command("ZCARD", f"{tag}:ready") == 1
    assert valkey.command("ZCARD", f"{tag}:due") == 1
    assert valkey.command("ZCARD", f"{tag}:ids") == 2
    store.close()


def test_no_script_walks_over_everything() -> None:
    """What is read whole is only what has a line for each queue, for each schedule, or for each worker that was asked."""
    allowed = {"counts.lua": "HGETALL", "schedules.lua": "HGETALL", "queue_names.lua": "HKEYS", "ask.lua": "HKEYS"}
    for file in FOLDER.rglob("*.lua"):
        words = set(re.findall(r"'(KEYS|SCAN|SMEMBERS|HGETALL|HKEYS|HVALS|LRANGE|FLUSHALL)'", file.read_text(encoding="utf-8")))
        assert words <= {allowed.get(file.name)}, file.name


def test_ids_that_name_a_shard_are_found_there() -> None:
    plans = RedisPlans("dray", 5)
    assert {plans.shard_of(id_) for id_ in ids.new_ids(50, shard=3)} == {2}
    assert len({plans.shard_of(id_) for id_ in ids.new_ids(200)}) == 5
    for shard in range(5):
        assert plans.inner(plans.outer(7, shard)) == (shard, 7)


def test_one_of_several_servers_that_cannot_be_reached(redis_cluster: ShardedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are not asked either: what they did would have to be done again, or not be known."""
    with redis_cluster.fresh() as url:
        store = RedisStore(place_of(f"{url}&risk=persistence&shards=16"))
        store.run(store.plans.add, new_jobs(80))
        node = store.run(store.plans.enter, NodeEntry("node", "here", 1, {}))
        want = Want({Executor.ASYNC: 80}, None, frozenset({TASK}))
        jobs = store.run(store.plans.claim, want, node).jobs
        assert len(jobs) == 80, "wherever they are"
        take, taken = Lines.take, []

        def reluctant(lines: Lines, address: Any, *args: Any, **named: Any) -> Line:
            taken.append(address)
            if len(taken) == 2:
                raise Gone(ConnectionRefusedError("refused"), sent=False)
            return take(lines, address, *args, **named)

        monkeypatch.setattr(Lines, "take", reluctant)
        moves = [Move(job.seq, job.claim, job.queue, State.SUCCEEDED, "returned") for job in jobs]
        assert store.run(store.plans.settle, moves) == [], "written once"
        assert len(set(taken)) > 1
        assert store.run(store.plans.counts) == store.run(store.plans.recount) == {"default": {"succeeded": 80}}
        store.close()


def test_what_the_server_refuses_costs_no_connection(url: str) -> None:
    """It is given back once, and never used by two at the same time."""
    store = RedisStore(place_of(url))
    good = store.plans.say.own
    store.plans.say.own = Script("own", "return redis.error_reply('NO never')", good.keys)  # type: ignore[method-assign]
    for _ in range(5):
        with pytest.raises(StoreError, match="NO never"):
            store.run(store.plans.own, 1, 1)
    lines = store.session.lines
    (made,) = lines._made.values()
    (idle,) = lines._idle.values()
    assert (made, len(idle), idle[0].dead()) == (1, 1, False)
    store.close()
