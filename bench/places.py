"""Where a benchmark works: a fresh folder, the benchmarks' app, workers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dray import Dray

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A folder that is removed afterwards, on the file system of the temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="dray-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def app_at(url: str) -> Dray:
    """The benchmarks' app, opened at `url` and at nothing else any more."""
    from bench.tasks import app

    app.close()
    app._url = url
    _ = app.store
    return app


@contextlib.contextmanager
def worker(
    app: Dray, *, concurrency: int = 100, processes: int = 1, queues: str | None = None, url: str | None = None,
    target: str = "bench.tasks", flags: Sequence[str] = (), environ: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A `dray worker` over the app's store, ready when it is known there. `url`: another way to it."""
    before = len(app.insight.workers())
    process = subprocess.Popen(
        [
            sys.executable, "-m", "dray.cli.main", "worker", target, "--url", url or app.url, "--concurrency",
            str(concurrency), "--processes", str(processes), "--log-level", "error", *(["--queues", queues] if queues else []),
            *flags,
        ],
        cwd=ROOT, env={**os.environ, **(environ or {})},
    )  # fmt: skip
    try:
        until(lambda: len(app.insight.workers()) >= before + processes, every=0.02)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(true: Callable[[], object], timeout: float = 60.0, *, every: float = 0.002) -> None:
    """Wait for something."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("the benchmark waited in vain")
        time.sleep(every)
