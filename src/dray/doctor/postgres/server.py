"""The server: is it one that keeps what it was given, and has it room?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from dray.doctor.clocks import compared
from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.postgres.asking import Asking
from dray.store.postgres.lines import OLDEST
from dray.wording import count, listed, size

#: https://www.postgresql.org/support/versioning/: the last corrections of each major version
END_OF_LIFE = {
    13: date(2025, 11, 13), 14: date(2026, 11, 12), 15: date(2027, 11, 11), 16: date(2028, 11, 9), 17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}  # fmt: skip
SOON = timedelta(days=180)
MANY, TOO_MANY = 0.8, 0.95  # of the connections that there are
WRAPAROUND = 2_000_000_000  # transactions until the server refuses to write, about
FILLING, FULL = 0.1, 0.5  # of the queue of notifications
GIBI = 1024**3
RETAINED, MUCH_RETAINED = 2 * GIBI, 20 * GIBI  # of write-ahead log that a slot keeps


def version(ask: Asking) -> list[Finding]:
    """Is the server one that is still looked after?"""
    return [of_version(ask.version, datetime.now(UTC).date())]


def of_version(number: int, today: date) -> Finding:
    """The finding about the version `number` (as 150018) on a day."""
    major, minor = divmod(number, 10_000)
    text = f"PostgreSQL {major}.{minor}"
    end = END_OF_LIFE.get(major)
    if number < OLDEST:
        return wrong("server-version", f"{text} is too old.", f"Use PostgreSQL {OLDEST // 10_000} or later.")
    if end is not None and end <= today:
        return note("server-version", f"{text} gets no more corrections since {end}.", "Upgrade the server.")
    if end is not None and end - today < SOON:
        return note("server-version", f"{text} gets no more corrections from {end} on.", "Plan the upgrade of the server.")
    return ok("server-version", f"The server is {text}.")


def writable(ask: Asking) -> list[Finding]:
    """Can anything be written there?"""
    (standby,) = ask.row("select pg_is_in_recovery()")
    if standby:
        fix = "Name all servers in the URL: postgresql://host1,host2/db?target_session_attrs=read-write."
        return [wrong("writable", "The server is a standby: nothing can be enqueued or run.", fix)]
    if ask.setting("default_transaction_read_only") == "on":
        fix = "Look where it is set (\\drds in psql), and reset it for this user and database."
        return [wrong("writable", "default_transaction_read_only is on: nothing can be enqueued or run.", fix)]
    return [ok("writable", "The server takes writes.")]


def durability(ask: Asking) -> list[Finding]:
    """Does what was acknowledged survive a crash?"""
    found = []
    for name, what in (
        ("fsync", "a crash of the machine can lose acknowledged jobs and damage the whole database"),
        ("full_page_writes", "a crash of the machine can damage the database, unless its file system writes pages whole (ZFS)"),
    ):
        if ask.setting(name) == "off":
            command = ask.psql(f"alter system set {name} = on")
            found.append(wrong("durability", f"{name} is off: {what}.", "Switch it on, and reload the server.", command))
    if ask.setting("synchronous_commit") == "off":
        message = "synchronous_commit is off: a crash loses the jobs that were acknowledged in the last moments before it."
        fix = "Switch it on where it was switched off (\\drds in psql, or postgresql.conf) if no job may be lost."
        found.append(note("durability", message, fix))
    return found or [ok("durability", "What was acknowledged survives a crash (fsync, full_page_writes and synchronous_commit).")]


def clock_offset(ask: Asking) -> list[Finding]:
    """All times are the server's; `at=` and timeouts are reckoned here."""
    return [compared(lambda: float(ask.row("select extract(epoch from clock_timestamp())::float8")[0]))]


def connections(ask: Asking) -> list[Finding]:
    """Is there room for more workers?"""
    used, ours, allowed = ask.row(
        "select count(*) filter (where backend_type = 'client backend'), "
        "count(*) filter (where application_name = 'dray' and datname = current_database()), "
        "current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int "
        "- coalesce(current_setting('reserved_connections', true)::int, 0) from pg_stat_activity"
    )
    here, limit, mine, own = ask.row(
        "select (select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'), "
        "(select datconnlimit from pg_database where datname = current_database()), "
        "(select count(*) from pg_stat_activity where usename = current_user and backend_type = 'client backend'), "
        "(select rolconnlimit from pg_roles where rolname = current_user)"
    )
    found = [of_connections("The server", used, allowed, ours)]
    if limit > 0:
        found.append(of_connections("The database", here, limit, ours))
    if own > 0:
        found.append(of_connections("The user", mine, own, ours))
    bad = [finding for finding in found if finding.level != "ok"]
    return bad or found[:1]


