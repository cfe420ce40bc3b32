"""Metrics in a process of one's own, and what they are made of."""

from __future__ import annotations

import asyncio
import builtins
import math
from typing import Any

import prometheus_client
import pytest
from harness import eventually
from hypothesis import given
from hypothesis import strategies as st
from watching import values

from dray import ArgumentsError, ConfigurationError, Dray
from dray.errors import StoreUnavailable
from dray.model.figures import Work, add_work, bucket
from dray.observe import metrics
from dray.observe.counted import Counted, Teller, brought_up, total
from dray.observe.names import BOUNDS, METRICS
from dray.observe.sending import MOST, Enqueued

ENQUEUED = 'dray_jobs_enqueued_total{{queue="{}",task="{}"}}'


def rendered(app: Dray, *args: Any, **options: Any) -> dict[str, float]:
    body, _ = metrics.render(app, *args, **options)
    return values(body.decode())


@given(st.lists(st.integers(0, 2**45)))
def test_no_time_is_counted_on_the_wrong_side_of_a_bound(times: list[int]) -> None:
    """The bounds are bounds of our buckets, so that adding those up guesses nothing."""
    buckets: dict[int, int] = {}
    for time in times:
        buckets[bucket(time)] = buckets.get(bucket(time), 0) + 1
    *below, everything = metrics.cumulated(buckets)
    assert below == [sum(time < round(bound * 1e6) for time in times) for bound in BOUNDS]
    assert everything == len(times)


def test_what_is_enqueued_is_counted_in_both_colours(app: Dray) -> None:
    @app.task(name="add", queue="sums")
    def add(a: int) -> int:
        return a

    add.enqueue(1)
    assert ENQUEUED.format("sums", "add") not in rendered(app), "counted from the first call on"
    add.enqueue(1)
    asyncio.run(add.aenqueue(2))
    app.enqueue_many(add.call(n) for n in range(25))
    add.using(queue="other").enqueue(3)
    with pytest.raises(ArgumentsError):
        add.enqueue("x")  # type: ignore[arg-type]
    found = rendered(app)
    assert found[ENQUEUED.format("sums", "add")] == 27
    assert found[ENQUEUED.format("other", "add")] == 1


