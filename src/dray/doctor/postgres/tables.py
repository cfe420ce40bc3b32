"""The tables: does vacuum keep up, are the indexes there, and is what is kept of a sensible size?"""

from __future__ import annotations

from msgspec import Struct

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.postgres.asking import Asking
from dray.doctor.postgres.layout import expected_indexes, expected_settings
from dray.model.duration import human
from dray.store.postgres import schema
from dray.store.postgres.plans import quoted
from dray.wording import count, listed, size

WATCHED = ("dray_job", "dray_done", "dray_node", "dray_tally", "dray_lane", "dray_leader")
BEHIND, FAR_BEHIND = 3, 10  # times the number of dead rows at which vacuum should have begun
UPDATES = 20_000  # less tells nothing
HOT = 0.8  # of the updates, at least
MEBI = 1024**2
LARGE = 256 * MEBI  # what is smaller need not be small
BLOATED = 4  # times what the rows need
MUCH_HISTORY = 20 * 1024 * MEBI
OVERDUE = 3600.0  # seconds after which what is to be pruned should have gone
OVERDUE_ROWS = 10_000  # maintenance removes 500 at a time, many times a minute
LEDGER = 20_000  # rows; maintenance folds them every few seconds

FIGURES = """
select c.relname, coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0), s.n_tup_upd, s.n_tup_hot_upd,
       extract(epoch from clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::float8,
       extract(epoch from clock_timestamp() - greatest(s.last_analyze, s.last_autoanalyze))::float8,
       coalesce(c.reloptions, '{}'), pg_relation_size(c.oid), pg_indexes_size(c.oid), pg_total_relation_size(c.oid),
       greatest(c.reltuples, 0)::float8
from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_stat_user_tables s on s.relid = c.oid
where n.nspname = %s and c.relkind in ('r', 'p') and c.relname like 'dray\\_%%'
"""
INDEXES = """
select i.relname, t.relname, x.indisvalid and x.indisready, x.indisprimary or exists(
           select 1 from pg_constraint k where k.conindid = i.oid)
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
join pg_namespace n on n.oid = t.relnamespace
where n.nspname = %s and t.relname like 'dray\\_%%'
"""


class Table(Struct, frozen=True):
    """Figures of a table."""

    name: str
    live: int
    dead: int
    updates: int | None
    hot: int | None
    vacuumed: float | None  # seconds ago
    analysed: float | None
    options: list[str]
    heap: int  # bytes
    indexes: int
    whole: int
    rows: float  # as of the last vacuum or analyze

    @property
    def settings(self) -> dict[str, str]:
        """Its storage settings."""
        return dict(option.partition("=")[::2] for option in self.options)

    def number(self, name: str, default: float) -> float:
        """A storage setting that is a number."""
        return float(self.settings.get(name, default))


def _tables(ask: Asking) -> dict[str, Table]:
    return {row[0]: Table(*row) for row in ask.rows(FIGURES, (ask.schema,))}


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{human(round(seconds))} ago"


def autovacuum(ask: Asking) -> list[Finding]:
    """Is vacuum at work at all?"""
    for name in ("autovacuum", "track_counts"):
        if ask.setting(name) == "off":
            fix, command = "Switch it on, and reload the server.", ask.psql(f"alter system set {name} = on")
            return [wrong("autovacuum", f"{name} is off: dead rows are never removed, and claims become slow.", fix, command)]
    off = [table.name for table in _tables(ask).values() if table.settings.get("autovacuum_enabled") in ("false", "off", "0")]
    if off:
        command = ask.psql(f"alter table {ask.named(off[0])} reset (autovacuum_enabled)")
        return [wrong("autovacuum", f"Vacuum is switched off for {listed(off)}: dead rows stay.", "Switch it on.", command)]
    return [ok("autovacuum", "Vacuum runs by itself.")]


