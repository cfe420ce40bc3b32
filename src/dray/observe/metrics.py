"""Metrics for Prometheus. Needs the extra `prometheus`. `dray worker --health-port` serves them for all its processes.

In a process of your own: `instrument(app)` adds them to what your application exports already, `render(app)` gives them as text.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Protocol

from msgspec import Struct

from dray.errors import ConfigurationError, DrayError
from dray.model.figures import Buckets, bounds, parts_of
from dray.observe.counted import Counted
from dray.observe.log import get_logger
from dray.observe.names import BOUNDS, BY_NAME, COUNTER, HISTOGRAM, METRICS, OUTCOMES, STATES, Metric
from dray.observe.sending import Enqueued, Observer, count
from dray.store.plan import Now, Plan, reads
from dray.store.protocol import Store, Verbs
from dray.store.values import NodeInfo, QueueInfo, ScheduleRow
from dray.version import __version__

log = get_logger("metrics")

SECOND = 1_000_000
MICROS = tuple(round(bound * SECOND) for bound in BOUNDS)


class Host(Protocol):
    """What is needed of an app."""

    observers: list[Observer]

    @property
    def store(self) -> Store: ...


class Working(Protocol):
    """What is needed of a worker inside this process (`app.worker()`)."""

    def counted(self) -> Counted: ...


class Whole(Struct, frozen=True):
    """How things are in the store. `now` is its time in microseconds since 1970."""

    now: int
    queues: list[QueueInfo]
    nodes: list[NodeInfo]
    schedules: list[ScheduleRow]


@reads
def whole(verbs: Verbs) -> Plan[Whole]:
    """What the metrics about the whole store are made of."""
    now: int = yield Now()
    queues = yield from verbs.queues()
    nodes = yield from verbs.nodes()
    schedules = yield from verbs.schedules()
    return Whole(now, queues, nodes, schedules)


def prometheus() -> ModuleType:
    """The library. Raises ConfigurationError if it is not installed."""
    try:
        import prometheus_client
    except ImportError:
        raise ConfigurationError("Metrics need the package prometheus-client: pip install 'dray[prometheus]'.") from None
    return prometheus_client


class Collector:
    """A collector for a registry of prometheus_client: `counted` tells what is to be told of this process (None: nothing),
    `store` gives the store if what is about the whole of it is to be told as well. Asked at each scrape."""

    def __init__(self, counted: Callable[[], Counted | None], store: Callable[[], Store | None] = lambda: None) -> None:
        self._counted = counted
        self._store = store

    def describe(self) -> Iterable[Any]:
        """The names, for the registry to see whether they are free."""
        return [family(metric) for metric in METRICS]

    def collect(self) -> Iterator[Any]:
        """All families."""
        yield filled("dray_build_info", [((__version__, platform.python_version()), 1)])
        counted = self._counted()
        if counted is not None:
            yield from of_process(counted)
        store = self._store()
        if store is not None:
            yield from of_store(store)


def render(app: Host, worker: Working | None = None, *, whole: bool = False, accept: str = "") -> tuple[bytes, str]:
    """The metrics of this process, and their content type: what it enqueues (counted from the first call of `render`,
    `instrument` or `count` on) and, if given, what `worker` runs in it. `whole`: and what is about the whole store; ask that of
    one process only. `accept`: the header of the request, by which the newer OpenMetrics format may be chosen.

    Raises ConfigurationError without prometheus-client.
    """
    enqueued = count(app)
    return text(lambda: process(enqueued, worker), lambda: app.store if whole else None, accept)


def instrument(app: Host, worker: Working | None = None, *, registry: Any = None, whole: bool = False) -> Collector:
    """Add the metrics to a registry of prometheus_client (default: the one that everybody uses). Otherwise as `render`.

    Raises ConfigurationError without prometheus-client.
    """
    library = prometheus()
    enqueued = count(app)
    made = Collector(lambda: process(enqueued, worker), lambda: app.store if whole else None)
    (registry or library.REGISTRY).register(made)
    return made


def of_whole(store: Store, accept: str = "") -> tuple[bytes, str]:
    """Only what is about the whole store, and its content type: for a process that neither enqueues nor works, such as the
    dashboard. Raises ConfigurationError without prometheus-client."""
    return text(lambda: None, lambda: store, accept)


def process(enqueued: Enqueued, worker: Working | None) -> Counted:
    """What this process has counted."""
    found = worker.counted() if worker is not None else Counted()
    found.enqueued = enqueued.totals()
    return found


def text(counted: Callable[[], Counted | None], store: Callable[[], Store | None], accept: str = "") -> tuple[bytes, str]:
    """The text that Prometheus reads, and its content type. Raises ConfigurationError."""
    library = prometheus()
    registry = library.CollectorRegistry(auto_describe=False)
    registry.register(Collector(counted, store))
    encode, kind = library.exposition.choose_encoder(accept)
    return encode(registry), kind


# -- families


def family(metric: Metric) -> Any:
    """An empty one."""
    from prometheus_client import core

    kinds = {COUNTER: core.CounterMetricFamily, HISTOGRAM: core.HistogramMetricFamily}
    return kinds.get(metric.kind, core.GaugeMetricFamily)(metric.name, metric.help, labels=metric.labels)


def filled(name: str, samples: Iterable[tuple[tuple[str, ...], float]]) -> Any:
    """One with samples: values by labels."""
    found = family(BY_NAME[name])
    for labels, value in samples:
        found.add_metric(labels, value)
    return found


def of_process(counted: Counted) -> Iterator[Any]:
    """What a process (or a supervisor for all of its own) has counted."""
    work = [(parts_of(name), one) for name, one in counted.work.items()]
    yield filled("dray_jobs_enqueued_total", ((parts_of(name), n) for name, n in counted.enqueued.items()))
    yield filled(
        "dray_jobs_finished_total",
        (((*key, outcome), getattr(one, field)) for key, one in work for outcome, field in OUTCOMES.items()),
    )
    yield histogram("dray_job_duration_seconds", ((key, one.run, one.run_sum) for key, one in work))
    yield histogram("dray_job_wait_seconds", ((key, one.wait, one.wait_sum) for key, one in work))
    yield filled("dray_stale_outcomes_total", [((), counted.stale)])
    yield filled("dray_store_errors_total", [((), counted.store_errors)])
    yield filled("dray_lease_lost_total", [((), counted.leases_lost)])
    yield filled("dray_worker_deaths_total", [((), counted.deaths)])
    yield filled("dray_worker_slots", labelled(counted.slots))
    yield filled("dray_worker_busy_slots", labelled(counted.busy))
    yield filled("dray_worker_processes", labelled(counted.processes))
    for name, age in (("dray_worker_claim_age_seconds", counted.claim_age), ("dray_lease_age_seconds", counted.lease_age)):
        yield filled(name, [] if age is None else [((), age)])


def labelled(values: Mapping[str, int]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Values by one label."""
    return (((label,), value) for label, value in values.items())


