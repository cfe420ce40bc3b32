"""Who does the maintenance, and when not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dray.errors import StoreUnavailable
from dray.maintenance import rounds
from dray.maintenance.rounds import Maintenance
from dray.store.open import open_store


def test_who_cannot_renew_the_lead_takes_nobody_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that can be read and not be written: nobody could renew a lease either."""
    monkeypatch.setattr(rounds, "CAMPAIGN", 0.0)
    store = open_store("sqlite://")
    run, asked, writable = store.run, [], True

    def watched(verb: Callable[..., Any], *args: Any) -> Any:
        asked.append(verb.__name__)
        if verb.__name__ == "elect" and not writable:
            raise StoreUnavailable("The memory is full.")
        return run(verb, *args)

    monkeypatch.setattr(store, "run", watched)
    maintenance = Maintenance(store, "me")
    maintenance.round()
    assert asked[:3] == ["elect", "chores", "rescue"]
    writable = False
    with pytest.raises(StoreUnavailable):
        maintenance.round()
    monkeypatch.setattr(rounds, "CAMPAIGN", 1000.0)
    maintenance._campaign_at = float("inf")  # the rounds until it may ask again
    asked.clear()
    maintenance.round()
    assert asked == []
    maintenance._campaign_at, writable = 0.0, True
    maintenance.round()
    assert asked[:2] == ["elect", "chores"]
    store.close()
