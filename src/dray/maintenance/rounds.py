"""The maintenance rounds: promote, rescue, expire, prune, fire schedules. One function each over one store verb."""

from __future__ import annotations

import time
from collections.abc import Callable

from dray.errors import StoreError
from dray.events import Event, Rescued
from dray.maintenance.figures import FigureKeeper
from dray.maintenance.leader import Leader
from dray.model.ids import to_text
from dray.observe.log import get_logger
from dray.service import Service
from dray.store.protocol import Store
from dray.store.values import Chores

log = get_logger("maintenance")

CAMPAIGN = 5.0  # seconds between elections; a term is 15
OUTAGE = 10.0  # seconds without getting through to the store, after which the leases of the living may have run out too
CALM = 7.0  # seconds after an outage in which nobody is taken for dead: they renew every 5
SEARCH = 60.0  # seconds between searches for running jobs of nodes that nobody knows, which may walk over all unfinished jobs
EXPIRE_AT_ONCE = 1000
PRUNE_PAUSE = 0.05  # seconds between batches of pruning, so that others get at the store in between


class Maintenance:
    """Goes its rounds while it leads."""

    def __init__(self, store: Store, name: str, listeners: tuple[Callable[[Event], None], ...] = ()) -> None:
        self._store = store
        self._leader = Leader(store, name)
        self._listeners = listeners
        self._campaign_at = 0.0
        self._prune_at = 0.0
        # When (monotonic) the store was last written, and read. From the beginning on: who starts during an outage knows of it too.
        self._reached = {"written": time.monotonic()}
        self._rescue_at = 0.0
        self._search_at = 0.0
        self._figures = FigureKeeper(store)
        self.service = Service("maintenance", store.round, self.round)

    @property
    def leads(self) -> bool:
        """Whether it is this node that does it."""
        return self._leader.leads

    def start(self) -> None:
        """Begin."""
        self.service.start()

    def stop(self) -> None:
        """End, and give the lead back."""
        self.service.stop()
        try:
            self._leader.resign()
        except Exception as error:
            log.debug("could not resign: %s", error)

    def round(self) -> float | None:
        """One round; the answer is the pause until the next, if it is not the usual one."""
        now = time.monotonic()
        if now >= self._campaign_at:
            self._campaign_at = now + CAMPAIGN
            self._leader.campaign()
            self._got_through("written")
        if not self._leader.leads:
            self._reached.pop("read", None)
            return None
        chores = self._store.run(self._store.plans.chores)
        now = self._got_through("read")
        if now >= self._rescue_at and (chores.dead or now >= self._search_at):
            self._search_at = now + SEARCH
            self.rescue()
        ticked = chores.next_tick is not None and chores.next_tick <= 0
        if chores.blocked or ticked:
            self.fire()
        if chores.expired:
            self.expire()
        if chores.untidy:
            self._store.run(self._store.plans.tidy)
        self.figures()
        if chores.prunable and now >= self._prune_at:
            more = self.prune()
            self._prune_at = now + (PRUNE_PAUSE if more else 10.0)
            if more:
                return PRUNE_PAUSE
        return 0.001 if ticked else self.pause(chores)  # to learn when the next one is

    def _got_through(self, done: str) -> float:
        """The store has been written, or read; the time (monotonic)."""
        now = time.monotonic()
        if now - self._reached.get(done, now) > OUTAGE:
            log.warning("the store could not be %s for a while; waiting for the living before anyone is taken for dead", done)
            self._rescue_at = now + CALM
        self._reached[done] = now
        return now

    def rescue(self) -> None:
        """Give back the jobs of nodes whose lease has run out."""
        for move in self._store.run(self._store.plans.rescue):
            log.warning("job %s was lost with its worker (%s) and is %s", to_text(move.id), cause(move.error), move.state)
            for listener in self._listeners:
                listener(Rescued(move))

    def fire(self) -> None:
        """Enqueue what schedules are due for."""
        for name, _tick in self._store.run(self._store.plans.tick):
            log.info("schedule %s fired", name)

    def expire(self) -> None:
        """Cancel waiting jobs whose time to start is over."""
        while self._store.run(self._store.plans.expire) >= EXPIRE_AT_ONCE:
            pass

    def figures(self) -> None:
        """Once a minute: see to the figures. Those are for people, and keep nothing else from being done."""
        try:
            self._figures.round()
        except StoreError as error:
            log.warning("the figures could not be kept: %s", error)
        except Exception:
            log.exception("the figures could not be kept")

    def prune(self) -> bool:
        """Delete a batch of finished jobs whose time to be kept is over; whether there may be more."""
        return self._store.run(self._store.plans.prune) > 0

    def pause(self, chores: Chores) -> float | None:
        """Until the next schedule is due, if that is sooner than the next round."""
        if chores.next_tick is None or chores.next_tick <= 0:
            return None
        due = chores.next_tick
        return None if due >= self._store.round else max(0.001, due)


def cause(error: object) -> str:
    """The reason of a loss, from its record."""
    return str(getattr(error, "cause", None) or "unknown")