def histogram(name: str, rows: Iterable[tuple[tuple[str, ...], Buckets, int]]) -> Any:
    """One of times: buckets of `dray.model.figures`, and the sum in microseconds."""
    found = family(BY_NAME[name])
    edges = [repr(bound) for bound in BOUNDS]
    for labels, buckets, total in rows:
        below = cumulated(buckets)
        found.add_metric(labels, [*zip(edges, below, strict=False), ("+Inf", below[-1])], sum_value=total / SECOND)
    return found


def cumulated(buckets: Buckets) -> list[int]:
    """How many times were below each of BOUNDS, and how many there were in all."""
    found, at, so_far = [], 0, 0
    numbers = sorted(buckets)
    for edge in MICROS:
        while at < len(numbers) and bounds(numbers[at])[1] <= edge:
            so_far += buckets[numbers[at]]
            at += 1
        found.append(so_far)
    return [*found, sum(buckets.values())]


def of_store(store: Store) -> Iterator[Any]:
    """What is about the whole store. If it does not answer, only that is told."""
    try:
        seen = store.run(whole, store.plans)
    except DrayError as error:
        log.warning("the metrics of the whole store are left out: %s", error)
        yield filled("dray_store_up", [((), 0)])
        return
    now = seen.now
    yield filled("dray_store_up", [((), 1)])
    yield filled(
        "dray_queue_jobs", (((queue.name, state), queue.counts.get(state, 0)) for queue in seen.queues for state in STATES)
    )
    yield filled(
        "dray_queue_oldest_ready_age_seconds",
        (((queue.name,), 0.0 if queue.oldest_ready is None else late(queue.oldest_ready, now)) for queue in seen.queues),
    )
    yield filled("dray_queue_paused", (((queue.name,), int(queue.paused is not None)) for queue in seen.queues))
    states = {"alive": 0, "stopping": 0, "dead": 0}
    for node in seen.nodes:
        states["dead" if not node.alive else "stopping" if node.stopping else "alive"] += 1
    yield filled("dray_workers", labelled(states))
    rows = seen.schedules
    yield filled(
        "dray_schedule_last_run_timestamp_seconds", (((row.name,), row.fired / SECOND) for row in rows if row.fired is not None)
    )
    yield filled(
        "dray_schedule_lag_seconds", (((row.name,), 0.0 if row.paused is not None else late(row.next, now)) for row in rows)
    )
    yield filled("dray_schedule_paused", (((row.name,), int(row.paused is not None)) for row in rows))
    yield filled("dray_schedule_missed_total", (((row.name,), row.missed) for row in rows))


def late(due: int, now: int) -> float:
    """Seconds since it was due."""
    return max(0.0, (now - due) / SECOND)

