"""The application's own tables. They share one SQLite file with Dray's, so that a user and the jobs commit together."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dray.demo import settings

LEGACY_ROWS = 200_000
SUBSCRIBERS = 2_000

SCHEMA = """
create table if not exists users (
    id integer primary key, name text not null, email text not null,
    photo text not null, width integer not null, height integer not null,
    mode text not null check (mode in ('inline', 'background')), joined text not null
);
create table if not exists jobs (
    user_id integer not null references users, kind text not null, job_id text not null, primary key (user_id, kind)
) without rowid;
create table if not exists results (
    user_id integer not null references users, kind text not null, value text not null, at text not null,
    primary key (user_id, kind)
) without rowid;
create table if not exists tally (mode text primary key, sign_ups integer not null) without rowid;
create table if not exists subscribers (id integer primary key, name text not null, email text not null);
create table if not exists legacy (
    id integer primary key, name text not null, phone text not null, since text not null
);
create table if not exists contacts (
    id integer primary key, family text not null, given text not null, phone text not null, since text not null
);
create table if not exists migration (
    name text primary key, cursor integer not null, batches integer not null, starts integer not null
) without rowid;
create table if not exists works (name text primary key, job_id text not null, at real not null) without rowid;
"""


ONE_AT_A_TIME = threading.Lock()


class NoSuchUser(LookupError):
    """A user that the database does not have."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who signed up.

    `photo` is a file name in the folder `uploads`, `width` x `height` pixels; `joined` is an ISO time in UTC.
    """

    id: int
    name: str
    email: str
    photo: str
    width: int
    height: int
    mode: str
    joined: str

    @property
    def upload(self) -> Path:
        return settings.data() / "uploads" / self.photo

    @property
    def pictures(self) -> Path:
        return settings.data() / "pictures" / str(self.id)

    @property
    def report(self) -> Path:
        return settings.data() / "reports" / f"{self.id}.pdf"


@contextmanager
def connect() -> Iterator[sqlite3.Connection]:
    """A connection in autocommit mode that waits up to 30 s for its turn to write; closed at the end."""
    with closing(sqlite3.connect(settings.database(), timeout=30, isolation_level=None)) as connection:
        connection.execute("pragma foreign_keys = on")
        yield connection


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction: committed at the end, rolled back by an error.

    The threads of a process queue up here for their turn: SQLite would let them poll the file for it, and unfairly.
    """
    with ONE_AT_A_TIME:
        connection.execute("begin immediate")
        try:
            yield connection
        except BaseException:
            connection.execute("rollback")
            raise
        connection.execute("commit")


def create() -> None:
    """Make the tables and fill in what was there before: subscribers, and the 200,000 rows to be migrated."""
    with connect() as connection:
        connection.execute("pragma journal_mode = wal")
        connection.executescript(SCHEMA)
        with writing(connection):
            connection.executemany("insert or ignore into subscribers values (?, ?, ?)", subscribers())
            connection.executemany("insert or ignore into legacy values (?, ?, ?, ?)", legacy())
            connection.execute("insert or ignore into migration values ('contacts', 0, 0, 0)")


GIVEN = ("Ada", "Alan", "Barbara", "Edsger", "Grace", "Jean", "Ken", "Lynn", "Margaret", "Radia", "Tony", "Zoë")
FAMILY = ("Bartik", "Conway", "Dijkstra", "Hamilton", "Hoare", "Hopper", "Liskov", "Lovelace", "Perlman", "Turing")


