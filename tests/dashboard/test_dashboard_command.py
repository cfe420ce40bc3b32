"""`dray dashboard`, and the dashboard beside `dray dev`, as processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from dashboard_hands import PATIENCE, until

from dray.cli.main import cli

CODE = """
from dray import Dray
app = Dray("sqlite:///jobs.db")
@app.task(name="shop.{name}")
def task(a: int) -> int: return a
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DRAY_")]:
        monkeypatch.delenv(name)
    (tmp_path / "shop.py").write_text(CODE.format(name="first"))
    return tmp_path


@contextmanager
def running(*args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command, and where it says that the dashboard is."""
    process = subprocess.Popen([sys.executable, "-m", "dray", *args], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"The dashboard is at (http://\S+)/ ", line):
                yield process, found[1]
                break
        else:
            pytest.fail("it ended without a word")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]


def page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def test_it_serves_an_app_and_ends_when_told(here: Path) -> None:
    with running("dashboard", "shop.py", "--port", "0") as (process, url):
        assert "shop.first" in page(f"{url}/tasks")
        with urllib.request.urlopen(f"{url}/live", timeout=PATIENCE) as stream:
            assert stream.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130


def test_it_serves_a_store_alone_under_a_prefix(here: Path) -> None:
    assert CliRunner().invoke(cli, ["migrate", "--url", "sqlite:///jobs.db"]).exit_code == 0
    with running("dashboard", "--url", "sqlite:///jobs.db", "--port", "0", "--prefix", "/tools/", "--read-only") as (_, url):
        assert url.endswith("/tools")
        assert "read-only" in page(f"{url}/")
        assert "No worker is alive" in page(f"{url}/")


def test_dev_has_it_beside_and_it_knows_new_code_and_ends(here: Path) -> None:
    with running("dev", "shop.py", "--port", "0") as (process, url):
        assert "shop.first" in page(f"{url}/tasks")
        (here / "shop.py").write_text(CODE.format(name="second"))

        def renewed() -> bool:
            try:
                return "shop.second" in page(f"{url}/tasks/one?name=shop.second")
            except OSError:
                return False

        until(renewed, "the new code")
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)

        def gone() -> bool:
            try:
                page(url)
            except OSError:
                return True
            return False

        until(gone, "the end of the dashboard")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--host", "0.0.0.0"], "Everybody who can reach 0.0.0.0"), (["--token", "short"], "fewer than 8 characters"),
        (["--user", "ann"], "user and password go together"), (["--url", "sqlite:///nothing.db"], "There is no store at"),
        (["nothing.py"], "There is no file 'nothing.py'"), (["--host", "192.0.2.1", "--token", "long enough"], "cannot listen on"),
    ],
)  # fmt: skip
def test_what_it_does_not_do_is_told_in_a_sentence(here: Path, args: list[str], told: str) -> None:
    result = CliRunner().invoke(cli, ["dashboard", *args, "--port", "0"])
    assert result.exit_code in (2, 4)
    assert told in result.output
