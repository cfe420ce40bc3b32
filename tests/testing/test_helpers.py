"""The helpers for users' tests."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from dray import Dray
from dray.errors import UnknownTask
from dray.model.clock import ManualClock
from dray.store.open import open_store
from dray.testing import assert_enqueued, enqueued
from dray.testing.suite.scene import new_jobs

ID = UUID("018f0000-0000-7000-8000-000000000001")


@pytest.fixture(params=["sqlite", "redis"])
def app(request: pytest.FixtureRequest) -> Iterator[Dray]:
    with contextlib.ExitStack() as stack:
        url = "sqlite://"
        if request.param == "redis":
            url = f"{stack.enter_context(request.getfixturevalue('valkey').fresh())}&risk=persistence"
        app = stack.enter_context(contextlib.closing(Dray(url)))

        @app.task
        def mail(to: str, copies: int = 1) -> None: ...

        @app.task
        def bill(who: UUID, when: datetime) -> None: ...

        yield app


def test_nothing(app: Dray) -> None:
    assert enqueued(app) == []
    with pytest.raises(AssertionError, match=r"No job of .*mail with {'to': 'ann'} has been enqueued; nothing has been enqueued\."):
        assert_enqueued(app, "mail", to="ann")


def test_what_has_been_enqueued(app: Dray) -> None:
    mail, bill = app.task_named("mail"), app.task_named("bill")
    for n in range(3):
        mail.enqueue(f"ann{n}", copies=n)
    bill.using(delay="1h").enqueue(ID, datetime(2030, 1, 1, tzinfo=UTC))
    assert [job.args["to"] for job in enqueued(app, mail)] == ["ann0", "ann1", "ann2"]
    assert len(enqueued(app, "bill")) == 1
    assert len(enqueued(app)) == 4
    assert assert_enqueued(app, mail).args["to"] == "ann2"
    assert assert_enqueued(app, "mail", to="ann1").args == {"to": "ann1", "copies": 1}
    assert_enqueued(app, mail, to="ann1", copies=1)
    assert_enqueued(app, bill, who=ID, when=datetime(2030, 1, 1, tzinfo=UTC))
    with pytest.raises(AssertionError, match=r"those of .*mail have .*ann2.*ann0"):
        assert_enqueued(app, mail, to="bob")
    with pytest.raises(AssertionError, match="'copies': 9"):
        assert_enqueued(app, mail, to="ann1", copies=9)
    with pytest.raises(AssertionError):
        assert_enqueued(app, mail, nothing=None)
    with pytest.raises(UnknownTask):
        assert_enqueued(app, "nothing")


def test_more_than_a_page(app: Dray) -> None:
    mail = app.task_named("mail")
    app.enqueue_many(mail.call(str(n)) for n in range(1201))
    assert [job.args["to"] for job in enqueued(app)] == [str(n) for n in range(1201)]
    assert_enqueued(app, mail, to="0")


def test_the_clock_fixture(dray_clock: ManualClock) -> None:
    store = open_store("sqlite://", clock=dray_clock)
    store.run(store.plans.add, new_jobs(1, delay=3600.0))
    assert store.run(store.plans.promote) == 0
    dray_clock.advance(3600)
    assert store.run(store.plans.promote) == 1
    store.close()


def test_the_plugin_loads_nothing_heavy() -> None:
    code = """
import pytest, sys
before = set(sys.modules)
import dray.testing.plugin
new = {name for name in set(sys.modules) - before}
heavy = {"msgspec", "sqlite3", "asyncio.events", "hypothesis", "dray.app", "dray.store.sqlite.store", "dray.testing.suite"}
print(sorted(heavy & new))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_a_store_that_breaks_a_rule_is_told_so(tmp_path: Path) -> None:
    """The suite as a user imports it; over a store that forgets to count a job."""
    (tmp_path / "test_mine.py").write_text("""
import pytest
from dray.store.sqlite.store import SqliteStore
from dray.testing.store_suite import *

@pytest.fixture(params=[True, False])
def make_store(request):
    def make(clock):
        store = SqliteStore(None, clock=clock)
        if not request.param:
            store.plans.say.tally, good = "insert into dray_tally select ?, ?, ? where 0", store.plans.say.tally
            request.addfinalizer(lambda: setattr(store.plans.say, "tally", good))
        return store
    return make
""")
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), "-k", "TestEnqueue and ready_and_keeps"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert "4 passed" in found.stdout, found.stdout
    assert "2 errors" in found.stdout, found.stdout
