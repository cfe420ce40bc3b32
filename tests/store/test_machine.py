"""A random life of the store, beside the reference."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from dray.model.clock import ManualClock
from dray.store.sqlite.store import SqliteStore
from dray.testing.machine import StoreMachine

QUIET = list(HealthCheck)


class InMemory(StoreMachine):
    @staticmethod
    def make_store(clock: ManualClock) -> SqliteStore:
        return SqliteStore(None, clock=clock)


class TestInMemory(InMemory.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=400, stateful_step_count=50, deadline=None, suppress_health_check=QUIET)


@pytest.mark.torture
@pytest.mark.timeout(3600)
class TestForLong(InMemory.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=5000, stateful_step_count=120, deadline=None, suppress_health_check=QUIET)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_on_a_file(tmp_path: Path) -> None:
    numbers = iter(range(1_000_000))

    class OnFile(StoreMachine):
        @staticmethod
        def make_store(clock: ManualClock) -> SqliteStore:
            return SqliteStore(tmp_path / f"{next(numbers)}.db", clock=clock, synchronous="normal")

    from hypothesis.stateful import run_state_machine_as_test

    profile = settings(max_examples=200, stateful_step_count=100, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(OnFile, settings=profile)  # type: ignore[no-untyped-call]
