-- Retention: how long what is over is kept, and what was freed.
set local lock_timeout = '2s';

create table rowcast.retention_policy (
    kind text not null,
    keep interval,
    last_run_at timestamptz,
    error text,
    set_at timestamptz not null default now(),
    set_by text not null default session_user,
    constraint retention_policy_pkey primary key (kind),
    constraint retention_policy_keep_not_short check (keep >= interval '1 minute')
);
comment on table rowcast.retention_policy is
    'How long each kind of record is kept. A kind is pruned by the function rowcast.prune_<kind>.';
comment on column rowcast.retention_policy.keep is 'Null for ever.';
insert into rowcast.retention_policy (kind, keep)
values ('ticks', '10 minutes'), ('jobs', '30 days'), ('schedule_runs', '90 days'), ('audits', '90 days'),
       ('failures', null), ('model_versions', null);

create table rowcast.retention_day (
    kind text not null,
    day date not null,
    freed bigint not null,
    last_at timestamptz not null default clock_timestamp(),
    constraint retention_day_pkey primary key (kind, day)
);
comment on table rowcast.retention_day is 'Records that were pruned, by kind and day (UTC).';
