"""Jobs that were claimed ahead do not wait here behind long ones: other workers may have room for them."""

from __future__ import annotations

import threading

import pytest
from harness import eventually

from dray import Dray

SHORT = 300


@pytest.mark.parametrize("kind", ["thread", "async"])
def test_what_was_claimed_ahead_goes_back_when_long_jobs_come(store_url: str, kind: str) -> None:
    app = Dray(store_url)
    gate = threading.Event()
    if kind == "async":

        @app.task(name="short")
        async def short(n: int) -> int:
            return n

        @app.task(name="long", priority=10)
        async def long() -> None:
            import asyncio

            await asyncio.get_running_loop().run_in_executor(None, gate.wait)

    else:

        @app.task(name="short")
        def short(n: int) -> int:  # type: ignore[misc]
            return n

        @app.task(name="long", priority=10)
        def long() -> None:  # type: ignore[misc]
            gate.wait()

    with app.worker(concurrency=1):
        for handle in app.enqueue_many(short.call(n) for n in range(SHORT)):  # the worker learns that jobs are short
            handle.result(timeout=20)
        blocker = long.enqueue()
        eventually(lambda: blocker.state == "running", what="the long job runs")
        app.insight.pause("default")
        later = app.enqueue_many(short.call(n) for n in range(20))
        app.insight.resume("default")

        def given_back() -> bool:
            infos = [handle.refresh().info for handle in later]
            return all(info.claim == 1 and info.state == "ready" and info.attempt == 0 for info in infos)

        eventually(given_back, what="all were claimed ahead, and given back")
        assert app.insight.counts()["default"]["running"] == 1
        gate.set()
        assert [handle.result(timeout=20) for handle in later] == list(range(20))
    app.close()