def of_connections(who: str, used: int, allowed: int, ours: int) -> Finding:
    """The finding about so many connections of so many."""
    message = f"{who} has {count(used, 'connection')} in use of {allowed}, {ours} of them Dray's."
    fix = "Put a pooler such as PgBouncer before the application, run fewer processes, or raise max_connections."
    if used >= TOO_MANY * allowed:
        return wrong("connections", message, fix)
    return note("connections", message, fix) if used >= MANY * allowed else ok("connections", message)


def pooler(ask: Asking) -> list[Finding]:
    """Who stands between?"""
    if not ask.pooled:
        return [ok("pooler", "Sessions reach the server itself: statements are prepared, and workers are woken.")]
    message = (
        "A pooler stands between, which gives each transaction another connection of the server: statements are not prepared, and "
        "workers look for jobs instead of being woken, up to a second late."
    )
    fix = "Give the workers a way around it, or a pool in session mode; the application may well go through it."
    return [note("pooler", message, fix)]


def wraparound(ask: Asking) -> list[Finding]:
    """How far is the oldest row that has not been frozen?"""
    age, multi, freeze = ask.row(
        "select age(datfrozenxid), mxid_age(datminmxid), current_setting('autovacuum_freeze_max_age')::bigint from pg_database "
        "where datname = current_database()"
    )
    return [of_age(max(age, multi), freeze)]


def of_age(age: int, freeze: int) -> Finding:
    """The finding about a database whose oldest transaction is `age` transactions old, where vacuum should act from `freeze` on."""
    left = max(0, WRAPAROUND - age)
    fix = "Find what holds vacuum back (vacuum-horizon), end it, and vacuum the tables with the oldest relfrozenxid."
    if age > WRAPAROUND // 2:
        message = f"The oldest transaction in the database is {age:,} transactions old: in {left:,} more nothing can be written."
        return wrong("wraparound", message, fix)
    if age > 2 * freeze:
        message = f"The oldest transaction in the database is {age:,} transactions old; vacuum should have frozen it at {freeze:,}."
        return note("wraparound", message, fix)
    return ok("wraparound", f"Wraparound of transaction numbers is {left:,} transactions away.")


def notifications(ask: Asking) -> list[Finding]:
    """A queue of notifications that is full makes every NOTIFY fail, and with it the transaction that sends one."""
    (usage,) = ask.row("select pg_notification_queue_usage()")
    listeners = ask.rows(
        "select pid, coalesce(nullif(application_name, ''), 'unnamed') from pg_stat_activity "
        "where state like 'idle in transaction%' and datname = current_database() order by xact_start limit 3"
    )
    return [of_usage(usage, [f"pid {pid} ({name})" for pid, name in listeners])]


def of_usage(usage: float, suspects: list[str]) -> Finding:
    """The finding about a queue that is filled to a part of `usage`."""
    message = f"The queue of notifications is filled to {usage:.0%}."
    who = f": perhaps {listed(suspects)}" if suspects else ""
    fix = f"End the session that has said LISTEN and sits in a transaction{who}; what is full makes transactions fail."
    if usage >= FULL:
        return wrong("notifications", message, fix)
    return note("notifications", message, fix) if usage >= FILLING else ok("notifications", message)


def slots(ask: Asking) -> list[Finding]:
    """Does a replication slot keep write-ahead log that nobody fetches?"""
    found = []
    for name, active, status, kept in ask.rows(
        "select slot_name, active, wal_status, coalesce(pg_wal_lsn_diff(case when pg_is_in_recovery() then "
        "pg_last_wal_receive_lsn() else pg_current_wal_lsn() end, restart_lsn), 0)::float8 from pg_replication_slots"
    ):
        finding = of_slot(name, active, status, kept, ask.psql(f"select pg_drop_replication_slot('{name}')"))
        if finding is not None:
            found.append(finding)
    return found or [ok("replication-slots", "No replication slot keeps more than a little of the write-ahead log.")]


def of_slot(name: str, active: bool, status: str | None, kept: float, command: str) -> Finding | None:
    """The finding about a slot, if there is anything to say."""
    state = "active" if active else "inactive"
    if status == "lost":
        message = f"Replication slot {name} has lost the write-ahead log that it needs: what followed it must be set up anew."
        return note("replication-slots", message, "Drop it.", command)
    if kept < RETAINED:
        return None
    message = f"Replication slot {name} ({state}) keeps {size(kept)} of write-ahead log on the server's disk."
    fix = "Bring back who fetches it, or drop the slot; max_slot_wal_keep_size limits what a slot may keep."
    if kept < MUCH_RETAINED:
        return note("replication-slots", message, fix, None if active else command)
    return wrong("replication-slots", message, fix, None if active else command)
