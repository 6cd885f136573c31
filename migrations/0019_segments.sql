-- 0019_segments: jobs that write slices of rows as arrays.
set local lock_timeout = '2s';
alter table rowcast.model_job drop constraint model_job_mode_known;
alter table rowcast.model_job add constraint model_job_mode_known
    check (mode in ('create', 'append', 'replace', 'upsert', 'segments')) not valid;
comment on column rowcast.model_job.kept is
    'Columns of the source that are passed through: {"column", "type", "read", "bounds"}, read being the type '
    'that lanes see, bounds the columns that hold the least and the greatest value of a segment.';
