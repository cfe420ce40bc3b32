"""All plans of a Redis store."""

from __future__ import annotations

from dray.model.clock import Clock
from dray.store.redis.admin import AdminPlans
from dray.store.redis.asks import AskPlans
from dray.store.redis.audit import AuditPlans
from dray.store.redis.figures import FigurePlans
from dray.store.redis.scripts import Scripts
from dray.store.redis.space import SpacePlans


class RedisPlans(AdminPlans, AskPlans, FigurePlans, AuditPlans, SpacePlans):
    """The verbs of the store. Calling one only makes a plan; a session runs it. `clock` is for tests; None is the server's."""

    def __init__(self, namespace: str, shards: int = 1, clock: Clock | None = None) -> None:
        self.say = Scripts()
        self.count = shards
        self.clock = clock
        self.bell = f"{namespace}:"
        self.claims = {}
        self.tasks = {}
        self.dues = {}
        self.checked = {}