def dead_rows(ask: Asking) -> list[Finding]:
    """Does vacuum keep up?"""
    threshold, scale = float(ask.setting("autovacuum_vacuum_threshold")), float(ask.setting("autovacuum_vacuum_scale_factor"))
    found, told = [], []
    for table in sorted(_tables(ask).values(), key=lambda table: -table.dead):
        if table.name not in WATCHED:
            continue
        begins = table.number("autovacuum_vacuum_threshold", threshold)
        begins += table.number("autovacuum_vacuum_scale_factor", scale) * table.live
        finding = of_dead_rows(table, begins, ask)
        if finding is not None:
            found.append(finding)
        told.append(f"{table.name} {table.dead:,} for {table.live:,} live (vacuum {_ago(table.vacuumed)})")
    return found or [ok("dead-rows", f"Dead rows: {'; '.join(told[:3])}.")]


def of_dead_rows(table: Table, begins: float, ask: Asking) -> Finding | None:
    """The finding about a table in which vacuum should begin at so many dead rows."""
    if table.dead <= BEHIND * max(begins, 1000):
        return None
    message = (
        f"{table.name} has {count(table.dead, 'dead row')} for {count(table.live, 'live one')}; vacuum should have begun at "
        f"{begins:,.0f}. Last vacuum: {_ago(table.vacuumed)}, last analyze: {_ago(table.analysed)}."
    )
    fix = "End what holds back vacuum (vacuum-horizon), or let it run: more autovacuum_max_workers, or by hand."
    command = ask.psql(f"vacuum (verbose) {ask.named(table.name)}")
    if table.dead > FAR_BEHIND * max(begins, 1000):
        return wrong("dead-rows", message, fix, command)
    return note("dead-rows", message, fix, command)


def settings(ask: Asking) -> list[Finding]:
    """Have the tables kept the settings of the migrations? A dump that was restored has them, a copy made by hand has not."""
    now = _tables(ask)
    found = []
    for name, wanted in expected_settings(_version(ask)).items():
        lost = {key: value for key, value in wanted.items() if name in now and key not in now[name].settings}
        if lost:
            given = ", ".join(f"{key} = {value}" for key, value in lost.items())
            message = f"{name} has lost storage settings ({listed(lost)}): claims write more, and vacuum comes late."
            command = ask.psql(f"alter table {ask.named(name)} set ({given})")
            found.append(wrong("table-settings", message, "Set them again.", command))
    return found or [ok("table-settings", "The tables have their storage settings.")]


def indexes(ask: Asking) -> list[Finding]:
    """Are the indexes there, valid, and no others?"""
    there = {name: (table, valid, constraint) for name, table, valid, constraint in ask.rows(INDEXES, (ask.schema,))}
    wanted = expected_indexes(_version(ask), ask.schema)
    found = []
    for name, (table, made) in wanted.items():
        if name not in there:
            command = ask.psql(made.rstrip(";").replace(" index ", " index concurrently ", 1))
            message = f"The index {name} on {table} is missing: statements of Dray read the whole table."
            found.append(wrong("indexes", message, "Make it again.", command))
    for name, (table, valid, constraint) in there.items():
        if not valid:
            message = f"The index {name} on {table} is invalid: it is written and never used."
            command = ask.psql(f"reindex index concurrently {quoted(ask.schema)}.{quoted(name)}")
            found.append(wrong("indexes", message, "Build it again (or drop it, if it is not one of Dray's).", command))
        elif name not in wanted and not constraint:
            message = f"The index {name} on {table} is none of Dray's: it makes every claim and every settling write more."
            command = ask.psql(f"drop index concurrently {quoted(ask.schema)}.{quoted(name)}")
            found.append(note("indexes", message, "Drop it if nobody needs it.", command))
    return found or [ok("indexes", f"All {count(len(there), 'index', 'indexes')} are there and valid.")]


def hot_updates(ask: Asking) -> list[Finding]:
    """A claim should change a row without touching an index."""
    table = _tables(ask).get("dray_job")
    return [] if table is None else [of_updates(table.updates or 0, table.hot or 0)]


