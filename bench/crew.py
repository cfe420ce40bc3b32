"""Several processes that do the same, in slices: ours and the bare ones take turns, so that noise hits both."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any


def _bare(name: str, where: str) -> Any:
    if name == "PostgreSQL":
        from bench.grounds.postgres_bare import Inserter
    elif name == "Redis":
        from bench.grounds.redis_bare import Inserter  # type: ignore[assignment]
    else:
        from bench.grounds.sqlite import Inserter  # type: ignore[assignment]
    return Inserter(where).one


def _ours(name: str, where: str) -> Any:
    from bench.places import app_at
    from bench.tasks import noop

    app_at(where)
    return lambda: noop.enqueue(1)


def _ours_async(name: str, where: str) -> Any:
    from bench.places import app_at
    from bench.tasks import noop

    app_at(where)
    runner = asyncio.Runner()
    return lambda: runner.run(noop.aenqueue(1))


KINDS = {"bare": _bare, "blocking": _ours, "coroutines": _ours_async}


def _member(kind: str, name: str, where: str, orders: Connection) -> None:
    act = KINDS[kind](name, where)
    for _ in range(5):
        act()
    orders.send("ready")
    while seconds := orders.recv():
        times, errors, end = [], 0, time.perf_counter() + seconds
        began = time.perf_counter()
        while began < end:
            try:
                act()
            except Exception:
                errors += 1
            now = time.perf_counter()
            times.append(now - began)
            began = now
        orders.send((times, errors))


class Crew:
    """Processes of one kind, which rest until they are told."""

    def __init__(self, kind: str, count: int, name: str, where: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.errors = 0
        self._ends, self._processes = [], []
        for _ in range(count):
            mine, theirs = spawn.Pipe()
            process = spawn.Process(target=_member, args=(kind, name, where, theirs), daemon=True)
            process.start()
            theirs.close()
            self._ends.append(mine)
            self._processes.append(process)
        for end in self._ends:
            end.recv()

    def slice(self, seconds: float) -> list[list[float]]:
        """Let all act for so long; the seconds of each act, by member."""
        for end in self._ends:
            end.send(seconds)
        told = [end.recv() for end in self._ends]
        self.errors += sum(errors for _, errors in told)
        return [times for times, _ in told]

    def dismiss(self) -> None:
        """Send them home."""
        for end in self._ends:
            end.send(0)
        for process in self._processes:
            process.join()


@contextlib.contextmanager
def crews(kinds: list[str], count: int, name: str, where: dict[str, str]) -> Iterator[dict[str, Crew]]:
    """Several crews of `count`, each over its own place."""
    made = {kind: Crew(kind, count, name, where[kind]) for kind in kinds}
    try:
        yield made
    finally:
        for crew in made.values():
            crew.dismiss()