def test_what_could_not_be_written_is_not_counted(app: Dray, monkeypatch: pytest.MonkeyPatch) -> None:
    @app.task(name="add")
    def add(a: int) -> int:
        return a

    rendered(app)

    def fails(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(app, "_write", fails)
    with pytest.raises(StoreUnavailable):
        add.enqueue(1)
    assert ENQUEUED.format("default", "add") not in rendered(app)


def test_names_beyond_measure_are_counted_together() -> None:
    counter = Enqueued()
    counter.more({f"q\t{n}": 1 for n in range(MOST + 10)})
    assert counter.totals()["\t"] == 10
    assert len(counter.totals()) == MOST + 1


def test_an_embedded_worker_is_told_of(each_app: Dray) -> None:
    app = each_app

    @app.task(name="add")
    async def add(a: int) -> int:
        return a

    worker = app.worker(concurrency=3)
    with worker:
        app.enqueue_many(add.call(n) for n in range(20))
        name = 'dray_jobs_finished_total{outcome="succeeded",queue="default",task="add"}'
        eventually(lambda: rendered(app, worker).get(name) == 20, what="20 jobs")
        found = rendered(app, worker, whole=True)
        assert found['dray_worker_slots{executor="async"}'] == 3
        assert found['dray_queue_jobs{queue="default",state="succeeded"}'] == 20
        assert found['dray_workers{state="alive"}'] == 1
        app.insight.pause("default")
        add.enqueue(1)
        eventually(lambda: rendered(app, whole=True)['dray_queue_oldest_ready_age_seconds{queue="default"}'] > 0, what="an age")
        assert rendered(app, whole=True)['dray_queue_paused{queue="default"}'] == 1
    assert rendered(app, worker)[name] == 20, "what it did stays when it has ended"


def test_schedules_are_told_of(app: Dray) -> None:
    @app.task(name="add")
    async def add() -> None: ...

    app.schedules.put("soon", add.call(), "every 1s")
    app.schedules.put("held", add.call(), "every 1s")
    app.schedules.pause("held")
    name = "dray_schedule_lag_seconds"
    eventually(lambda: rendered(app, whole=True)[f'{name}{{schedule="soon"}}'] > 0, what="nobody fires it")
    found = rendered(app, whole=True)
    assert found[f'{name}{{schedule="held"}}'] == 0
    assert found['dray_schedule_paused{schedule="held"}'] == 1
    assert 'dray_schedule_last_run_timestamp_seconds{schedule="soon"}' not in found
    app.schedules.run_now("soon")
    with app.worker():
        fired = 'dray_schedule_last_run_timestamp_seconds{schedule="soon"}'
        eventually(lambda: rendered(app, whole=True).get(fired), what="it has fired")


def test_a_store_that_does_not_answer_leaves_the_rest(app: Dray, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(app.store, "run", fails)
    found = rendered(app, whole=True)
    assert found["dray_store_up"] == 0
    assert found["dray_stale_outcomes_total"] == 0
    assert not [name for name in found if name.startswith("dray_queue")]


def test_they_join_what_an_application_exports(app: Dray) -> None:
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("shop_orders", "Orders.", registry=registry).inc()
    metrics.instrument(app, registry=registry, whole=True)
    body = prometheus_client.generate_latest(registry).decode()
    assert "shop_orders_total 1.0" in body
    assert "dray_store_up 1.0" in body
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.instrument(app, registry=registry)


def test_without_the_library_it_is_one_sentence(app: Dray, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("prometheus_client"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install 'dray\[prometheus\]'"):
        metrics.render(app)


def test_names_follow_the_conventions() -> None:
    for metric in METRICS:
        assert metric.name.startswith("dray_")
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.help.endswith(".")
        assert not {"id", "job", "node", "le"} & set(metric.labels)
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert list(BOUNDS) == sorted(BOUNDS)
    assert math.isclose(BOUNDS[0], 0.001, rel_tol=0.05)


# -- adding up


def work(n: int) -> Work:
    return Work(succeeded=n, run={bucket(1000): n}, run_sum=1000 * n, wait={bucket(5): n}, wait_sum=5 * n)


def test_only_what_has_changed_is_told() -> None:
    teller, known = Teller(), Counted()
    counted = Counted({"q\ta": work(1), "q\tb": work(2)}, {"q\ta": 3}, slots={"async": 10}, busy={"async": 1})
    told = teller.changes(counted)
    assert told is not None
    known = brought_up(known, told)
    assert (known.work, known.enqueued, known.slots) == (counted.work, counted.enqueued, counted.slots)
    assert teller.changes(counted) is None
    add_work(counted.work["q\ta"], work(1))
    counted.stale = 1
    told = teller.changes(counted)
    assert told is not None
    assert list(told["work"]) == ["q\ta"]
    known = brought_up(known, told)
    assert known.work == {"q\ta": work(2), "q\tb": work(2)}
    assert known.stale == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.integers(1, 5), st.booleans()), max_size=30))
def test_sums_never_fall_whoever_dies(steps: list[tuple[int, str, int, bool]]) -> None:
    living, dead, before = [Counted(), Counted(), Counted()], Counted(), 0
    for who, name, n, dies in steps:
        add_work(living[who].work.setdefault(f"q\t{name}", Work()), work(n))
        if dies:
            dead.add(living[who], alive=False)
            living[who] = Counted()
        found = total(living, dead)
        now = sum(one.succeeded for one in found.work.values())
        assert now == before + n
        assert sum(sum(one.run.values()) for one in found.work.values()) == now
        before = now
