"""The examples run as their first lines say."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from test_docs import ROOT, environment, execute

EXAMPLES = ROOT / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for example in EXAMPLES.glob("*.py"):
        shutil.copy(example, tmp_path)
    return tmp_path


def test_every_example_is_tested_here_and_mentioned_in_the_documentation() -> None:
    assert {file.name for file in EXAMPLES.glob("*.py")} == {"hello.py", "transaction.py", "starlette_app.py"}
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert not [file.name for file in EXAMPLES.glob("*.py") if f"examples/{file.name}" not in text]


def test_hello(folder: Path) -> None:
    done = execute(["hello.py"], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Hello, world!\n"


def test_transaction(folder: Path) -> None:
    done = execute(["transaction.py"], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "committed: welcome, Ada", "rolled back: 1 user, 1 job", "paid, 70 left", "refused, still 70 left",
    ]  # fmt: skip


def test_hello_under_a_worker_process(folder: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "dray", "worker", "hello.py"], cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
    )
    try:
        code = "from hello import hello; print(hello.enqueue('process').result(timeout=20))"
        done = execute(["-c", code], folder)
        assert done.stdout == "Hello, process!\n", done.stderr
    finally:
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=30)
    assert worker.returncode == 0, said


def test_starlette_app(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "starlette_app:web", "--port", str(port), "--log-level", "warning"], cwd=folder,
        env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        answer = ask(f"http://127.0.0.1:{port}/reports/7", "POST")
        assert answer.startswith('{"job":"')
        deadline = time.monotonic() + 20
        while '"state":"succeeded"' not in (found := ask(f"http://127.0.0.1:{port}/jobs/{answer[8:44]}")):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        assert found == '{"state":"succeeded","result":"report for user 7"}'
    finally:
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=30)
    assert server.returncode in (0, -signal.SIGTERM), said


def ask(url: str, method: str = "GET") -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=15) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:  # it does not listen yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
