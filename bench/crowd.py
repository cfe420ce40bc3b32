"""Eight producing processes and two workers on one file: nobody starves."""

from __future__ import annotations

import multiprocessing
import time

from bench.drain import succeeded
from bench.places import fresh_app, place, until, worker
from bench.report import Figure, Report


def _produce(url: str, seconds: float, gate: multiprocessing.synchronize.Barrier, out: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    from bench.tasks import app, noop

    app._url = url
    _ = app.store
    errors, count, worst = 0, 0, 0.0
    gate.wait()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            noop.enqueue(count)
            count += 1
        except Exception:
            errors += 1
        worst = max(worst, time.monotonic() - began)
    out.put((count, errors, worst))


def crowd(report: Report, quick: bool) -> None:
    """For a few seconds."""
    seconds, count = (2.0 if quick else 8.0), 8
    spawn = multiprocessing.get_context("spawn")
    with place() as folder, fresh_app(folder) as app, worker(app, processes=2):
        gate, out = spawn.Barrier(count + 1), spawn.Queue()
        running = [spawn.Process(target=_produce, args=(app.url, seconds, gate, out)) for _ in range(count)]
        for process in running:
            process.start()
        gate.wait()
        began, seen = time.monotonic(), succeeded(app)
        results = [out.get() for _ in running]
        drained = (succeeded(app) - seen) / (time.monotonic() - began)
        for process in running:
            process.join()
        counts = [n for n, _, _ in results]
        until(lambda: succeeded(app) >= sum(counts), 60)
        errors = sum(e for _, e, _ in results)
        share = min(counts) / max(counts)
        report.add(Figure("8 producers + 2 workers: errors", errors, "", None, "0", errors == 0))
        report.add(Figure("8 producers + 2 workers: slowest/fastest producer", share, "", None, "≥ 0.25", share >= 0.25))
        report.add(Figure("8 producers + 2 workers: enqueued", sum(counts) / seconds, "jobs/s"))
        enqueued = sum(counts) / seconds
        report.add(Figure("8 producers + 2 workers: drained meanwhile", drained, "jobs/s", enqueued, note="bare = enqueued"))
        report.add(Figure("8 producers + 2 workers: longest single enqueue", max(w for _, _, w in results) * 1e3, "ms"))
