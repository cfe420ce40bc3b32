"""Where the microseconds of a job go: each stage of the corridor by itself, in batches as a busy worker has them."""

from __future__ import annotations

import asyncio
import time

from bench.run import Run
from dray.model.job import Claimed, Executor
from dray.model.lifecycle import Move, decide
from dray.model.outcome import Outcome, Returned
from dray.store.values import NodeEntry, Want
from dray.worker.attempt import Attempts
from dray.worker.completer import Completer
from dray.worker.resources import Resources

BATCH = 500


def stages(run: Run) -> None:
    """Claim, decode, run, decide, settle."""
    rounds = 4 if run.quick else 40
    with run.ground.fresh() as app:
        from bench.tasks import noop

        store = app.store
        app.enqueue_many(noop.call(i) for i in range(BATCH * rounds))
        node = store.run(store.plans.enter, NodeEntry("bench", "bench", 0))
        want = Want({Executor.ASYNC: BATCH}, None, frozenset(app.tasks))
        attempts = Attempts(app, Resources({}), Completer(lambda: None))
        spent = dict.fromkeys(("claim", "decode", "run (asyncio task, context, decode, call)", "decide", "settle"), 0.0)

        async def execute(jobs: list[Claimed]) -> list[Outcome]:
            loop = asyncio.get_running_loop()
            tasks = []
            for job in jobs:
                context, timeout = attempts.context(job, noop)
                tasks.append(loop.create_task(attempts.arun(noop, context, timeout)))
            return [await task for task in tasks]

        def timed(name: str, began: float) -> None:
            spent[name] += time.perf_counter() - began

        for _ in range(rounds):
            began = time.perf_counter()
            jobs = store.run(store.plans.claim, want, node).jobs
            timed("claim", began)
            began = time.perf_counter()
            for job in jobs:
                noop.signature.decode(job.args)
            timed("decode", began)
            began = time.perf_counter()
            outcomes = asyncio.run(execute(jobs))
            timed("run (asyncio task, context, decode, call)", began)
            assert all(isinstance(outcome, Returned) for outcome in outcomes)
            began = time.perf_counter()
            moves: list[Move] = [
                decide(job, outcome, job.started, noop.rules) for job, outcome in zip(jobs, outcomes, strict=True)
            ]
            timed("decide", began)
            began = time.perf_counter()
            store.run(store.plans.settle, moves)
            timed("settle", began)
        for name, seconds in spent.items():
            run.add(f"stage: {name}", seconds / (BATCH * rounds) * 1e6, "µs/job")
