"""Fixtures for tests of what the world sees."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))

from harness import FIXTURES, STORES, Place, new_url
from watching import Watched

from dray import Dray
from dray.worker import tally


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embedded workers write their figures without much delay; setting and settings of the machine do not matter."""
    monkeypatch.setattr(tally, "EVERY", 0.05)
    for name in ("DRAY_TRACING", "DRAY_TRACE_MODE", "DRAY_HEALTH_PORT", "DRAY_HEALTH_FILE", "NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Dray]:
    """A fresh app with a store of its own."""
    found = Dray(f"sqlite:///{tmp_path}/jobs.db")
    yield found
    found.close()


@pytest.fixture(params=STORES)
def each_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dray]:
    """The same with a store of each kind."""
    with new_url(request.param, tmp_path, lambda: request.getfixturevalue(FIXTURES[request.param])) as url:
        found = Dray(url)
        yield found
        found.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder with a store in a file; what is left of its workers is killed in the end."""
    found = Place(tmp_path)
    yield found
    found.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A `dray worker` that can be asked, shared by the tests of a module."""
    found = Watched(tmp_path_factory.mktemp("watched"))
    yield found
    found.place.close()
