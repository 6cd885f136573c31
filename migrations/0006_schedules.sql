-- Schedules: jobs on a timetable, and what became of each time.
set local lock_timeout = '2s';

create table rowcast.schedule (
    schedule_id int generated always as identity,
    name text not null,
    cron text not null,
    time_zone text not null,
    scorer_id int not null,
    failures_only boolean not null,
    overlap text not null,
    catch_up text not null,
    paused boolean not null default false,
    next_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    created_by text not null,
    constraint schedule_pkey primary key (schedule_id),
    constraint schedule_name_key unique (name),
    constraint schedule_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint schedule_overlap_known check (overlap in ('skip', 'queue', 'cancel')),
    constraint schedule_catch_up_known check (catch_up in ('none', 'one', 'all'))
);
create index schedule_next_idx on rowcast.schedule (next_at) where not paused;
comment on table rowcast.schedule is 'Jobs on a timetable.';
comment on column rowcast.schedule.next_at is
    'The first time that nothing was decided about; moves in the transaction that decides.';

create table rowcast.schedule_run (
    schedule_id int not null,
    due_at timestamptz not null,
    outcome text not null,
    job_id bigint,
    reason text,
    decided_at timestamptz not null default clock_timestamp(),
    constraint schedule_run_pkey primary key (schedule_id, due_at),
    constraint schedule_run_schedule_id_fkey foreign key (schedule_id)
        references rowcast.schedule (schedule_id) on delete cascade,
    constraint schedule_run_outcome_known
        check (outcome in ('started', 'queued', 'skipped', 'missed', 'failed')),
    constraint schedule_run_job_when_started check ((outcome = 'started') = (job_id is not null))
);
create index schedule_run_queued_idx on rowcast.schedule_run (schedule_id, due_at)
    where outcome = 'queued';
comment on table rowcast.schedule_run is
    'What became of each time of a schedule, once each: the key is the schedule and the time.';
