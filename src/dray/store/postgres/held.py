"""What the transactions that tasks share with the store have in common, whichever the driver."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dray.errors import ConfigurationError, StaleClaim, StoreError, StoreUnavailable
from dray.store.plan import Plan, Query, Row, repeatable
from dray.store.postgres.shelf import Kept
from dray.store.sql.rows import SUCCEEDED

if TYPE_CHECKING:
    from dray.model.job import Claimed
    from dray.store.postgres.store import PostgresStore

#: Sent before the success is recorded: for the rest of the transaction the planner is set as on the store's own connections. The
#: answer tells which transaction this is.
TOWARDS_THE_END = (
    "set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_sort = off; set local jit = off; "
    "select (extract(epoch from now()) * 1000000)::bigint"
)
#: What one function has set must not be there for the next: like `discard all`, with the prepared statements kept.
CLEAN = (
    "close all; set session authorization default; reset all; unlisten *; select pg_advisory_unlock_all(); discard temp; "
    "discard sequences"
)
ASKING = 60.0  # seconds to find out what became of a commit
PAUSE = 0.5  # seconds between attempts


class Common:
    """What transactions of both colours know and say."""

    def __init__(self, store: PostgresStore, kept: Kept, task: str, job: Claimed) -> None:
        self.store = store
        self.kept = kept
        self.task = task
        self.job = job
        self.mark = 0  # which transaction it is
        self.sound = False  # the connection may be used again
        self.pooled = store.session.lines.pooled
        self.first = Query(store.plans.say.joined, {"seq": job.seq, "claim": job.claim})  # what is asked first

    @property
    def connection(self) -> Any:
        """The driver's."""
        return self.kept.connection

    @property
    def keep(self) -> dict[str, Any]:
        """What is kept as long as the connection."""
        return self.kept.keep

    def begun(self, row: Row) -> None:
        """What was answered. Raises StaleClaim."""
        self.mark = row[0]
        if not row[1]:
            raise StaleClaim(f"This run of {self.task} had lost its claim on the job before it began; nothing was done.")

    def same(self, mark: int) -> None:
        """Raises ConfigurationError if the function has ended its transaction."""
        if mark != self.mark:
            raise self.ended()

    def restore(self) -> None:
        """Undo what the function has made of a psycopg connection itself."""
        for name, value in self.kept.made.items():
            setattr(self.connection, name, value)

    def ended(self) -> ConfigurationError:
        """The error for a function that has ended its transaction."""
        return ConfigurationError(
            f"The transactional task {self.task} committed, rolled back or closed its connection itself; leave that to the worker."
        )

    def spoilt(self) -> StoreError:
        """The error for a function that returned although its transaction cannot be committed."""
        return StoreError(
            f"The transactional task {self.task} returned although an error had aborted its transaction, and everything was rolled "
            "back; let the error out, or keep the statement that may fail in a savepoint (`with connection.transaction()`)."
        )

    def lost(self, error: BaseException) -> StoreUnavailable:
        """The error for a commit that was not carried out."""
        said = " ".join(str(error).split()).rstrip(".")
        return StoreUnavailable(
            f"The connection to {self.store.where} was lost before {self.task} was committed ({said}); everything was rolled back."
        )


@repeatable
def fate(store: PostgresStore, job: Claimed) -> Plan[bool]:
    """Whether a run's success is in the store; waits for the end of a transaction that is about to write it."""
    for sentence in (store.plans.say.hold_job, store.plans.say.hold_done):
        rows: list[Row] = yield Query(sentence, {"id": job.id})
        if rows:
            return bool(rows[0][1] == SUCCEEDED and rows[0][3] == job.claim)
    return False


def committed(store: PostgresStore, job: Claimed) -> bool:
    """The same, asked until there is an answer. Raises StoreError after a minute without one."""
    until = time.monotonic() + ASKING
    while True:
        try:
            return store.run(fate, store, job)
        except StoreError:
            if time.monotonic() > until:
                raise
            time.sleep(PAUSE)
