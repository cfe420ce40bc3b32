"""Workers of both kinds and producers of both colours on one server, for as long as something is wrong with it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis_keys
import test_torture
from harness import Place, Worker, eventually, overlaps, stopped, straight_at

from dray import JobHandle, StoreError
from dray.store.open import open_store

if TYPE_CHECKING:
    from servers.proxy import Proxy

CODE = """
@app.task
async def coroutine(n):
    mark("start", n, current_job().claim)
    await asyncio.sleep(0.03)
    mark("end", n, current_job().claim)
    return n

@app.task
def thread(n):
    mark("start", n, current_job().claim)
    time.sleep(0.03)
    mark("end", n, current_job().claim)

@app.task(max_attempts=5, backoff=Backoff.fixed("0.1s"))
async def unlucky(n):
    mark("start", n, current_job().claim)
    await asyncio.sleep(0.01)
    mark("end", n, current_job().claim)
    if current_job().attempt < 3:
        raise ValueError("no luck")

@app.task
def parent(n):
    mark("start", n, current_job().claim)
    coroutine.enqueue(n + 0.5)
    mark("end", n, current_job().claim)

@app.task
async def long(n, seconds):
    mark("start", n, current_job().claim)
    await asyncio.sleep(seconds)
    mark("end", n, current_job().claim)
