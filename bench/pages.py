"""The dashboard over a crowded store: how long each page takes while a worker drains, and what an open page costs the drain."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from bench.places import ROOT, app_at, until
from bench.report import percentile
from bench.run import Run
from bench.turns import Rates, turn, two_stores, workers
from dray import Dray

PAGES = (
    "", "jobs", "jobs?q=state:ready", "jobs?q=state:failed", "jobs?q=state:succeeded", "jobs?q=state:failed+task:bad*",
    "jobs?q=args.number:17", "jobs?q=error:Timeout", "queues", "queues/default", "tasks", "schedules", "errors", "workers",
    "system", "audit", "api/v1/jobs", "api/v1/scaling", "api/v1/overview",
)  # fmt: skip
LIVE = 1.0  # seconds between the fetches of an open page


def pages(run: Run) -> None:
    """Every page with 1 M finished, 200 k ready and 100 k failed jobs while a worker drains at full speed."""
    with two_stores(run, ("alone", "watched")) as urls:
        for url in urls.values():
            crowd(run, app_at(url))
        with workers(run, urls) as made, dashboard(urls["watched"]) as port:
            found: Rates = {}
            for number in range(2 if run.quick else 10):
                with open_page(port):
                    turn(run, {"watched": urls["watched"]}, made, run.of(50_000), number, found)
                turn(run, {"alone": urls["alone"]}, made, run.of(50_000), number, found)
            alone, watched = (statistics.median(rate for rate, _ in found[which]) for which in ("alone", "watched"))
            run.add("drain with the Overview open", watched, "jobs/s", floor=alone, bar="≥ 0.97 × without",
                    ok=watched >= 0.97 * alone, note="bare = nobody looks")  # fmt: skip
            with drained(run, app_at(urls["watched"])):
                for page in PAGES:
                    times, status = fetch(port, page, 5 if run.quick else 40)
                    if status == 404:
                        continue
                    slow = percentile(times, 0.95) * 1e3
                    run.add(f"/{page}, p95", slow, "ms", bar="< 100", ok=slow < 100 and status == 200)
                    run.add(f"/{page}, p50", percentile(times, 0.5) * 1e3, "ms")


def crowd(run: Run, app: Dray) -> None:
    """What is there before: finished by the million, ready in a queue that nobody serves at present, failed by a worker."""
    from bench.tasks import bad, noop

    app.insight.pause("default")
    run.ground.fill(app, finished=run.of(1_000_000))
    app.enqueue_many(noop.using(queue="later").call(n) for n in range(run.of(200_000)))
    app.insight.pause("later")
    app.enqueue_many(bad.using(queue="failing").call(n) for n in range(run.of(100_000)))
    with app.worker(queues="failing", concurrency=100):
        until(lambda: app.insight.counts()["failing"].get("failed", 0) >= run.of(100_000), 600, every=0.2)
    app.insight.resume("default")


@contextlib.contextmanager
def dashboard(url: str) -> Iterator[int]:
    """A `dray dashboard` in a process of its own; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "dray.cli.main", "dashboard", "bench.tasks", "--url", url, "--port", str(port)],
        cwd=ROOT, env={**os.environ, "DRAY_LOG_LEVEL": "error"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: answers(port), 30, every=0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    """Whether it is there."""
    with contextlib.suppress(OSError):
        return fetch(port, "", 1)[1] == 200
    return False


def fetch(port: int, page: str, times: int) -> tuple[list[float], int]:
    """Seconds of so many fetches of a page over one connection, and the last status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    took, status = [], 0
    try:
        for _ in range(times):
            began = time.perf_counter()
            connection.request("GET", f"/{page}")
            answer = connection.getresponse()
            answer.read()
            took.append(time.perf_counter() - began)
            status = answer.status
    finally:
        connection.close()
    return took, status


@contextlib.contextmanager
def open_page(port: int) -> Iterator[None]:
    """The Overview in a tab: its stream of events, and a fetch of itself for each, as its script does."""
    stop = threading.Event()

    def look() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        etag = ""
        while not stop.wait(LIVE):
            connection.request("GET", "/", headers={"dray-live": "1", **({"if-none-match": etag} if etag else {})})
            answer = connection.getresponse()
            answer.read()
            etag = answer.headers.get("etag", "")
        connection.close()

    tab = threading.Thread(target=look)
    tab.start()
    try:
        yield
    finally:
        stop.set()
        tab.join()


@contextlib.contextmanager
def drained(run: Run, app: Dray) -> Iterator[None]:
    """A worker is at full speed meanwhile."""
    from bench.tasks import noop

    stop = threading.Event()

    def feed() -> None:
        while not stop.is_set():
            if app.insight.counts().get("default", {}).get("ready", 0) < 20_000:
                app.enqueue_many(noop.call(n) for n in range(20_000))
            else:
                stop.wait(0.05)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield
    finally:
        stop.set()
        feeder.join()

