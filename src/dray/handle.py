"""A handle: what the one who enqueued a job can ask of it."""

from __future__ import annotations

import time
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from dray.errors import JobCancelled, JobFailed, ResultTimeout, UnknownJob
from dray.model import ids
from dray.model.duration import human
from dray.model.job import JobInfo, State
from dray.store.protocol import Listening, Store
from dray.store.values import Ending

R = TypeVar("R")

LOOK_AGAIN = 0.5  # seconds, where a ring is to be expected
LOOK_OFTEN = 0.02  # seconds, where it is not
LOOK_FAR = 0.1  # seconds, where it is not and the store is a server


class ResultReader(Protocol):
    """What a handle needs of a task's signature."""

    def decode_result(self, payload: bytes | None) -> Any: ...


class AnyResult:
    """Reads a result of which no annotation is known: plain JSON values."""

    def decode_result(self, payload: bytes | None) -> Any:
        """None, numbers, texts, lists and dicts."""
        return None if payload is None else msgspec.json.decode(payload)


class JobHandle(Generic[R]):
    """A job by its id. Costs nothing to keep; asks the store when it is asked."""

    __slots__ = ("_info", "_reader", "_store", "raw")

    def __init__(self, raw: bytes, store: Store, reader: ResultReader) -> None:
        self.raw = raw
        self._store = store
        self._reader = reader
        self._info: JobInfo | None = None

    @property
    def id(self) -> str:
        """The job's id, as text."""
        return ids.to_text(self.raw)

    def __repr__(self) -> str:
        return f"<job {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobHandle) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    # -- looking

    @property
    def state(self) -> State:
        """The state that the job is in now, read from the store unless it is known to be final. Raises UnknownJob."""
        if self._info is not None and self._info.state.final:
            return self._info.state
        return self.refresh().info.state

    @property
    def info(self) -> JobInfo:
        """Everything about the job, as of the last look. Raises UnknownJob."""
        return self._info if self._info is not None else self.refresh().info

    def refresh(self) -> JobHandle[R]:
        """Look again. Raises UnknownJob if the job is not kept (any more)."""
        return self._seen(self._store.run(self._store.plans.get, self.raw))

    async def arefresh(self) -> JobHandle[R]:
        """`refresh` for coroutines."""
        return self._seen(await self._store.arun(self._store.plans.get, self.raw))

    # -- waiting

    def result(self, timeout: float | None = None) -> R:
        """Wait until the job is final and give what it returned. `timeout` in seconds; None waits for ever.

        Raises JobFailed, JobCancelled, ResultTimeout, UnknownJob.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        listener: Listening | None = None
        try:
            while True:
                if listener is not None:
                    listener.show()
                ending = self._store.run(self._store.plans.ending, self.raw)
                if self._is_final(ending):
                    return self._unpack(ending)
                wait = self._next_wait(deadline, timeout, listener, ending)
                if listener is None:
                    listener = self._store.listen("done")
                    continue
                listener.wait(wait)
                listener.hide()
        finally:
            if listener is not None:
                listener.close()

    async def aresult(self, timeout: float | None = None) -> R:
        """`result` for coroutines."""
        deadline = None if timeout is None else time.monotonic() + timeout
        listener: Listening | None = None
        try:
            while True:
                if listener is not None:
                    listener.show()
                ending = await self._store.arun(self._store.plans.ending, self.raw)
                if self._is_final(ending):
                    return self._unpack(ending)
                wait = self._next_wait(deadline, timeout, listener, ending)
                if listener is None:
                    listener = self._store.listen("done")
                    continue
                await _await_ring(listener, wait)
                listener.hide()
        finally:
            if listener is not None:
                listener.close()

    def _next_wait(
        self, deadline: float | None, timeout: float | None, listener: Listening | None, ending: Ending | None
    ) -> float:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            state = "not kept" if ending is None else f"still {ending.state}"
            raise ResultTimeout(
                f"Job {self.id} is {state} after {human(timeout or 0)}; wait longer, or ask `dray explain {self.id}` why."
            )
        if listener is not None and listener.remote:
            look = LOOK_AGAIN
        else:
            look = LOOK_FAR if listener is not None and listener.shy else LOOK_OFTEN
        return look if left is None else min(look, left)

    def _is_final(self, ending: Ending | None) -> bool:
        if ending is None:
            raise self._unknown()
        return ending.state.final

    def _unpack(self, ending: Ending | None) -> R:
        assert ending is not None
        if ending.state is State.SUCCEEDED:
            return self._reader.decode_result(ending.result)  # type: ignore[no-any-return]
        if ending.state is State.CANCELLED:
            raise JobCancelled(
                f"Job {self.id} of {ending.task} was cancelled: {ending.reason or 'no reason given'}.", reason=ending.reason
            )
        error = ending.error if isinstance(ending.error, dict) else {}
        at = f" at attempt {ending.attempt}" if ending.attempt else ""  # 0: it was lost with its workers each time
        what = f"{error.get('type', 'an error')}: {error.get('message', '')}"
        raise JobFailed(
            f"Job {self.id} of {ending.task} failed{at}: {what}",
            error_type=error.get("type"), error_message=error.get("message"), traceback=error.get("traceback"),
        )  # fmt: skip

    # -- acting

    def cancel(self, reason: str = "") -> bool:
        """Cancel the job, whatever its state. True if it is cancelled or, running, has been told; False if it was final."""
        return self._cancelled(self._store.run(self._store.plans.cancel, [self.raw], reason))

    async def acancel(self, reason: str = "") -> bool:
        """`cancel` for coroutines."""
        return self._cancelled(await self._store.arun(self._store.plans.cancel, [self.raw], reason))

    def _cancelled(self, answers: dict[bytes, str]) -> bool:
        answer = answers[self.raw]
        if answer == "unknown":
            raise self._unknown()
        return answer != "final"

    def _seen(self, info: JobInfo | None) -> JobHandle[R]:
        if info is None:
            raise self._unknown()
        self._info = info
        return self

    def _unknown(self) -> UnknownJob:
        return UnknownJob(
            f"The store ({self._store.where}) keeps no job {self.id}: it was never committed, or its time to be kept is over."
        )


async def _await_ring(listener: Listening, timeout: float) -> None:
    import asyncio  # here, because a program without coroutines can do without it

    loop = asyncio.get_running_loop()
    rung: asyncio.Future[None] = loop.create_future()

    def ring() -> None:
        if not rung.done():
            rung.set_result(None)

    fds = listener.filenos()
    for fd in fds:
        loop.add_reader(fd, ring)
    try:
        await asyncio.wait([rung], timeout=timeout)
    finally:
        for fd in fds:
            loop.remove_reader(fd)
