"""Schedules, as an app declares and changes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec

from dray.errors import ConfigurationError, UnknownSchedule
from dray.handle import AnyResult, JobHandle
from dray.model.job import JobOptions, NewJob
from dray.model.schedule import Schedule, parse_trigger
from dray.store.protocol import Store
from dray.store.values import ScheduleRow
from dray.task import Call, Task


class Host(Protocol):
    """What schedules need of an app."""

    @property
    def store(self) -> Store: ...
    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]: ...


class Schedules:
    """The schedules of an app's store. Every method that asks the store has an async twin with an `a` in front."""

    def __init__(self, host: Host) -> None:
        self._host = host
        #: declared with `@app.schedule`, put into the store when a worker starts
        self.declared: dict[str, ScheduleRow] = {}

    def declare(self, row: ScheduleRow) -> None:
        """Keep a schedule of the code until a worker starts. Raises ConfigurationError if the name is taken."""
        if row.name in self.declared:
            raise ConfigurationError(f"There are two schedules named {row.name!r}; give one of them another name=….")
        self.declared[row.name] = row

    def put(
        self, name: str, call: Call[..., Any], when: str | float | timedelta, *, tz: str = "UTC", catch_up: str = "one",
        window: float = 86_400.0, overlap: str = "skip",
    ) -> None:
        """Add a schedule, or change the one of that name. `when`: a cron line or an interval such as "every 15m"; `tz`: an IANA
        zone; `catch_up`: "skip", "one" or "all" of the ticks missed within `window` seconds; `overlap`: "allow", "skip",
        "queue" or "cancel". Raises ConfigurationError."""
        row = schedule_row(name, call, when, tz=tz, catch_up=catch_up, window=window, overlap=overlap, origin="api")
        self._run("put_schedule", row)

    async def aput(
        self, name: str, call: Call[..., Any], when: str | float | timedelta, *, tz: str = "UTC", catch_up: str = "one",
        window: float = 86_400.0, overlap: str = "skip",
    ) -> None:
        """`put` for coroutines."""
        row = schedule_row(name, call, when, tz=tz, catch_up=catch_up, window=window, overlap=overlap, origin="api")
        await self._arun("put_schedule", row)

    def put_declared(self) -> None:
        """Bring the schedules of the code into the store; one that somebody paused stays paused."""
        for row in self.declared.values():
            self._run("put_schedule", row)
        for row in self.all():
            if row.origin == "code" and row.name not in self.declared and row.task in self._host.tasks:
                # The code that declared it is this code, and it does not do so any more.
                self._run("remove_schedule", row.name)

    def all(self) -> list[ScheduleRow]:
        """All schedules of the store, by name."""
        return self._host.store.run(self._host.store.plans.schedules)

    async def aall(self) -> list[ScheduleRow]:
        """`all` for coroutines."""
        return await self._host.store.arun(self._host.store.plans.schedules)

    def pause(self, name: str) -> None:
        """It does not fire until it is resumed. Raises UnknownSchedule."""
        _known(name, self._run("pause_schedule", name))

    async def apause(self, name: str) -> None:
        """`pause` for coroutines."""
        _known(name, await self._arun("pause_schedule", name))

    def resume(self, name: str) -> None:
        """It fires again from now on. Raises UnknownSchedule."""
        _known(name, self._run("resume_schedule", name))

    async def aresume(self, name: str) -> None:
        """`resume` for coroutines."""
        _known(name, await self._arun("resume_schedule", name))

    def remove(self, name: str) -> None:
        """Forget it; jobs that it fired stay. What the code declares comes back with the next worker. Raises UnknownSchedule."""
        _known(name, self._run("remove_schedule", name))

    async def aremove(self, name: str) -> None:
        """`remove` for coroutines."""
        _known(name, await self._arun("remove_schedule", name))

    def run_now(self, name: str) -> JobHandle[Any]:
        """Enqueue its job now, beside its ticks. Raises UnknownSchedule."""
        return self._handle(name, self._run("run_schedule", name))

    async def arun_now(self, name: str) -> JobHandle[Any]:
        """`run_now` for coroutines."""
        return self._handle(name, await self._arun("run_schedule", name))

    def _handle(self, name: str, raw: bytes | None) -> JobHandle[Any]:
        _known(name, raw)
        assert raw is not None
        return JobHandle(raw, self._host.store, AnyResult())

    def _run(self, verb: str, *args: Any) -> Any:
        return self._host.store.run(getattr(self._host.store.plans, verb), *args)

    async def _arun(self, verb: str, *args: Any) -> Any:
        return await self._host.store.arun(getattr(self._host.store.plans, verb), *args)


def schedule_row(
    name: str, call: Call[..., Any], when: str | float | timedelta, *, tz: str, catch_up: str, window: float, overlap: str,
    origin: str,
) -> ScheduleRow:  # fmt: skip
    """A schedule, checked. Raises ConfigurationError."""
    trigger = parse_trigger(when, tz)
    Schedule(
        name=name, task=call.task.name, spec=trigger.spec, tz=trigger.tz, args=call.payload, options={},
        catch_up=catch_up, window=window, overlap=overlap,  # type: ignore[arg-type]
    )  # fmt: skip
    job: NewJob = call.job(bytes(16))
    return ScheduleRow(
        name=name, task=job.task, queue=job.queue, executor=job.executor, priority=job.priority,
        max_attempts=job.max_attempts, spec=trigger.spec, tz=trigger.tz, args=job.args,
        options=named(job.options, name), tags=job.tags, catch_up=catch_up, window=window, overlap=overlap, origin=origin,
    )  # fmt: skip


def named(options: bytes | None, schedule: str) -> bytes:
    """What is kept with the jobs of a schedule: whoever watches their runs is to know whose they are."""
    kept = JobOptions() if options is None else msgspec.json.decode(options, type=JobOptions)
    return msgspec.json.encode(msgspec.structs.replace(kept, schedule=schedule))


def next_runs(row: ScheduleRow, count: int, after: datetime | None = None) -> list[datetime]:
    """The next `count` ticks of a schedule after `after` (default: now), in UTC."""
    trigger = parse_trigger(row.spec, row.tz)
    moment = after or datetime.now(UTC)
    found = []
    for _ in range(count):
        moment = trigger.next_after(moment)
        found.append(moment)
    return found


def _known(name: str, answer: object) -> None:
    if not answer:
        raise UnknownSchedule(f"There is no schedule {name!r}; `dray schedules` lists them.")


