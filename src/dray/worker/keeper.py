"""Keeps the leases of nodes: by the supervisor for its children, or by an embedded worker for itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from dray.errors import StoreError
from dray.model.duration import human
from dray.observe.log import get_logger
from dray.service import Service
from dray.store.protocol import Store
from dray.store.values import CancelOrder

log = get_logger("keeper")

RENEW = 5.0  # seconds; a lease is good for 15
AGAIN = 0.5  # seconds, after a failure


class Keeper:
    """Renews every 5 seconds. `nodes` tells which nodes live, with the seconds since each last looked for jobs with success;
    `order` takes the orders that come back, `expelled` the nodes that the store has given up; `renewed` is called after each
    success."""

    def __init__(
        self, store: Store, nodes: Callable[[], Mapping[int, float]], order: Callable[[int, CancelOrder], None],
        expelled: Callable[[int], None], renewed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._nodes = nodes
        self._order = order
        self._expelled = expelled
        self._renewed = renewed
        self.last = time.monotonic()  # when the store was last reached
        self.since: float | None = self.last  # … and since when without a failure; None: the last try failed
        self.service = Service("keeper", RENEW, self.renew)

    def renew(self) -> float | None:
        """Renew once, now; the answer is the pause until the next time, if it is not the usual one."""
        nodes = self._nodes()
        if not nodes:
            return None
        try:
            answer = self._store.run(self._store.plans.extend, nodes)
        except StoreError as error:  # once the store can be written again, we must be there before those who look for the dead
            self.since = None
            log.warning("the lease could not be renewed, trying again in %s: %s", human(AGAIN), error)
            return AGAIN
        self.last = time.monotonic()
        self.since = self.last if self.since is None else self.since
        self._renewed()
        for node in answer.expelled:
            log.warning("the lease of worker %d had run out before it was renewed", node)
            self._expelled(node)
        for node, orders in answer.cancels.items():
            for order in orders:
                self._order(node, order)
        return None
