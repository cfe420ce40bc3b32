"""One attempt: from a claimed job to an Outcome. Never raises: whatever happens to a function is an outcome."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

import msgspec

from dray.app import Dray
from dray.codec.signature import UndecodablePayload
from dray.context import JobContext, Notes, current
from dray.errors import Cancel, ConfigurationError, GiveUp, NotEncodable, Retry, Snooze, StaleClaim
from dray.model.duration import aware, human, seconds
from dray.model.job import Claimed
from dray.model.outcome import Cancelled, ErrorRecord, Interrupted, Outcome, Raised, Returned, Snoozed, fingerprint
from dray.task import Task
from dray.worker.resources import Resources
from dray.worker.transaction import arun_alone, arun_in_transaction, run_in_transaction

MAX_TRACEBACK = 32_768
MAX_MESSAGE = 4_096
MAX_NAME = 200
PLACES = 5  # functions that tell one error from another

# Contexts whose run is to end because the worker stops, not because of the job.
INTERRUPT = "the worker stops"


class Attempts:
    """Runs jobs of one app, here or on an event loop."""

    def __init__(self, app: Dray, resources: Resources, notes: Notes, node: Callable[[], int | None] = lambda: None) -> None:
        self.app = app
        self.resources = resources
        self._notes = notes
        self._node = node

    def context(self, job: Claimed, task: Task[..., Any]) -> tuple[JobContext, float | None]:
        """What the function will see, and its timeout in seconds."""
        timeout = None
        if job.options is not None or task.options.timeout is not msgspec.UNSET:
            try:
                timeout = task.job_options(job.options).timeout
            except msgspec.DecodeError:
                pass  # told by the run, which then counts as an attempt that failed
        ends = None if timeout is None else time.time() + timeout
        return JobContext(job, self._notes, self.app, ends, self._node), timeout

    # -- plain functions, in a thread or a child process

    def run(self, task: Task[..., Any], context: JobContext) -> Outcome:
        """Call a plain function (a coroutine function is run to its end on a loop of its own)."""
        token = current.set(context)
        job = context.claimed
        quiet: list[tuple[Any, Any]] = []
        try:
            args, kwargs = self._decode(task, job)
            for parameter, name in task.resources.items():
                kwargs[parameter] = self.resources.get(name)
            with self._around(self._makers(context, quiet), task, context) as around:
                if task.transactional and task.is_async:
                    outcome = asyncio.run(arun_alone(self.app, task, job, args, kwargs))
                elif task.transactional:
                    outcome = run_in_transaction(self.app, task, job, args, kwargs)
                else:
                    value = task.func(*args, **kwargs)
                    if task.is_async:
                        value = asyncio.run(value)
                    outcome = Returned(task.signature.encode_result(value) if value is not None else None)
                outcome = self._fits(task, outcome)
                around.outcome = outcome
            return outcome
        except BaseException as error:
            return outcome_of(error, task, context)
        finally:
            for maker, left in quiet:
                maker.leave(left)
            context.ended = True
            current.reset(token)

    # -- coroutine functions, on the worker's loop

    async def arun(self, task: Task[..., Any], context: JobContext, timeout: float | None) -> Outcome:
        """Await a coroutine function; to be called in an asyncio task of its own."""
        current.set(context)
        job = context.claimed
        limit: asyncio.Timeout | None = None
        try:
            args, kwargs = self._decode(task, job)
            for parameter, name in task.resources.items():
                kwargs[parameter] = await self.resources.aget(name)
            # In an asyncio task of its own: what is quiet need not be left.
            makers = self._makers(context) if self.app.middleware else ()
            if timeout is None and not makers and not task.transactional:
                value = await task.func(*args, **kwargs)
                return self._fits(task, Returned(task.signature.encode_result(value) if value is not None else None))
            with self._around(makers, task, context) as around:
                try:
                    async with asyncio.timeout(timeout) as limit:
                        if task.transactional:
                            outcome: Outcome = await arun_in_transaction(self.app, task, job, args, kwargs)
                        else:
                            value = await task.func(*args, **kwargs)
                            outcome = Returned(task.signature.encode_result(value) if value is not None else None)
                except TimeoutError as error:
                    if timeout is None or limit is None or not limit.expired():
                        raise
                    outcome = timed_out(task, timeout, error)
                around.outcome = outcome = self._fits(task, outcome)
            return outcome
        except BaseException as error:
            return outcome_of(error, task, context)
        finally:
            context.ended = True

    def _fits(self, task: Task[..., Any], outcome: Outcome) -> Outcome:
        if isinstance(outcome, Returned) and outcome.result is not None and len(outcome.result) > self.app.size_limit:
            raise NotEncodable(
                f"The result of {task.name} takes {len(outcome.result):,} bytes, the limit is {self.app.size_limit:,}; keep large "
                "data in a file or a table and return its name or id, or raise Dray(size_limit=…)."
            )
        return outcome

    def _makers(self, context: JobContext, quiet: list[tuple[Any, Any]] | None = None) -> Sequence[Any]:
        """The middleware that has something to do around this run. Ours may say that it has not: `quiet(job)` is not None then, and
        to be given to `leave` after the run."""
        found: Sequence[Any] = ()
        for maker in self.app.middleware:
            if (ask := getattr(maker, "quiet", None)) is None or (token := ask(context)) is None:
                found = (*found, maker)
            elif quiet is not None:
                quiet.append((maker, token))
        return found

    @staticmethod
    def _around(
        makers: Sequence[Any], task: Task[..., Any], context: JobContext
    ) -> contextlib.AbstractContextManager[Around]:
        return Around(makers, task, context) if makers else _NOTHING_AROUND

    @staticmethod
    def _decode(task: Task[..., Any], job: Claimed) -> tuple[list[Any], dict[str, Any]]:
        if job.options is not None:
            try:
                task.job_options(job.options)
            except msgspec.DecodeError as error:
                raise UndecodablePayload(
                    f"{task.name}: the stored options of the job cannot be read ({error}); cancel it, and enqueue it again."
                ) from None
        return task.signature.decode(job.args)


class Around:
    """The middleware of one run: each generator runs to its yield before the function, outermost first, and is sent the outcome
    after it, innermost first. What one of them raises is the outcome for those around it."""

    def __init__(self, makers: Any, task: Task[..., Any], context: JobContext) -> None:
        self._makers = makers
        self._task = task
        self._context = context
        self._open: list[Generator[None, Outcome, None]] = []
        self.outcome: Outcome | None = None

    def __enter__(self) -> Around:
        try:
            for maker in self._makers:
                generator = maker(self._context)
                try:
                    next(generator)
                except StopIteration:
                    name = getattr(maker, "__qualname__", repr(maker))
                    raise ConfigurationError(
                        f"The middleware {name} did not yield; write `outcome = yield` where the job is to run."
                    ) from None
                self._open.append(generator)
        except BaseException as error:
            self._unwind(outcome_of(error, self._task, self._context))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        outcome = self.outcome
        if error is not None or outcome is None:
            outcome = outcome_of(error or RuntimeError("the run ended without an outcome"), self._task, self._context)
        self._unwind(outcome)

    def _unwind(self, outcome: Outcome) -> None:
        raised: BaseException | None = None
        while self._open:
            generator = self._open.pop()
            try:
                generator.send(outcome)
                generator.close()
            except StopIteration:
                pass
            except BaseException as error:
                raised, outcome = error, outcome_of(error, self._task, self._context)
        if raised is not None:
            raise raised


class _Nothing(contextlib.AbstractContextManager[Any]):
    outcome: Outcome | None = None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass


_NOTHING_AROUND: Any = _Nothing()


def outcome_of(error: BaseException, task: Task[..., Any] | None, context: JobContext) -> Outcome:
    """What a run came to that ended with `error`."""
    match error:
        case Retry():
            return Raised(record(error), delay=_retry_delay(error))
        case Snooze():
            return _checked(error, lambda: Snoozed(seconds(error.delay, "the delay of Snooze"), text_of(error)))
        case GiveUp() | NotEncodable() | ConfigurationError():
            return Raised(record(error), final=True)
        case Cancel():
            return Cancelled(text_of(error))
        case asyncio.CancelledError() if context.cancel_reason is not None:
            if context.cancel_reason == INTERRUPT:
                return Interrupted()
            return Cancelled(context.cancel_reason or "")
        case StaleClaim():
            return Raised(record(error))
        case UndecodablePayload():
            # Another version of the code may be able to read it: it is retried as any error is, and counted.
            return Raised(record(error))
        case _:
            final = task is not None and not task.policy.may_retry(error)
            return Raised(record(error), final=final)


def _retry_delay(error: Retry) -> float | None:
    with contextlib.suppress(ConfigurationError):
        if error.at is not None:
            return max(0.0, aware(error.at, "the time of Retry").timestamp() - time.time())
        if error.delay is not None:
            return seconds(error.delay, "the delay of Retry")
    return None


def _checked(error: BaseException, make: Any) -> Outcome:
    try:
        return make()  # type: ignore[no-any-return]
    except ConfigurationError as wrong:
        return Raised(record(wrong))


def timed_out(task: Task[..., Any], timeout: float, error: BaseException | None = None) -> Raised:
    """The outcome of a run that took too long."""
    text = f"{task.name} did not end within its timeout of {human(timeout)}"
    told = ErrorRecord("TimeoutError", text, None if error is None else trace(error), fingerprint=fingerprint("TimeoutError"))
    return Raised(told, final=not task.policy.may_retry(TimeoutError()))


def record(error: BaseException) -> ErrorRecord:
    """An error as text that can be kept."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "dray.errors") else f"{kind.__module__}.{kind.__qualname__}"
    name = clean(name, MAX_NAME)
    return ErrorRecord(name, text_of(error), trace(error), fingerprint=fingerprint(name, _places(error)))


