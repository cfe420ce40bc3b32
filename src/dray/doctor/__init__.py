"""Looks for what is wrong with a store, its workers and its schedules; each finding comes with its fix."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, closing
from pathlib import Path

from dray.doctor.finding import NOTE, OK, WRONG, Finding, wrong
from dray.doctor.work import examine_work
from dray.errors import StoreError
from dray.insight import Insight
from dray.store.open import REDIS, need_postgres, need_redis, open_store, scheme_of
from dray.store.protocol import Store

__all__ = ["NOTE", "OK", "WRONG", "Finding", "examine"]


def examine(
    path: Path | None, url: str, *, app_tasks: Collection[str] | None = None, deep: bool = False
) -> list[Finding]:
    """Examine the store that `url` opens; `path` is its file, None if it is on a server. `app_tasks`: the names that the app's code
    knows, if it was asked. `deep`: also read every page of a file and look at every job, which takes time on a large store.

    Raises ConfigurationError for a URL that is none, or whose driver is not installed."""
    findings, readable = _examine_store(path, url, deep=deep)
    if not readable:
        return findings
    try:
        with _opened(url) as store:
            return findings + examine_work(Insight(store), app_tasks=app_tasks, deep=deep)
    except StoreError as error:
        fix = "Correct what is wrong above, and look again."
        return [*findings, wrong("work", f"The jobs and workers could not be looked at: {error}", fix)]


def _examine_store(path: Path | None, url: str, *, deep: bool) -> tuple[list[Finding], bool]:
    if path is not None:
        from dray.doctor.sqlite import examine_file

        return examine_file(path, url, deep=deep)
    if scheme_of(url) in REDIS:
        need_redis(url)
        from dray.doctor import redis

        return redis.examine_server(url, deep=deep)
    need_postgres(url)
    from dray.doctor import postgres

    return postgres.examine_server(url)


def _opened(url: str) -> AbstractContextManager[Store]:
    if scheme_of(url) in REDIS:
        from dray.doctor.redis.places import opened
        from dray.store.redis.place import place_of

        return opened(place_of(url))
    return closing(open_store(url, migrate=False))
