"""A folder with a store in it, and the command line over it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dray import Dray
from dray.cli.main import cli

Run = Callable[..., Result]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty, with no settings around."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DRAY_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def run(here: Path) -> Run:
    """`dray` with some arguments; checks the exit code."""

    def call(*args: str, code: int = 0, input: str | None = None) -> Result:
        result = CliRunner().invoke(cli, list(args), input=input)
        assert result.exit_code == code, f"{args}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        assert "Traceback" not in result.stderr or "user's own" in result.stderr
        return result

    return call


@pytest.fixture
def app(here: Path) -> Iterator[Dray]:
    """An app whose store is where the command line looks."""
    made = Dray("sqlite:///dray.db")

    @made.task(name="shop.add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    @made.task(name="shop.send", queue="mail", max_attempts=3, tags=["vip"])
    async def send(user_id: int) -> None: ...

    assert made.store.where
    yield made
    made.close()
