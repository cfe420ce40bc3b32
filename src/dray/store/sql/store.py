"""All plans of a SQL store, over the sentences of one dialect."""

from __future__ import annotations

from dray.store.sql.admin import AdminPlans
from dray.store.sql.asks import AskPlans
from dray.store.sql.audit import AuditPlans
from dray.store.sql.claim import ClaimPlans
from dray.store.sql.enqueue import EnqueuePlans
from dray.store.sql.figures import FigurePlans
from dray.store.sql.leases import LeasePlans
from dray.store.sql.maintenance import MaintenancePlans
from dray.store.sql.schedules import SchedulePlans
from dray.store.sql.sentences import Sentences


class SqlPlans(
    EnqueuePlans, ClaimPlans, LeasePlans, MaintenancePlans, SchedulePlans, AdminPlans, AskPlans, FigurePlans, AuditPlans
):
    """The verbs of the store. Calling one only makes a plan; a session runs it."""

    def __init__(self, say: Sentences) -> None:
        self.say = say
