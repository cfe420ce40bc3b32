"""Worker processes that are killed."""

from __future__ import annotations

import signal
import time

from harness import Place, alive, eventually, kill

CODE = """
@app.task
def work(n, seconds):
    mark("start", n, current_job().attempt, current_job().losses)
    time.sleep(seconds)
    mark("end", n)
    return n

@app.task
async def quick(n):
    mark("quick", n)
    return n

@app.task(executor="process")
def heavy(n, seconds):
    mark("start", n, current_job().attempt, current_job().losses, os.getppid())
    time.sleep(seconds)
    mark("end", n)
    return n
"""


def test_a_killed_child_is_replaced_and_its_jobs_start_again_within_a_second(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--concurrency", "2")
    latencies = []
    for n in range(1, 4):  # the least counts: whatever else the machine does only adds to it
        before = len(place.marks("start"))
        first, second = place.calls("work", [(n, 0.6), (n, 0.6)])
        place.wait_mark("start", before + 2)
        killed = time.monotonic()
        kill(worker.child())
        again = place.wait_mark("start", before + 4)[before + 2 :]
        latencies.append(max(float(mark[2]) for mark in again) - killed)
        if latencies[-1] < 1.0:
            break
        place.wait_final([first, second])
    assert min(latencies) < 1.0, f"took {latencies} s"
    assert place.wait_final([first, second]) == ["succeeded", "succeeded"]
    for job in (first, second):
        info = job.refresh().info
        assert (info.attempt, info.losses, info.claim) == (1, 1, 2)
        (lost, *_) = place.app.insight.history(job.id)
        assert lost.word == "lost"
        assert lost.error["cause"] == "exit signal 9 (SIGKILL)"
    assert worker.stop() == 0
    print(f"loss to restart: {min(latencies):.3f} s")


def test_what_had_not_started_goes_back_uncounted(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--concurrency", "1")
    place.wait_final(place.calls("work", [(n, 0) for n in range(60)]))  # it learns that jobs are short, and claims ahead
    before = len(place.marks("start"))
    jobs = place.calls("work", [(n, 0.5) for n in range(100, 104)])
    place.wait_mark("start", before + 1)
    eventually(lambda: sum(job.refresh().info.claim for job in jobs) > 1, what="claimed ahead")
    kill(worker.child())
    assert place.wait_final(jobs) == ["succeeded"] * 4
    started = {mark[3] for mark in place.marks("start")[before : before + 1]}
    for job, n in zip(jobs, range(100, 104), strict=True):
        info = job.refresh().info
        assert info.attempt == 1
        assert info.losses == (1 if str(n) in started else 0)


def test_a_killed_supervisor_leaves_a_child_that_finishes_and_ends(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--concurrency", "1")
    running, waiting = place.enqueue("work", 1, 1.0), place.enqueue("work", 2, 0)
    place.wait_mark("start")
    child = worker.child()
    kill(worker.pid)
    worker.wait()
    eventually(lambda: not alive(child), what="the orphan ends")
    assert running.refresh().info.state == "succeeded"
    assert waiting.refresh().info.state == "ready"
    assert place.nodes() == []
    place.start()
    assert waiting.result(timeout=10) == 2
    assert waiting.refresh().info.attempt == 1
    assert len(place.marks("start")) == 2


def test_a_killed_pool_child_costs_only_its_own_job(place: Place) -> None:
    place.code(CODE)
    worker = place.start("--process-slots", "2")
    one, two = place.calls("heavy", [(1, 1.5), (2, 1.5)])
    starts = place.wait_mark("start", 2)
    child = worker.child()
    assert {int(mark[6]) for mark in starts} == {child}
    victim = next(int(mark[1]) for mark in starts if mark[3] == "1")
    kill(victim, signal.SIGSEGV)
    assert place.wait_final([one, two]) == ["succeeded", "succeeded"]
    assert (one.refresh().info.losses, two.refresh().info.losses) == (1, 0)
    assert place.app.insight.history(one.id)[0].error["cause"] == "exit signal 11 (SIGSEGV)"
    assert worker.child() == child


def test_two_workers_on_one_file_share_and_survive_each_other(place: Place) -> None:
    place.code(CODE)
    first, second = place.start("--concurrency", "2"), place.start("--concurrency", "2", "--processes", "2")
    assert len(eventually(lambda: len(nodes := place.nodes()) == 3 and nodes)) == 3
    second.wait_ready(2)
    jobs = place.calls("work", [(n, 0.15) for n in range(40)])
    place.wait_mark("start", 6)
    first.signal(signal.SIGTERM)
    kill(second.children()[0])
    assert place.wait_final(jobs) == ["succeeded"] * 40
    assert first.wait() == 0
    starts = [mark[3] for mark in place.marks("start")]
    lost = sum(job.refresh().info.losses for job in jobs)
    assert len(starts) == 40 + lost
    assert place.app.insight.counts() == place.app.insight.recount()
