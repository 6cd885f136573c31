-- Canaries: another version for a share of a scorer's rows.
set local lock_timeout = '2s';

create table rowcast.canary (
    canary_id bigint generated always as identity,
    scorer_id int not null,
    version int not null,
    alias text,
    share double precision not null,
    state text not null default 'running',
    reason text,
    max_failure_increase double precision not null,
    max_latency_ratio double precision not null,
    min_rows bigint not null,
    row_count bigint not null default 0,
    failed_count bigint not null default 0,
    seconds double precision not null default 0,
    champion_row_count bigint not null default 0,
    champion_failed_count bigint not null default 0,
    champion_seconds double precision not null default 0,
    needs_rescore boolean not null default false,
    rescores int not null default 0,
    job_id bigint,
    changed_at timestamptz not null default clock_timestamp(),
    started_at timestamptz not null default clock_timestamp(),
    started_by text not null,
    ended_at timestamptz,
    constraint canary_pkey primary key (canary_id),
    constraint canary_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint canary_share_in_bounds check (share > 0 and share <= 1),
    constraint canary_state_known check (state in ('running', 'stopping', 'stopped', 'promoted')),
    constraint canary_ended_unless_running check ((state = 'running') = (ended_at is null)),
    constraint canary_bounds_not_negative
        check (max_failure_increase >= 0 and max_latency_ratio >= 1 and min_rows > 0)
);
create unique index canary_open_idx on rowcast.canary (scorer_id)
    where state in ('running', 'stopping');
comment on table rowcast.canary is 'Versions that score a share of a scorer''s rows, and those that did.';
comment on column rowcast.canary.share is
    'Of the keys: those whose hash, salted with the scorer''s number, lies below it.';
comment on column rowcast.canary.state is
    'stopping: its rows are being scored again by the scorer''s own version; promoted: that became it.';
comment on column rowcast.canary.row_count is
    'Rows that it was given; failed_count of them could not be scored; seconds is the time to predict.';
comment on column rowcast.canary.needs_rescore is
    'Whether rows may have been scored by the wrong version, and are to be scored again.';
comment on column rowcast.canary.changed_at is
    'When lanes were last told of something new: chunks claimed before may follow what was before.';
