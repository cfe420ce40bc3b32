"""Starts real workers, waits for events with a deadline, and keeps a record of what tasks did."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import redis_keys

import dray
from dray import Dray, JobHandle
from dray.store.open import open_store
from dray.store.values import NodeInfo

if TYPE_CHECKING:
    from servers.postgres import Cluster
    from servers.redis import Server

T = TypeVar("T")
STORES = ["sqlite", "postgres", "redis"]
FIXTURES = {"postgres": "postgres", "redis": "valkey"}  # of the shared servers

HEAD = '''
import asyncio, os, sys, time
import dray
from dray import Dray, Backoff, Retry, Snooze, GiveUp, Cancel, current_job, resource
sys.path.insert(0, {harness!r})
from record import mark
app = Dray()
'''


def eventually(look: Callable[[], T], *, within: float = 20.0, what: str = "") -> T:
    """What `look` gives as soon as it is true. Fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within} s: {what or look.__name__}; last seen: {found!r}"
        time.sleep(0.01)


@contextlib.contextmanager
def new_url(kind: str, folder: Path, server_of: Callable[[], Any]) -> Iterator[str]:
    """The URL of an empty store of a kind, on the server that `server_of` gives."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/jobs.db"
        return
    if kind == "redis":
        keeper: Server = server_of()
        with keeper.fresh() as url:
            yield url if keeper.durable else f"{url}&risk=persistence"
        return
    server: Cluster = server_of()
    server.template("dray", lambda url: open_store(url).close())
    with server.fresh("dray") as url:
        yield url


def straight_at(url: str, sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """Straight at the database; the statement is one that all of them understand."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30, isolation_level=None)) as connection:
            return connection.execute(sql, params).fetchall()
    with psycopg.connect(url, autocommit=True, options="-c search_path=dray") as server:
        cursor = server.execute(sql.replace("?", "%s"), params)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def garble(url: str, id_: bytes, column: str, garbage: bytes) -> None:
    """Put garbage in the place of a waiting job's `args` or `options`."""
    if url.startswith("redis"):
        redis_keys.garble(url, id_, column, garbage)
    else:
        straight_at(url, f"update dray_job set {column} = ? where id = ?", garbage, id_)


