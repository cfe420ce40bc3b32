"""What it costs to be seen: a drain with metrics and traces on beside one with both off, in turns, in one run."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Mapping

from msgspec import Struct

from bench.drain import through, warm_up
from bench.places import app_at, worker
from bench.run import Run
from dray.observe.tracing import instrument

PORT = 19_091
SCRAPE = 1.0  # seconds between scrapes: fifteen times as often as usual


class Mode(Struct, frozen=True):
    """What is on."""

    name: str
    task: str
    metrics: bool = False
    sampled: float | None = None  # share of traces that are kept


OFF = "off"


def observe(run: Run) -> None:
    """No-op coroutines, the quickest jobs there are, and jobs that do something."""
    for task, many, title in (("noop", 50_000, "no-op jobs"), ("ten_ms", 12_000, "jobs of 10 ms, concurrency 100")):
        modes = (
            Mode(OFF, task), Mode("metrics", task, metrics=True), Mode("metrics, 1 % of traces", task, True, 0.01),
            Mode("metrics, all traces", task, True, 1.0),
        )  # fmt: skip
        rates = compare(run, modes, run.of(many))
        floor = statistics.median(rates[OFF])
        for mode in modes[1:]:
            # Of pairs: noise that lasts hits both of a round.
            kept = statistics.median(one / other for one, other in zip(rates[mode.name], rates[OFF], strict=True))
            bar = bar_of(mode)
            run.add(
                f"drain of {title}: {mode.name}", floor * kept, "jobs/s", floor=floor, bar="" if bar is None else f"≥ {bar} × off",
                ok=None if bar is None else kept >= bar, note="bare = both off",
            )  # fmt: skip


def bar_of(mode: Mode) -> float | None:
    """What must be left of the throughput. Where every run is traced there is no bar: a span costs OpenTelemetry more than a whole
    no-op job costs us."""
    return None if mode.sampled == 1.0 else 0.95


def compare(run: Run, modes: tuple[Mode, ...], n: int) -> dict[str, list[float]]:
    """Jobs per second of each mode, in rounds."""
    from bench import tasks

    job = getattr(tasks, modes[0].task)
    found: dict[str, list[float]] = {mode.name: [] for mode in modes}
    with contextlib.ExitStack() as stack:
        urls = {mode.name: stack.enter_context(run.ground.fresh()).url for mode in modes}
        made = {mode.name: stack.enter_context(started(urls[mode.name], mode, PORT + i)) for i, mode in enumerate(modes)}
        for mode in modes:
            warm_up(run, app_at(urls[mode.name]), job, max(500, n // 10))
        for number in range(2 if run.quick else 5):
            for mode in sorted(modes, key=lambda mode: mode.name, reverse=bool(number % 2)):
                app = app_at(urls[mode.name])
                with traced(mode):
                    found[mode.name].append(through(run, app, job, n, made[mode.name].pid)[0])
    return found


@contextlib.contextmanager
def started(url: str, mode: Mode, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of a mode, scraped all the time if it has metrics."""
    environ: Mapping[str, str] = {} if mode.sampled is None else {"DRAY_TRACING": "1", "SAMPLED": str(mode.sampled)}
    flags = ["--health-port", str(port)] if mode.metrics else []
    app = app_at(url)
    with worker(app, target="bench.traced", flags=flags, environ=environ) as process:
        app.insight.resume("default")
        over = threading.Event()
        if mode.metrics:
            threading.Thread(target=scrape, args=(port, over), daemon=True).start()
        try:
            yield process
        finally:
            over.set()


def scrape(port: int, over: threading.Event) -> None:
    """As Prometheus does."""
    while not over.wait(SCRAPE):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            answer.read()


@contextlib.contextmanager
def traced(mode: Mode) -> Iterator[None]:
    """Whoever enqueues traces as well."""
    from bench.tasks import app

    if mode.sampled is None:
        yield
        return
    from bench.traced import provider

    tracer = instrument(app, tracer_provider=provider(mode.sampled))
    try:
        yield
    finally:
        app.observers.remove(tracer)
        app.middleware = tuple(one for one in app.middleware if one is not tracer)
