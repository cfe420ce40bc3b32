"""A server that is not on the same machine: a millisecond on the way."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.drain import measure
from bench.enqueue import timed
from bench.places import ROOT, app_at
from bench.run import Run

# In a process of its own: it must not wait for the benchmark's Python. Its clock is in whole milliseconds, so all of the delay is
# on the way there.
PROXY = """
import sys
sys.path.insert(0, sys.argv[1])
from servers.proxy import Proxy
proxy = Proxy(int(sys.argv[2]))
proxy.delay(to_server_ms=float(sys.argv[3]))
print(proxy.url(sys.argv[4]), flush=True)
sys.stdin.read()
proxy.close()
"""


@contextlib.contextmanager
def far(url: str, port: int, ms: float) -> Iterator[str]:
    """The URL of the same database, so much farther away."""
    command = [sys.executable, "-c", PROXY, str(ROOT / "tests"), str(port), str(ms), url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def latency(run: Run) -> None:
    """Drain and single enqueue, each beside the bare engine over the same way."""
    from bench.tasks import noop

    n, ones, rounds = run.of(50_000), 20, (3 if run.quick else 10)
    with run.ground.fresh() as app, run.ground.bare(app) as near, far(near, run.ground.cluster.port, 1.0) as url:
        with run.ground.nothing(url) as ask:
            trip = statistics.median(timed(ask, 100)) * 1e3
        run.add("network: round trip of a question for nothing through the delay", trip, "ms")
        app.enqueue_many(noop.call(i) for i in range(n))
        floor = run.ground.rate_at(url)
        rate, cpu = measure(run, app, "noop", n, url=url)
        note = f"{cpu:.0f} µs of CPU each"
        bar, ok = ("≥ 20,000", rate >= 20_000) if run.ground.name == "Redis" else ("≥ 0.4 × bare", rate >= 0.4 * floor)
        run.add("drain of no-op jobs, 1 ms away", rate, "jobs/s", floor=floor, bar=bar, ok=ok, note=note)
        app_at(url)
        bare = run.ground.Inserter(url)
        own, base = [], []
        noop.enqueue(1)
        bare.one()
        for _ in range(rounds):
            base += timed(bare.one, ones)
            own += timed(lambda: noop.enqueue(1), ones)
        bare.close()
        began = time.perf_counter()
        app.enqueue_many(noop.call(i) for i in range(n))
        bulk = n / (time.perf_counter() - began)
    median, floor = statistics.median(own) * 1e3, statistics.median(base) * 1e3
    run.add("single enqueue, 1 ms away, median", median, "ms", floor=floor, bar="≤ 1.3 × bare", ok=median <= 1.3 * floor)
    run.add("bulk enqueue, 1 ms away", bulk, "jobs/s")
