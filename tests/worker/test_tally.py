"""What workers measure: what they tell is what happened, and it costs nobody a job."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harness import Place, eventually

from dray import Backoff, Dray, Snooze
from dray.errors import StoreUnavailable
from dray.insight import Insight
from dray.maintenance.figures import FigureKeeper, add_up, forget, measure
from dray.model.figures import HOUR, MINUTE, TEN_MINUTES, TOTAL, Depth, Work
from dray.store.open import open_store
from dray.store.values import Figure
from dray.worker import tally

LATER = 2**62


@contextmanager
def working(app: Dray, monkeypatch: pytest.MonkeyPatch) -> Iterator[Insight]:
    monkeypatch.setattr(tally, "EVERY", 0.05)
    with app.worker():
        yield app.insight
    app.close()


def test_what_happened_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Dray(place.url)

    @app.task(name="good")
    async def good(n: int) -> int:
        return n

    @app.task(name="bad", max_attempts=2, backoff=Backoff.fixed(0), queue="mail")
    def bad(n: int) -> None:
        raise ValueError(f"no luck with {n}")

    @app.task(name="later", max_attempts=1)
    async def later() -> None:
        raise Snooze(1000)

    with working(app, monkeypatch) as insight:
        app.enqueue_many([good.call(n) for n in range(40)])
        app.enqueue_many([bad.call(n) for n in range(3)])
        later.enqueue()
        eventually(lambda: insight.series().total.finished == 43 and insight.series().total.other == 1, what="all of it is told")
        total = insight.series().total
        assert (total.succeeded, total.failed, total.retried, total.cancelled, total.lost) == (40, 3, 3, 0, 0)
        assert sum(total.run.values()) == sum(total.wait.values()) == 47
        assert insight.series(queue="mail").total.failed == 3
        assert insight.series(task="good").total == insight.series(queue="default", task="good").total
        assert insight.series(task="good").total.succeeded == 40
        told = {task.name: task for task in insight.tasks()}
        assert set(told) == {"good", "bad", "later"}
        assert (told["bad"].queues, told["bad"].failing, told["bad"].workers) == (("mail",), 1.0, 1)
        assert sum(told["good"].trend) == 40
        (error,) = insight.errors()
        assert (error.task, error.type, error.times, error.final) == ("bad", "ValueError", 6, 3)
        assert error.message.startswith("no luck with")
        assert insight.job(error.job).error["fingerprint"] == error.fingerprint
        assert insight.errors(task="good") == []
        assert {use.slots for use in insight.use().values()} == {sum(insight.workers()[0].info["slots"].values())}


def test_the_last_figures_are_written_at_the_end(place: Place) -> None:
    app = Dray(place.url)

    @app.task(name="good")
    async def good() -> None: ...

    with app.worker():
        good.enqueue().result(timeout=10)
    assert app.insight.series().total.succeeded == 1
    assert app.insight.tasks()[0].workers == 0
    app.close()


def test_figures_that_cannot_be_written_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    told = tally.Tally()
    told._work["mail", "send"] = Work(succeeded=3)
    rows = told.figures(1)
    told.back(rows)
    assert time.monotonic() < told.due <= time.monotonic() + tally.AGAIN
    again = told.figures(1)
    assert [row for row in again if row.kind == "work"] == [row for row in rows if row.kind == "work"], "under the same key"


def test_a_crowd_of_tasks_does_not_make_a_crowd_of_rows() -> None:
    told = tally.Tally()
    for n in range(tally.MOST + 50):
        told._room_for("q", f"task {n}").succeeded += 1
    rows = [row for row in told.figures(1) if row.kind == "work"]
    assert len(rows) <= tally.MOST + 1
    assert sum(msgspec.msgpack.decode(row.data, type=Work).succeeded for row in rows) == tally.MOST + 50


def test_a_store_that_refuses_figures_loses_no_outcome(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    app, refused, writable = Dray(place.url), threading.Event(), threading.Event()
    monkeypatch.setattr(tally, "AGAIN", 0.05)

    @app.task(name="good")
    async def good(n: int) -> int:
        return n

    put = app.store.plans.put_figures

    def reluctant(*args: Any) -> Any:
        if not writable.is_set():
            refused.set()
            raise StoreUnavailable("no figures today")
        return put(*args)

    with working(app, monkeypatch) as insight:
        monkeypatch.setattr(app.store.plans, "put_figures", reluctant)
        assert [job.result(timeout=10) for job in app.enqueue_many(good.call(n) for n in range(20))] == list(range(20))
        assert refused.wait(10)
        writable.set()
        eventually(lambda: insight.series().total.succeeded == 20, what="they are written in the end")


# -- adding up


def put(store: Any, kind: str, span: int, at: int, name: str, data: Any, source: str = "") -> None:
    store.run(store.plans.put_figures, [Figure(kind, at, span, name, msgspec.msgpack.encode(data), source)])


def works(store: Any, span: int, name: str | None = None) -> dict[tuple[str, int], int]:
    rows = store.run(store.plans.figures, "work", span, 0, LATER, name)
    return {(row.name, row.at): msgspec.msgpack.decode(row.data, type=Work).succeeded for row in rows}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    store = open_store(f"sqlite:///{tmp_path / 'jobs.db'}", migrate=True)
    yield store
    store.close()


def test_figures_are_added_up_to_longer_spans(store: Any) -> None:
    minute, ten = MINUTE * 1_000_000, TEN_MINUTES * 1_000_000
    for n in range(30):
        put(store, "work", 0, n // 2 * minute, "q\ta", Work(succeeded=1), f"node {n}")
        put(store, "work", 0, n // 2 * minute, "q\tb", Work(succeeded=10), f"node {n}")
    store.run(add_up, store.plans, 0, MINUTE, 14 * minute)
    assert works(store, MINUTE, TOTAL) == {(TOTAL, n * minute): 22 for n in range(14)}
    assert works(store, MINUTE, "q\ta") == {("q\ta", n * minute): 2 for n in range(14)}
    assert len(works(store, 0)) == 2, "those of the last minute are not late yet"
    put(store, "work", 0, 3 * minute, "q\ta", Work(succeeded=5), "a late one")
    store.run(add_up, store.plans, 0, MINUTE, LATER)
    assert works(store, MINUTE, TOTAL)[TOTAL, 3 * minute] == 27
    store.run(add_up, store.plans, MINUTE, TEN_MINUTES, ten)
    store.run(add_up, store.plans, MINUTE, TEN_MINUTES, LATER)
    assert works(store, TEN_MINUTES, TOTAL) == {(TOTAL, 0): 225, (TOTAL, ten): 110}
    assert works(store, MINUTE) == {}
    store.run(add_up, store.plans, TEN_MINUTES, HOUR, LATER)
    assert works(store, HOUR) == {(TOTAL, 0): 335, ("q\ta", 0): 35, ("q\tb", 0): 300}
    assert store.run(forget, store.plans, HOUR, LATER) == 3
    assert works(store, HOUR) == {}


def test_what_cannot_be_read_keeps_nothing_from_being_added_up(store: Any) -> None:
    store.run(store.plans.put_figures, [Figure("work", 0, 0, "q\ta", b"\xff\x00", "x"), Figure("of tomorrow", 0, 0, "?", b"", "x")])
    put(store, "work", 0, 0, "q\ta", Work(succeeded=1), "y")
    assert store.run(add_up, store.plans, 0, MINUTE, LATER) == 3
    assert works(store, MINUTE, "q\ta") == {("q\ta", 0): 1}


def test_depths_are_kept_and_the_keeper_works_once_a_minute(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Dray(store.url)

    @app.task(name="good", queue="mail")
    async def good() -> None: ...

    app.enqueue_many(good.call() for _ in range(7))
    app.close()
    keeper = FigureKeeper(store)
    keeper.round()
    (depth,) = store.run(store.plans.figures, "depth", MINUTE, 0, LATER, "mail")
    assert msgspec.msgpack.decode(depth.data, type=Depth).ready == 7
    assert len(store.run(store.plans.figures, "depth", MINUTE, 0, LATER, None)) == 2, "and all together"
    monkeypatch.setattr("dray.maintenance.figures.measure", lambda *_: pytest.fail("a second time in the same minute"))
    keeper.round()
    assert measure is not None
