"""Questions about the whole: how things are in one sentence, schedules, workers, who did what, how much room it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from dray.errors import ConfigurationError, UnknownJob, UnknownSchedule, UnknownWorker
from dray.model import ids
from dray.model.clock import SECOND
from dray.model.job import EXECUTORS, PRIORITY_RANGE, JobInfo, NewJob
from dray.nodes import DEAF, knows, serves
from dray.store.plan import Now, Plan, reads
from dray.store.values import AuditEntry, NodeInfo, QueueInfo, ScheduleRow, Space
from dray.wording import count, listed, short

if TYPE_CHECKING:
    from dray.store.protocol import Store

T = TypeVar("T")

GOOD, NOTE, BAD = "good", "note", "bad"
LATE = 60.0  # seconds that a job may be ready before that is worth a word
ASKS = ("stop", "dump")


class Health(Struct, frozen=True):
    """How things are. `level` is "good", "note" or "bad"; `also` are further sentences, the worst first."""

    level: str
    text: str
    also: tuple[str, ...] = ()


class Overview(Struct, frozen=True):
    """Everything at one moment. Times are microseconds since 1970."""

    now: int
    health: Health
    queues: list[QueueInfo]
    workers: list[NodeInfo]
    schedules: list[ScheduleRow]

    def total(self, *states: str) -> int:
        """How many jobs are in these states, in all queues."""
        return sum(queue.counts.get(state, 0) for queue in self.queues for state in states)

    @property
    def backlog(self) -> int:
        """Jobs that are to run now, or do."""
        return self.total("ready", "running")

    @property
    def oldest_ready(self) -> float | None:
        """Seconds for which the oldest ready job has waited."""
        waiting = [queue.oldest_ready for queue in self.queues if queue.oldest_ready is not None and queue.paused is None]
        return max(0.0, (self.now - min(waiting)) / SECOND) if waiting else None

    @property
    def slots(self) -> int:
        """Of all live workers, for functions of any kind."""
        return sum(sum(room.values()) for node in self.workers if node.alive and (room := _room(node)))


class Place:
    """The part of Insight that asks about the whole, and acts on what is not a job."""

    if TYPE_CHECKING:
        store: Store

        def _ask(self, verb: Callable[..., Plan[T]], *args: Any) -> T: ...
        def _aask(self, verb: Callable[..., Plan[T]], *args: Any) -> Awaitable[T]: ...
        def _note(self, action: str, target: str, detail: str = "") -> None: ...
        async def _anote(self, action: str, target: str, detail: str = "") -> None: ...

    def overview(self) -> Overview:
        """How things are now."""
        return self._ask(self._overview)

    async def aoverview(self) -> Overview:
        """`overview` for coroutines."""
        return await self._aask(self._overview)

    @reads
    def _overview(self) -> Plan[Overview]:
        verbs = self.store.plans
        now: int = yield Now()
        queues = yield from verbs.queues()
        nodes = yield from verbs.nodes()
        schedules = yield from verbs.schedules()
        return Overview(now, health(now, queues, nodes, schedules), queues, nodes, schedules)

    # -- schedules

    def schedules(self) -> list[ScheduleRow]:
        """All schedules, by name."""
        return self._ask(self.store.plans.schedules)

    async def aschedules(self) -> list[ScheduleRow]:
        """`schedules` for coroutines."""
        return await self._aask(self.store.plans.schedules)

    def schedule(self, name: str) -> ScheduleRow:
        """One of them. Raises UnknownSchedule."""
        return _found(name, self._ask(self.store.plans.schedule, name))

    async def aschedule(self, name: str) -> ScheduleRow:
        """`schedule` for coroutines."""
        return _found(name, await self._aask(self.store.plans.schedule, name))

    def pause_schedule(self, name: str) -> None:
        """It does not fire until it is resumed. Raises UnknownSchedule."""
        _known(name, self._ask(self.store.plans.pause_schedule, name))
        self._note("pause schedule", name)

    async def apause_schedule(self, name: str) -> None:
        """`pause_schedule` for coroutines."""
        _known(name, await self._aask(self.store.plans.pause_schedule, name))
        await self._anote("pause schedule", name)

    def resume_schedule(self, name: str) -> None:
        """It fires again from now on. Raises UnknownSchedule."""
        _known(name, self._ask(self.store.plans.resume_schedule, name))
        self._note("resume schedule", name)

    async def aresume_schedule(self, name: str) -> None:
        """`resume_schedule` for coroutines."""
        _known(name, await self._aask(self.store.plans.resume_schedule, name))
        await self._anote("resume schedule", name)

    def remove_schedule(self, name: str) -> None:
        """Forget it; what the code declares comes back with the next worker. Raises UnknownSchedule."""
        _known(name, self._ask(self.store.plans.remove_schedule, name))
        self._note("remove schedule", name)

    async def aremove_schedule(self, name: str) -> None:
        """`remove_schedule` for coroutines."""
        _known(name, await self._aask(self.store.plans.remove_schedule, name))
        await self._anote("remove schedule", name)

    def run_schedule(self, name: str) -> str:
        """Enqueue its job now, beside its times; the id of the job. Raises UnknownSchedule."""
        id_ = ids.to_text(_found(name, self._ask(self.store.plans.run_schedule, name)))
        self._note("run schedule", name, id_)
        return id_

    async def arun_schedule(self, name: str) -> str:
        """`run_schedule` for coroutines."""
        id_ = ids.to_text(_found(name, await self._aask(self.store.plans.run_schedule, name)))
        await self._anote("run schedule", name, id_)
        return id_

    # -- workers

    def ask_worker(self, node: int, what: str) -> None:
        """Ask a worker process for something: to "stop" as TERM would, or for a "dump" of where all its threads and coroutines are.
        `worker_said` has what came of it. Raises UnknownWorker, ConfigurationError."""
        _known_ask(what)
        if not self._ask(self.store.plans.ask, node, what):
            raise no_worker(node)
        self._note(f"ask worker to {what}", str(node))

    async def aask_worker(self, node: int, what: str) -> None:
        """`ask_worker` for coroutines."""
        _known_ask(what)
        if not await self._aask(self.store.plans.ask, node, what):
            raise no_worker(node)
        await self._anote(f"ask worker to {what}", str(node))

    def worker_said(self, node: int) -> tuple[int, str] | None:
        """When a worker process last answered, in microseconds since 1970, and what; None if it has not."""
        return self._ask(self.store.plans.answered, node)

    async def aworker_said(self, node: int) -> tuple[int, str] | None:
        """`worker_said` for coroutines."""
        return await self._aask(self.store.plans.answered, node)

    # -- jobs by name

    def again(self, id: str, args: dict[str, Any] | None = None) -> str:
        """Enqueue a new job like an old one, with other arguments if they are given; its id. Raises UnknownJob.

        Arguments are not checked here, where the code of the task is not known: a wrong one fails when the job runs."""
        new = _like(self._ask(self.store.plans.get, _raw(id)), id, args)
        self._ask(self.store.plans.add, [new])
        self._note("run again", id, ids.to_text(new.id))
        return ids.to_text(new.id)

    async def aagain(self, id: str, args: dict[str, Any] | None = None) -> str:
        """`again` for coroutines."""
        new = _like(await self._aask(self.store.plans.get, _raw(id)), id, args)
        await self._aask(self.store.plans.add, [new])
        await self._anote("run again", id, ids.to_text(new.id))
        return ids.to_text(new.id)

    def edit(
        self, id: str, *, args: dict[str, Any] | None = None, priority: int | None = None, max_attempts: int | None = None
    ) -> bool:
        """Change a job that waits; whether it still did. What is None stays as it is. Raises UnknownJob, ConfigurationError.

        Arguments are not checked here, where the code of the task is not known: a wrong one fails when the job runs."""
        raw, changes = _raw(id), _changes(args, priority, max_attempts)
        _like(self._ask(self.store.plans.get, raw), id, None)
        done = self._ask(partial(self.store.plans.edit, **changes), raw)
        if done:
            self._note("edit", id, listed(changes))
        return done

    async def aedit(
        self, id: str, *, args: dict[str, Any] | None = None, priority: int | None = None, max_attempts: int | None = None
    ) -> bool:
        """`edit` for coroutines."""
        raw, changes = _raw(id), _changes(args, priority, max_attempts)
        _like(await self._aask(self.store.plans.get, raw), id, None)
        done = await self._aask(partial(self.store.plans.edit, **changes), raw)
        if done:
            await self._anote("edit", id, listed(changes))
        return done

    # -- who did what, and how much there is

    def audits(self, before: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """What operators did, newest first; `before`: the number of the last entry of the page before."""
        return self._ask(self.store.plans.audits, before, limit)

    async def aaudits(self, before: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """`audits` for coroutines."""
        return await self._aask(self.store.plans.audits, before, limit)

    def space(self) -> list[Space]:
        """What the store keeps, and how much room that takes."""
        return self._ask(self.store.plans.space)

    async def aspace(self) -> list[Space]:
        """`space` for coroutines."""
        return await self._aask(self.store.plans.space)


def health(now: int, queues: Iterable[QueueInfo], nodes: Iterable[NodeInfo], schedules: Iterable[ScheduleRow]) -> Health:
    """How things are, in a sentence that names the worst first."""
    alive = [node for node in nodes if node.alive]
    told: list[tuple[str, str]] = []
    ready = 0
    for queue in queues:
        n = queue.counts.get("ready", 0)
        ready += n
        waited = 0.0 if queue.oldest_ready is None else (now - queue.oldest_ready) / SECOND
        if queue.paused is not None:
            if n:
                told.append((NOTE, f"Queue {queue.name} is paused, and {count(n, 'job')} wait{'s' if n == 1 else ''} in it."))
        elif n and alive and not any(serves(node, queue.name) for node in alive):
            told.append((BAD, f"No worker looks into queue {queue.name}, where {count(n, 'job')} wait{'s' if n == 1 else ''}."))
        elif n and alive and waited > LATE:
            told.append((NOTE, f"Queue {queue.name} is behind: its oldest job has waited {short(waited)}."))
    if ready and not alive:
        told.append((BAD, f"No worker is alive, and {count(ready, 'job')} wait{'s' if ready == 1 else ''}."))
    deaf = [node.name for node in alive if node.claimed is not None and now - node.claimed > DEAF and not node.stopping]
    if deaf:
        told.append((BAD, f"{listed(deaf)}: alive, but not looking for jobs."))
    late = [row.name for row in schedules if row.paused is None and 0 < row.next < now - LATE * SECOND]
    if late:
        told.append((BAD if alive else NOTE, f"{listed(late)} should have fired by now."))
    unknown = sorted({row.task for row in schedules if alive and not any(knows(node, row.task) for node in alive)})
    if unknown:
        told.append((NOTE, f"Scheduled, and known to no worker: {listed(unknown)}."))
    told.sort(key=lambda one: one[0] != BAD)
    if told:
        return Health(told[0][0], told[0][1], tuple(text for _, text in told[1:]))
    if not alive:
        return Health(NOTE, "No worker is alive; nothing waits for one.")
    waiting = f"{count(ready, 'job')} waiting" if ready else "nothing waits"
    return Health(GOOD, f"All is well: {count(len(alive), 'worker')} at work, {waiting}.")


def _room(node: NodeInfo) -> dict[str, int] | None:
    room = node.info.get("slots") if isinstance(node.info, dict) else None
    return room if isinstance(room, dict) else None


def _found(name: str, found: T | None) -> T:
    if found is None:
        raise UnknownSchedule(f"There is no schedule {name!r} in the store; `dray schedules` lists them.")
    return found


def _known(name: str, known: bool) -> None:
    _found(name, known or None)


def _known_ask(what: str) -> None:
    if what not in ASKS:
        raise ConfigurationError(f"A worker cannot be asked to {what!r}: use {' or '.join(ASKS)}.")


def no_worker(node: int) -> UnknownWorker:
    """The error for a worker that is not there."""
    return UnknownWorker(f"There is no worker {node} (any more); `dray workers` lists them.")


def _raw(id: str) -> bytes:
    try:
        return ids.from_text(id)
    except ValueError:
        raise UnknownJob(f"{id!r} is not a job's id (32 hexadecimal digits with hyphens).") from None


def _changes(args: dict[str, Any] | None, priority: int | None, max_attempts: int | None) -> dict[str, Any]:
    low, high = PRIORITY_RANGE
    if priority is not None and not low <= priority <= high:
        raise ConfigurationError(f"The priority is {priority}: use {low} to {high}.")
    if max_attempts is not None and max_attempts < 1:
        raise ConfigurationError(f"max_attempts is {max_attempts}: use 1 or more.")
    changes = {"args": None if args is None else msgspec.json.encode(args), "priority": priority, "max_attempts": max_attempts}
    return {name: value for name, value in changes.items() if value is not None}


def _like(job: JobInfo | None, id: str, args: dict[str, Any] | None) -> NewJob:
    if job is None:
        raise UnknownJob(f"No job {id} is kept: it was never committed, or its time to be kept is over.")
    return NewJob(
        ids.new_ids(1)[0], job.task, msgspec.json.encode(job.args if args is None else args), job.queue, EXECUTORS[job.executor],
        job.priority, job.max_attempts, tags=msgspec.json.encode(list(job.tags)).decode() if job.tags else None,
        options=msgspec.json.encode(job.options) if job.options else None,
    )  # fmt: skip
