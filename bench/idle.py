"""What a worker costs that has nothing to do, and how long things take to start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bench.places import children, cpu_seconds, fresh_app, memory, place, worker
from bench.report import Figure, Report


def idle(report: Report, quick: bool) -> None:
    """Supervisor and one worker process."""
    seconds = 3.0 if quick else 15.0
    with place() as folder, fresh_app(folder) as app:
        began = time.perf_counter()
        with worker(app, concurrency=10) as process:
            report.add(Figure("start of a worker, until it is known to the store", time.perf_counter() - began, "s"))
            time.sleep(1.0)
            pids = [process.pid, *children(process.pid)[:1]]
            before = cpu_seconds([process.pid])
            time.sleep(seconds)
            used = (cpu_seconds([process.pid]) - before) / seconds * 100
            sizes = [memory(pid) for pid in pids]
        rss, pss = sum(r for r, _ in sizes), sum(p for _, p in sizes)
        report.add(Figure("idle supervisor + worker process: CPU", used, "% of core", None, "≤ 1", used <= 1))
        note = f"{pss:.0f} MB if shared pages count once"
        report.add(Figure("idle supervisor + worker process: memory", rss, "MB", None, "≤ 60", rss <= 60, note))


def imports(report: Report, quick: bool) -> None:
    """`import dray`, and with what an application uses of it, beyond a bare interpreter."""

    def run(code: str) -> float:
        times = []
        for _ in range(5 if quick else 15):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e3

    nothing = run("pass")
    value = run("import dray") - nothing
    report.add(Figure("import dray", value, "ms", None, "≤ 100", value <= 100))
    value = run("from dray import Dray, current_job, Retry, Backoff") - nothing
    report.add(Figure("from dray import Dray, …", value, "ms", None, "≤ 100", value <= 100))


