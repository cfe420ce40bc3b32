"""Looks for what is wrong with a store, its workers and its schedules; each finding comes with its fix."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dray.doctor.finding import NOTE, OK, WRONG, Finding, wrong
from dray.doctor.work import examine_work
from dray.errors import StoreError
from dray.insight import Insight
from dray.store.open import open_store

__all__ = ["NOTE", "OK", "WRONG", "Finding", "examine"]


def examine(
    path: Path | None, url: str, *, app_tasks: Collection[str] | None = None, deep: bool = False
) -> list[Finding]:
    """Examine the store that `url` opens; `path` is its file, None if it is on a server. `app_tasks`: the names that the app's code
    knows, if it was asked. `deep`: also read every page of a file and count every job, which takes time on a large store."""
    if path is not None:
        from dray.doctor.sqlite import examine_file

        findings, readable = examine_file(path, url, deep=deep)
    else:
        from dray.doctor.postgres import examine_server

        findings, readable = examine_server(url)
    if not readable:
        return findings
    try:
        store = open_store(url, migrate=False)
        try:
            return findings + examine_work(Insight(store), app_tasks=app_tasks, deep=deep)
        finally:
            store.close()
    except StoreError as error:
        fix = "Correct what is wrong above, and look again."
        return [*findings, wrong("work", f"The jobs and workers could not be looked at: {error}", fix)]
