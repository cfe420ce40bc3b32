"""Single enqueues by several processes: while no worker is there, while one sleeps, while one works."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

from bench.crew import crews
from bench.drain import succeeded
from bench.places import until, worker
from bench.report import percentile
from bench.run import Run
from dray import Dray

SLICE = 0.25  # seconds


def producers(run: Run) -> None:
    """Each case in turns with as many bare processes, which commit one row after the other under the same circumstances."""
    for state, count in itertools.product(("no worker", "worker idle", "worker busy", "worker takes them"), (1, 4, 8)):
        with run.ground.fresh() as app, run.ground.bare(app) as bare, attended(run, app, state):
            compare(run, app, bare, count, state, ["blocking"])
    with run.ground.fresh() as app, run.ground.bare(app) as bare:
        compare(run, app, bare, 4, "no worker, coroutines", ["coroutines"])


def compare(run: Run, app: Dray, bare: str, count: int, state: str, kinds: list[str]) -> None:
    """Ours and the bare ones."""
    turns = 4 if run.quick else 24
    found: dict[str, list[list[float]]] = {}
    fair: dict[str, list[float]] = {}
    where = {"bare": bare, **dict.fromkeys(kinds, app.url)}
    with crews(["bare", *kinds], count, run.ground.name, where) as made:
        for turn in range(turns):
            for kind in list(made) if turn % 2 else reversed(list(made)):
                slices = made[kind].slice(SLICE)
                found.setdefault(kind, []).append([time for times in slices for time in times])
                fair.setdefault(kind, []).append(min(map(len, slices)) / max(1, *map(len, slices)))
        if any(crew.errors for crew in made.values()):
            raise RuntimeError(f"{ {kind: crew.errors for kind, crew in made.items()} } inserts failed")
    times = {kind: [time for part in parts for time in part] for kind, parts in found.items()}
    rates = {kind: len(all_) / (turns * SLICE) for kind, all_ in times.items()}
    base = percentile(times["bare"], 0.5) * 1e6
    for kind in kinds:
        name = f"single enqueue, {count} process{'es' if count > 1 else ''}, {state}"
        median = percentile(times[kind], 0.5) * 1e6
        judged = run.ground.name == "PostgreSQL" and kind == "blocking" and state != "worker takes them"
        run.add(f"{name}: in all", rates[kind], "jobs/s", floor=rates["bare"], bar="≥ bare / 1.3" if judged else "",
                ok=rates[kind] * 1.3 >= rates["bare"] if judged else None,
                note=f"slowest/fastest producer {sum(fair[kind]) / turns:.2f}, bare {sum(fair['bare']) / turns:.2f}")  # fmt: skip
        run.add(f"  each, p50, {count}, {state}", median, "µs", floor=base)
        run.add(f"  each, p99, {count}, {state}", percentile(times[kind], 0.99) * 1e6, "µs",
                floor=percentile(times["bare"], 0.99) * 1e6)  # fmt: skip


@contextlib.contextmanager
def attended(run: Run, app: Dray, state: str) -> Iterator[None]:
    """Idle: a worker sleeps that waits for jobs of another queue. Busy: one works off jobs of 10 ms which were there before, with
    all its slots. Or one takes what is enqueued, and sleeps as soon as there is nothing, for which it needs its share of cores."""
    from bench.tasks import noop, ten_ms

    if state == "no worker":
        yield
    elif state == "worker takes them":
        with worker(app):
            yield
    elif state == "worker idle":
        noop.using(queue="other").enqueue(0)
        with worker(app, queues="other", concurrency=10):
            yield
    else:
        backlog = run.of(60_000)
        app.enqueue_many(ten_ms.call(i) for i in range(backlog))
        with worker(app, concurrency=10):
            until(lambda: app.insight.counts().get("default", {}).get("running", 0), every=run.ground.every)
            yield
            if succeeded(app) >= backlog:
                raise RuntimeError("the busy worker has worked off everything that was there, so it was not busy all the time")
