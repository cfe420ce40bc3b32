"""Questions and operator verbs: all that the command line, the dashboard and tests may call.

Every method has an async twin with an `a` in front.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from dray.errors import ConfigurationError, UnknownJob
from dray.insight.figures import Figures
from dray.insight.place import Place
from dray.model import ids
from dray.model.job import JobInfo, State
from dray.store.plan import Plan
from dray.store.protocol import Store
from dray.store.values import AuditEntry, Filter, LogLine, NodeInfo, Page, QueueInfo, RunRecord

T = TypeVar("T")

TOKENS = ("state", "queue", "task", "tag", "schedule")


class Insight(Figures, Place):
    """Looks into a store. With `by` (who asks), what is done through it is written to the audit, as having come `via` a door:
    "cli", "dashboard", "api"."""

    def __init__(self, store: Store, by: str | None = None, via: str = "") -> None:
        self.store = store
        self.by = by
        self.via = via

    def _ask(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        return self.store.run(verb, *args)

    def _aask(self, verb: Callable[..., Plan[T]], *args: Any) -> Awaitable[T]:
        return self.store.arun(verb, *args)

    def _note(self, action: str, target: str, detail: str = "") -> None:
        if self.by is not None:
            self._ask(self.store.plans.write_audit, AuditEntry(self.by, self.via, action, target, detail))

    async def _anote(self, action: str, target: str, detail: str = "") -> None:
        if self.by is not None:
            await self._aask(self.store.plans.write_audit, AuditEntry(self.by, self.via, action, target, detail))

    # -- one job

    def job(self, id: str) -> JobInfo:
        """One job by its id. Raises UnknownJob."""
        return _known(id, self._ask(self.store.plans.get, raw_id(id)))

    async def ajob(self, id: str) -> JobInfo:
        """`job` for coroutines."""
        return _known(id, await self._aask(self.store.plans.get, raw_id(id)))

    def resolve(self, prefix: str) -> str:
        """The full id of the one job whose id begins with `prefix`. Raises UnknownJob, also if there are several."""
        bounds = ids.prefix_range(prefix)
        if bounds is None:
            raise UnknownJob(f"{prefix!r} is not the beginning of a job's id; `dray jobs` lists them.")
        found = self._ask(self.store.plans.by_prefix, *bounds)
        if len(found) == 1:
            return found[0]
        if not found:
            raise UnknownJob(f"No job is kept whose id begins with {prefix!r}; `dray jobs` lists them.")
        raise UnknownJob(f"{prefix!r} begins the ids of several jobs, such as {found[0]} and {found[1]}; give more of it.")

    def history(self, id: str) -> list[RunRecord]:
        """Its past runs, oldest first."""
        return self._ask(self.store.plans.history, raw_id(id))

    async def ahistory(self, id: str) -> list[RunRecord]:
        """`history` for coroutines."""
        return await self._aask(self.store.plans.history, raw_id(id))

    def logs(self, id: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """What its runs logged, from the line after `after`."""
        return self._ask(self.store.plans.logs, raw_id(id), after, limit)

    async def alogs(self, id: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """`logs` for coroutines."""
        return await self._aask(self.store.plans.logs, raw_id(id), after, limit)

    # -- many

    def jobs(self, what: Filter | str = "", *, limit: int = 50, before: int | None = None) -> Page:
        """Jobs that match a filter or a text such as `state:failed queue:mail task:send_*`, newest first."""
        return self._ask(self.store.plans.find, parse_filter(what), limit, before)

    async def ajobs(self, what: Filter | str = "", *, limit: int = 50, before: int | None = None) -> Page:
        """`jobs` for coroutines."""
        return await self._aask(self.store.plans.find, parse_filter(what), limit, before)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many jobs are in each state, by queue."""
        return self._ask(self.store.plans.counts)

    async def acounts(self) -> dict[str, dict[str, int]]:
        """`counts` for coroutines."""
        return await self._aask(self.store.plans.counts)

    def recount(self) -> dict[str, dict[str, int]]:
        """The same by counting every job: slow, for checks."""
        return self._ask(self.store.plans.recount)

    async def arecount(self) -> dict[str, dict[str, int]]:
        """`recount` for coroutines."""
        return await self._aask(self.store.plans.recount)

    def queues(self) -> list[QueueInfo]:
        """Every queue that a job or an operator named."""
        return self._ask(self.store.plans.queues)

    async def aqueues(self) -> list[QueueInfo]:
        """`queues` for coroutines."""
        return await self._aask(self.store.plans.queues)

    def workers(self) -> list[NodeInfo]:
        """The worker processes."""
        return self._ask(self.store.plans.nodes)

    async def aworkers(self) -> list[NodeInfo]:
        """`workers` for coroutines."""
        return await self._aask(self.store.plans.nodes)

    # -- acting

    def cancel(self, ids: Sequence[str], reason: str = "") -> dict[str, str]:
        """Cancel jobs in whatever state. By id: "cancelled", "asked" (it runs and is told), "final" or "unknown"."""
        return _by_text(self._ask(self.store.plans.cancel, raw_ids(ids), reason))

    async def acancel(self, ids: Sequence[str], reason: str = "") -> dict[str, str]:
        """`cancel` for coroutines."""
        return _by_text(await self._aask(self.store.plans.cancel, raw_ids(ids), reason))

    def retry(self, ids: Sequence[str]) -> dict[str, str]:
        """Final jobs begin a new life, scheduled ones run now. By id: "ready", "unknown", or a state that forbids it."""
        return _by_text(self._ask(self.store.plans.retry, raw_ids(ids)))

    async def aretry(self, ids: Sequence[str]) -> dict[str, str]:
        """`retry` for coroutines."""
        return _by_text(await self._aask(self.store.plans.retry, raw_ids(ids)))

    def delete(self, ids: Sequence[str]) -> dict[str, str]:
        """Forget jobs that do not run. By id: "deleted", "running" or "unknown"."""
        return _by_text(self._ask(self.store.plans.delete, raw_ids(ids)))

    async def adelete(self, ids: Sequence[str]) -> dict[str, str]:
        """`delete` for coroutines."""
        return _by_text(await self._aask(self.store.plans.delete, raw_ids(ids)))

    def pause(self, queue: str, by: str | None = None) -> None:
        """Nothing of `queue` is started until it is resumed; what runs goes on. `by`: who asked, for the others to see."""
        self._ask(self.store.plans.pause, queue, by)

    async def apause(self, queue: str, by: str | None = None) -> None:
        """`pause` for coroutines."""
        await self._aask(self.store.plans.pause, queue, by)

    def resume(self, queue: str, by: str | None = None) -> bool:
        """Whether the queue had been paused."""
        return self._ask(self.store.plans.resume, queue, by)

    async def aresume(self, queue: str, by: str | None = None) -> bool:
        """`resume` for coroutines."""
        return await self._aask(self.store.plans.resume, queue, by)


