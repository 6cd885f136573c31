-- Jobs can be paused, and remember what their chunks, which are deleted after minutes, failed at.
set local lock_timeout = '2s';

alter table rowcast.job drop constraint job_state_known;
alter table rowcast.job add constraint job_state_known
    check (state in ('running', 'paused', 'done', 'cancelled', 'failed'));
alter table rowcast.job drop constraint job_finished_unless_running;
alter table rowcast.job add constraint job_finished_when_over
    check ((state in ('running', 'paused')) = (finished_at is null));
alter table rowcast.job add column rows_failed bigint not null default 0;
comment on column rowcast.job.rows_failed is
    'Rows that could not be scored, of the chunks that are deleted already.';
comment on column rowcast.job.rows_total is
    'The planner''s estimate: of the statistics when the job was made, of the size when it began.';

drop index rowcast.job_running_idx;
create index job_open_idx on rowcast.job (scorer_id, tick_id) where state in ('running', 'paused');
create index chunk_job_idx on rowcast.chunk (job_id) where job_id is not null;
