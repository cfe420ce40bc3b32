"""Fixtures for tests with workers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import FIXTURES, STORES, Place, new_url


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store of each kind."""
    with new_url(request.param, tmp_path, lambda: request.getfixturevalue(FIXTURES[request.param])) as url:
        yield url


@pytest.fixture
def place(tmp_path: Path, store_url: str) -> Iterator[Place]:
    """A folder with a store of each kind; what is left of its workers is killed in the end."""
    found = Place(tmp_path, store_url)
    yield found
    found.close()


@pytest.fixture
def file_place(tmp_path: Path) -> Iterator[Place]:
    """The same with a store in a file, for what only files can suffer."""
    found = Place(tmp_path)
    yield found
    found.close()
