"""Workers that vanish, or stand still for longer than their lease."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time

import pytest
from harness import Place, alive, children_of, eventually, kill, stopped

CODE = """
@app.task
def work(n, seconds):
    mark("start", n)
    time.sleep(seconds)
    mark("end", n)
    return n

@app.task
async def waits(n, seconds):
    mark("start", n)
    await asyncio.sleep(seconds)
    mark("end", n)
    return n

@app.task(executor="process")
def heavy(n, seconds):
    mark("start", n)
    time.sleep(seconds)
    return n
"""


def test_jobs_of_vanished_and_of_stopped_workers_run_elsewhere_within_twenty_seconds(place: Place) -> None:
    place.code(CODE)
    vanishing, standing = place.start("--queues", "a"), place.start("--queues", "b")
    vanished = [place.enqueue(task, n, 1.0, queue="a") for n, task in ((1, "work"), (2, "heavy"))]
    thread, coroutine = (place.enqueue(task, n, 1.0, queue="b") for n, task in ((3, "work"), (4, "waits")))
    place.wait_mark("start", 4)
    gone, child = vanishing.child(), standing.child()
    (pooled,) = children_of(gone)
    os.kill(vanishing.pid, signal.SIGSTOP)  # it must not notice that its child dies
    kill(gone)
    kill(vanishing.pid)
    eventually(lambda: not alive(pooled), within=5, what="the pool child dies with its parent")
    with stopped(child):
        began = time.monotonic()
        rescuer = place.start("--process-slots", "1")
        rescued = time.monotonic()
        place.wait_mark("start", 8, within=25)
        took = max(float(mark[2]) for mark in place.marks("start")) - began
        assert 9 < took < 20, f"{took:.1f} s"
        jobs = [*vanished, thread, coroutine]
        assert place.wait_final(jobs) == ["succeeded"] * 4
        finished = [job.info.finished for job in jobs]
        ends = place.marks("end")
    standing.wait_log("had lost its claim", 2)
    standing.wait_log("entering anew")
    assert place.enqueue("work", 5, 0, queue="b").result(timeout=10) == 5

    # What the stopped worker had to say when it went on changed nothing.
    for job, before in zip(jobs, finished, strict=True):
        info = job.refresh().info
        assert (info.claim, info.losses, info.attempt, info.state, info.finished) == (2, 1, 1, "succeeded", before)
        (lost,) = place.app.insight.history(job.id)
        assert (lost.word, "ran out" in lost.error["cause"]) == ("lost", True)
    assert {int(mark[1]) for mark in ends} == {rescuer.child()}
    assert standing.log.count("had lost its claim") == 2, "each is reported once"
    assert standing.log.count("entering anew") == 1
    assert standing.child() == child
    assert len(eventually(lambda: len(nodes := place.nodes()) == 2 and nodes)) == 2
    assert place.app.insight.counts() == place.app.insight.recount()
    print(f"all rescued {took:.1f} s after the new worker was started (ready after {rescued - began:.1f} s)")


def test_a_full_worker_hears_that_it_has_lost_its_jobs(place: Place) -> None:
    """It asks for no jobs, because it has no room, so it would not notice by itself."""
    place.code(CODE)
    first = place.start("--concurrency", "1")
    job = place.enqueue("waits", 1, 25)
    place.wait_mark("start")
    store = place.app.store
    (node,) = place.nodes()
    store.run(store.plans.bury, node.id, "its lease ran out", None)  # as a rescue does
    first.wait_log("entering anew", within=10)
    again = place.wait_mark("start", 2, within=10)
    assert not place.marks("end")
    assert (job.refresh().info.claim, job.info.losses) == (2, 1)
    assert len(again) == 2
    job.cancel()
    place.wait_final([job], within=10)


@pytest.mark.torture
def test_a_store_that_cannot_be_written_for_longer_than_a_lease_costs_nobody_a_claim(file_place: Place) -> None:
    """Nobody could renew, but nobody could rescue either: whoever is there afterwards goes on."""
    file_place.code(CODE)
    workers = [file_place.start("--concurrency", "1") for _ in range(2)]
    jobs = [file_place.enqueue("work", n, 22) for n in range(2)]
    file_place.wait_mark("start", 2)
    with contextlib.closing(sqlite3.connect(file_place.file, timeout=30, isolation_level=None)) as other:
        other.execute("begin immediate")
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > 18, within=20, what="longer than a lease")
        other.execute("rollback")
    assert file_place.wait_final(jobs) == ["succeeded"] * 2
    assert [(job.refresh().info.claim, job.info.losses) for job in jobs] == [(1, 0)] * 2
    assert len(file_place.marks("start")) == 2
    assert not any("entering anew" in worker.log for worker in workers)


@pytest.mark.torture
def test_a_worker_whose_supervisor_stands_still_keeps_its_lease_itself(place: Place) -> None:
    place.code(CODE)
    worker, other = place.start("--concurrency", "1"), place.start("--concurrency", "1", "--queues", "none")
    job = place.enqueue("work", 1, 25)
    place.wait_mark("start")
    child = worker.child()
    with stopped(worker.pid):
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > 20, within=22, what="longer than a lease")
        assert place.wait_final([job]) == ["succeeded"]
    assert (job.refresh().info.claim, job.info.losses) == (1, 0)
    assert len(place.marks("start")) == 1
    assert worker.child() == child
    assert not any("entering anew" in each.log for each in (worker, other))
