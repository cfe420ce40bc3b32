"""A real worker with --health-port, and how to ask it."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import Place, eventually

TASKS = '''
import logging
log = logging.getLogger("shop")

@app.task
async def hello(n: int) -> int:
    log.warning("in a coroutine %d", n)
    return n

@app.task
def add(a: int, b: int) -> int:
    log.warning("in a thread %d", a)
    hello.enqueue(a)
    return a + b

@app.task(executor="process")
def crunch(n: int) -> int:
    log.warning("in a process %d", n)
    hello.enqueue(n)
    return n

@app.task(max_attempts=2, backoff=Backoff.fixed("10ms"))
def broken() -> None:
    raise ValueError("no such user")

@app.schedule("@hourly", name="each hour")
@app.task
def hourly() -> None: ...
'''


class Watched:
    """It, and its place."""

    def __init__(self, folder: Path, *flags: str, code: str = TASKS, **environ: str) -> None:
        self.place = Place(folder)
        self.place.code(code)
        self.file = folder / "well"
        self.worker = self.place.start(
            "--health-port", "0", "--health-file", str(self.file), "--log-format", "json", "--process-slots", "1", *flags, **environ
        )
        self.port = int(re.findall(r"are at http://127.0.0.1:(\d+)", self.worker.log)[0])
        eventually(lambda: self.get("/readyz")[0] == 200, what="readyz")

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
        """Status, body and headers of an answer."""
        return get(self.port, path, method, **headers)

    def checks(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status, and what was found."""
        status, body, _ = self.get(path)
        return status, json.loads(body)["checks"]

    def values(self, query: str = "") -> dict[str, float]:
        """The samples of /metrics."""
        status, body, _ = self.get(f"/metrics{query}")
        assert status == 200, body
        return values(body)

    def wait_value(self, sample: str, at_least: float) -> dict[str, float]:
        """Wait for a sample."""
        return eventually(lambda: (found := self.values()).get(sample, -1) >= at_least and found, what=sample) or {}

    def log(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.worker.log.splitlines() if line.startswith("{")]


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def values(text: str) -> dict[str, float]:
    """Samples by what stands before their value."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def dray(*args: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command."""
    return subprocess.run(
        [sys.executable, "-m", "dray.cli.main", *args], cwd=folder, env=dict(os.environ) | environ, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def promtool() -> str:
    """Where it is; skips the test if it cannot be had."""
    unpacked = Path(sys.prefix) / "prometheus" / "usr" / "bin" / "promtool"
    found = shutil.which("promtool") or (str(unpacked) if unpacked.exists() else None)
    if found is None:
        pytest.skip("promtool is not on this machine; install prometheus, or run `make setup` (which fetches it on Debian)")
    return found
