"""The pages, a module each. `MODULES` names them; each has `DOORS`, see `dray.dashboard.render` for how to write one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dray.dashboard.page import Door

MODULES = ("overview", "jobs", "bulk", "job", "queues", "tasks", "schedules", "errors", "workers", "system", "audit", "signin")


def doors() -> list[Door]:
    """All of them; what comes first answers first."""
    return [door for name in MODULES for door in import_module(f"{__name__}.{name}").DOORS]
