-- 0009_model_jobs: jobs with a model, a source and a destination of their own, and no scorer.
set local lock_timeout = '2s';

comment on schema rowcast_run is
    'People''s SQL as functions that run with their authors'' rights, and the tables of running jobs.';

-- They get columns more; sql/ makes them anew.
drop view if exists rowcast.job_progress;
drop function if exists rowcast.job_rows();
drop view if exists rowcast.schedules;
drop function if exists rowcast.create_schedule(text, text, text, text, text, text, boolean);

alter table rowcast.job alter column scorer_id drop not null;
alter table rowcast.job drop constraint job_kind_known;
alter table rowcast.job add constraint job_kind_known
    check (kind in ('backfill', 'rescore', 'model', 'command'));
alter table rowcast.job add constraint job_of_scorer_or_own
    check ((scorer_id is not null) = (kind in ('backfill', 'rescore')));
alter table rowcast.job add column rows_scored bigint not null default 0;
alter table rowcast.job add column pages_done bigint not null default 0;
alter table rowcast.job add column error text;
comment on column rowcast.job.scorer_id is 'Null: rowcast.model_job tells what is scored.';
comment on column rowcast.job.rows_scored is
    'Rows that were scored, of the chunks that are deleted already; counted for jobs without scorer.';
comment on column rowcast.job.pages_done is 'Pages or bytes of the chunks that are deleted already.';
comment on column rowcast.job.error is 'Why it failed.';

create table rowcast.model_job (
    job_id bigint not null,
    phase text not null default 'new',
    source_kind text not null,
    source_text text not null,
    source regclass,
    model_id int,
    version int,
    features jsonb not null default '[]',
    outputs jsonb not null default '[]',
    top_k int,
    kept jsonb not null default '[]',
    key_columns text[] not null default '{}',
    audit_columns text[] not null default '{}',
    destination_kind text not null,
    destination_text text,
    destination regclass,
    mode text not null,
    is_ours boolean not null default false,
    format text,
    priority smallint not null default 1,
    max_concurrency int,
    error_threshold bigint,
    max_retries int not null default 3,
    before_function oid,
    collect_function oid,
    write_function oid,
    deliver_function oid,
    chunk_rows int not null default 4096,
    rows_per_page double precision,
    begun_at timestamptz,
    checked_at timestamptz,
    is_cleared boolean not null default false,
    constraint model_job_pkey primary key (job_id),
    constraint model_job_job_id_fkey foreign key (job_id)
        references rowcast.job (job_id) on delete cascade,
    constraint model_job_phase_known
        check (phase in ('new', 'before', 'collect', 'scan', 'score', 'deliver', 'over')),
    constraint model_job_source_known check (source_kind in ('table', 'query', 'file', 'none')),
    constraint model_job_destination_known check (destination_kind in ('table', 'file', 'none')),
    constraint model_job_mode_known check (mode in ('create', 'append', 'replace', 'upsert')),
    constraint model_job_chunk_rows_in_bounds check (chunk_rows between 1 and 65536),
    constraint model_job_max_concurrency_positive check (max_concurrency > 0),
    constraint model_job_max_retries_not_negative check (max_retries >= 0)
);
comment on table rowcast.model_job is 'What a job without a scorer reads, scores with and writes.';
comment on column rowcast.model_job.phase is
    'new: not started; before, collect, scan and deliver: one step, run as one chunk; score: chunks of rows.';
comment on column rowcast.model_job.source is
    'The table that lanes read: the source itself, or the rows that were collected.';
comment on column rowcast.model_job.kept is
    'Columns of the source that are passed through: {"column", "type", "read"}, read being the type that '
    'lanes see.';
comment on column rowcast.model_job.audit_columns is
    'Names of the columns for model, version, job and moment in the destination; empty text for none.';
comment on column rowcast.model_job.is_ours is
    'Rows go to rowcast_run.job_<id>_rows first, and to the destination all at once at the end.';
comment on column rowcast.model_job.before_function is
    'The functions are of the job''s author and run with his rights.';
comment on column rowcast.model_job.is_cleared is 'Whether what it had in rowcast_run is gone.';

create table rowcast.job_part (
    job_id bigint not null,
    part int not null,
    relation regclass,
    path text,
    first bigint not null default 0,
    size bigint not null,
    line bigint,
    row_count bigint,
    cut bigint not null default 0,
    constraint job_part_pkey primary key (job_id, part),
    constraint job_part_job_id_fkey foreign key (job_id)
        references rowcast.model_job (job_id) on delete cascade,
    constraint job_part_relation_or_path check ((relation is null) = (path is not null))
);
comment on table rowcast.job_part is
    'What a job reads, in the order in which it is cut: tables by pages, files by bytes.';
