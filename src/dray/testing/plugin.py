"""The pytest plugin of Dray. It is loaded in every test run where Dray is installed, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dray.model.clock import ManualClock

pytest.register_assert_rewrite("dray.testing.suite")


@pytest.fixture
def dray_clock() -> ManualClock:
    """A clock that stands still until the test turns it: give it to a store with `open_store(url, clock=dray_clock)`."""
    from dray.model.clock import ManualClock

    return ManualClock()
