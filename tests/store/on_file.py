"""What the tests of stores on files share."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from dray.store.plan import Plan, Query
from dray.store.sqlite.store import SqliteStore
from dray.testing.suite.scene import new_jobs

Child = Callable[..., "subprocess.Popen[str]"]

PRELUDE = """
import os, sys, time
from pathlib import Path
from dray.errors import *
from dray.store.open import open_store
from dray.testing.suite.scene import new_jobs
url, arguments = sys.argv[1], sys.argv[2:]
"""


def said(process: subprocess.Popen[str]) -> str:
    """What a child printed, once it has ended well."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def add_one(store: SqliteStore) -> bytes:
    """Enqueue one job; its id."""
    (job,) = new_jobs(1)
    store.run(store.plans.add, [job])
    return job.id


def ready(store: SqliteStore) -> int:
    """How many jobs are ready; the counters must agree with a recount."""
    counts = store.run(store.plans.counts)
    assert counts == store.run(store.plans.recount)
    return counts.get("default", {}).get("ready", 0)


def add_then(error: BaseException) -> Callable[[], Plan[None]]:
    """A verb that writes something and then fails."""

    def verb() -> Plan[None]:
        yield Query("insert into dray_meta (key, value) values ('half', 'written')")
        raise error

    return verb


def half_written(store: SqliteStore) -> bool:
    return bool(store.session.writer.execute("select 1 from dray_meta where key = 'half'").fetchall())


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it did not happen within 10 s"
        time.sleep(0.001)
