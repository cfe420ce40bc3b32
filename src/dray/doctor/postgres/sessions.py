"""Sessions: who holds back vacuum, and who makes Dray's statements wait?"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.postgres.asking import Asking
from dray.model.duration import human
from dray.wording import count

LONG, VERY_LONG = 60.0, 600.0  # seconds that a transaction has been open
FAR, VERY_FAR = 1_000_000, 20_000_000  # transactions since, where no time is known
SLOW, VERY_SLOW = 1.0, 10.0  # seconds that a statement of ours has run
TEXT = 80  # characters of a statement that are shown

#: Whatever makes vacuum keep dead rows of this database: the oldest first.
HOLDERS = """
with holder as (
    select case when backend_type = 'walsender' then 'standby' else 'session' end as kind, pid::text as name,
           greatest(age(backend_xmin), age(backend_xid)) as age,
           extract(epoch from clock_timestamp() - xact_start)::float8 as seconds,
           coalesce(nullif(application_name, ''), 'unnamed') as application, coalesce(state, '') as state,
           coalesce(query, '') as query
    from pg_stat_activity
    where (backend_xmin is not null or backend_xid is not null) and pid <> pg_backend_pid()
      and (datname = current_database() or datname is null) and backend_type in ('client backend', 'walsender')
    union all
    select 'prepared', gid, age(transaction), extract(epoch from clock_timestamp() - prepared)::float8, owner, 'prepared', ''
    from pg_prepared_xacts where database = current_database()
    union all
    select 'slot', slot_name, age(xmin), null, coalesce(plugin, 'physical'), case when active then 'active' else 'inactive' end, ''
    from pg_replication_slots where xmin is not null
)
select kind, name, age, seconds, application, state, query from holder order by seconds desc nulls last, age desc limit 20
"""

SLOW_ONES = """
select a.pid, extract(epoch from clock_timestamp() - a.query_start)::float8, coalesce(a.wait_event_type, ''),
       coalesce(a.wait_event, ''), a.query, b.pid, coalesce(nullif(b.application_name, ''), 'unnamed'), coalesce(b.state, ''),
       extract(epoch from clock_timestamp() - b.xact_start)::float8, coalesce(b.query, '')
from pg_stat_activity a
left join lateral (select unnest(pg_blocking_pids(a.pid)) as pid limit 1) as blocking on true
left join pg_stat_activity b on b.pid = blocking.pid
where a.application_name = 'dray' and a.datname = current_database() and a.state = 'active' and a.pid <> pg_backend_pid()
  and clock_timestamp() - a.query_start > interval '1 second'
order by a.query_start limit 5
"""


class Holder(Struct, frozen=True):
    """What keeps vacuum from removing dead rows."""

    kind: str  # session, standby, prepared or slot
    name: str  # the pid, or the name
    age: int | None  # transactions since
    seconds: float | None
    application: str
    state: str
    query: str


def horizon(ask: Asking) -> list[Finding]:
    """While a transaction is open, vacuum keeps every row that has died since it began."""
    found = []
    for row in ask.rows(HOLDERS):
        finding = of_holder(Holder(*row), ask)
        if finding is not None:
            found.append(finding)
    if found:
        return found[:3]
    return [ok("vacuum-horizon", "No transaction, slot or standby holds back vacuum.")]


def of_holder(holder: Holder, ask: Asking) -> Finding | None:
    """The finding about one of them, if it is old enough to matter."""
    if holder.seconds is not None:
        grave, told = holder.seconds > VERY_LONG, holder.seconds > LONG
        since = f"for {human(round(holder.seconds))}"
    else:
        grave, told = (holder.age or 0) > VERY_FAR, (holder.age or 0) > FAR
        since = f"for {count(holder.age or 0, 'transaction')}"
    if not told:
        return None
    who, fix, command = _about(holder, ask)
    message = f"{who} has held back vacuum {since}: dead rows stay, and tables grow."
    return wrong("vacuum-horizon", message, fix, command) if grave else note("vacuum-horizon", message, fix, command)


def _about(holder: Holder, ask: Asking) -> tuple[str, str, str | None]:
    match holder.kind:
        case "slot":
            who = f"Replication slot {holder.name} ({holder.state})"
            fix = "Bring back who follows it, or drop it."
            return who, fix, ask.psql(f"select pg_drop_replication_slot({_literal(holder.name)})")
        case "prepared":
            who = f"The prepared transaction {holder.name} of {holder.application}"
            fix = "Commit it, or roll it back: who prepared it has gone."
            return who, fix, ask.psql(f"rollback prepared {_literal(holder.name)}")
        case "standby":
            who = f"The standby {holder.application} (pid {holder.name}, hot_standby_feedback)"
            fix = "End the long query on the standby, or switch hot_standby_feedback off there."
            return who, fix, None
    who = f"A transaction of {holder.application} (pid {holder.name}, {holder.state}: {shortly(holder.query)})"
    if holder.state.startswith("idle in transaction"):
        fix = (
            "End it, and find the code that leaves it open. idle_in_transaction_session_timeout makes the server end such sessions "
            "by itself."
        )
        return who, fix, ask.psql(f"select pg_terminate_backend({holder.name})")
    fix = "Let it end if it is a backup or a report; else cancel it."
    return who, fix, ask.psql(f"select pg_cancel_backend({holder.name})")


def slow(ask: Asking) -> list[Finding]:
    """Do Dray's own statements take long, and whom do they wait for?"""
    found = [_of_slow(ask, *row) for row in ask.rows(SLOW_ONES)]
    return found or [ok("slow-statements", "No statement of Dray takes longer than a second now.")]


def _of_slow(
    ask: Asking, pid: int, seconds: float, kind: str, event: str, query: str, blocker: int | None, application: str, state: str,
    age: float | None, theirs: str,
) -> Finding:  # fmt: skip
    message = f"A statement of Dray (pid {pid}: {shortly(query)}) has run for {human(round(seconds, 1))}"
    if blocker is not None:
        since = f", in a transaction of {human(round(age))}" if age is not None else ""
        message += f": it waits for pid {blocker} ({application}, {state}{since}: {shortly(theirs)})."
        fix = "End that transaction: it locks rows or tables of Dray, which are Dray's alone."
        return wrong("slow-statements", message, fix, ask.psql(f"select pg_terminate_backend({blocker})"))
    message += f", and waits for {kind} {event}." if kind and event else "."
    fix = "Look at the findings about dead rows and about vacuum, at the load of the server, and at its disk."
    if (kind, event) == ("IPC", "SyncRep"):
        fix = "The synchronous standby does not answer: bring it back, or take it out of synchronous_standby_names."
    return wrong("slow-statements", message, fix) if seconds > VERY_SLOW else note("slow-statements", message, fix)


def shortly(query: Any) -> str:
    """The beginning of a statement, on one line."""
    text = " ".join(str(query).split())
    return (text if len(text) <= TEXT else f"{text[:TEXT]}…") or "no statement"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
