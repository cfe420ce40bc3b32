"""What a worker offers around its runs: hooks, resources, queues, times, several colours."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import embedded_tasks as tasks
import pytest
from harness import eventually

from dray import ConfigurationError, Dray, JobCancelled, JobFailed, State, current_job
from dray.errors import WorkerError
from dray.model.clock import ManualClock
from dray.store.open import open_store


@pytest.fixture
def app(store_url: str) -> Iterator[Dray]:
    """A fresh app with a store of its own."""
    found = Dray(store_url)
    yield found
    found.close()


@pytest.fixture
def full(store_url: str) -> Iterator[Dray]:
    """The app of `embedded_tasks` on a store of its own."""
    tasks.app.close()
    tasks.app.configure(url=store_url)
    tasks.events.clear()
    yield tasks.app
    tasks.app.close()


def test_hooks_and_resources(full: Dray) -> None:
    with full.worker(process_slots=1):
        assert tasks.events == ["start", "async start"]
        assert [tasks.uses_plain.enqueue(n).result(timeout=15) for n in range(3)] == [[n, [1], "value"] for n in range(3)]
        assert tasks.uses_async.enqueue().result(timeout=15) == ["awaited", "async value", [1]]
        first, second = (tasks.uses_in_process.enqueue().result(timeout=15) for _ in range(2))
        assert first == second
        for task, told in (
            (tasks.uses_broken, "cannot be made"), (tasks.uses_async_in_thread, "is async"), (tasks.uses_unknown, "'nobody'"),
        ):  # fmt: skip
            with pytest.raises(JobFailed, match=told):
                task.enqueue().result(timeout=15)
    made = [event for event in tasks.events if "made" in event]
    assert sorted(made) == ["agenerator made", "coroutine made", "generator made", "plain made"], "each once"
    assert tasks.events.index("async stop") < tasks.events.index("stop")
    assert sorted(tasks.events[-2:]) == ["agenerator closed", "generator closed"]


def test_the_async_twin(full: Dray) -> None:
    async def main() -> None:
        async with full.worker(concurrency=2, process_slots=1) as worker:
            with pytest.raises(WorkerError, match="running already"):
                await worker.__aenter__()
            handles = [await tasks.typed_on_loop.aenqueue(), await tasks.in_process.aenqueue("identity")]
            assert await handles[0].aresult(timeout=15) == tasks.Point(1, datetime(2026, 1, 2, tzinfo=UTC))
            assert (await handles[1].aresult(timeout=15))[0] != os.getpid()
            assert [info.alive for info in await full.insight.aworkers()] == [True]
        assert await full.insight.aworkers() == []
        assert tasks.events[-1].endswith("stop") or "closed" in tasks.events[-1]

    asyncio.run(main())


def test_a_start_hook_that_raises_leaves_nothing_behind(app: Dray) -> None:
    @app.on_start
    def no() -> None:
        raise OSError("not today")

    worker = app.worker()
    for _ in range(2):
        with pytest.raises(OSError, match="not today"):
            worker.__enter__()
    assert app.insight.workers() == []
    assert not [thread for thread in threading.enumerate() if thread.name in ("dray-loop", "dray-pump", "dray-keeper")]


def test_wrong_options_are_told_at_once(app: Dray) -> None:
    for options in ({"concurrency": 0}, {"process_slots": -1}, {"queues": "a,,b"}, {"queues": "a:0"}, {"grace": "soon"}):
        with pytest.raises(ConfigurationError):
            app.worker(**options)

    @app.task
    def plain() -> None: ...

    @app.task
    async def coroutine() -> None: ...

    for wrong in (
        lambda: plain.using(executor="async").enqueue(), lambda: coroutine.using(executor="thread").enqueue(),
        lambda: plain.using(executor="thread", memory_limit="1GiB").enqueue(),
        lambda: app.task(executor="thread", memory_limit="1GiB")(lambda: None),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError):
            wrong()
    assert app.insight.counts() == {}
    job = plain.using(memory_limit="1GiB").enqueue()
    assert job.info.executor == "process"
    job = coroutine.using(memory_limit="1GiB").enqueue()
    assert job.info.executor == "process"


def test_priority_delay_at_and_expiry(app: Dray) -> None:
    order: list[str] = []

    @app.task
    def note(word: str) -> None:
        order.append(word)

    now = datetime.now(UTC)
    jobs = [note.using(priority=p).enqueue(f"p{p}") for p in (-5, 0, 100, 5)]
    delayed = note.using(delay=0.4).enqueue("delayed")
    at = note.using(at=now + timedelta(seconds=0.8)).enqueue("at")
    past = note.using(at=now - timedelta(days=1)).enqueue("past")
    stale = note.using(expires=now - timedelta(seconds=1)).enqueue("stale")
    soon = note.using(expires=0.2, delay=30).enqueue("soon")
    assert [job.state for job in (delayed, at, past)] == ["scheduled", "scheduled", "ready"]
    with app.worker(concurrency=1):
        for job in [*jobs, delayed, at, past]:
            job.result(timeout=10)
        for job in (stale, soon):
            with pytest.raises(JobCancelled, match="expired"):
                job.result(timeout=10)
    assert order == ["p100", "p5", "past", "p0", "p-5", "delayed", "at"]


def test_strict_and_weighted_queues(app: Dray) -> None:
    order: list[str] = []

    @app.task
    def note(queue: str) -> None:
        order.append(queue)
        time.sleep(0.002)  # of what takes no time at all, a whole queue is claimed ahead

    def fill(n: int) -> list[Any]:
        order.clear()
        return [note.using(queue=queue).enqueue(queue) for queue in ("low", "high") for _ in range(n)]

    jobs = fill(20)
    other = note.using(queue="other").enqueue("other")
    with app.worker(queues="high,low", concurrency=1):
        for job in jobs:
            job.result(timeout=10)
    assert order.index("low") >= 19
    assert other.state == State.READY, "of a queue that was not asked for"
    jobs = fill(120)
    with app.worker(queues="high:5,low:1", concurrency=1):
        eventually(lambda: len(order) >= 100)
        for job in jobs:
            job.cancel()
    first = order[:100]
    assert 0 < first.count("low") < 50


def test_pause_and_resume_live(app: Dray) -> None:
    @app.task
    def identity(n: int) -> int:
        return n

    with app.worker():
        assert identity.enqueue(1).result(timeout=10) == 1
        app.insight.pause("default", by="me")
        waiting = identity.enqueue(2)
        other = identity.using(queue="other").enqueue(3)
        assert other.result(timeout=10) == 3
        assert waiting.state == State.READY
        began = time.monotonic()
        assert app.insight.resume("default")
        assert waiting.result(timeout=10) == 2
        assert time.monotonic() - began < 1


def test_a_job_of_an_unknown_task_is_left_for_a_worker_that_knows_it(app: Dray, tmp_path: Path) -> None:
    other = Dray(app.url)

    @other.task(name="only.there")
    def there(n: int) -> int:
        return n

    @app.task
    def here(n: int) -> int:
        return n

    job = there.enqueue(5)
    with app.worker():
        assert here.enqueue(1).result(timeout=10) == 1
        info = job.refresh().info
        assert (info.state, info.attempt) == ("ready", 0)
        with other.worker():
            assert job.result(timeout=10) == 5
    assert job.refresh().info.attempt == 1
    other.close()


def test_what_a_run_enqueues_after_it_has_lost_its_claim_is_not_enqueued(app: Dray) -> None:
    from dray import StaleClaim

    seen: list[type[BaseException]] = []
    lost, go = threading.Event(), threading.Event()

    @app.task
    def child() -> None: ...

    @app.task
    def parent() -> None:
        if current_job().claim > 1:
            return
        lost.set()
        go.wait(10)
        try:
            child.enqueue()
        except StaleClaim as error:
            seen.append(type(error))
            raise

    with app.worker(concurrency=2) as worker:
        job = parent.enqueue()
        assert lost.wait(10)
        assert worker.node is not None
        app.store.run(app.store.plans.bury, worker.node.id, "a test", None)
        eventually(lambda: job.refresh().info.claim == 2 and job.info.state == "succeeded", what="it ran again")
        go.set()
        eventually(lambda: seen == [StaleClaim])
    assert [info.task for info in app.insight.jobs("").jobs] == [parent.name]
    assert job.refresh().info.state == State.SUCCEEDED


def test_in_memory(tmp_path: Path) -> None:
    app = Dray("sqlite://")

    @app.task(executor="process")
    def pid() -> int:
        return os.getpid()

    @app.task
    async def add(a: int, b: int) -> int:
        return a + b

    with app.worker():
        assert add.enqueue(1, 2).result(timeout=10) == 3
        assert pid.enqueue().result(timeout=10) == os.getpid(), "other processes could not see the store"
    app.close()


def test_a_clock_that_is_set_back_ends_no_lease_and_starts_nothing_twice(store_url: str) -> None:
    clock = ManualClock()
    app = Dray("sqlite:///unused.db")
    app._store = open_store(store_url, clock=clock)
    runs: list[int] = []
    go = threading.Event()

    @app.task
    def work(n: int) -> int:
        runs.append(n)
        if n == 1:
            go.wait(10)
        return n

    with app.worker(concurrency=2):
        running = work.enqueue(1)
        eventually(lambda: runs == [1])
        later = work.using(delay=10).enqueue(2)
        clock.step(-7200)
        after = work.enqueue(3)
        assert after.result(timeout=10) == 3
        go.set()
        assert running.result(timeout=10) == 1
        clock.step(7200)
        clock.advance(11)
        work.enqueue(5)
        assert later.result(timeout=10) == 2
        clock.step(86_400 * 365)
        assert work.enqueue(4).result(timeout=10) == 4
    assert sorted(runs) == [1, 2, 3, 4, 5]
    assert running.refresh().info.claim == 1
    app.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_worker(tmp_path: Path, store_url: str, number: int) -> None:
    (tmp_path / "script.py").write_text(
        "from dray import Dray\n"
        "app = Dray()\n"
        "@app.task(executor='process')\n"
        "def add(a: int, b: int) -> int: return a + b\n"
        "@app.on_start\n"
        "def ready(): print('ready', flush=True)\n"
        "if __name__ == '__main__':\n"
        "    add.enqueue(1, 2)\n"
        "    app.run_worker(grace=1)\n"
        "    print('over', flush=True)\n"
    )
    url = store_url
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, env=dict(os.environ, DRAY_URL=url), stdout=subprocess.PIPE, text=True,
        process_group=0,
    )  # fmt: skip
    app = Dray(url)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        eventually(lambda: app.insight.counts().get("default", {}).get("succeeded") == 1)
        process.send_signal(number)
        assert process.stdout.read() == "over\n"
        assert process.wait(10) == 0
        assert app.insight.workers() == []
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        app.close()
