-- Audits: what a comparison of a source with its predictions found, and when scorers are audited.
set local lock_timeout = '2s';

create table rowcast.audit (
    audit_id bigint generated always as identity,
    scorer_id int not null,
    background boolean not null,
    repair boolean not null,
    state text not null default 'running',
    next_key text,
    "rows" bigint not null default 0,
    scored bigint not null default 0,
    failed bigint not null default 0,
    missing bigint not null default 0,
    orphaned bigint not null default 0,
    stale bigint not null default 0,
    stale_changed bigint,
    repaired bigint not null default 0,
    error text,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    created_by text not null,
    constraint audit_pkey primary key (audit_id),
    constraint audit_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint audit_state_known check (state in ('running', 'done', 'failed')),
    constraint audit_finished_unless_running check ((state = 'running') = (finished_at is null))
);
create index audit_scorer_idx on rowcast.audit (scorer_id, started_at);
create unique index audit_running_idx on rowcast.audit (scorer_id)
    where state = 'running' and background;
comment on table rowcast.audit is
    'Comparisons of a source with its predictions, and what they found.';
comment on column rowcast.audit.next_key is
    'The last key that was compared, as text; null before the first.';
comment on column rowcast.audit.stale_changed is
    'Of the stale rows that were scored again, those whose outcome is another; null until all are.';
comment on column rowcast.audit.repaired is 'Keys that were given to lanes again.';

create table rowcast.audit_finding (
    finding_id bigint generated always as identity,
    audit_id bigint not null,
    kind text not null,
    key_count int not null,
    keys text not null,
    outcomes text[],
    tick_id bigint,
    constraint audit_finding_pkey primary key (finding_id),
    constraint audit_finding_audit_id_fkey foreign key (audit_id)
        references rowcast.audit (audit_id) on delete cascade,
    constraint audit_finding_kind_known check (kind in ('missing', 'orphaned', 'stale'))
);
create index audit_finding_audit_idx on rowcast.audit_finding (audit_id);
comment on table rowcast.audit_finding is
    'Keys that an audit found, until it is known what their repair changed.';
comment on column rowcast.audit_finding.keys is 'As rowcast.chunk.keys.';
comment on column rowcast.audit_finding.outcomes is
    'Of stale rows, a hash of each key''s outcome before it was scored again.';
comment on column rowcast.audit_finding.tick_id is 'Tick of the repair; null where there is none.';

create table rowcast.audit_setting (
    scorer_id int not null,
    every interval,
    rows_per_second int not null,
    repair boolean not null,
    set_at timestamptz not null default now(),
    set_by text not null,
    constraint audit_setting_pkey primary key (scorer_id),
    constraint audit_setting_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint audit_setting_every_positive check (every > interval '0'),
    constraint audit_setting_rate_positive check (rows_per_second > 0)
);
comment on table rowcast.audit_setting is
    'How scorers are audited in the background, where it is not by default.';
comment on column rowcast.audit_setting.every is 'From one audit''s start to the next; null for never.';
