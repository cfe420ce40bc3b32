"""What all requests of one dashboard share."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING

from dray.dashboard.limit import Limit
from dray.dashboard.live import Ticker
from dray.dashboard.operations import Operations
from dray.dashboard.redact import Redactor
from dray.dashboard.settings import Settings
from dray.insight import Insight

if TYPE_CHECKING:
    from dray.app import Dray
    from dray.store.protocol import Store


class House:
    """An app (or only a store), the settings, and what goes on in the background."""

    def __init__(self, source: Dray | Insight, settings: Settings) -> None:
        self._source = source
        self.settings = settings
        self.redactor = Redactor(settings.redact)
        self.bulk_limit = Limit(settings.bulk_per_minute, 5)
        self.sign_in_limit = Limit(10, 10)
        self.operations = Operations()

    @cached_property
    def ticker(self) -> Ticker:
        """Says when something has changed; begins when the first page listens."""
        return Ticker(self.store)

    @property
    def app(self) -> Dray | None:
        """The app whose code is known here; None if only the store is."""
        return None if isinstance(self._source, Insight) else self._source

    @property
    def store(self) -> Store:
        """The open store. Raises StoreError."""
        return self._source.store

    @property
    def known_tasks(self) -> Collection[str] | None:
        """The names of the tasks of the app's code; None if it is not known."""
        return None if self.app is None else self.app.tasks.keys()

    def insight(self, by: str | None = None, via: str = "dashboard") -> Insight:
        """Questions and verbs; with `by`, what is done is written to the audit."""
        return Insight(self.store, by, via)

    def close(self) -> None:
        """End what goes on in the background; the store stays open, it is the app's."""
        if "ticker" in self.__dict__:
            self.ticker.close()
        self.operations.close()
