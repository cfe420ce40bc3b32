"""Fixtures for tests with workers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder with a store; what is left of its workers is killed in the end."""
    found = Place(tmp_path)
    yield found
    found.close()
