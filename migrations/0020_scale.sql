-- Scale: contracts of lag, limits of what workers take of the server, and what each of them has.
set local lock_timeout = '2s';

create table rowcast.lag_contract (
    scorer_id int not null,
    max_lag interval not null,
    broken_at timestamptz,
    breach_count bigint not null default 0,
    longest_lag interval,
    set_at timestamptz not null default clock_timestamp(),
    set_by text not null,
    constraint lag_contract_pkey primary key (scorer_id),
    constraint lag_contract_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint lag_contract_max_lag_positive check (max_lag > interval '0'),
    constraint lag_contract_breach_count_not_negative check (breach_count >= 0)
);
comment on table rowcast.lag_contract is 'How old a change may be that a scorer has not scored.';
comment on column rowcast.lag_contract.broken_at is 'Since when it is not kept; null while it is.';
comment on column rowcast.lag_contract.breach_count is 'How often it was broken since it was set.';
comment on column rowcast.lag_contract.longest_lag is 'Of the present breach, or of the last one.';

create table rowcast.limit_setting (
    name text not null,
    value text not null,
    set_at timestamptz not null default clock_timestamp(),
    set_by text not null,
    constraint limit_setting_pkey primary key (name)
);
comment on table rowcast.limit_setting is
    'Limits of what workers take of the server that differ from their defaults: see rowcast.limits.';

-- What a worker says when it changes.
alter table rowcast.worker
    add column connections_wanted int,
    add column connections int,
    add column connections_used int,
    add column bulk_lanes int,
    add column pressure text,
    add column pressure_since timestamptz;
comment on column rowcast.worker.connections_wanted is 'As many as it would have; null where its release does not tell.';
comment on column rowcast.worker.connections is 'As many as it may have.';
comment on column rowcast.worker.connections_used is 'As many as it had when it last told.';
comment on column rowcast.worker.bulk_lanes is 'Lanes that take chunks of jobs; fewer while the server is under pressure.';
comment on column rowcast.worker.pressure is 'Why fewer lanes take chunks of jobs than could; null where all do.';
