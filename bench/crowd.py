"""Eight producing processes and two workers on one store: nobody starves."""

from __future__ import annotations

import time

from bench.crew import Crew
from bench.drain import succeeded
from bench.places import until, worker
from bench.run import Run


def crowd(run: Run) -> None:
    """For a few seconds."""
    seconds, count = (2.0 if run.quick else 8.0), 8
    with run.ground.fresh() as app, worker(app, processes=2):
        crew = Crew("blocking", count, run.ground.name, app.url)
        seen, began = succeeded(app), time.monotonic()
        slices = crew.slice(seconds)
        drained = (succeeded(app) - seen) / (time.monotonic() - began)
        crew.dismiss()
        counts = [len(times) for times in slices]
        until(lambda: succeeded(app) >= sum(counts), 60, every=run.ground.every)
        run.add("8 producers + 2 workers: errors", crew.errors, "", bar="0", ok=crew.errors == 0)
        share, enqueued = min(counts) / max(counts), sum(counts) / seconds
        run.add("8 producers + 2 workers: slowest/fastest producer", share, "", bar="≥ 0.25", ok=share >= 0.25)
        run.add("8 producers + 2 workers: enqueued", enqueued, "jobs/s")
        run.add("8 producers + 2 workers: drained meanwhile", drained, "jobs/s", floor=enqueued, note="bare = enqueued")
        run.add("8 producers + 2 workers: longest single enqueue", max(map(max, slices)) * 1e3, "ms")
