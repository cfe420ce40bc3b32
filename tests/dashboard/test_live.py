"""The stream that tells pages of changes."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest
from dashboard_hands import PATIENCE, Served, Shop, until

from dray.dashboard import live
from dray.dashboard.live import Ticker
from dray.errors import StoreUnavailable


class Pulse:
    """A store of which only the pulse is known."""

    def __init__(self) -> None:
        self.number = 0
        self.lost = False
        self.asked = 0

    def pulse(self) -> int:
        self.asked += 1
        if self.lost:
            raise StoreUnavailable("gone")
        return self.number


@pytest.fixture
def ticker() -> Iterator[tuple[Pulse, Ticker]]:
    pulse = Pulse()
    ticker = Ticker(pulse, every=0.02)  # type: ignore[arg-type]
    yield pulse, ticker
    ticker.close()


def test_one_look_wakes_all_who_listen(ticker: tuple[Pulse, Ticker]) -> None:
    pulse, ticking = ticker
    heard = [threading.Event(), threading.Event()]
    for event in heard:
        ticking.listen(event.set)
    until(lambda: pulse.asked > 2, "a few looks")
    assert not any(event.is_set() for event in heard), "nothing has changed"
    pulse.number += 1
    assert all(event.wait(PATIENCE) for event in heard)
    assert ticking.number == 2
    assert sum(thread.name == "dray-dashboard-ticker" for thread in threading.enumerate()) == 1


def test_nobody_looks_while_nobody_listens(ticker: tuple[Pulse, Ticker]) -> None:
    pulse, ticking = ticker
    event = threading.Event()
    ticking.listen(event.set)
    until(lambda: pulse.asked > 1, "a look")
    ticking.leave(event.set)
    until(lambda: all(thread.name != "dray-dashboard-ticker" for thread in threading.enumerate()), "the end of the thread")
    heard = threading.Event()
    ticking.listen(heard.set)  # and it begins anew
    until(lambda: pulse.asked > 3, "looks again")
    pulse.number += 1
    assert heard.wait(PATIENCE)


def test_a_store_that_is_lost_and_comes_back_counts_as_changed(ticker: tuple[Pulse, Ticker]) -> None:
    pulse, ticking = ticker
    heard = threading.Event()
    ticking.listen(heard.set)
    pulse.lost = True
    assert heard.wait(PATIENCE)
    heard.clear()
    pulse.lost = False
    assert heard.wait(PATIENCE)


def test_ages_change_although_nobody_writes(ticker: tuple[Pulse, Ticker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "AT_LEAST", 0.1)
    heard = threading.Event()
    ticker[1].listen(heard.set)
    assert heard.wait(PATIENCE)


def test_a_change_arrives_and_one_that_was_missed_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    shop = Shop(tmp_path_factory.mktemp("live"))
    assert shop.app.store.where
    served = Served(shop.app.dashboard())

    def lines(last: str = "") -> Iterator[str]:
        request = urllib.request.Request(f"{served.url}/live", headers={"last-event-id": last} if last else {})
        with urllib.request.urlopen(request, timeout=PATIENCE) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream:
                yield line.decode().strip()

    def event(said: Iterator[str]) -> str:
        return next(line for line in said if line.startswith("event:"))

    said = lines()
    assert event(said) == "event: hello"
    number = next(line for line in said if line.startswith("data:")).partition(" ")[2]
    shop.add.enqueue(1)
    began = time.monotonic()
    assert event(said) == "event: change"
    assert time.monotonic() - began < 5
    later = lines(last=number)
    assert event(later) == "event: hello"
    assert event(later) == "event: change", "at once: it was missed"
    said.close()  # type: ignore[attr-defined]
    later.close()  # type: ignore[attr-defined]
    served.app.state.house.close()
    served.stop()
    shop.app.close()
