"""Figures in the long run: how deep the queues are each minute, and what workers wrote added up, to minutes, to tens of minutes,
to hours; in the end forgotten. Done by the node that leads; done twice it does no harm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import groupby, pairwise

import msgspec

from dray.model.figures import KINDS, MINUTE, SPANS, TOTAL, Data, Depth, merged, together
from dray.model.job import State
from dray.store.plan import Now, Plan, reads
from dray.store.protocol import Store, Verbs
from dray.store.values import Figure

SECOND = 1_000_000
LATE = 2 * MINUTE  # seconds for which a worker may be late with what it measured before it is added up
AUDIT_KEEP = 10_000  # entries
AUDIT_AGE = 90 * 86_400.0  # seconds
AGAIN = 10.0  # seconds
AT_ONCE = 2_000  # rows
QUEUES = 500  # whose depth is kept each minute, the deepest first
TIDY_EVERY = 600  # seconds between looks at what is too old


class FigureKeeper:
    """Called at each round of maintenance."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._minute = 0
        self._tidied = 0
        self._next = 0.0  # when (monotonic) the next minute begins

    def round(self) -> None:
        """What is due. Raises StoreError."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + AGAIN  # if it fails
        now = self._store.run(store_time)
        minute, into = divmod(now, MINUTE * SECOND)
        if minute == self._minute:
            return
        verbs = self._store.plans
        self._store.run(measure, verbs)
        self._each(add_up, 0, MINUTE, now - LATE * SECOND)
        self._minute = minute
        self._next = time.monotonic() + MINUTE - into / SECOND
        if minute - self._tidied < TIDY_EVERY // MINUTE:
            return
        self._tidied = minute
        spans = sorted(SPANS)
        for span, longer in pairwise(spans):
            edge = (now - SPANS[span] * SECOND) // (longer * SECOND) * (longer * SECOND)
            self._each(add_up, span, longer, edge)
        self._each(forget, spans[-1], now - SPANS[spans[-1]] * SECOND)
        while self._store.run(verbs.prune_audit, AUDIT_KEEP, AUDIT_AGE) >= 1000:
            pass

    def _each(self, verb: Callable[..., Plan[int]], *args: int) -> None:
        while self._store.run(verb, self._store.plans, *args) >= AT_ONCE:
            pass


@reads
def store_time() -> Plan[int]:
    """The store's own time, in microseconds since 1970."""
    return (yield Now())  # type: ignore[no-any-return]


def measure(verbs: Verbs) -> Plan[None]:
    """Write how deep each queue is, and all together."""
    now: int = yield Now()
    at = now // (MINUTE * SECOND) * (MINUTE * SECOND)
    depths: dict[str, Depth] = {}
    for queue in (yield from verbs.queues()):
        n = {State(state): count for state, count in queue.counts.items()}
        depths[queue.name] = Depth(
            n.get(State.READY, 0), n.get(State.RUNNING, 0), n.get(State.SCHEDULED, 0),
            n.get(State.BLOCKED, 0) + n.get(State.SLEEPING, 0), n.get(State.FAILED, 0),
            0.0 if queue.oldest_ready is None else max(0.0, (now - queue.oldest_ready) / SECOND),
        )  # fmt: skip
    deepest = sorted(depths, key=lambda name: -(depths[name].ready + depths[name].running + depths[name].scheduled))[:QUEUES]
    rows = [_row("depth", at, MINUTE, name, depths[name]) for name in deepest]
    rows.append(_row("depth", at, MINUTE, TOTAL, together(depths.values())))
    yield from verbs.put_figures(rows)


def add_up(verbs: Verbs, span: int, longer: int, before: int) -> Plan[int]:
    """Add up figures of one span to those of a longer one, as far as they began before a time; how many there were."""
    old = yield from verbs.old_figures(span, before, AT_ONCE)
    if not old:
        return 0
    size = longer * SECOND
    rows: list[Figure] = []
    key = _Key(size)
    for (kind, at), group in groupby(sorted(old, key=key), key=key):
        known = KINDS.get(kind)
        if known is None:
            continue  # of a newer version, which will see to it
        kept = {figure.name: figure for figure in (yield from verbs.figures(kind, longer, at, at + 1))}
        found: dict[str, list[Figure]] = {}
        for figure in group:
            found.setdefault(figure.name, []).append(figure)
            if kind == "work" and span == 0:
                found.setdefault(TOTAL, []).append(figure)
        for name, figures in found.items():
            before_them = [kept[name]] if name in kept else []
            rows.append(_row(kind, at, longer, name, _sum(known, [*before_them, *figures])))
    yield from verbs.put_figures(rows, old)
    return len(old)


def forget(verbs: Verbs, span: int, before: int) -> Plan[int]:
    """Forget figures that began before a time; how many there were."""
    old = yield from verbs.old_figures(span, before, AT_ONCE)
    if old:
        yield from verbs.put_figures((), old)
    return len(old)


class _Key:
    """Kind of a figure, and when the longer span began that it is in."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, figure: Figure) -> tuple[str, int]:
        return figure.kind, figure.at // self._size * self._size


def _sum(kind: type[Data], figures: Iterable[Figure]) -> Data:
    found = []
    for figure in sorted(figures, key=lambda one: one.at):
        try:
            found.append(msgspec.msgpack.decode(figure.data, type=kind))
        except msgspec.DecodeError:  # one that cannot be read must not keep the others from being added up
            continue
    return merged(found, kind)  # type: ignore[type-var]


def _row(kind: str, at: int, span: int, name: str, data: Data) -> Figure:
    return Figure(kind, at, span, name, msgspec.msgpack.encode(data))
