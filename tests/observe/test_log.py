"""Logs of jobs carry their fields: the application's own and ours, wherever the function runs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dray import Dray, current_job
from dray.observe.log import JobFields, JsonFormatter

log = logging.getLogger("shop.of.the.test")


@pytest.fixture
def lines() -> Iterator[Any]:
    """What was logged."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(JobFields())
    log.addHandler(handler)
    yield lambda: {entry["message"]: entry for entry in map(json.loads, stream.getvalue().splitlines())}
    log.removeHandler(handler)


def test_fields_of_the_job(each_app: Dray, lines: Any) -> None:
    app = each_app

    @app.task(name="in.loop", queue="quick")
    async def in_loop() -> int | None:
        log.warning("loop")
        await asyncio.to_thread(log.warning, "thread of the loop")
        return current_job().node

    @app.task(name="in.thread")
    def in_thread() -> int | None:
        log.warning("thread %d", 1, extra={"seconds": 3, "queue": "mine"})
        other = threading.Thread(target=log.warning, args=("a thread of its own",))
        other.start()
        other.join()
        return current_job().node

    log.warning("outside")
    with app.worker():
        first, second = in_loop.enqueue(), in_thread.enqueue()
        nodes = {first.result(timeout=20), second.result(timeout=20)}
    (node,) = nodes
    assert isinstance(node, int)
    said = lines()
    assert "job" not in said["outside"]
    mine = {"job": first.id, "task": "in.loop", "queue": "quick", "attempt": 1, "node": node}
    assert said["loop"].items() >= mine.items()
    assert said["thread of the loop"].items() >= mine.items()
    assert said["thread 1"].items() >= {"job": second.id, "task": "in.thread", "queue": "mine", "seconds": 3}.items()
    assert "job" not in said["a thread of its own"], "nobody can know whose that is"