def _places(error: BaseException) -> list[str]:
    """The functions that an error came through, innermost last, from the user's own one on."""
    found: deque[str] = deque(maxlen=PLACES)
    frames = error.__traceback__
    while frames is not None:
        code = frames.tb_frame.f_code
        module = str(frames.tb_frame.f_globals.get("__name__", ""))
        if not module.startswith("dray."):
            found.append(f"{module}.{code.co_qualname}")
        frames = frames.tb_next
    return list(found)


def text_of(error: BaseException) -> str:
    """Its text, whatever its class makes of that."""
    try:
        return clean(str(error), MAX_MESSAGE)
    except BaseException as worse:
        return f"<its text cannot be made: {type(worse).__name__}>"


def trace(error: BaseException) -> str:
    """The traceback, without the frames of Dray above the user's function; the end of it if it is very long."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith("dray.") and frames.tb_next is not None:
        frames = frames.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, frames))
    except BaseException as worse:
        text = f"<the traceback cannot be made: {type(worse).__name__}>"
    return clean(text if len(text) <= MAX_TRACEBACK else "…" + text[-MAX_TRACEBACK:], MAX_TRACEBACK + 1)


def clean(text: str, limit: int) -> str:
    """Text that can be kept as UTF-8, cut at `limit` characters."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= limit else text[:limit] + "…"