"""
TASKS = ("coroutine", "thread", "unlucky", "coroutine", "parent")


def unfinished(url: str) -> int:
    """How many jobs have not come to their end."""
    if url.startswith("redis"):
        return redis_keys.unfinished(url)
    ((n,),) = straight_at(url, "select count(*) from dray_job")
    return int(n)


def finished(url: str) -> dict[bytes, tuple[int, int, int]]:
    """Code of the state, losses and attempts of those that have, by id."""
    if url.startswith("redis"):
        return redis_keys.finished(url)
    rows = straight_at(url, "select id, state, losses, attempt from dray_done")
    return {bytes(row[0]): row[1:] for row in rows}


class Weather:
    """`dray worker` processes and an embedded worker, reached through a proxy, with jobs flowing."""

    def __init__(self, folder: Path, url: str, server: Any, proxy: Proxy, *, workers: int = 1, pause: float = 0.02) -> None:
        self.url = url
        self.server = server
        self.proxy = proxy
        self.place = Place(folder, proxy.url(url))
        self.place.code(CODE)
        self.acknowledged: dict[bytes, float] = {}
        self.errors: list[str] = []
        self.numbers = iter(range(1, 10**9))
        self.workers: list[Worker] = [self.place.start("--concurrency", "8") for _ in range(workers)]
        self.children = [worker.child() for worker in self.workers]
        self._pause = pause
        self._lock = threading.Lock()
        self._going = True
        self._embedded = self.place.app.worker(concurrency=4)
        self._embedded.__enter__()
        self._threads = [threading.Thread(target=self._produce), threading.Thread(target=lambda: asyncio.run(self._aproduce()))]
        for thread in self._threads:
            thread.start()

    def ask(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """Straight at the server."""
        return straight_at(self.url, sql, *params)

    def terminate(self) -> int:
        """Cut off all sessions of Dray, on PostgreSQL."""
        return len(self.ask(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and application_name = 'dray'"
        ))  # fmt: skip

    def flow(self, n: int = 10, within: float = 20.0) -> float:
        """Wait until every producer has enqueued again and n more jobs have ended; the seconds."""
        began = time.monotonic()
        ended = len(self.place.marks("end"))
        seen = len(self.acknowledged)
        failed = len(self.errors)
        try:
            eventually(lambda: len(self.acknowledged) >= seen + n, within=within, what="producers")
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.errors[failed:][-3:]}") from None
        eventually(lambda: len(self.place.marks("end")) >= ended + n, within=within, what="workers")
        return time.monotonic() - began

    def _next(self) -> tuple[Any, int]:
        with self._lock:
            n = next(self.numbers)
        return self.place.app.task_named(TASKS[n % len(TASKS)]), n

    def _produce(self) -> None:
        while self._going:
            task, n = self._next()
            try:
                self.acknowledged[task.enqueue(n).raw] = n
            except StoreError as error:
                self.errors.append(str(error))
            time.sleep(self._pause)

    async def _aproduce(self) -> None:
        while self._going:
            task, n = self._next()
            try:
                self.acknowledged[(await task.aenqueue(n)).raw] = n
            except StoreError as error:
                self.errors.append(str(error))
            await asyncio.sleep(self._pause)

    def stop_producers(self) -> None:
        """Enough jobs."""
        self._going = False
        for thread in self._threads:
            thread.join(60)

    def clear_up(self, *, beside: Sequence[JobHandle[Any]] = (), within: float = 60.0) -> dict[str, Any]:
        """All that was acknowledged has come to one end, nothing ran beside itself, no run was lost, nobody gave up. `beside`: jobs
        that were enqueued beside those of the producers."""
        self.stop_producers()
        eventually(lambda: unfinished(self.url) == 0, within=within, what="all are final")
        extra = {job.raw for job in beside}
        done = {id_: told for id_, told in finished(self.url).items() if id_ not in extra}
        assert set(self.acknowledged) <= set(done)
        marks = self.place.marks()
        starts = Counter(mark[3] for mark in marks if mark[0] == "start")
        ends = Counter(mark[3] for mark in marks if mark[0] == "end")
        parents = [f"{n}" for n in self.acknowledged.values() if n % len(TASKS) == 4]
        known, doubtful = len(self.acknowledged), 2 * len(self.errors)  # refused, and carried out all the same
        assert known + sum(ends[n] for n in parents) - doubtful <= len(done) <= known + sum(starts[n] for n in parents) + doubtful
        assert {state for state, *_ in done.values()} == {5}, "all succeeded"
        assert {losses for _, losses, _ in done.values()} == {0}, "\n".join(worker.log for worker in self.workers)
        assert overlaps([[word, pid, at, n] for word, pid, at, n, *_ in marks], "start", "end", lambda _: None) == []
        for id_, n in self.acknowledged.items():
            assert starts[str(n)] == done[id_][2], f"job {n} ran {starts[str(n)]} times"
        store = open_store(self.url)
        assert store.run(store.plans.counts) == store.run(store.plans.recount)
        store.close()
        for worker, child in zip(self.workers, self.children, strict=True):
            assert worker.process.poll() is None
            assert worker.child() == child
            for text in ("Traceback", "unexpected error", "had lost its claim", "entering anew", "has died"):
                assert text not in worker.log, worker.log
        return {"jobs": len(done), "runs": starts.total(), "errors": len(self.errors)}

    def close(self) -> None:
        """End everything."""
        self.stop_producers()
        self._embedded.__exit__(None, None, None)
        self.place.close()


class Four(test_torture.Chaos):
    """Four workers; and the server is restarted every ten seconds, by `restart(number)`, which tells how."""

    restart: Callable[[int], str] = staticmethod(lambda number: "not at all")

    def __init__(self, place: Place, seed: int, *, orphans: bool) -> None:
        super().__init__(place, seed, orphans=orphans)
        self.workers += [self._start() for _ in range(2)]
        self.restarts = 0
        self._restart_at = time.monotonic() + 10

    def strike(self) -> None:
        """Kill a process; now and then the server too."""
        super().strike()
        if time.monotonic() >= self._restart_at:
            how = self.restart(self.restarts)
            self.restarts += 1
            print(f"restart {self.restarts} ({how}) after {self.kills} kills")
            self._restart_at = time.monotonic() + 10


# -- what may happen on any server


def cuts(weather: Weather, seconds: float) -> None:
    """The network breaks all connections, again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        weather.proxy.cut(reset=True)
        time.sleep(0.2)


def swallow(weather: Weather, seconds: float) -> None:
    """The network keeps what is sent: what waited comes late, or never."""
    weather.proxy.swallow()
    time.sleep(seconds)
    weather.proxy.passing()


def slow(weather: Weather, seconds: float) -> None:
    """Half a second each way."""
    weather.proxy.delay(500, 500)
    time.sleep(seconds)
    weather.proxy.delay()


def child_stands(weather: Weather, seconds: float) -> None:
    """The worker process is stopped for less than its lease."""
    with stopped(weather.children[0]):
        time.sleep(seconds)


def supervisor_stands(weather: Weather, seconds: float) -> None:
    """Its parent is."""
    with stopped(weather.workers[0].pid):
        time.sleep(seconds)
