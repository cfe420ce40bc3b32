"""Dray: background jobs for Python that nobody has to outgrow.

>>> from dray import Dray
>>> app = Dray()
>>> @app.task
... def add(a: int, b: int) -> int:
...     return a + b
>>> handle = add.enqueue(1, 2)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dray.version import __version__ as __version__

if TYPE_CHECKING:
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
        UnknownSchedule,
        UnknownTask,
        UnknownWorker,
    )
    from dray.handle import JobHandle
    from dray.model.job import State
    from dray.model.retry import Backoff
    from dray.task import Task

# Where each name lives. They are loaded when first asked for: the supervisor of a worker, which lives long and needs none of
# them, stays small, and so does whatever only wants the version.
_HOMES = {
    "ArgumentsError": "dray.errors",
    "Backoff": "dray.model.retry",
    "Cancel": "dray.errors",
    "ConfigurationError": "dray.errors",
    "Dray": "dray.app",
    "DrayError": "dray.errors",
    "EnqueueError": "dray.errors",
    "GiveUp": "dray.errors",
    "JobCancelled": "dray.errors",
    "JobContext": "dray.context",
    "JobFailed": "dray.errors",
    "JobHandle": "dray.handle",
    "NotEncodable": "dray.errors",
    "NotSupported": "dray.errors",
    "PayloadTooLarge": "dray.errors",
    "ResultTimeout": "dray.errors",
    "Retry": "dray.errors",
    "Snooze": "dray.errors",
    "StaleClaim": "dray.errors",
    "State": "dray.model.job",
    "StoreBusy": "dray.errors",
    "StoreError": "dray.errors",
    "StoreUnavailable": "dray.errors",
    "Task": "dray.task",
    "UnknownJob": "dray.errors",
    "UnknownSchedule": "dray.errors",
    "UnknownTask": "dray.errors",
    "UnknownWorker": "dray.errors",
    "current_job": "dray.context",
    "resource": "dray.context",
}


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'dray' has no attribute {name!r}") from None
    found = globals()[name] = getattr(importlib.import_module(home), name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


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
    "UnknownSchedule",
    "UnknownTask",
    "UnknownWorker",
    "current_job",
    "resource",
]
