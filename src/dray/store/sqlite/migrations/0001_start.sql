-- States: 0 scheduled, 1 ready, 2 running, 3 blocked, 4 sleeping, 5 succeeded, 6 failed, 7 cancelled,
-- 8 ready but parked: kept out of the claim's way until what `hold` names is resolved; 9 no job, see keep_place.sql.
-- All times are microseconds since 1970; a node's lease is measured in steady microseconds of one boot.

create table dray_meta (
    key   text primary key,
    value text not null
) without rowid;

create table dray_job (
    seq          integer primary key,                 -- the order of enqueueing; never used again: see keep_place.sql
    id           blob    not null,                    -- UUIDv7
    task         text    not null,
    queue        text    not null,
    executor     integer not null,                    -- which slots it needs: 0 async, 1 thread, 2 process
    rank         integer not null,                    -- minus the priority: smaller runs sooner
    due          integer not null,
    state        integer not null,
    claim        integer not null default 0,          -- grows with every claim: the fencing token
    attempt      integer not null default 0,
    losses       integer not null default 0,
    max_attempts integer not null,
    enqueued     integer not null,
    args         blob    not null,
    node         integer,
    started      integer,
    finished     integer,
    prune_after  integer,
    expires      integer,
    options      blob,
    tags         text,
    hold         text,
    reason       text,                                -- why it was cancelled, or is to be
    cancel       integer,                             -- 1: a running job has been asked to stop
    schedule     text,
    parent       blob,
    progress     blob,
    result       blob,
    error        blob
);

-- The predicates are literals: SQLite proves the use of a partial index when it prepares a statement.
create unique index dray_job_id       on dray_job (id);
create index        dray_job_ready    on dray_job (queue, executor, rank, due) where state = 1;
create index        dray_job_due      on dray_job (due)                        where state = 0;
create index        dray_job_running  on dray_job (node)                       where state = 2;
create index        dray_job_parked   on dray_job (hold, queue, executor, rank, due) where state = 8;
create index        dray_job_expires  on dray_job (expires)                    where expires is not null and state in (0, 1, 8);
create index        dray_job_ended    on dray_job (state, finished)            where state in (6, 7);
create index        dray_job_prune    on dray_job (prune_after)                where prune_after is not null;
create index        dray_job_schedule on dray_job (schedule)                   where schedule is not null and state in (0, 1, 2, 3, 4, 8);

-- One row for each run that did not simply succeed at the first try.
create table dray_history (
    seq      integer not null,
    claim    integer not null,
    attempt  integer not null,
    word     text    not null,
    node     integer,
    started  integer,
    finished integer not null,
    reason   text,
    error    blob,
    primary key (seq, claim)
) without rowid;

create table dray_log (
    seq   integer not null,
    line  integer not null,
    at    integer not null,
    claim integer not null,
    level text    not null,
    text  text    not null,
    primary key (seq, line)
) without rowid;

-- How many jobs are in each state of each queue, kept by the verbs that move them.
create table dray_tally (
    queue text    not null,
    state integer not null,
    n     integer not null,
    primary key (queue, state)
) without rowid;

create table dray_queue (
    name   text primary key,
    paused integer,
    by     text
) without rowid;

create table dray_node (
    id       integer primary key autoincrement,
    name     text    not null,
    host     text    not null,
    pid      integer not null,
    boot     text    not null,
    until    integer not null,                        -- steady microseconds: when the lease runs out
    entered  integer not null,
    renewed  integer not null,
    claimed  integer,                                 -- last successful attempt to claim
    stopping integer not null default 0,
    info     blob    not null
);

create table dray_leader (
    role  text primary key,
    node  text    not null,
    boot  text    not null,
    until integer not null
) without rowid;

create table dray_schedule (
    name      text primary key,
    task      text    not null,
    queue     text    not null,
    executor  integer not null,
    priority  integer not null,
    max_attempts integer not null,
    spec      text    not null,
    tz        text    not null,
    args      blob    not null,
    options   blob,
    tags      text,
    catch_up  text    not null,
    window    real    not null,
    overlap   text    not null,
    origin    text    not null,                       -- 'code' or 'api'
    paused    integer,
    last      integer not null,                       -- the newest tick that was decided on; never goes back
    next      integer not null,
    fired     integer,
    missed    integer not null default 0
) without rowid;

create index dray_schedule_next on dray_schedule (next) where paused is null;
