"""Tasks with `transactional=True`: what a store without transactions says to them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager

from dray.errors import NotSupported
from dray.model.job import Claimed
from dray.store.protocol import Held
from dray.wording import without_transactions


class NoTransactions:
    """There are none."""

    def __init__(self, where: str) -> None:
        self._where = where

    def kinds(self, is_async: bool) -> tuple[str, ...]:
        """The connections that a task may be given: none."""
        return ()

    def held(self, task: str, job: Claimed, driver: str) -> AbstractContextManager[Held]:
        """Raises NotSupported."""
        raise self._refusal(task)

    def aheld(self, task: str, job: Claimed, driver: str) -> AbstractAsyncContextManager[Held]:
        """Raises NotSupported."""
        raise self._refusal(task)

    async def aclose(self) -> None:
        """Nothing to close."""

    def _refusal(self, task: str) -> NotSupported:
        return NotSupported(without_transactions(task, self._where))
