"""Questions about jobs: one of them, those that match, how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from dray.errors import UnknownJob
from dray.model import ids
from dray.model.filter import Filter, Glob
from dray.model.job import JobInfo, State
from dray.search import parse
from dray.store.plan import Plan
from dray.store.values import LogLine, NodeInfo, Page, QueueInfo, RunRecord, Sifted

if TYPE_CHECKING:
    from dray.store.protocol import Store

T = TypeVar("T")

LOOKS = 10_000  # jobs that one transaction looks at
MOST = 100_000


class Count(Struct, frozen=True):
    """How many jobs match, and in which states they are. `exact`: that is all of them; else it is those among the newest
    `searched` jobs."""

    n: int
    exact: bool
    searched: int | None
    states: dict[str, int]


class Jobs:
    """A part of `Insight`."""

    store: Store

    if TYPE_CHECKING:

        def _ask(self, verb: Callable[..., Plan[T]], *args: Any) -> T: ...
        def _aask(self, verb: Callable[..., Plan[T]], *args: Any) -> Awaitable[T]: ...

    # -- one job

    def job(self, id: str) -> JobInfo:
        """One job by its id. Raises UnknownJob."""
        return _known(id, self._ask(self.store.plans.get, raw_id(id)))

    async def ajob(self, id: str) -> JobInfo:
        """`job` for coroutines."""
        return _known(id, await self._aask(self.store.plans.get, raw_id(id)))

    def resolve(self, prefix: str) -> str:
        """The full id of the one job whose id begins with `prefix`. Raises UnknownJob, also if there are several."""
        return _one(prefix, self._ask(self.store.plans.by_prefix, *_bounds(prefix)))

    async def aresolve(self, prefix: str) -> str:
        """`resolve` for coroutines."""
        return _one(prefix, await self._aask(self.store.plans.by_prefix, *_bounds(prefix)))

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

    def jobs(self, what: Filter | str = "", *, limit: int = 50, before: str | None = None) -> Page:
        """Jobs that match a filter or a text such as `state:failed queue:mail task:send_*` (see `dray.search`), newest first.
        `before` is the `next` of the page before. A search that finds few stops at a bound and says so: see `Page.searched`.
        Raises ConfigurationError."""
        return self._ask(self.store.plans.find, parse(what), limit, before)

    async def ajobs(self, what: Filter | str = "", *, limit: int = 50, before: str | None = None) -> Page:
        """`jobs` for coroutines."""
        return await self._aask(self.store.plans.find, parse(what), limit, before)

    def count(self, what: Filter | str = "", most: int | None = MOST) -> Count:
        """How many jobs match. At once if only states and queues matter; else jobs are looked at, the newest first, at most `most`
        of them (None: all), some thousand in one transaction. Raises ConfigurationError."""
        wanted = parse(what)
        if counted := _from_counters(wanted, self.counts) if _is_counted(wanted) else None:
            return counted
        counting = _Counting(most)
        while counting.goes_on:
            counting.take(self._ask(self.store.plans.sift, wanted, counting.looks, counting.next))
        return counting.count

    async def acount(self, what: Filter | str = "", most: int | None = MOST) -> Count:
        """`count` for coroutines."""
        wanted = parse(what)
        if _is_counted(wanted):
            counts = await self.acounts()
            return _from_counters(wanted, lambda: counts)
        counting = _Counting(most)
        while counting.goes_on:
            counting.take(await self._aask(self.store.plans.sift, wanted, counting.looks, counting.next))
        return counting.count

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


class _Counting:
    """How far a count has come."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._looked = 0
        self._states: Counter[str] = Counter()
        self._whole = False
        self.next: str | None = None

    @property
    def goes_on(self) -> bool:
        return not self._whole and (self._most is None or self._looked < self._most)

    @property
    def looks(self) -> int:
        return LOOKS if self._most is None else min(LOOKS, self._most - self._looked)

    def take(self, found: Sifted) -> None:
        self._states.update(str(state) for _, state in found.jobs)
        self._looked += found.searched
        self.next = found.next
        self._whole = found.next is None

    @property
    def count(self) -> Count:
        return Count(self._states.total(), self._whole, None if self._whole else self._looked, _in_order(self._states))


def _is_counted(what: Filter) -> bool:
    return all(term.key == "queue" for term in what.every())


def _from_counters(what: Filter, counts: Callable[[], Mapping[str, Mapping[str, int]]]) -> Count:
    states: Counter[str] = Counter()
    for queue, by_state in counts().items():
        if all(any(Glob(value).fits(queue) for value in term.values) is not term.without for term in what.every()):
            states.update({state: n for state, n in by_state.items() if what.states is None or state in what.states})
    return Count(states.total(), True, None, _in_order(states))


def _in_order(states: Mapping[str, int]) -> dict[str, int]:
    return {str(state): states[state] for state in State if states.get(state)}


def _bounds(prefix: str) -> tuple[bytes, bytes]:
    bounds = ids.prefix_range(prefix)
    if bounds is None:
        raise UnknownJob(f"{prefix!r} is not the beginning of a job's id; `dray jobs` lists them.")
    return bounds


def _one(prefix: str, found: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnknownJob(f"No job is kept whose id begins with {prefix!r}; `dray jobs` lists them.")
    raise UnknownJob(f"{prefix!r} begins the ids of several jobs, such as {found[0]} and {found[1]}; give more of it.")


def raw_id(id: str) -> bytes:
    """The bytes of an id. Raises UnknownJob if it is none."""
    try:
        return ids.from_text(id)
    except ValueError:
        raise UnknownJob(f"{id!r} is not a job's id (32 hexadecimal digits with hyphens).") from None


def raw_ids(ids: Iterable[str]) -> list[bytes]:
    """The bytes of several."""
    return [raw_id(id) for id in ids]


def _known(id: str, found: JobInfo | None) -> JobInfo:
    if found is None:
        raise UnknownJob(f"No job {id} is kept: it was never committed, or its time to be kept is over.")
    return found
