-- What workers did since ever: counters for monitoring, which only grow.
set local lock_timeout = '2s';

create table rowcast.scorer_total (
    scorer_id int not null,
    rows_scored bigint not null,
    rows_failed bigint not null,
    chunk_count bigint not null,
    read_seconds double precision not null,
    predict_seconds double precision not null,
    write_seconds double precision not null,
    latency_seconds double precision not null,
    latency_counts bigint[] not null,
    constraint scorer_total_pkey primary key (scorer_id),
    constraint scorer_total_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade
) with (fillfactor = 50);
comment on table rowcast.scorer_total is
    'What each scorer got done since it was made. Workers add to it, a second or more apart; unlike '
    'rowcast.scorer_minute it is never pruned, so differences of it are rates.';
comment on column rowcast.scorer_total.read_seconds is
    'Of all lanes together, by the clock; predict_seconds and write_seconds likewise.';
comment on column rowcast.scorer_total.latency_seconds is
    'Sum over chunks of changes, each from its oldest change to its commit.';
comment on column rowcast.scorer_total.latency_counts is
    'These chunks by the first bound of latency that they did not exceed, and those beyond all at the end. The '
    'bounds are the release''s, and never change.';

create table rowcast.event_total (
    name text not null,
    value double precision not null,
    constraint event_total_pkey primary key (name),
    constraint event_total_name_word check (name ~ '^[a-z_]{1,63}$'),
    constraint event_total_value_not_negative check (value >= 0)
) with (fillfactor = 50);
comment on table rowcast.event_total is
    'What workers met since ever, all together: how often, or for how many seconds. A row a kind of event.';

alter table rowcast.worker
    add column resident_bytes bigint,
    add column model_bytes bigint,
    add column model_count int;
comment on column rowcast.worker.resident_bytes is
    'Memory of its process when it last told; null where its release does not tell.';
comment on column rowcast.worker.model_bytes is 'Of the models that it has loaded, likewise.';
comment on column rowcast.worker.model_count is 'How many these are.';
