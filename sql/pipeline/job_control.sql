-- What people do with jobs: look, wait, pause, resume, cancel.
--
-- A job that is paused or cancelled is cut no further. Chunks that are open then, a few a lane, are
-- finished when it is paused; when it is cancelled those that no lane has are cancelled too.

create or replace function rowcast.open_job(job_id bigint) returns rowcast.job
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.job;
begin
    -- Waits for a cut that is under way, and then sees the chunks that it made.
    select j.* into own from rowcast.job as j where j.job_id = open_job.job_id for update;
    if not found then
        raise exception using errcode = 'RC310', message = format('job %s does not exist', job_id),
            hint = 'select * from rowcast.job_progress lists them.';
    elsif own.finished_at is not null then
        raise exception using errcode = 'RC310',
            message = format('job %s is over: %s since %s', job_id, own.state,
                             to_char(own.finished_at, 'YYYY-MM-DD HH24:MI:SS'));
    end if;
    return own;
end
$$;
comment on function rowcast.open_job(bigint) is 'Locks a job that is not over, or raises RC310.';
revoke all on function rowcast.open_job(bigint) from public;

create or replace function rowcast.pause_job(job_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.job := rowcast.open_job(job_id);
begin
    update rowcast.job as j set state = 'paused' where j.job_id = own.job_id;
end
$$;
comment on function rowcast.pause_job(bigint) is
    'Stops a job after the chunks that are open. Errors: RC310 where there is none, or it is over.';
revoke all on function rowcast.pause_job(bigint) from public;
grant execute on function rowcast.pause_job(bigint) to rowcast_analyst;

create or replace function rowcast.resume_job(job_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.job := rowcast.open_job(job_id);
begin
    update rowcast.job as j set state = 'running' where j.job_id = own.job_id;
    perform pg_notify('rowcast_control', 'job');
end
$$;
comment on function rowcast.resume_job(bigint) is
    'Goes on with a job where it was paused. Errors: RC310 where there is none, or it is over.';
revoke all on function rowcast.resume_job(bigint) from public;
grant execute on function rowcast.resume_job(bigint) to rowcast_analyst;

create or replace function rowcast.cancel_job(job_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.job := rowcast.open_job(job_id);
begin
    with gone as (
        update rowcast.chunk as c set state = 'cancelled', finished_at = clock_timestamp()
        where c.job_id = own.job_id and c.state = 'available'
        returning c.key_count
    )
    update rowcast.job as j
    set state = 'cancelled', finished_at = clock_timestamp(),
        rows_made = j.rows_made - (select coalesce(sum(g.key_count), 0) from gone as g)
    where j.job_id = own.job_id;
end
$$;
comment on function rowcast.cancel_job(bigint) is
    'Ends a job. What it scored stays, and so do older predictions of the other rows. Errors: RC310 '
    'where there is none, or it is over.';
revoke all on function rowcast.cancel_job(bigint) from public;
grant execute on function rowcast.cancel_job(bigint) to rowcast_analyst;

create or replace function rowcast.job_rows()
returns table (
    job_id bigint, scorer text, kind text, state text, rows_done bigint, rows_failed bigint,
    rows_total bigint, done double precision, rows_per_second double precision, eta interval,
    elapsed interval, created_by text, created_at timestamptz, finished_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select j.job_id, s.name, j.kind, j.state, p.rows_done, p.rows_failed, p.rows_total,
           case when j.state = 'done' then 1
                when p.rows_total > 0 then least(0.999, p.rows_done::float8 / p.rows_total)
                else 0 end,
           p.per_second,
           case when j.state = 'running' and p.per_second > 0
                then make_interval(secs => (p.rows_total - p.rows_done) / p.per_second) end,
           coalesce(j.finished_at, clock_timestamp()) - j.created_at,
           j.created_by, j.created_at, j.finished_at
    from rowcast.job as j
    join rowcast.scorer as s on s.scorer_id = j.scorer_id
    cross join lateral (
        select coalesce(sum(c.key_count) filter (where c.state in ('available', 'running')), 0) as open,
               coalesce(sum(c.rows_failed), 0) as failed,
               sum(c.key_count) filter (
                   where c.state in ('done', 'failed')
                     and c.finished_at > clock_timestamp() - interval '30 seconds') as recent
        from rowcast.chunk as c where c.job_id = j.job_id
    ) as c
    cross join lateral (
        select (j.rows_made - c.open)::bigint as rows_done,
               (j.rows_failed + c.failed)::bigint as rows_failed,
               -- Cut to the end: known, and no estimate.
               case when j.bounded and j.last_key is null then j.rows_made
                    else greatest(j.rows_total, j.rows_made) end as rows_total,
               case when j.finished_at is null
                    then coalesce(c.recent, 0) / least(30, greatest(
                        0.001, extract(epoch from clock_timestamp() - j.created_at)))
                    else (j.rows_made - c.open) / greatest(
                        0.001, extract(epoch from j.finished_at - j.created_at))
               end::float8 as per_second
    ) as p
    order by j.job_id
$$;
comment on function rowcast.job_rows() is 'The rows of rowcast.job_progress.';
revoke all on function rowcast.job_rows() from public;
grant execute on function rowcast.job_rows() to rowcast_reader;

create or replace view rowcast.job_progress as select * from rowcast.job_rows();
comment on view rowcast.job_progress is
    'Backfills and rescorings: how far they are. Cost: an index entry a chunk of the last ten minutes.';
comment on column rowcast.job_progress.rows_total is
    'The planner''s estimate until the job has come to the last key, then exact.';
comment on column rowcast.job_progress.rows_failed is 'Of rows_done.';
comment on column rowcast.job_progress.rows_per_second is
    'Over the last 30 seconds; of jobs that are over, from their making to their end.';
comment on column rowcast.job_progress.eta is 'Time to the end at this rate; null while nothing moves.';
grant select on rowcast.job_progress to rowcast_reader;

create or replace procedure rowcast.wait_for_job(job_id bigint, timeout interval default null)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    give_up_at constant timestamptz := clock_timestamp() + timeout;
    pause interval := '5 milliseconds';
    own record;
begin
    perform rowcast.must_see_commits('a job');
    loop
        select j.state, s.name, s.state as scorer_state, s.state_reason,
               j.xmin = pg_current_xact_id_if_assigned()::xid as is_mine
        into own
        from rowcast.job as j join rowcast.scorer as s on s.scorer_id = j.scorer_id
        where j.job_id = wait_for_job.job_id;
        if not found then
            raise exception using errcode = 'RC310', message = format('job %s does not exist', job_id),
                hint = 'select * from rowcast.job_progress lists them.';
        elsif own.state = 'done' then
            return;
        elsif own.is_mine then
            raise exception using errcode = 'RC308', message = format('job %s is not committed', job_id),
                hint = 'Commit first: workers see only what is committed.';
        elsif own.state in ('cancelled', 'failed') then
            raise exception using errcode = 'RC310', message = format('job %s was %s', job_id, own.state);
        elsif own.scorer_state <> 'active' then
            raise exception using errcode = 'RC306',
                message = format('job %s does not go on: scorer "%s" is %s', job_id, own.name,
                                 own.scorer_state),
                detail = own.state_reason;
        elsif own.state = 'paused' then
            raise exception using errcode = 'RC310', message = format('job %s is paused', job_id),
                hint = format('select rowcast.resume_job(%s);', job_id);
        elsif clock_timestamp() >= give_up_at then
            raise exception using errcode = 'RC307',
                message = format('job %s was not done within %s', job_id, timeout),
                hint = case when exists (select from rowcast.lane)
                    then 'The view rowcast.job_progress tells how far it is.'
                    else 'Start a worker with "rowcast worker" or "rowcast up".' end;
        end if;
        perform pg_sleep(extract(epoch from least(pause, give_up_at - clock_timestamp())));
        pause := least(pause * 1.5, interval '200 milliseconds');
    end loop;
end
$$;
comment on procedure rowcast.wait_for_job(bigint, interval) is
    'Returns when a job is done; waits as long as that takes where no timeout is given. Errors: RC306 its '
    'scorer is paused or suspended; RC307 not in time; RC308 not committed; RC310 no such job, or paused, '
    'cancelled or failed.';
revoke all on procedure rowcast.wait_for_job(bigint, interval) from public;
grant execute on procedure rowcast.wait_for_job(bigint, interval) to rowcast_reader;
