"""The tasks of the benchmarks in a process that traces them: SAMPLED is the share of traces that are kept (0 to 1)."""

from __future__ import annotations

import os
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from bench.tasks import app as app


class Nowhere(SpanExporter):
    """What it costs to send spans is the exporter's business; the batches are made."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def provider(sampled: float) -> TracerProvider:
    """As an application sets it up."""
    made = TracerProvider(sampler=ParentBasedTraceIdRatio(sampled), shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(Nowhere()))
    return made


if "SAMPLED" in os.environ:
    trace.set_tracer_provider(provider(float(os.environ["SAMPLED"])))