def somebody(number: int) -> tuple[str, str]:
    """A given and a family name for a number."""
    return GIVEN[number % len(GIVEN)], FAMILY[number // len(GIVEN) % len(FAMILY)]


def subscribers() -> Iterator[tuple[int, str, str]]:
    for number in range(1, SUBSCRIBERS + 1):
        yield number, " ".join(somebody(number)), f"reader{number}@example.org"


def legacy() -> Iterator[tuple[int, str, str, str]]:
    """Rows as an old system kept them: `LOVELACE, Ada` · `(030) 555-00017` · `17.03.1998`."""
    for number in range(1, LEGACY_ROWS + 1):
        given, family = somebody(number)
        since = f"{number % 28 + 1:02}.{number % 12 + 1:02}.{1980 + number % 40}"
        yield number, f"{family.upper()}, {given}", f"(030) 555-{number:06}", since


def add_user(
    connection: sqlite3.Connection, name: str, email: str, photo: str, size: tuple[int, int], mode: str
) -> int:
    """Insert a user, in the caller's transaction; gives the new id."""
    joined = datetime.now(UTC).isoformat(timespec="seconds")
    row = connection.execute(
        "insert into users (name, email, photo, width, height, mode, joined) values (?, ?, ?, ?, ?, ?, ?) returning id",
        (name, email, photo, *size, mode, joined),
    ).fetchone()
    return int(row[0])


def add_jobs(connection: sqlite3.Connection, user_id: int, jobs: dict[str, str]) -> None:
    """Note which jobs were made for a user ({kind: job id}), in the caller's transaction."""
    rows = [(user_id, kind, job) for kind, job in jobs.items()]
    connection.executemany("insert into jobs values (?, ?, ?)", rows)


USER = "select id, name, email, photo, width, height, mode, joined from users"


def user(user_id: int) -> User:
    """The user of that id. Raises `NoSuchUser`."""
    with connect() as connection:
        row = connection.execute(f"{USER} where id = ?", (user_id,)).fetchone()
    if row is None:
        raise NoSuchUser(f"there is no user {user_id}")
    return User(*row)


def users(limit: int = -1) -> list[User]:
    """Users, the newest first; all of them if no limit is given."""
    with connect() as connection:
        return [User(*row) for row in connection.execute(f"{USER} order by id desc limit ?", (limit,))]


def jobs_of(user_id: int) -> dict[str, str]:
    """The jobs of a user: {kind: job id}. Empty for a sign-up that was done inline."""
    with connect() as connection:
        return dict(connection.execute("select kind, job_id from jobs where user_id = ?", (user_id,)).fetchall())


def keep(user_id: int, kind: str, value: str) -> None:
    """Keep what a piece of work came to. Kept once per user and kind: a second run of the same job replaces it."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    with connect() as connection, writing(connection):
        connection.execute("insert or replace into results values (?, ?, ?, ?)", (user_id, kind, value, now))


def results() -> dict[int, dict[str, str]]:
    """What is done for each user: {user id: {kind: value}}."""
    found: dict[int, dict[str, str]] = {}
    with connect() as connection:
        for user_id, kind, value in connection.execute("select user_id, kind, value from results"):
            found.setdefault(user_id, {})[kind] = value
    return found


def results_of(user_id: int) -> dict[str, str]:
    """What is done for one user: {kind: value}."""
    with connect() as connection:
        return dict(connection.execute("select kind, value from results where user_id = ?", (user_id,)).fetchall())


def subscriber(subscriber_id: int) -> tuple[str, str]:
    """Name and address of a reader of the newsletter. Raises `NoSuchUser`."""
    with connect() as connection:
        row = connection.execute("select name, email from subscribers where id = ?", (subscriber_id,)).fetchone()
    if row is None:
        raise NoSuchUser(f"there is no subscriber {subscriber_id}")
    return row[0], row[1]


def note_work(name: str, job_id: str) -> None:
    """Remember the newest job of a kind of work that the site starts: the film, the migration."""
    with connect() as connection, writing(connection):
        connection.execute("insert or replace into works values (?, ?, ?)", (name, job_id, time.time()))


def work(name: str) -> str | None:
    """The newest job of a kind of work, or None if it was never started."""
    with connect() as connection:
        row = connection.execute("select job_id from works where name = ?", (name,)).fetchone()
    return row[0] if row else None
