"""An app whose spans go to a file, whichever process they are of; imported by tests and by the child processes of their workers."""

import json
import os

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from dray import Dray


def line(span: ReadableSpan) -> str:
    return json.dumps({**json.loads(span.to_json()), "process": os.getpid()}) + "\n"


file = open(os.environ.get("SPANS", os.devnull), "a", encoding="utf-8")  # noqa: SIM115 - as long as the process
provider = TracerProvider()
# It waits long before it sends: what is there in the end has been flushed.
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=file, formatter=line), schedule_delay_millis=3_600_000))
trace.set_tracer_provider(provider)

app = Dray()


@app.task
async def inner(n: int) -> int:
    return n


@app.task
def outer(n: int) -> int:
    inner.enqueue(n)
    return n


@app.task(executor="process")
def apart(n: int) -> int:
    inner.enqueue(n)
    return n
