"""What an operator may do to jobs and queues, one by one and to all that match; each is written down if it is known who did it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec import Struct

from dray.errors import ConfigurationError
from dray.insight.jobs import raw_ids
from dray.model import ids
from dray.model.filter import Filter
from dray.search import parse, to_text
from dray.store.plan import Plan
from dray.store.values import AuditEntry, Sifted
from dray.wording import count as counted

if TYPE_CHECKING:
    from dray.insight.jobs import Count
    from dray.store.protocol import Store

T = TypeVar("T")
Action = Literal["retry", "cancel", "delete"]
Progress = Callable[[int, int], None]

ACTIONS = ("retry", "cancel", "delete")
NAMED = 20  # ids that are written down of an action on several jobs
AT_ONCE = 200  # jobs in one transaction, so that workers are not held up
LOOKS = 2_000  # jobs that one search looks at: what it finds is acted on before it can have become another thing
MOST_LOOKS = 20_000  # … where little is found


class BulkReport(Struct, frozen=True):
    """What came of a bulk: how many jobs matched, and how many times each answer of the verb was given ("ready", "cancelled",
    "asked", "deleted", "running" …, see `retry`, `cancel` and `delete`)."""

    matched: int
    answers: dict[str, int]


class Acting:
    """A part of `Insight`."""

    store: Store
    by: str | None
    via: str

    if TYPE_CHECKING:

        def _ask(self, verb: Callable[..., Plan[T]], *args: Any) -> T: ...
        def _aask(self, verb: Callable[..., Plan[T]], *args: Any) -> Awaitable[T]: ...
        def count(self, what: Any = "", most: int | None = None) -> Count: ...
        async def acount(self, what: Any = "", most: int | None = None) -> Count: ...

    # -- some jobs

    def cancel(self, ids: Sequence[str], reason: str = "") -> dict[str, str]:
        """Cancel jobs in whatever state. By id: "cancelled", "asked" (it runs and is told), "final" or "unknown"."""
        answers = _by_text(self._ask(self.store.plans.cancel, raw_ids(ids), reason))
        self._note("cancel", _targets(ids), _told(Counter(answers.values()), reason))
        return answers

    async def acancel(self, ids: Sequence[str], reason: str = "") -> dict[str, str]:
        """`cancel` for coroutines."""
        answers = _by_text(await self._aask(self.store.plans.cancel, raw_ids(ids), reason))
        await self._anote("cancel", _targets(ids), _told(Counter(answers.values()), reason))
        return answers

    def retry(self, ids: Sequence[str]) -> dict[str, str]:
        """Final jobs begin a new life, scheduled ones run now. By id: "ready", "unknown", or a state that forbids it."""
        answers = _by_text(self._ask(self.store.plans.retry, raw_ids(ids)))
        self._note("retry", _targets(ids), _told(Counter(answers.values())))
        return answers

    async def aretry(self, ids: Sequence[str]) -> dict[str, str]:
        """`retry` for coroutines."""
        answers = _by_text(await self._aask(self.store.plans.retry, raw_ids(ids)))
        await self._anote("retry", _targets(ids), _told(Counter(answers.values())))
        return answers

    def delete(self, ids: Sequence[str]) -> dict[str, str]:
        """Forget jobs that do not run. By id: "deleted", "running" or "unknown"."""
        answers = _by_text(self._ask(self.store.plans.delete, raw_ids(ids)))
        self._note("delete", _targets(ids), _told(Counter(answers.values())))
        return answers

    async def adelete(self, ids: Sequence[str]) -> dict[str, str]:
        """`delete` for coroutines."""
        answers = _by_text(await self._aask(self.store.plans.delete, raw_ids(ids)))
        await self._anote("delete", _targets(ids), _told(Counter(answers.values())))
        return answers

    # -- many jobs

    def bulk(
        self, what: Filter | str | Iterable[str], action: Action, *, progress: Progress | None = None, most: int | None = None,
        reason: str = "",
    ) -> BulkReport:
        """Retry, cancel or delete all jobs that match, or those with the given ids, the newest first, at most `most` of them.

        In transactions of at most 200 jobs, so that nobody else is held up. Each job is touched at most once, and none that is
        enqueued after the beginning. `progress` is called after each transaction with how many are done and how many there are
        (which is counted first); what it raises ends the bulk there, and what was done stays done. `reason` is kept with
        cancelled jobs. Raises ConfigurationError, UnknownJob.
        """
        bulk = _Bulk(self.store, what, action, most, reason)
        if progress is not None and bulk.expected is None:
            bulk.expected = self.count(bulk.what, None).n
        try:
            while step := bulk.step():
                verb, args = step
                bulk.take(self._ask(verb, *args))
                if progress is not None:
                    progress(bulk.answers.total(), bulk.total)
        finally:
            if bulk.answers:
                self._note(action, bulk.target, _told(bulk.answers, reason))
        return BulkReport(bulk.matched, dict(bulk.answers))

    async def abulk(
        self, what: Filter | str | Iterable[str], action: Action, *, progress: Progress | None = None, most: int | None = None,
        reason: str = "",
    ) -> BulkReport:
        """`bulk` for coroutines. It may be cancelled between transactions."""
        bulk = _Bulk(self.store, what, action, most, reason)
        if progress is not None and bulk.expected is None:
            bulk.expected = (await self.acount(bulk.what, None)).n
        try:
            while step := bulk.step():
                verb, args = step
                bulk.take(await self._aask(verb, *args))
                if progress is not None:
                    progress(bulk.answers.total(), bulk.total)
        finally:
            if bulk.answers:
                await self._anote(action, bulk.target, _told(bulk.answers, reason))
        return BulkReport(bulk.matched, dict(bulk.answers))

    # -- queues

    def pause(self, queue: str, by: str | None = None) -> None:
        """Nothing of `queue` is started until it is resumed; what runs goes on. `by`: who asked, for the others to see."""
        self._ask(self.store.plans.pause, queue, by or self.by)
        self._note("pause queue", queue)

    async def apause(self, queue: str, by: str | None = None) -> None:
        """`pause` for coroutines."""
        await self._aask(self.store.plans.pause, queue, by or self.by)
        await self._anote("pause queue", queue)

    def resume(self, queue: str, by: str | None = None) -> bool:
        """Whether the queue had been paused."""
        was = self._ask(self.store.plans.resume, queue, by or self.by)
        self._note("resume queue", queue, "" if was else "it was not paused")
        return was

    async def aresume(self, queue: str, by: str | None = None) -> bool:
        """`resume` for coroutines."""
        was = await self._aask(self.store.plans.resume, queue, by or self.by)
        await self._anote("resume queue", queue, "" if was else "it was not paused")
        return was

    # -- who did it

    def _note(self, action: str, target: str, detail: str = "") -> None:
        if self.by is not None:
            self._ask(self.store.plans.write_audit, AuditEntry(self.by, self.via, action, target, detail))

    async def _anote(self, action: str, target: str, detail: str = "") -> None:
        if self.by is not None:
            await self._aask(self.store.plans.write_audit, AuditEntry(self.by, self.via, action, target, detail))


class _Bulk:
    """How far a bulk has come: what to ask the store next, and what it answered."""

    def __init__(self, store: Store, what: Filter | str | Iterable[str], action: str, most: int | None, reason: str) -> None:
        if action not in ACTIONS:
            raise ConfigurationError(f"{action!r} cannot be done to many jobs; what can is {', '.join(ACTIONS)}.")
        self._plans = store.plans
        self._action = action
        self._most = most
        self._more = (reason,) if action == "cancel" else ()
        self._next: str | None = None
        self._looks = LOOKS
        self._acts = False  # the last step was one on jobs, not a search for some
        self.answers: Counter[str] = Counter()
        self.matched = 0
        self.what: Filter | None = None
        self.expected: int | None = None
        self._ready: list[bytes] = []  # found, and not acted on yet
        if isinstance(what, Filter | str):
            self.what = parse(what)
            self.target = to_text(self.what)
        else:
            given = list(dict.fromkeys(what))
            self.target = _targets(given)
            self._found(raw_ids(given))
            self.expected = self.matched
        self._over = self.what is None

    @property
    def total(self) -> int:
        """How many there are, as far as is known."""
        total = max(self.matched, self.expected or 0)
        return total if self._most is None else min(total, self._most)

    def step(self) -> tuple[Callable[..., Plan[Any]], tuple[Any, ...]] | None:
        """The next verb and its arguments; None: it is done."""
        self._acts = bool(self._ready)
        if self._acts:
            return getattr(self._plans, self._action), (self._ready[:AT_ONCE], *self._more)
        if self._over or self.matched == self._most:
            return None
        return self._plans.sift, (self.what, self._looks, self._next)

    def take(self, answer: dict[bytes, str] | Sifted) -> None:
        """What came of it."""
        if isinstance(answer, Sifted):
            self._next, self._over = answer.next, answer.next is None
            self._looks = LOOKS if len(answer.jobs) > AT_ONCE else min(self._looks * 2, MOST_LOOKS)
            self._found([id_ for id_, _ in answer.jobs])
        else:
            self._ready = self._ready[AT_ONCE:]
            self.answers.update(answer.values())

    def _found(self, jobs: list[bytes]) -> None:
        self._ready = jobs if self._most is None else jobs[: self._most - self.matched]
        self.matched += len(self._ready)


def _by_text(answers: dict[bytes, str]) -> dict[str, str]:
    return {ids.to_text(raw): answer for raw, answer in answers.items()}


def _targets(given: Sequence[str]) -> str:
    named = ", ".join(given[:NAMED])
    return named if len(given) == 1 else f"{counted(len(given), 'job')}: {named}{' …' if len(given) > NAMED else ''}"


def _told(answers: Counter[str], reason: str = "") -> str:
    """What came of it, for people: "3 ready, 1 unknown"."""
    told = ", ".join(f"{n:,} {answer}" for answer, n in answers.most_common())
    return f"{told} ({reason})" if reason else told