class Place:
    """A folder with a store, code for workers, and what its tasks did."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.file = folder / "jobs.db"
        self.url = url or f"sqlite:///{self.file}"
        self.app = Dray(self.url)
        self.workers: list[Worker] = []

    def code(self, text: str) -> None:
        """Write the module `tasks` with an app and these tasks, and use its app here. `mark(word, …)` records what happens."""
        file = self.folder / "tasks.py"
        file.write_text(HEAD.format(harness=str(Path(__file__).parent)) + text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("tasks", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # No compiled file beside it: Python would take that for today's if the source changes within a second and not in size.
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            spec.loader.exec_module(module)
        finally:
            sys.dont_write_bytecode = writes
        self.app.close()
        self.app = module.app
        self.app.configure(url=self.url)

    def start(self, *flags: str, ready: bool = True, target: str = "tasks:app", **environ: str) -> Worker:
        """Start a worker, and wait until it takes jobs."""
        worker = Worker(self, target, flags, environ)
        self.workers.append(worker)
        if ready:
            worker.wait_ready()
        return worker

    def enqueue(self, task: str, *args: Any, **options: Any) -> JobHandle[Any]:
        """A job of the code's task."""
        return self.calls(task, [args], **options)[0]

    def calls(self, task: str, many: Sequence[Sequence[Any]], **options: Any) -> list[JobHandle[Any]]:
        """The same for many."""
        found: Any = self.app.task_named(task)
        if options:
            found = found.using(**options)
        return self.app.enqueue_many(found.call(*args) for args in many)

    def nodes(self) -> list[NodeInfo]:
        """The worker processes that the store knows."""
        return self.app.insight.workers()

    def marks(self, word: str | None = None) -> list[list[str]]:
        """What tasks have recorded, in order: [word, pid, time, …]."""
        try:
            lines = (self.folder / "marks").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        found = [line.split("\t") for line in lines]
        return [mark for mark in found if word is None or mark[0] == word]

    def wait_mark(self, word: str, n: int = 1, *, within: float = 20.0) -> list[list[str]]:
        """Wait until tasks have recorded `word` n times."""
        return eventually(lambda: len(found := self.marks(word)) >= n and found, within=within, what=f"{n} × {word}") or []

    def wait_final(self, jobs: Sequence[JobHandle[Any]], *, within: float = 30.0) -> list[str]:
        """Wait until these jobs are final; their states."""
        deadline = time.monotonic() + within
        for job in jobs:
            with contextlib.suppress(dray.JobFailed, dray.JobCancelled):
                job.result(timeout=max(0.01, deadline - time.monotonic()))
        return [str(job.refresh().info.state) for job in jobs]

    def query(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """Straight at the database."""
        return straight_at(self.url, sql, *params)

    def close(self) -> None:
        """End what is left."""
        for worker in self.workers:
            worker.destroy()
        self.app.close()


class Worker:
    """A `dray worker` as a process of its own."""

    def __init__(self, place: Place, target: str, flags: Sequence[str], environ: dict[str, str]) -> None:
        self.place = place
        self.log_file = place.folder / f"worker-{len(place.workers)}.log"
        known = dict(os.environ, DRAY_URL=place.url, MARKS=str(place.folder / "marks"), PYTHONDONTWRITEBYTECODE="1")
        known.pop("PYTEST_CURRENT_TEST", None)
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dray.cli.main", "worker", target, "--log-format", "text", *flags],
                cwd=place.folder, env=known | environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What it has written."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def wait_ready(self, times: int = 1) -> None:
        """Wait until its worker processes have said so, in all that many times."""
        self.wait_log("is ready", times)

    def wait_log(self, text: str, times: int = 1, *, within: float = 20.0) -> None:
        """Wait until it has written `text` that often."""

        def look() -> bool:
            assert self.process.poll() is None or self.log.count(text) >= times, f"it ended:\n{self.log}"
            return self.log.count(text) >= times

        eventually(look, within=within, what=f"{text!r} in\n{self.log}")

    def children(self) -> list[int]:
        """Its worker processes."""
        return children_of(self.pid)

    def child(self) -> int:
        """Its only worker process."""
        (pid,) = eventually(self.children, what="a worker process")
        return pid

    def signal(self, number: int) -> None:
        """To the supervisor."""
        self.process.send_signal(number)

    def stop(self, *, within: float = 20.0) -> int:
        """TERM, and the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(within=within)

    def wait(self, *, within: float = 20.0) -> int:
        """The exit status."""
        return self.process.wait(within)

    def destroy(self) -> None:
        """Kill whatever is left of it."""
        family = [self.pid, *descendants_of(self.pid)] if self.process.poll() is None else []
        for pid in family:
            kill(pid, signal.SIGKILL)
        self.process.wait(10)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """The living children of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return [child for child in found if alive(child)]


def descendants_of(pid: int) -> list[int]:
    """Its living children, theirs, and so on."""
    found: list[int] = []
    for child in children_of(pid):
        found += [child, *descendants_of(child)]
    return found


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sockets(pid: int, port: int) -> int:
    """How many connections a process has to a port of this machine."""
    mine = set()
    for fd in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            mine.add(str(fd.readlink()))
        except OSError:
            continue
    remote = f"{struct.unpack('<I', socket.inet_aton('127.0.0.1'))[0]:08X}:{port:04X}"
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2] == remote and row[3] == "01" and f"socket:[{row[9]}]" in mine for row in rows)


def overlaps(marks: Sequence[Sequence[str]], start: str, end: str, ended: Callable[[int], float | None]) -> list[str]:
    """Jobs of which two runs went on at the same time. A run without an end went on until its process had gone: `ended(pid)`."""
    runs: dict[str, list[tuple[float, float]]] = {}
    open_: dict[tuple[str, str], float] = {}
    for word, pid, at, *rest in marks:
        if word not in (start, end):
            continue
        key = (rest[0], pid)
        if word == start:
            if key in open_:
                runs.setdefault(rest[0], []).append((open_.pop(key), float(at)))
            open_[key] = float(at)
        elif key in open_:
            runs.setdefault(rest[0], []).append((open_.pop(key), float(at)))
    for (job, pid), began in open_.items():
        runs.setdefault(job, []).append((began, ended(int(pid)) or began))
    found = []
    for job, spans in runs.items():
        spans.sort()
        found += [f"{job}: {a} {b}" for a, b in itertools.pairwise(spans) if b[0] < a[1]]
    return found


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process stands still inside."""
    kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        kill(pid, signal.SIGCONT)
