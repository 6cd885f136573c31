-- What inputs and scores look like, hour by hour; what scoring costs; what is expected of inputs.
set local lock_timeout = '2s';

create table rowcast.profile (
    profile_id int generated always as identity,
    scorer_id int not null,
    origin text not null,
    row_count bigint not null default 0,
    is_current boolean not null default false,
    made_at timestamptz not null default clock_timestamp(),
    made_by text not null,
    constraint profile_pkey primary key (profile_id),
    constraint profile_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade
);
create unique index profile_current_key on rowcast.profile (scorer_id) where is_current;
create index profile_scorer_idx on rowcast.profile (scorer_id);
comment on table rowcast.profile is
    'Reference rows of a scorer: what its columns are compared with, and the bins they are counted in.';
comment on column rowcast.profile.origin is 'Where the rows came from, as it was asked for.';
comment on column rowcast.profile.row_count is 'Rows that it was made of, at most the size of the sample.';

create table rowcast.profile_column (
    profile_id int not null,
    kind text not null,
    place smallint not null,
    column_name text not null,
    value_count bigint not null,
    missing_count bigint not null,
    mean double precision,
    m2 double precision,
    minimum double precision,
    maximum double precision,
    edges double precision[],
    labels text[],
    bins bigint[] not null,
    constraint profile_column_pkey primary key (profile_id, kind, place),
    constraint profile_column_profile_id_fkey foreign key (profile_id)
        references rowcast.profile (profile_id) on delete cascade,
    constraint profile_column_kind_known check (kind in ('input', 'output')),
    constraint profile_column_counted_one_way check ((edges is null) <> (labels is null)),
    constraint profile_column_bins_complete
        check (cardinality(bins) = cardinality(coalesce(edges::text[], labels)) + 1)
);
comment on table rowcast.profile_column is 'A column of the reference rows: moments and histogram.';
comment on column rowcast.profile_column.missing_count is 'NULL, NaN or infinite.';
comment on column rowcast.profile_column.m2 is 'Sum of squared distances from the mean.';
comment on column rowcast.profile_column.edges is
    'Of numbers, ascending: bin b counts the values with exactly b edges at or below them.';
comment on column rowcast.profile_column.labels is
    'Of texts: the most frequent; one more bin counts all others. Moments are those of the lengths.';

create table rowcast.observation (
    scorer_id int not null,
    hour timestamptz not null,
    profile_id int not null,
    model_version int not null,
    kind text not null,
    place smallint not null,
    value_count bigint not null,
    missing_count bigint not null,
    mean double precision not null,
    m2 double precision not null,
    minimum double precision,
    maximum double precision,
    bins bigint[] not null,
    constraint observation_pkey
        primary key (scorer_id, hour, profile_id, model_version, kind, place),
    constraint observation_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint observation_kind_known check (kind in ('input', 'output'))
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
create index observation_hour_idx on rowcast.observation (hour);
comment on table rowcast.observation is
    'What the rows looked like that were scored within an hour: a row a column and model version. '
    'Workers add to it, in bulk, a second or more apart.';
comment on column rowcast.observation.profile_id is 'Whose bins were counted in; 0 before there was one.';
comment on column rowcast.observation.model_version is '0 where each row has a model of its own.';

create table rowcast.scorer_minute (
    scorer_id int not null,
    minute timestamptz not null,
    rows_scored bigint not null,
    rows_failed bigint not null,
    chunk_count bigint not null,
    latency_count bigint not null,
    latency_seconds double precision not null,
    longest_latency double precision not null,
    last_scored_at timestamptz not null,
    constraint scorer_minute_pkey primary key (scorer_id, minute),
    constraint scorer_minute_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade
) with (fillfactor = 60);
create index scorer_minute_minute_idx on rowcast.scorer_minute (minute);
comment on table rowcast.scorer_minute is 'What scorers got done in a minute.';
comment on column rowcast.scorer_minute.latency_seconds is
    'Sum over latency_count chunks of changes, each from its oldest change to its commit.';

create table rowcast.usage_hour (
    hour timestamptz not null,
    scorer text not null,
    model_name text not null,
    model_version int not null,
    job_id bigint not null,
    rows_scored bigint not null,
    cpu_seconds double precision not null,
    predict_cpu_seconds double precision not null,
    constraint usage_hour_pkey primary key (hour, scorer, model_name, model_version, job_id)
) with (fillfactor = 60);
comment on table rowcast.usage_hour is
    'Processor time that scoring took, by model and job. It outlives its scorer.';
comment on column rowcast.usage_hour.scorer is 'Empty for jobs that belong to none.';
comment on column rowcast.usage_hour.job_id is '0 for rows that came by changes.';
comment on column rowcast.usage_hour.cpu_seconds is
    'Of lanes: decoding, predicting, encoding. PostgreSQL''s own time is not in it.';

create table rowcast.price (
    only_row boolean not null default true,
    cpu_hour numeric not null,
    currency text not null,
    set_at timestamptz not null default clock_timestamp(),
    set_by text not null,
    constraint price_pkey primary key (only_row),
    constraint price_one_row check (only_row),
    constraint price_not_negative check (cpu_hour >= 0)
);
comment on table rowcast.price is 'What an hour of a processor core costs; no row where nobody said.';

create table rowcast.expectation (
    expectation_id int generated always as identity,
    scorer_id int not null,
    name text not null,
    kind text not null,
    column_kind text,
    place smallint,
    column_name text,
    action text not null,
    minimum double precision,
    maximum double precision,
    allowed text[],
    tolerance double precision,
    minimum_rows int not null,
    accepted_tick bigint not null default 0,
    held_at timestamptz,
    held_reason text,
    created_at timestamptz not null default clock_timestamp(),
    created_by text not null,
    constraint expectation_pkey primary key (expectation_id),
    constraint expectation_name_key unique (scorer_id, name),
    constraint expectation_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint expectation_kind_known
        check (kind in ('columns', 'null', 'range', 'allowed', 'mean', 'spread', 'drift')),
    constraint expectation_action_known check (action in ('gate', 'warn', 'record')),
    constraint expectation_of_a_column check ((kind = 'columns') = (place is null)),
    constraint expectation_held_with_reason check ((held_at is null) = (held_reason is null))
);
comment on table rowcast.expectation is 'What somebody expects of the rows that a scorer scores.';
comment on column rowcast.expectation.accepted_tick is
    'Rows of ticks up to it are not judged: somebody said that they are as they should be.';
comment on column rowcast.expectation.held_at is
    'When it suspended its scorer, which stays so until somebody resolves it.';

create table rowcast.expectation_hour (
    expectation_id int not null,
    hour timestamptz not null,
    checked bigint not null,
    failed bigint not null,
    last_observed double precision,
    last_failed_at timestamptz,
    last_reason text,
    constraint expectation_hour_pkey primary key (expectation_id, hour),
    constraint expectation_hour_expectation_id_fkey foreign key (expectation_id)
        references rowcast.expectation (expectation_id) on delete cascade
) with (fillfactor = 60);
comment on table rowcast.expectation_hour is
    'What became of an expectation within an hour: rows, or for kinds that judge many rows together '
    'the times that they were judged.';
