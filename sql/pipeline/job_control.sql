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
    if own.scorer_id is null then
        perform rowcast.end_job(own.job_id, 'cancelled', null);
        return;
    end if;
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

create or replace procedure rowcast.wait_for_job(job_id bigint, timeout interval default null)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    give_up_at constant timestamptz := clock_timestamp() + timeout;
    pause interval := '5 milliseconds';
    own record;
begin
    perform rowcast.must_see_commits('a job');
    loop
        select j.state, j.error, s.name, s.state as scorer_state, s.state_reason,
               j.xmin = pg_current_xact_id_if_assigned()::xid as is_mine
        into own
        from rowcast.job as j left join rowcast.scorer as s on s.scorer_id = j.scorer_id
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
            raise exception using errcode = 'RC310',
                message = case own.state when 'cancelled' then format('job %s was cancelled', job_id)
                          else format('job %s has failed', job_id) || coalesce(': ' || own.error, '') end;
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
