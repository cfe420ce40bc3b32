"""One node does the maintenance for all: the one that holds the lead. The lead is only there to save work: every verb is safe to
be called by several at once."""

from __future__ import annotations

from dray.store.protocol import Store

ROLE = "maintenance"


class Leader:
    """Holds, or tries to hold, the lead."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self.leads = False

    def campaign(self) -> bool:
        """Take or renew the lead; whether we have it. Who cannot ask does not lead: the living may be as unable to renew their
        leases, and must not be taken for dead meanwhile."""
        self.leads = False
        self.leads = self._store.run(self._store.plans.elect, ROLE, self._name)
        return self.leads

    def resign(self) -> None:
        """Give it back, so that another need not wait for the term to end."""
        if self.leads:
            self._store.run(self._store.plans.resign, ROLE, self._name)
            self.leads = False
