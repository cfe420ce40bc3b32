"""The tasks that the benchmarks run; the store is named by DRAY_URL."""

from __future__ import annotations

import asyncio
import time

from dray import Dray

app = Dray()


@app.task
async def noop(n: int) -> None:
    """Does nothing, on the loop."""


@app.task
def noop_thread(n: int) -> None:
    """Does nothing, in a thread."""


@app.task(executor="process")
def noop_process(n: int) -> None:
    """Does nothing, in a child process."""


@app.task(max_attempts=1)
async def bad(n: int) -> None:
    """Fails."""
    raise ValueError(f"no luck with {n}")


@app.task
async def ten_ms(n: int) -> None:
    """Waits 10 ms."""
    await asyncio.sleep(0.01)


@app.task
async def started_at(n: int) -> float:
    """When it started, by the wall clock of this machine."""
    return time.time()


@app.task
def sleeper(path: str) -> None:
    """Says that it has started, and goes on for long."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{time.time()}\n")
    time.sleep(60)
