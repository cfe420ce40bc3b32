"""The conformance suite over SQLite, on a file and in memory."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dray.model.clock import Clock
from dray.store.sqlite.store import SqliteStore
from dray.testing.store_suite import *  # noqa: F403


@pytest.fixture(params=["file", "memory"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Clock], SqliteStore]:
    path = tmp_path / "jobs.db" if request.param == "file" else None
    # The suite tests what is written, not when it reaches the disk.
    return lambda clock: SqliteStore(path, clock=clock, synchronous="normal")
