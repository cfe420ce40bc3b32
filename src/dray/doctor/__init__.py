"""Looks for what is wrong with a store, its workers and its schedules; each finding comes with its fix."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dray.doctor.finding import NOTE, OK, WRONG, Finding
from dray.doctor.sqlite import examine_file
from dray.doctor.work import examine_work
from dray.insight import Insight
from dray.store.open import open_store

__all__ = ["NOTE", "OK", "WRONG", "Finding", "examine"]


def examine(
    path: Path, url: str, *, app_tasks: Collection[str] | None = None, deep: bool = False
) -> list[Finding]:
    """Examine the SQLite store at `path`, opened by `url`. `app_tasks`: the names that the app's code knows, if it was asked.
    `deep`: also read every page and count every job, which takes time on a large store. Raises StoreError if it cannot be read."""
    findings, readable = examine_file(path, url, deep=deep)
    if not readable:
        return findings
    store = open_store(url, migrate=False)
    try:
        return findings + examine_work(Insight(store), app_tasks=app_tasks, deep=deep)
    finally:
        store.close()
