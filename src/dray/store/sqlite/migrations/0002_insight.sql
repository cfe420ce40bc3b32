-- What is measured of runs, row by row; see dray.model.figures. Small spans are added up to longer ones and forgotten.
create table dray_figure (
    kind   text    not null,
    span   integer not null,                          -- seconds; 0: not added up yet
    name   text    not null,
    at     integer not null,                          -- when the span began
    source text    not null,                          -- who measured it, until it is added up
    data   blob    not null,                          -- MessagePack
    primary key (kind, span, name, at, source)
) without rowid;

create index dray_figure_at  on dray_figure (kind, span, at);
create index dray_figure_old on dray_figure (span, at);

-- Who did what.
create table dray_audit (
    number integer primary key autoincrement,
    at     integer not null,
    by     text    not null,
    via    text    not null,
    action text    not null,
    target text    not null,
    detail text    not null
);

-- What operators ask of a worker process: in its own row, so that it goes with it whoever deletes that.
alter table dray_node add column ask integer not null default 0;   -- the number of the last ask
alter table dray_node add column asks blob;                        -- JSON of those that are open: [[number, what], …]
alter table dray_node add column answer text;                      -- the newest
alter table dray_node add column answered integer;

-- The newest of what failed or was cancelled are one step away: within a state the order is that of `seq`. (It was by `finished`, and
-- each page of a list sorted all of them.) The name stays, as the code before names it.
drop index dray_job_ended;
create index dray_job_ended on dray_job (state) where state in (6, 7);

-- What waits for other jobs or for a time of its own: rare, so that it costs nobody anything.
create index dray_job_aside on dray_job (state) where state in (3, 4);