def of_updates(updates: int, hot: int) -> Finding:
    """The finding about so many updates of jobs, of which so many were heap-only."""
    if updates < UPDATES:
        return ok("hot-updates", "Too few jobs have run since the statistics were reset to say how they are updated.")
    message = f"{hot / updates:.0%} of the updates of jobs were heap-only (no index was written)."
    if hot >= HOT * updates:
        return ok("hot-updates", message)
    fix = (
        "Retries and jobs for later move in an index by nature. Else look for an index of yours on dray_job, a lost fillfactor "
        "(table-settings), or a long transaction (vacuum-horizon), which fills the pages."
    )
    return note("hot-updates", message, fix)


def bloat(ask: Asking) -> list[Finding]:
    """Do tables take much more room than their rows need?"""
    widths = dict(ask.rows(
        "select tablename, sum(avg_width * (1 - null_frac))::float8 from pg_stats where schemaname = %s group by 1", (ask.schema,),
    ))  # fmt: skip
    entries = dict(ask.rows(
        "select t.relname, count(*) from pg_index x join pg_class t on t.oid = x.indrelid "
        "join pg_namespace n on n.oid = t.relnamespace where n.nspname = %s group by 1", (ask.schema,),
    ))  # fmt: skip
    found = []
    for table in _tables(ask).values():
        rows = max(table.rows, float(table.live))
        needs = rows * (28 + widths.get(table.name, 200.0)) * 100 / table.number("fillfactor", 100)
        found += of_bloat(table, needs, rows * entries.get(table.name, 1) * 40, ask)
    return found or [ok("bloat", "Tables and indexes take about the room that their rows need.")]


def of_bloat(table: Table, heap: float, indexes: float, ask: Asking) -> list[Finding]:
    """The findings about a table whose rows need about `heap` bytes, and in indexes about `indexes`."""
    found = []
    if table.heap > max(LARGE, BLOATED * heap):
        message = f"{table.name} takes {size(table.heap)}, its rows need about {size(heap)}; the rest is used again first."
        fix = "To give it back to the disk: pg_repack, or, while the workers are stopped, vacuum full."
        found.append(note("bloat", message, fix, ask.psql(f"vacuum (full, analyze) {ask.named(table.name)}")))
    if table.indexes > max(LARGE, BLOATED * indexes):
        message = f"The indexes of {table.name} take {size(table.indexes)}; about {size(indexes)} would do."
        found.append(note("bloat", message, "Build them again; nobody has to wait.",
                          ask.psql(f"reindex table concurrently {ask.named(table.name)}")))  # fmt: skip
    return found


def history(ask: Asking) -> list[Finding]:
    """Is what is final pruned, and how much of it is kept?"""
    table = _tables(ask).get("dray_done")
    if table is None:
        return []
    (late,) = ask.row(
        f"select count(*) from (select 1 from {ask.named('dray_done')} where prune_after < "
        f"(extract(epoch from clock_timestamp()) - {OVERDUE}) * 1000000 limit {OVERDUE_ROWS}) as late"
    )
    rows = max(int(table.rows), table.live)
    kept = f"About {count(rows, 'finished job')} {'is' if rows == 1 else 'are'} kept, in {size(table.whole)}"
    if late >= OVERDUE_ROWS:
        message = f"{kept}; at least {late:,} of them should have gone an hour ago."
        fix = "A live worker prunes them: start one, or look in the workers' logs for what the maintenance says."
        return [wrong("history", message, fix)]
    if table.whole > MUCH_HISTORY:
        fix = "Workers prune it by itself when its time is over; result_ttl of a task makes that shorter."
        return [note("history", f"{kept}.", fix)]
    return [ok("history", f"{kept}.")]


def ledger(ask: Asking) -> list[Finding]:
    """The counters are a ledger, which maintenance folds."""
    (rows,) = ask.row(f"select count(*) from (select 1 from {ask.named('dray_tally')} limit {LEDGER}) as rows")
    if rows >= LEDGER:
        message = f"The ledger of the counters has {rows:,} rows or more: nobody folds it, and `dray status` becomes slow."
        return [note("ledger", message, "A live worker folds it: start one, or look in the workers' logs for the maintenance.")]
    return [ok("ledger", f"The ledger of the counters has {count(rows, 'row')}.")]


def _version(ask: Asking) -> int:
    return schema.version(ask.connection, ask.place)[0]