comment on column rowcast.job_part.size is 'Pages of a table when the job began; bytes of a piece of a file.';
comment on column rowcast.job_part.cut is 'How much of it chunks were made of.';
comment on column rowcast.job_part.line is 'The line of the file on which the piece begins, from 1.';

create table rowcast.job_failure (
    job_id bigint not null,
    place text not null,
    key jsonb,
    code text not null,
    reason text not null,
    failed_at timestamptz not null default clock_timestamp(),
    constraint job_failure_pkey primary key (job_id, place),
    constraint job_failure_job_id_fkey foreign key (job_id)
        references rowcast.model_job (job_id) on delete cascade
);
comment on table rowcast.job_failure is 'Rows that a job could not score.';
comment on column rowcast.job_failure.place is
    'Where the row was read: table and ctid, or file and line.';
comment on column rowcast.job_failure.key is 'Its key and the columns that the job keeps.';

create table rowcast.export_part (
    job_id bigint not null,
    part int not null,
    first bigint not null,
    piece int not null,
    bytes bytea not null,
    constraint export_part_pkey primary key (job_id, part, first, piece),
    constraint export_part_job_id_fkey foreign key (job_id)
        references rowcast.model_job (job_id) on delete cascade
);
-- Digits compress little, and compressing them would cost more than all else.
alter table rowcast.export_part alter column bytes set storage external;
comment on table rowcast.export_part is
    'Lines of an exported file until they are joined at the end, in the order of the source.';

alter table rowcast.chunk alter column scorer_id drop not null;
alter table rowcast.chunk add column pages bigint;
alter table rowcast.chunk add column needs_files boolean not null default false;
alter table rowcast.chunk drop constraint chunk_kind_known;
alter table rowcast.chunk add constraint chunk_kind_known
    check (kind in ('keys', 'range', 'truncate', 'map', 'tid', 'file', 'step')) not valid;
alter table rowcast.chunk drop constraint chunk_says_which_rows;
alter table rowcast.chunk add constraint chunk_says_which_rows check (
        case kind when 'range' then lower_key is not null and upper_key is not null
                  when 'truncate' then keys is null
                  when 'keys' then keys is not null
                  when 'map' then keys is not null
                  when 'step' then keys is not null
                  else keys is not null and lower_key is not null and upper_key is not null end
        or state not in ('available', 'running')) not valid;
alter table rowcast.chunk add constraint chunk_of_scorer_or_job
    check (scorer_id is not null or job_id is not null) not valid;
comment on column rowcast.chunk.scorer_id is 'Null: of a job that has no scorer.';
comment on column rowcast.chunk.pages is 'How much of its part of the job it is: pages or bytes.';
comment on column rowcast.chunk.needs_files is 'Only for workers that have a directory of files.';
comment on column rowcast.chunk.kind is
    'keys: those in keys; range: lower_key to upper_key, both included; truncate: look which '
    'predictions have lost their row; map: keys of a watched relation, whose mapping gives the keys of further '
    'chunks; tid: rows of the table in keys from the place lower_key up to, not '
    'including, upper_key, or at the places of the array lower_key; file: bytes of the file in keys likewise, '
    'upper_key having the line of the first behind it; step: what keys names.';

alter table rowcast.worker add column has_files boolean not null default false;
comment on column rowcast.worker.has_files is 'Whether it was given a directory to read and write files in.';

alter table rowcast.schedule alter column scorer_id drop not null;
alter table rowcast.schedule alter column failures_only drop not null;
alter table rowcast.schedule add column template jsonb;
alter table rowcast.schedule add column command text;
alter table rowcast.schedule add column run_function oid;
alter table rowcast.schedule add constraint schedule_runs_one_thing
    check (num_nonnulls(scorer_id, template, command) = 1);
alter table rowcast.schedule add constraint schedule_function_of_its_author
    check ((run_function is null) = (scorer_id is not null));
comment on column rowcast.schedule.template is 'Arguments of submit_job.';
comment on column rowcast.schedule.command is 'SQL that is run.';
comment on column rowcast.schedule.run_function is
    'Of rowcast_run: submits the job, or runs the command, with the rights of who made the schedule.';
