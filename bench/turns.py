"""Two stores of one kind with a worker each, which take turns: so that noise hits both."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping

from bench.drain import through, warm_up
from bench.places import app_at, worker
from bench.run import Run

Rates = dict[str, list[tuple[float, float]]]


@contextlib.contextmanager
def two_stores(run: Run, names: tuple[str, str]) -> Iterator[dict[str, str]]:
    """Their URLs. One at a time is the app's: see `app_at`."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(run.ground.fresh()).url for name in names}


@contextlib.contextmanager
def workers(run: Run, urls: Mapping[str, str]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """One over each, warmed up."""
    from bench.tasks import noop

    with contextlib.ExitStack() as stack:
        made = {}
        for name, url in urls.items():
            app = app_at(url)
            made[name] = stack.enter_context(worker(app))
            app.insight.resume("default")
            warm_up(run, app, noop, 2000)
        yield made


def turn(run: Run, urls: Mapping[str, str], made: Mapping[str, subprocess.Popen[bytes]], n: int, number: int, found: Rates) -> None:
    """Let each drain `n` jobs; who begins changes. Adds (jobs per second, CPU µs per job) to `found`."""
    from bench.tasks import noop

    for name in sorted(urls, reverse=bool(number % 2)):
        found.setdefault(name, []).append(through(run, app_at(urls[name]), noop, n, made[name].pid))
