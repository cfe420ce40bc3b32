"""How workers end, and that nothing runs beside itself meanwhile."""

from __future__ import annotations

import signal
import time

from harness import Place, alive, children_of, cpu_of, eventually, kill, overlaps

CODE = """
@app.task
def work(n, seconds):
    mark("start", n, current_job().attempt, current_job().losses)
    time.sleep(seconds)
    mark("end", n)
    return n

@app.task
def heeds(n):
    mark("start", n)
    while not current_job().cancelled:
        time.sleep(0.02)
    mark("end", n)

@app.task
async def waits(n, seconds):
    mark("start", n)
    try:
        await asyncio.sleep(seconds)
    finally:
        mark("end", n)

@app.task
async def to_thread(n, seconds):
    mark("start", n)
    await asyncio.to_thread(time.sleep, seconds)

@app.task
async def blocks(n, seconds):
    mark("start", n)
    time.sleep(seconds)

@app.task(executor="process")
def heavy(n, seconds):
    mark("start", n)
    time.sleep(seconds)
    mark("end", n)

@app.on_stop
def stop():
    mark("stopped")

@app.resource("slow")
def slow():
    yield 1
    mark("closing")
    time.sleep(1.5)
    mark("closed")

@app.task
def uses(n, slow=resource("slow")):
    pass
"""


def test_term_lets_what_runs_end_and_takes_no_more(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--concurrency", "1", "--process-slots", "1")
    jobs = [place.enqueue("work", 1, 0.8), place.enqueue("waits", 2, 0.8), place.enqueue("heavy", 3, 0.8)]
    waiting = place.enqueue("work", 4, 0)
    place.wait_mark("start", 3)
    assert worker.stop() == 0
    assert [job.state for job in jobs] == ["succeeded"] * 3
    info = waiting.refresh().info
    assert (info.state, info.attempt) == ("ready", 0)
    assert place.nodes() == []
    assert len(place.marks("stopped")) == 1
    assert "stopped" in worker.log


def test_after_the_grace_everything_is_interrupted_and_goes_back_uncounted(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--concurrency", "3", "--process-slots", "1", "--grace", "0.5")
    jobs = [place.enqueue("work", 1, 60), place.enqueue("heeds", 2), place.enqueue("waits", 3, 60), place.enqueue("heavy", 4, 60)]
    place.wait_mark("start", 4)
    began = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < 8
    for job in jobs:
        info = job.refresh().info
        assert (info.state, info.attempt, info.losses) == ("ready", 0, 0), info
    assert {mark[3] for mark in place.marks("end")} == {"2", "3"}
    assert place.nodes() == []


def test_what_cannot_be_interrupted_is_not_given_back_before_its_process_has_ended(place: Place) -> None:
    place.code(CODE)
    first = place.start("--concurrency", "2", "--grace", "0.2")
    place.enqueue("uses", 0).result(timeout=10)
    job = place.enqueue("work", 1, 18)
    place.wait_mark("start")
    child = first.child()
    place.start("--concurrency", "2")
    first.signal(signal.SIGTERM)
    gone_at = 0.0

    def gone() -> bool:
        nonlocal gone_at
        if not gone_at and not alive(child):
            gone_at = time.monotonic()
        return bool(gone_at) and len(place.marks("start")) >= 2

    eventually(gone, within=40, what="the process ends, and the job starts elsewhere")
    closed = place.marks("closed")
    assert len(closed) == 1, "resources are closed meanwhile"
    (_, again) = place.marks("start")
    assert float(again[2]) >= float(closed[0][2])
    assert int(again[1]) != child
    assert (job.refresh().info.attempt, job.info.losses) == (1, 0)
    assert overlaps(place.marks(), "start", "end", lambda pid: gone_at - 0.05 if pid == child else None) == []
    job.cancel()


def test_a_second_term_ends_at_once_and_gives_back_uncounted(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--process-slots", "1")
    jobs = [place.enqueue("work", 1, 60), place.enqueue("waits", 2, 60), place.enqueue("heavy", 3, 60)]
    place.wait_mark("start", 3)
    child = worker.child()
    (pooled,) = children_of(child)
    worker.signal(signal.SIGTERM)
    worker.wait_log("stopping")
    heard = time.monotonic()
    eventually(lambda: time.monotonic() > heard + 0.3, what="a second signal within 0.2 s would be the same wish")
    worker.signal(signal.SIGTERM)
    assert worker.wait(within=5) == 1
    eventually(lambda: not alive(child) and not alive(pooled), within=5, what="all processes end")
    for job in jobs:
        info = job.refresh().info
        assert (info.state, info.attempt, info.losses) == ("ready", 0, 0)
    assert place.nodes() == []


def test_a_child_killed_during_the_shutdown_loses_nothing(place: Place) -> None:
    place.code(CODE)
    worker = place.start()
    job = place.enqueue("work", 1, 60)
    place.wait_mark("start")
    child = worker.child()
    worker.signal(signal.SIGTERM)
    worker.wait_log(" stops, ")
    kill(child)
    assert worker.wait() == 0
    assert (job.refresh().info.state, job.info.attempt) == ("ready", 0)
    assert place.nodes() == []


def test_a_supervisor_killed_during_the_shutdown_loses_nothing(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--grace", "1")
    done, stuck = place.enqueue("work", 1, 0.5), place.enqueue("waits", 2, 60)
    place.wait_mark("start", 2)
    child = worker.child()
    worker.signal(signal.SIGTERM)
    worker.wait_log(" stops, ")
    kill(worker.pid)
    eventually(lambda: not alive(child), within=10, what="the orphan ends")
    assert done.refresh().info.state == "succeeded"
    assert (stuck.refresh().info.state, stuck.info.attempt, stuck.info.losses) == ("ready", 0, 0)
    assert place.nodes() == []


def test_a_thread_behind_a_coroutine_does_not_hold_up_the_end(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--grace", "0.2")
    job = place.enqueue("to_thread", 1, 60)
    place.wait_mark("start")
    assert worker.stop(within=8) == 0
    assert (job.refresh().info.state, job.info.attempt) == ("ready", 0)


def test_a_child_that_does_not_end_is_killed(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--grace", "0")
    job = place.enqueue("blocks", 1, 60)
    place.wait_mark("start")
    child = worker.child()
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait(within=16) == 0
    assert 5 < time.monotonic() - began < 15
    assert "does not end; killing it" in worker.log
    assert not alive(child)
    assert (job.refresh().info.state, job.info.attempt, job.info.losses) == ("ready", 0, 0)


def rests(pid: int) -> bool:
    """Whether a process has used next to nothing for half a second."""
    before = cpu_of(pid)
    time.sleep(0.5)
    return cpu_of(pid) - before <= 0.01


def test_an_idle_supervisor_and_child_use_hardly_any_cpu_even_while_they_wait_to_stop(place: Place) -> None:
    place.code(CODE)
    worker = place.start()
    place.enqueue("work", 1, 60)
    place.wait_mark("start")
    child = worker.child()
    eventually(lambda: rests(worker.pid), what="the supervisor has begun, the store's driver imported")
    before, began = cpu_of(worker.pid) + cpu_of(child), time.monotonic()
    eventually(lambda: time.monotonic() - began > 2.0)
    used = cpu_of(worker.pid) + cpu_of(child) - before
    assert used < 0.2, f"{used:.2f} s of CPU in 2 s"
    worker.signal(signal.SIGTERM)
    worker.wait_log(" stops, ")
    before, began = cpu_of(worker.pid), time.monotonic()
    eventually(lambda: time.monotonic() - began > 1.0)
    assert cpu_of(worker.pid) - before < 0.2
