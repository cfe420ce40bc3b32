"""How soon a job starts: from idle, and after a kill."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from bench.places import children, fresh_app, place, until, worker
from bench.report import Figure, Report, percentile


def pickup(report: Report, quick: bool) -> None:
    """From the call of `enqueue` (its commit included) to the first line of the function, the worker being idle."""
    n = 40 if quick else 300
    with place() as folder, fresh_app(folder) as app:
        from bench.tasks import started_at

        def times() -> list[float]:
            found = []
            for i in range(n):
                time.sleep(random.uniform(0.01, 0.04))
                began = time.time()
                found.append(started_at.enqueue(i).result(timeout=10) - began)
            return found[5:]

        with worker(app):
            across = times()
        with app.worker():
            inside = times()
    for name, values, p50, p99 in (("across processes", across, 5.0, 25.0), ("in one process", inside, 2.0, None)):
        value = percentile(values, 0.5) * 1e3
        report.add(Figure(f"pickup from idle, {name}, p50", value, "ms", None, f"≤ {p50:g}", value <= p50))
        value = percentile(values, 0.99) * 1e3
        ok = value <= p99 if p99 else None
        report.add(Figure(f"pickup from idle, {name}, p99", value, "ms", None, f"≤ {p99:g}" if p99 else "", ok))


def after_kill(report: Report, quick: bool) -> None:
    """From the kill −9 of a worker process to the next start of the job that it ran."""
    values = []
    for _ in range(1 if quick else 3):
        with place() as folder, fresh_app(folder) as app:
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
    report.add(Figure("kill −9 of a worker process to the job's next start", value, "s", None, "< 1", value < 1))


def starts(path: Path) -> list[float]:
    """When the job started."""
    return [float(line) for line in path.read_text().split()]
