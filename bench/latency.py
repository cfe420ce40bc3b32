"""How soon a job starts: from idle, and after a kill."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from bench.places import place, until, worker
from bench.processes import children, connections, family
from bench.report import percentile
from bench.run import Run

#: Seconds between jobs. Soon after one, a worker is still half awake: it lies down in steps.
GAPS = {"pickup from idle": (0.1, 0.3), "pickup 10 to 40 ms after a job": (0.01, 0.04)}
#: p50 and p99 in ms that are asked for, across processes and in one
BARS = {"SQLite": ((5.0, 25.0), (2.0, None)), "PostgreSQL": ((3.0, 15.0), (None, None)),
        "Redis": ((2.0, 10.0), (None, None))}
SPANS = ("across processes", "in one process")


def pickup(run: Run) -> None:
    """From the call of `enqueue` (its commit included) to the first line of the function, a worker having nothing to do;
    and the connections of each process meanwhile."""
    n = 40 if run.quick else 300
    held: list[int] = []
    found: dict[tuple[str, str], list[float]] = {}
    with run.ground.fresh() as app:
        with worker(app) as process:
            for name in GAPS:
                found[name, SPANS[0]] = pickups(n, name, lambda: held.extend(lines(run, process.pid)))
        with app.worker():
            for name in GAPS:
                found[name, SPANS[1]] = pickups(n, name, lambda: None)
    for (name, span), values in found.items():
        for share, bar in zip((0.5, 0.99), BARS[run.ground.name][SPANS.index(span)], strict=True):
            value = percentile(values, share) * 1e3
            run.add(f"{name}, {span}, p{share * 100:.0f}", value, "ms", bar=f"≤ {bar:g}" if bar else "",
                    ok=value <= bar if bar else None)  # fmt: skip
    if held:
        run.add("connections of a process while jobs come and go, most", max(held), "", bar="≤ 3", ok=max(held) <= 3)


def pickups(n: int, name: str, look: Callable[[], object]) -> list[float]:
    """Seconds of `n` of them."""
    from bench.tasks import started_at

    found = []
    for i in range(n + 5):
        time.sleep(random.uniform(*GAPS[name]))
        began = time.time()
        found.append(started_at.enqueue(i).result(timeout=10) - began)
        if i % 10 == 0:
            look()
    return found[5:]


def lines(run: Run, pid: int) -> list[int]:
    """The connections to the server of this process and of a worker's."""
    if run.ground.name == "SQLite":
        return []
    return [connections(one, run.ground.cluster.port) for one in [os.getpid(), *family(pid)]]


def after_kill(run: Run) -> None:
    """From the kill −9 of a worker process to the next start of the job that it ran."""
    values = []
    for _ in range(1 if run.quick else 3):
        with place() as folder, run.ground.fresh() as app:
            from bench.tasks import sleeper

            path = folder / "starts"
            path.touch()

            def started(times: int, path: Path = path) -> bool:
                return len(starts(path)) == times

            with worker(app) as process:
                handle = sleeper.enqueue(str(path))
                until(lambda: started(1))
                os.kill(children(process.pid)[0], signal.SIGKILL)
                killed = time.time()
                until(lambda: started(2))
                values.append(starts(path)[1] - killed)
                process.send_signal(signal.SIGINT)
                time.sleep(0.3)
                process.send_signal(signal.SIGINT)
            _ = handle
    value = percentile(values, 0.5)
    run.add("kill −9 of a worker process to the job's next start", value, "s", bar="< 1", ok=value < 1)


def starts(path: Path) -> list[float]:
    """When the job started."""
    return [float(line) for line in path.read_text().split()]
