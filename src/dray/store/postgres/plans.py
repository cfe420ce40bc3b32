"""All plans of a PostgreSQL store."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

from dray.model.clock import Clock
from dray.store.postgres.admin import AdminPlans
from dray.store.postgres.figures import FigurePlans
from dray.store.postgres.lanes import Key
from dray.store.postgres.locks import KINDS as KINDS
from dray.store.postgres.marks import Marks
from dray.store.postgres.quick import Quick
from dray.store.postgres.space import SpacePlans
from dray.store.sql.asks import AskPlans
from dray.store.sql.audit import AuditPlans
from dray.store.sql.sentences import Sentences


class PostgresPlans(AdminPlans, AskPlans, FigurePlans, AuditPlans, SpacePlans):
    """The verbs of the store. Calling one only makes a plan; a session runs it. `clock` is for tests; None is the server's."""

    def __init__(self, schema: str, clock: Clock | None = None) -> None:
        self.say = Sentences(Path(__file__).parent / "sql", lambda text: in_schema(text, schema))
        self.schema = schema
        self.clock = clock
        self.marks = Marks()
        self.known: dict[Key, int] = {}
        self.ways: dict[int, Key] = {}
        #: the first half of the advisory locks: two applications in two schemas must not wake each other
        self.area = zlib.crc32(schema.encode()) - (1 << 31)
        self.channels: Mapping[str, str] = {kind: channel(schema, kind) for kind in KINDS}
        self.quick_add = Quick(self.say.add_new, {"area": self.area, "channel": self.channels["work"]})


def channel(schema: str, kind: str) -> str:
    """Where it is notified; a name of at most 63 bytes."""
    name = f"dray_{schema}_{kind}"
    return name if len(name.encode()) < 63 else f"dray_{zlib.crc32(schema.encode()):08x}_{kind}"


def in_schema(text: str, schema: str) -> str:
    """A statement that is written for the schema `dray`, for another one."""
    return text.replace("dray.dray_", quoted(schema) + ".dray_")


def quoted(name: str) -> str:
    """An identifier as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
