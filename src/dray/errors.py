"""Every exception of Dray. A message says what happened, with which values, and what to do.

::

    DrayError
    ├── ConfigurationError          a wrong option, URL, target or setting (also a ValueError)
    │   └── NotSupported            a known option whose time has not come, or that this store cannot do
    ├── EnqueueError                nothing was written
    │   ├── ArgumentsError          arguments that do not fit the task's signature (also a TypeError)
    │   ├── NotEncodable            an argument that has no JSON form (also a TypeError)
    │   └── PayloadTooLarge         arguments over the size limit (also a ValueError)
    ├── StoreError                  the store cannot do what was asked
    │   ├── StoreUnavailable        it cannot be opened or reached
    │   ├── StoreBusy               another connection kept it locked for too long
    │   ├── NotAStore               the file or database is something else
    │   ├── SchemaMismatch          its schema is newer than this code, or not migrated
    │   └── WrongDatabase           `bind` was given a connection to another database
    ├── UnknownTask                 no task of that name is registered (also a LookupError)
    ├── UnknownJob                  no job of that id is kept (also a LookupError)
    ├── UnknownSchedule             no schedule of that name is kept (also a LookupError)
    ├── UnknownWorker               no worker process of that number is there (also a LookupError)
    ├── ResultError                 `handle.result()` has nothing to return
    │   ├── ResultTimeout           the job is not final yet (also a TimeoutError)
    │   ├── JobFailed               it gave up; carries the last error
    │   └── JobCancelled            it was cancelled; carries the reason
    ├── StaleClaim                  this run lost its claim: what it wanted to write was not written
    ├── WorkerError                 the worker cannot start or go on
    └── Control                     what a running task may raise to say what should become of its job
        ├── Retry                   run it again later; counts as an attempt
        ├── Snooze                  run it again later; does not count
        ├── GiveUp                  fail it now, without further retries
        └── Cancel                  cancel it now
"""

from __future__ import annotations

from datetime import datetime, timedelta

Delay = float | int | str | timedelta


class DrayError(Exception):
    """The root of all errors that Dray raises."""


class ConfigurationError(DrayError, ValueError):
    """A wrong option, URL, target or setting."""


class NotSupported(ConfigurationError):
    """A known option whose time has not come, or that this store cannot do."""


class EnqueueError(DrayError):
    """A job was refused when it was enqueued; nothing was written."""


class ArgumentsError(EnqueueError, TypeError):
    """The arguments do not fit the task's signature."""


class NotEncodable(EnqueueError, TypeError):
    """An argument has no JSON form."""


class PayloadTooLarge(EnqueueError, ValueError):
    """The encoded arguments are over the size limit."""


class StoreError(DrayError):
    """The store cannot do what was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be opened or reached."""


class StoreBusy(StoreError):
    """Another connection kept the store locked for too long."""


class NotAStore(StoreError):
    """The file or database is something else than a Dray store."""


class SchemaMismatch(StoreError):
    """The store's schema is newer than this code, or has not been migrated."""


class WrongDatabase(StoreError):
    """A connection to another database than the store's was given."""


class UnknownTask(DrayError, LookupError):
    """No task of that name is registered."""


class UnknownJob(DrayError, LookupError):
    """No job of that id is kept: it never existed, or retention has removed it."""


class UnknownSchedule(DrayError, LookupError):
    """No schedule of that name is kept."""


class UnknownWorker(DrayError, LookupError):
    """No worker process of that number is there (any more)."""


class ResultError(DrayError):
    """`handle.result()` has nothing to return."""


class ResultTimeout(ResultError, TimeoutError):
    """The job did not reach a final state in the time given; it is not affected."""


class JobFailed(ResultError):
    """The job gave up. `error_type`, `error_message` and `traceback` tell the last error (text, or None)."""

    def __init__(
        self, message: str, *, error_type: str | None = None, error_message: str | None = None,
        traceback: str | None = None,
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.error_message = error_message
        self.traceback = traceback


class JobCancelled(ResultError):
    """The job was cancelled. `reason` tells why (text, or None)."""

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class StaleClaim(DrayError):
    """This run lost its claim on the job; what it wanted to write was not written."""


class WorkerError(DrayError):
    """The worker cannot start or go on."""


class Control(DrayError):
    """What a running task may raise to say what should become of its job."""


class Retry(Control):
    """Run the job again later. Counts as an attempt; past `max_attempts` the job fails.

    `delay`: seconds, timedelta or text like "5m"; None takes the task's backoff. `at`: an aware datetime instead.
    """

    def __init__(self, reason: str = "", *, delay: Delay | None = None, at: datetime | None = None) -> None:
        super().__init__(reason or "the task asked for a retry")
        self.delay = delay
        self.at = at


class Snooze(Control):
    """Run the job again after `delay` (seconds, timedelta or text like "10m"). Does not count as an attempt."""

    def __init__(self, delay: Delay, reason: str = "") -> None:
        super().__init__(reason or f"snoozed for {delay}")
        self.delay = delay


class GiveUp(Control):
    """Fail the job now, without further retries."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the task gave up")


class Cancel(Control):
    """Cancel the job now."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the task cancelled its job")
