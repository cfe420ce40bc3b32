"""Where a benchmark works: a fresh folder, a fresh store, workers in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dray import Dray

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A folder that is removed afterwards, on the file system of the temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="dray-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def fresh_app(folder: Path) -> Iterator[Dray]:
    """The benchmark's app over a new store in `folder`."""
    from bench.tasks import app

    app.close()
    app._url = f"sqlite:///{folder / 'bench.db'}"
    _ = app.store
    try:
        yield app
    finally:
        app.close()


@contextlib.contextmanager
def worker(app: Dray, *, concurrency: int = 100, processes: int = 1, wait: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """A `dray worker` over the app's store."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "dray.cli.main", "worker", "bench.tasks", "--url", app.url, "--concurrency", str(concurrency),
            "--processes", str(processes), "--log-level", "error",
        ],
        cwd=ROOT,
    )  # fmt: skip
    try:
        if wait:
            until(lambda: len(app.insight.workers()) >= processes)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(true: object, timeout: float = 60.0) -> None:
    """Wait for something."""
    deadline = time.monotonic() + timeout
    while not true():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError("the benchmark waited in vain")
        time.sleep(0.002)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of processes, of those that they have started, and of those that have ended meanwhile."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15])  # own, and of children that have ended
    ticks = total / os.sysconf("SC_CLK_TCK")
    return ticks + sum(cpu_seconds([child]) for pid in pids for child in children(pid))


def memory(pid: int) -> tuple[float, float]:
    """Resident and proportional megabytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    values = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in text.splitlines()[1:] if line.split()[-1] == "kB"}
    return values["Rss"], values["Pss"]


def fill(path: Path, finished: int, future: int) -> None:
    """Put finished and future jobs into a store, by the million."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma synchronous = off")
    now = time.time_ns() // 1000
    sql = """
        insert into dray_job (id, task, queue, executor, rank, due, state, max_attempts, enqueued, args, claim, attempt, started,
                              finished, prune_after)
        with recursive n (i) as (select 1 union all select i + 1 from n where i < :n)
        select cast(printf('%016d', :base + i) as blob), 'bench.tasks.noop', 'default', 0, 0, :due + i, :state, 20, :now, '{"n":1}',
               :claim, :claim, iif(:claim, :now, null), iif(:claim, :now, null), iif(:claim, :now + 86400000000, null)
        from n
    """
    for state, n, base, due in ((5, finished, 1 << 40, now), (0, future, 1 << 41, now + 86_400_000_000)):
        if n:
            connection.execute(sql, {"n": n, "base": base, "due": due, "state": state, "now": now, "claim": int(state == 5)})
            connection.execute(
                "insert into dray_tally values ('default', ?, ?) on conflict do update set n = n + excluded.n", (state, n)
            )
    connection.close()
