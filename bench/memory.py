"""What a waiting job takes in a server that keeps everything in memory."""

from __future__ import annotations

from bench.run import Run


def memory(run: Run) -> None:
    """Bytes for each of many small jobs that wait, beyond their arguments."""
    from bench.tasks import noop

    n = run.of(200_000)
    with run.ground.fresh() as app:
        noop.enqueue(0)
        before = run.ground.memory()
        app.enqueue_many(noop.call(i) for i in range(n))
        payload = sum(len(f'{{"n":{i}}}') for i in range(n)) / n
        value = (run.ground.memory() - before) / n - payload
    run.add("memory of a small waiting job, beyond its arguments", value, "bytes", bar="≤ 500", ok=value <= 500)
