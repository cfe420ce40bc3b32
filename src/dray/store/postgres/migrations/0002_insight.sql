-- What is measured of runs, row by row; see dray.model.figures. Small spans are added up to longer ones and forgotten, within
-- minutes most of them: vacuum has to follow.
create table dray.dray_figure (
    at     bigint  not null,                              -- when the span began
    span   integer not null,                              -- seconds; 0: not added up yet
    kind   text    collate "C" not null,
    series text    collate "C" not null,                  -- kind, span and name: alone, so that no other index serves for it
    source text    collate "C" not null,                  -- who measured it, until it is added up
    data   bytea   not null,                              -- MessagePack
    primary key (series, at, source)
) with (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0
);

create index dray_figure_at  on dray.dray_figure (kind, span, at);
create index dray_figure_old on dray.dray_figure (span, (at + 0));   -- so that it does not serve for a kind, whose rows may be few

-- Who did what.
create table dray.dray_audit (
    number bigint generated always as identity primary key,
    at     bigint not null,
    by     text   not null,
    via    text   not null,
    action text   not null,
    target text   not null,
    detail text   not null
);

-- What operators ask of a worker process: in its own row, so that it goes with it whoever deletes that. A renewal copies none of it:
-- a long answer stands beside the row.
alter table dray.dray_node
    add column ask      integer not null default 0,   -- the number of the last ask
    add column asks     bytea,                        -- JSON of those that are open: [[number, what], …]
    add column answer   text,                         -- the newest
    add column answered bigint;
