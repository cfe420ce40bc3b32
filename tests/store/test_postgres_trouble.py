"""What a user may get wrong about a PostgreSQL store: one clear sentence each, without a password in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from on_postgres import with_schema

from dray.errors import ConfigurationError, DrayError, SchemaMismatch, StoreUnavailable
from dray.model.job import Executor, State
from dray.model.lifecycle import Move
from dray.store.open import open_store, redacted
from dray.store.postgres import dial, schema
from dray.store.postgres.place import place_of
from dray.store.postgres.text import storable
from dray.store.values import NodeEntry, Want
from dray.testing.suite.scene import new_jobs

if TYPE_CHECKING:
    from servers.postgres import Cluster

SECRET = "pa/ss#w@rd"
ACCESS = """
local all all trust
host all dray 127.0.0.1/32 trust
host all outcast 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""
GRANTS = """
grant usage on schema dray to app;
grant select, insert, update, delete on all tables in schema dray to app;
grant usage on all sequences in schema dray to app;
"""


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    """A server that asks for passwords."""
    from servers import Unavailable
    from servers.binaries import default_version
    from servers.postgres import Cluster

    try:
        cluster = Cluster(default_version(), durable=False)
    except Unavailable as lack:
        pytest.skip(str(lack))
    (cluster.folder / "data" / "pg_hba.conf").write_text(ACCESS)
    cluster.execute("select pg_reload_conf()")
    cluster.execute("select pg_sleep(0.1)")
    for role in ("app", "outcast"):
        cluster.execute(f"create role {role} login password '{SECRET}'")  # type: ignore[arg-type]
    yield cluster
    cluster.close()


@pytest.fixture
def made(guarded: Cluster) -> Iterator[str]:
    """The URL of a store there, as its owner."""
    with guarded.fresh(with_schema(guarded)) as url:
        yield url


def as_app(url: str, password: str = "pa%2Fss%23w%40rd", user: str = "app") -> str:
    return url.replace("//dray@", f"//{user}:{password}@")


def refusal(url: str, kind: type[DrayError] = StoreUnavailable, **how: Any) -> str:
    with pytest.raises(kind) as caught:
        open_store(url, **how)
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(".") or said.endswith("?") or "…" in said
    for secret in ("secret", "pa/ss", "w@rd", "pa%2Fss", "pass/w", "pass#w", "pass?w"):
        assert secret not in said
    return said


# -- URLs


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:secret@h:port/x", "'h:port' is not a host with a port from 1 to 65535"),
        ("postgresql://h:99999/x", "is not a host with a port from 1 to 65535"),
        ("postgresql://u@[::1/x", "an IPv6 address in square brackets"),
        ("postgresql://u:pass/word@h/x", "There is a / in the user or password of 'postgresql://u:***@h/x'; write it as %2F"),
        ("postgresql://u:pass#word@h/x", "There is a # in the user or password of 'postgresql://u:***@h/x'; write it as %23"),
        ("postgresql://u:pass?word@h/x", "There is a ? in the user or password of 'postgresql://u:***@h/x'; write it as %3F"),
        ("postgresql://u:secret@more@h/x", "several @ in 'postgresql://u:***@h/x'; in a user or password write it as %40"),
        ("postgresql://u:100%secret@h/x", "write the sign itself as %25"),
        ("postgresql://h/x#y", "write it as %23"),
        ("postgresql:h/x", "lacks the slashes of a URL; write postgresql://user@host:5432/database"),
        ("postgresql+asyncpg://u:secret@h/x", "names a driver; a store has its own: write postgresql://"),
        ("postgresql://h/x?sslmod=require", "no option of a PostgreSQL store; did you mean sslmode?"),
        ("postgresql://h/x?colour=red", "it has schema, pooler, timeout, and the parameters of libpq."),
        ("postgresql://h/x?schema=", "is not the name of a schema"),
        ("postgresql://h/x?pooler=maybe", "is not one of auto, none, session, transaction"),
        ("postgresql://h/x?timeout=soon", "is not a number of seconds from 1 to 3600"),
        ("postgresql://127.0.0.1:1/x?sslmode=perhaps", 'invalid sslmode value: "perhaps"; correct it'),
        ("postgresql://127.0.0.1:1/x?connect_timeout=long", "bad value for connect_timeout"),
        ("postgresql://127.0.0.1/x?port=long", 'invalid integer value "long" for connection option "port"'),
    ],
)
def test_a_url_with_a_slip(url: str, said: str) -> None:
    assert said in refusal(url, ConfigurationError)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h:5432/x?user=a@b", "postgresql:///x?host=/run/pg", "postgresql://u:p@[::1]:5/x", "postgresql://a:1,b:2/x",
        "postgresql://u:a%40b@h/x", "postgres://h/x",
    ],
)  # fmt: skip
def test_a_url_that_is_right(url: str) -> None:
    assert place_of(url).url == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h/x", "postgresql://u:***@h/x"),
        ("postgresql://u@h/x?password=secret&sslmode=off", "postgresql://u@h/x?password=***&sslmode=off"),
        ("postgresql://u:sec/ret@h/x", "postgresql://u:***@h/x"),
        ("postgresql://h:5/x", "postgresql://h:5/x"),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_passwords_are_hidden(url: str, shown: str) -> None:
    assert redacted(url) == shown


