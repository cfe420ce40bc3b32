"""The names of all metrics, in Prometheus's conventions: base units, `_total` for what only grows, labels of few values."""

from __future__ import annotations

from msgspec import Struct

from dray.model.job import State

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

#: Bounds of the histograms, in seconds: bounds of the buckets in which times are counted (`dray.model.figures`), so that nothing
#: is guessed when those are added up. Powers of two of a microsecond, 1 ms to 72 min; closer where most jobs are.
BOUNDS = tuple((1 << power) / 1e6 for power in (10, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 28, 30, 32))

#: What can become of a run, and the count of `figures.Work` that tells.
OUTCOMES = {
    "succeeded": "succeeded", "failed": "failed", "retried": "retried", "cancelled": "cancelled", "lost": "lost",
    "postponed": "other",
}  # fmt: skip

STATES = tuple(str(state) for state in State)


class Metric(Struct, frozen=True):
    """One metric. `whole`: it is about the whole store, not about one process."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    whole: bool = False


METRICS = (
    Metric("dray_build_info", GAUGE, ("version", "python"), "Versions; always 1."),
    Metric(
        "dray_jobs_enqueued_total", COUNTER, ("queue", "task"),
        "Jobs enqueued by this process; those that schedules fire are not among them.",
    ),
    Metric(
        "dray_jobs_finished_total", COUNTER, ("queue", "task", "outcome"),
        "Runs by what became of the job: succeeded, failed (gave up), retried (will be run again), cancelled, lost (the process "
        "that ran it died), postponed (snoozed or interrupted, no attempt).",
    ),
    Metric("dray_job_duration_seconds", HISTOGRAM, ("queue", "task"), "How long functions ran."),
    Metric("dray_job_wait_seconds", HISTOGRAM, ("queue", "task"), "From when a job was due until a worker took it."),
    Metric("dray_stale_outcomes_total", COUNTER, (), "Outcomes that were not written: their run had lost its claim."),
    Metric("dray_store_errors_total", COUNTER, (), "Exchanges of workers with the store that failed."),
    Metric("dray_lease_lost_total", COUNTER, (), "Times that a worker's lease was not renewed in time."),
    Metric("dray_worker_slots", GAUGE, ("executor",), "How many jobs can run at once: async, thread, process."),
    Metric("dray_worker_busy_slots", GAUGE, ("executor",), "How many of those are in use."),
    Metric("dray_worker_processes", GAUGE, ("state",), "Worker processes that are starting, ready, stopping."),
    Metric("dray_worker_deaths_total", COUNTER, (), "Worker processes that ended without having been told to."),
    Metric(
        "dray_worker_claim_age_seconds", GAUGE, (),
        "Since the worker last looked for jobs with success; 0 while it has no room for any.",
    ),
    Metric("dray_lease_age_seconds", GAUGE, (), "Since the lease was last renewed; it is good for 15 s."),
    Metric("dray_store_up", GAUGE, (), "Whether the store answered the questions for what follows.", whole=True),
    Metric("dray_queue_jobs", GAUGE, ("queue", "state"), "Jobs in a queue, by state.", whole=True),
    Metric(
        "dray_queue_oldest_ready_age_seconds", GAUGE, ("queue",), "How long the oldest ready job has been due; 0 if there is none.",
        whole=True,
    ),
    Metric("dray_queue_paused", GAUGE, ("queue",), "Whether the queue is paused.", whole=True),
    Metric("dray_workers", GAUGE, ("state",), "Worker processes that the store knows: alive, stopping, dead.", whole=True),
    Metric(
        "dray_schedule_last_run_timestamp_seconds", GAUGE, ("schedule",), "When the schedule last fired; missing before it has.",
        whole=True,
    ),
    Metric("dray_schedule_lag_seconds", GAUGE, ("schedule",), "How late its next run is; 0 if it is not.", whole=True),
    Metric("dray_schedule_paused", GAUGE, ("schedule",), "Whether the schedule is paused.", whole=True),
    Metric("dray_schedule_missed_total", COUNTER, ("schedule",), "Ticks that were left out after an outage.", whole=True),
)  # fmt: skip

BY_NAME = {metric.name: metric for metric in METRICS}


def samples() -> set[str]:
    """The names under which samples appear: of a histogram, its three."""
    found: set[str] = set()
    for metric in METRICS:
        if metric.kind == HISTOGRAM:
            found |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            found.add(metric.name)
    return found
