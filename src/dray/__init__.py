"""Dray: background jobs for Python that nobody has to outgrow.

>>> from dray import Dray
>>> app = Dray()
>>> @app.task
... def add(a: int, b: int) -> int:
...     return a + b
>>> handle = add.enqueue(1, 2)
"""

from dray.app import Dray
from dray.context import JobContext, current_job, resource
from dray.errors import (
    ArgumentsError,
    Cancel,
    ConfigurationError,
    DrayError,
    EnqueueError,
    GiveUp,
    JobCancelled,
    JobFailed,
    NotEncodable,
    NotSupported,
    PayloadTooLarge,
    ResultTimeout,
    Retry,
    Snooze,
    StaleClaim,
    StoreBusy,
    StoreError,
    StoreUnavailable,
    UnknownJob,
    UnknownTask,
)
from dray.handle import JobHandle
from dray.model.job import State
from dray.model.retry import Backoff
from dray.task import Task

__version__ = "0.1.0"

__all__ = [
    "ArgumentsError",
    "Backoff",
    "Cancel",
    "ConfigurationError",
    "Dray",
    "DrayError",
    "EnqueueError",
    "GiveUp",
    "JobCancelled",
    "JobContext",
    "JobFailed",
    "JobHandle",
    "NotEncodable",
    "NotSupported",
    "PayloadTooLarge",
    "ResultTimeout",
    "Retry",
    "Snooze",
    "StaleClaim",
    "State",
    "StoreBusy",
    "StoreError",
    "StoreUnavailable",
    "Task",
    "UnknownJob",
    "UnknownTask",
    "current_job",
    "resource",
]
