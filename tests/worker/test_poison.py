"""Jobs that harm the process that runs them, and those beside them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from harness import Place, alive, eventually

CODE = """
import ctypes, signal, threading, subprocess

FAST = dict(backoff=Backoff.fixed(0))

def die(how):
    if how == "exit": os._exit(7)
    if how == "segfault": ctypes.string_at(0)
    if how == "abort": os.abort()
    if how == "kill": os.kill(os.getpid(), signal.SIGKILL)

@app.task(executor="process", **FAST)
def pooled(how):
    mark("pooled", how, current_job().attempt, current_job().losses)
    die(how)

@app.task
def threaded(how):
    mark("threaded", how, current_job().attempt, current_job().losses)
    die(how)

@app.task
def innocent(n):
    time.sleep(0.3)
    return n

@app.task(memory_limit="200MiB", crash_budget=2)
def bomb(n):
    mark("bomb", n)
    hoard = []
    while True:
        hoard.append(bytearray(b"x" * (8 << 20)))
        time.sleep(0.005)

@app.task(executor="process", max_attempts=1)
def modest(n):
    return len(bytes(n))

@app.task(max_attempts=1, timeout=0.7)
def endless(n):
    mark("endless", n)
    while True:
        time.sleep(0.05)

@app.task(max_attempts=1, timeout=0.7)
def forks_and_hangs(n):
    if os.fork() == 0:
        mark("copy")
        time.sleep(60)
        os._exit(0)
    subprocess.Popen(["sleep", "61"])
    mark("original")
    time.sleep(60)

@app.task(executor="process", max_attempts=1, crash_budget=2)
def closes_all(n):
    os.closerange(3, 1000)
    time.sleep(60)

@app.task(executor="process", max_attempts=1)
def forks_process(how):
    if os.fork() == 0:
        mark("forked", how)
        if how == "returns": return "copy"
        if how == "exits": sys.exit(3)
        if how == "raises": raise ValueError("copy")
        os._exit(4)
    os.wait()
    return "original"

@app.task(max_attempts=1)
def forks_thread(how):
    return forks_process(how)

@app.task(max_attempts=1)
async def forks_async(how):
    return forks_process(how)

@app.task(executor="process")
def quick(n, load):
    return n
"""

SIGNS = {
    "exit": "exit status 7", "segfault": "exit signal 11 (SIGSEGV)", "abort": "exit signal 6 (SIGABRT)",
    "kill": "exit signal 9 (SIGKILL)",
}  # fmt: skip


def test_a_job_that_kills_its_pool_child_fails_by_the_crash_budget_with_the_signal_kept(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--process-slots", "2")
    child = worker.child()
    jobs = place.calls("pooled", [(how,) for how in SIGNS])
    innocents = place.calls("innocent", [(n,) for n in range(20)])
    assert place.wait_final(jobs, within=40) == ["failed"] * 4
    assert place.wait_final(innocents) == ["succeeded"] * 20
    for job, cause in zip(jobs, SIGNS.values(), strict=True):
        info = job.refresh().info
        assert (info.losses, info.attempt, info.claim) == (3, 0, 3)
        assert info.error["type"] == "WorkerLost"
        assert info.error["cause"] == cause
        assert [run.word for run in place.app.insight.history(job.id)] == ["lost"] * 3
    assert sorted(mark[5] for mark in place.marks("pooled")) == sorted("012" * 4)
    assert worker.child() == child, "the worker process itself was not harmed"
    assert place.app.insight.counts() == place.app.insight.recount()


def test_a_job_that_kills_its_worker_fails_and_the_innocents_beside_it_succeed(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--concurrency", "4")
    poison = place.enqueue("threaded", "segfault")
    innocents = place.calls("innocent", [(n,) for n in range(30)])
    assert place.wait_final([poison], within=40) == ["failed"]
    assert poison.refresh().info.error["cause"] == "exit signal 11 (SIGSEGV)"
    assert poison.info.losses == 3
    assert place.wait_final(innocents) == ["succeeded"] * 30
    assert max(job.info.losses for job in innocents) < 3
    assert worker.stop() == 0


def test_a_memory_bomb_is_killed_at_its_limit(place: Place) -> None:
    place.code(CODE)
    place.start("--process-slots", "1")
    bomb, modest = place.enqueue("bomb", 1), place.enqueue("modest", 100)
    assert place.wait_final([bomb, modest], within=60) == ["failed", "succeeded"]
    assert "memory: " in bomb.refresh().info.error["cause"]
    assert "the limit is 200 MiB" in bomb.info.error["cause"]
    assert bomb.info.losses == 2


def test_a_timeout_kills_a_function_and_whatever_it_has_started(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--process-slots", "2")
    began = time.monotonic()
    endless, forks = place.enqueue("endless", 1), place.enqueue("forks_and_hangs", 2)
    assert place.wait_final([endless, forks], within=10) == ["failed", "failed"]
    assert time.monotonic() - began < 5
    for job in (endless, forks):
        assert job.refresh().info.error["type"] == "TimeoutError"
        assert "700ms" in job.info.error["message"]
    pids = [int(mark[1]) for mark in place.marks("copy") + place.marks("original")]
    eventually(lambda: not any(map(alive, pids)), within=5, what="the copies are gone")
    assert place.enqueue("modest", 5).result(timeout=10) == 5
    assert worker.stop() == 0


def test_a_function_that_closes_every_descriptor_does_not_stop_the_pool(place: Place) -> None:
    place.code(CODE)
    place.start("--process-slots", "1")
    job = place.enqueue("closes_all", 1)
    after = place.enqueue("modest", 5)
    assert place.wait_final([after], within=30) == ["succeeded"]
    assert place.wait_final([job], within=30) == ["failed"]
    assert job.refresh().info.losses == 2


@pytest.mark.parametrize("where", ["process", "thread", "async"])
def test_a_copy_that_a_function_forks_off_does_not_speak_for_the_job(place: Place, where: str) -> None:
    place.code(CODE)
    worker = place.start("--process-slots", "1", "--loop", "asyncio")
    hows = ["returns", "exits", "raises", "leaves"]
    jobs = place.calls(f"forks_{where}", [(how,) for how in hows])
    assert [job.result(timeout=20) for job in jobs] == ["original"] * 4
    assert len(place.marks("forked")) == 4
    copies = [int(mark[1]) for mark in place.marks("forked")]
    assert not any(map(alive, copies))
    for job in jobs:
        info: Any = job.refresh().info
        assert (info.attempt, info.losses, info.claim) == (1, 0, 1)
    assert worker.log.count("is ready") == 1
    assert worker.stop() == 0


def test_large_arguments_behind_a_long_job_do_not_hold_up_its_timeout(place: Place) -> None:
    place.code(CODE)
    place.start("--process-slots", "1")
    place.wait_final(place.calls("quick", [(n, "") for n in range(300)]))  # so short that many wait in the child
    began = time.monotonic()
    endless = place.enqueue("endless", 1)
    place.wait_mark("endless")
    after = place.calls("quick", [(n, "x" * 250_000) for n in range(8)])
    assert place.wait_final([endless], within=10) == ["failed"]
    assert time.monotonic() - began < 4
    assert place.wait_final(after) == ["succeeded"] * 8
