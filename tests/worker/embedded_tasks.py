"""An app whose tasks do all that a task can do; imported by tests and by the child processes of their workers."""

import asyncio
import os
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dray import Backoff, Cancel, Dray, GiveUp, JobContext, Retry, Snooze, current_job, resource

SOON = Backoff.fixed(0)
events: list[str] = []  # what the middleware, hooks and resources of this very process did


def around(job: JobContext):  # type: ignore[no-untyped-def]
    outcome = yield
    if "watched" in job.tags:
        events.append(f"{job.task.rpartition('.')[2]} {type(outcome).__name__} {getattr(outcome, 'final', '')}".strip())


app = Dray(middleware=[around])


@dataclass
class Point:
    x: int
    when: datetime


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Hostile(Exception):
    def __str__(self) -> str:
        raise SystemExit("even this")


def behave(how: str) -> Any:  # noqa: C901
    job = current_job()
    match how:
        case "typed":
            return Point(1, datetime(2026, 1, 2, tzinfo=UTC))
        case "raise":
            raise ValueError("broken")
        case "once":
            if job.attempt == 1:
                raise ValueError("the first time")
            return job.attempt
        case "retry":
            if job.attempt == 1:
                raise Retry(delay=0.05)
            return job.attempt
        case "retry at":
            if job.attempt == 1:
                raise Retry(at=datetime.now(UTC) + timedelta(seconds=0.1))
            return job.attempt
        case "snooze":
            if job.claim < 3:
                raise Snooze("50ms")
            return job.attempt
        case "give up":
            raise GiveUp("no use")
        case "cancel":
            raise Cancel("not wanted")
        case "bad cancel":
            raise Cancel("half a pair: \ud800")
        case "bad snooze":
            raise Snooze(-1)
        case "bad error":
            raise type("Bad", (ValueError,), {"__qualname__": "Bad\ud800"})("half a pair: \ud800")
        case "unprintable":
            raise Unprintable
        case "hostile":
            raise Hostile
        case "deep":
            return behave_deeply(0)
        case "system exit":
            sys.exit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "generator exit":
            raise GeneratorExit
        case "cancelled":
            raise asyncio.CancelledError
        case "stop iteration":
            raise StopIteration(1)
        case "group":
            raise ExceptionGroup("two", [ValueError("a"), TypeError("b")])
        case "too large":
            return "x" * 300_000
        case "not encodable":
            return object()
        case "long text":
            raise ValueError("x" * 100_000)
        case "notes":
            job.log("begun")
            for n in range(5_000):
                job.log(f"line {n}", level="debug")
            job.log("ended", level="warning")
            job.progress(3, 7, "half \u00bd")
            return None
        case "identity":
            return [os.getpid(), threading.current_thread().name]
        case "context":
            limits = [job.attempt, job.max_attempts, list(job.tags), job.deadline is not None, job.cancelled]
            return [job.id, job.task, job.queue, *limits]
    raise AssertionError(how)


def behave_deeply(n: int) -> int:
    return behave_deeply(n + 1) + 1


@app.task(max_attempts=2, backoff=SOON)
async def on_loop(how: str) -> Any:
    return behave(how)


@app.task(max_attempts=2, backoff=SOON)
def in_thread(how: str) -> Any:
    return behave(how)


@app.task(max_attempts=2, backoff=SOON, executor="process")
def in_process(how: str) -> Any:
    return behave(how)


@app.task(executor="process")
async def coroutine_in_process(n: int) -> int:
    await asyncio.sleep(0)
    return n


@app.task
async def typed_on_loop() -> Point:
    return Point(1, datetime(2026, 1, 2, tzinfo=UTC))


@app.task
def typed_in_thread(point: Point) -> Point:
    return Point(point.x + 1, point.when)


@app.task(executor="process")
def typed_in_process(point: Point) -> list[Point]:
    return [point]


@app.task(give_up_on=(ValueError,), backoff=SOON)
def gives_up() -> None:
    raise UnicodeError("a kind of ValueError")


@app.task(retry_on=(OSError,), backoff=SOON, max_attempts=3)
def retries_only(kind: str) -> None:
    raise OSError("again") if kind == "os" else KeyError("no")


@app.task(timeout=0.2, max_attempts=1)
async def slow_on_loop(seconds: float) -> None:
    await asyncio.sleep(seconds)


@app.task(timeout=0.3, max_attempts=1)
def slow_in_process(seconds: float) -> None:
    time.sleep(seconds)


@app.task(timeout=0.2, executor="thread", max_attempts=1)
def slow_in_thread(looks: bool) -> str:
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        if looks and current_job().cancelled:
            return "told"
        time.sleep(0.01)
    return "late"


@app.task
async def hangs_on_loop() -> None:
    await asyncio.sleep(60)


@app.task
def hangs_in_thread() -> None:
    while not current_job().cancelled:
        time.sleep(0.01)


@app.task(executor="process")
def hangs_in_process() -> None:
    time.sleep(60)


shielded = threading.Event()


@app.task
async def shields() -> str:
    shielded.set()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "finished all the same"
    return ""


@app.task
async def blocks(seconds: float) -> None:
    time.sleep(seconds)  # the line that is to be named


@app.task
def parent(n: int) -> list[str]:
    return [typed_in_thread.enqueue(Point(n, datetime.now(UTC))).id for n in range(n)]


@app.task
async def aparent(n: int) -> list[str]:
    return [(await typed_on_loop.aenqueue()).id for _ in range(n)]


@app.task(executor="process")
def parent_in_process() -> str:
    return typed_on_loop.enqueue().id


@app.resource("plain")
def plain() -> list[int]:
    events.append("plain made")
    return [1]


@app.resource("generator")
def generator():  # type: ignore[no-untyped-def]
    events.append("generator made")
    yield "value"
    events.append("generator closed")


@app.resource("coroutine")
async def coroutine() -> str:
    await asyncio.sleep(0)
    events.append("coroutine made")
    return "awaited"


@app.resource("agenerator")
async def agenerator():  # type: ignore[no-untyped-def]
    events.append("agenerator made")
    yield "async value"
    events.append("agenerator closed")


@app.resource("broken")
def broken() -> None:
    raise OSError("cannot be made")


@app.task
def uses_plain(n: int, a: list[int] = resource("plain"), b: str = resource("generator")) -> list[Any]:
    return [n, a, b]


@app.task(executor="process")
def uses_in_process(a: str = resource("generator")) -> list[Any]:
    return [a, os.getpid()]


@app.task
async def uses_async(
    a: str = resource("coroutine"), b: str = resource("agenerator"), c: list[int] = resource("plain")
) -> list[Any]:
    return [a, b, c]


@app.task(max_attempts=2, backoff=SOON)
def uses_broken(a: None = resource("broken")) -> None: ...


@app.task(max_attempts=2, backoff=SOON)
def uses_async_in_thread(a: str = resource("coroutine")) -> None: ...


@app.task(max_attempts=2, backoff=SOON)
def uses_unknown(a: str = resource("nobody")) -> None: ...


@app.on_start
def plain_start() -> None:
    events.append("start")


@app.on_start
async def async_start() -> None:
    await asyncio.sleep(0)
    events.append("async start")


@app.on_stop
async def async_stop() -> None:
    events.append("async stop")


@app.on_stop
def broken_stop() -> None:
    raise OSError("a stop hook that raises")


@app.on_stop
def plain_stop() -> None:
    events.append("stop")