# -- servers


def test_no_server() -> None:
    assert refusal("postgresql://u:secret@127.0.0.1:1/x") == (
        "The store postgresql://127.0.0.1:1/x cannot be reached: Connection refused; start the server, or correct host and port in "
        "the URL."
    )
    assert "check the name of the host in the URL" in refusal("postgresql://no.such.host.invalid/x")


def test_the_login(made: str) -> None:
    where = place_of(made).where
    assert refusal(as_app(made, "secret")) == (
        f'The server of {where} refused the login: password authentication failed for user "app"; check user and password in '
        "the URL."
    )
    assert "no password supplied" in refusal(made.replace("//dray@", "//app@"))
    assert "refused the login" in refusal(as_app(made, user="nobody"))
    assert "pg_hba.conf" in refusal(as_app(made, user="outcast"))
    assert "correct sslmode in the URL" in refusal(f"{made}?sslmode=require")


def test_a_database_that_is_missing(made: str) -> None:
    assert "does not exist (database \"nowhere\" does not exist); create it with `createdb`" in refusal(
        made.rpartition("/")[0] + "/nowhere"
    )


def test_a_server_that_is_too_old(made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "OLDEST", 990_000)
    assert "Dray needs 99 or later" in refusal(made)


def test_no_connection_left(made: str, guarded: Cluster) -> None:
    guarded.execute("alter role app connection limit 0")
    try:
        assert "has no connection left (too many connections for role \"app\")" in refusal(as_app(made))
    finally:
        guarded.execute("alter role app connection limit -1")


# -- rights


def test_a_user_who_may_not_make_it(guarded: Cluster) -> None:
    with guarded.fresh() as url:
        said = refusal(as_app(url))
        assert "lacks a right: permission denied for database" in said
        assert "`dray migrate --sql`" in said
        assert "has no Dray schema; run `dray migrate` on it" in refusal(as_app(url), SchemaMismatch, migrate=False)


def test_a_user_who_may_not_use_it(made: str) -> None:
    with psycopg.connect(made, autocommit=True) as owner:
        assert "permission denied for schema dray" in refusal(as_app(made))
        owner.execute("grant usage on schema dray to app")
        assert "permission denied for table dray_meta" in refusal(as_app(made))
        owner.execute("grant select on dray.dray_meta to app")
        with closing(open_store(as_app(made))) as store, pytest.raises(StoreUnavailable, match="lacks a right: permission denied"):
            store.run(store.plans.add, new_jobs(1))


def test_the_grants_at_the_end_of_the_script_are_enough(made: str) -> None:
    script = schema.script(0, place_of(made)).replace("-- grant", "grant").replace("to ROLE", "to app").replace('"dray"', "dray")
    grants = script[script.index("grant usage") :]
    assert grants.split() == GRANTS.split()
    with psycopg.connect(made, autocommit=True) as owner:
        owner.execute(grants)
    with closing(open_store(as_app(made))) as store:
        store.run(store.plans.add, new_jobs(300))
        node = store.run(store.plans.enter, NodeEntry("w", "here", 1, {}))
        jobs = store.run(store.plans.claim, Want({Executor.THREAD: 9}, None, frozenset({"t"})), node).jobs
        store.run(store.plans.claim, Want(dict.fromkeys(Executor, 9), None, frozenset({"t"})), node)
        store.run(store.plans.settle, [Move(job.seq, job.claim, job.queue, State.SUCCEEDED, "returned") for job in jobs])
        for verb in (store.plans.tidy, store.plans.prune, store.plans.promote, store.plans.rescue, store.plans.queues):
            store.run(verb)


# -- text


def test_what_cannot_be_kept_is_written_out() -> None:
    assert storable(None) is None
    assert storable("plain and ü") == "plain and ü"
    assert storable("a\0b\ud800ü") == "a\\x00b\\ud800ü"


def test_what_jobs_say_is_kept_whatever_it_is(made: str) -> None:
    bad, good = "a\0b\ud800", "a\\x00b\\ud800"
    with closing(open_store(made)) as store:
        first, second, third = new_jobs(3)
        store.run(store.plans.add, [first, second, third])
        node = store.run(store.plans.enter, NodeEntry("w", "here", 1, {}))
        jobs = store.run(store.plans.claim, Want(dict.fromkeys(Executor, 2), None, frozenset({"t"})), node).jobs
        ends, runs = jobs[:2]
        store.run(store.plans.note, [], [(1, "info", bad, ends.seq, ends.claim)], 100)
        assert [line.text for line in store.run(store.plans.logs, ends.id)] == [good]
        moves = [
            Move(ends.seq, ends.claim, ends.queue, State.CANCELLED, "cancelled", reason=bad),
            Move(runs.seq, runs.claim, runs.queue, State.SCHEDULED, "snoozed", reason=bad, delay=60.0),
        ]
        assert store.run(store.plans.settle, moves) == []
        assert store.run(store.plans.cancel, [third.id], bad) == {third.id: "cancelled"}
        store.run(store.plans.pause, "q", bad)
        assert {store.run(store.plans.get, id_).reason for id_ in (ends.id, runs.id, third.id)} == {good}  # type: ignore[union-attr]
        assert [queue.paused_by for queue in store.run(store.plans.queues) if queue.name == "q"] == [good]