def parse_filter(what: Filter | str) -> Filter:
    """A text such as `state:failed,cancelled queue:mail task:send_* tag:vip text` as a filter. Raises ConfigurationError."""
    if isinstance(what, Filter):
        return what
    found: dict[str, Any] = {}
    words = []
    for token in what.split():
        key, colon, value = token.partition(":")
        if not colon or key not in TOKENS:
            words.append(token)
        elif key == "state":
            try:
                found["states"] = frozenset(State(word) for word in value.split(","))
            except ValueError:
                raise ConfigurationError(f"{token!r}: the states are {', '.join(State)}.") from None
        else:
            found[key] = value
    if words:
        found["text"] = " ".join(words)
    return Filter(**found)


def raw_id(id: str) -> bytes:
    """The bytes of an id. Raises UnknownJob if it is none."""
    try:
        return ids.from_text(id)
    except ValueError:
        raise UnknownJob(f"{id!r} is not a job's id (32 hexadecimal digits with hyphens).") from None


def raw_ids(ids: Sequence[str]) -> list[bytes]:
    """The bytes of several."""
    return [raw_id(id) for id in ids]


def _by_text(answers: dict[bytes, str]) -> dict[str, str]:
    return {ids.to_text(raw): answer for raw, answer in answers.items()}


def _known(id: str, found: JobInfo | None) -> JobInfo:
    if found is None:
        raise UnknownJob(f"No job {id} is kept: it was never committed, or its time to be kept is over.")
    return found
