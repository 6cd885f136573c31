-- What people do with jobs of models beside looking, waiting, pausing and cancelling (job_control.sql).

create or replace function rowcast.own_model_job(job_id bigint) returns rowcast.model_job
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.model_job;
    author name;
begin
    select j.created_by into author from rowcast.job as j where j.job_id = own_model_job.job_id for update;
    select m.* into own from rowcast.model_job as m where m.job_id = own_model_job.job_id;
    if not found then
        raise exception using errcode = 'RC310',
            message = format('job %s was not made by rowcast.submit_job, or does not exist', job_id),
            hint = 'select * from rowcast.job_progress lists them.';
    elsif not exists (select from pg_roles as r where r.rolname = author
                      and pg_has_role(rowcast.caller(), r.oid, 'member'))
          and not pg_has_role(rowcast.caller(), 'rowcast_admin', 'member') then
        raise exception using errcode = '42501', message = format('job %s is not yours', job_id);
    end if;
    return own;
end
$$;
comment on function rowcast.own_model_job(bigint) is
    'Locks a job of a model that is the caller''s, or of a role whose member he is.';
revoke all on function rowcast.own_model_job(bigint) from public;

create or replace function rowcast.retry_failures(job_id bigint) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    own constant rowcast.model_job := rowcast.own_model_job(job_id);
    job rowcast.job;
    relation text;
    places bigint := 0;
    chunks bigint;
    fresh bigint;
begin
    select j.* into strict job from rowcast.job as j where j.job_id = own.job_id;
    if job.finished_at is null then
        raise exception using errcode = 'RC310', message = format('job %s is not over', job_id),
            hint = format('call rowcast.wait_for_job(%s);', job_id);
    elsif own.destination_kind = 'file' then
        raise exception using errcode = 'RC310',
            message = format('job %s wrote a file, to which nothing is added later', job_id),
            hint = 'Submit it again.';
    elsif own.is_cleared or job.state = 'cancelled' then
        raise exception using errcode = 'RC310',
            message = format('job %s is %s, and nothing of it is left to retry', job_id, job.state);
    end if;

    -- Chunks that were given up.
    update rowcast.chunk as c
    set state = 'available', finished_at = null, claimed_at = null, attempt = 0, deaths = 0,
        rows_scored = null, rows_failed = null
    where c.job_id = own.job_id and c.state = 'failed' and c.kind <> 'step';
    get diagnostics chunks = row_count;

    -- Rows that failed: found by their key where they have one, since what was mended has moved.
    if own.source_kind = 'table' and own.key_columns <> '{}' and (
            select bool_and((k.value ->> 'is_plain')::boolean and k.place <= 49)
            from jsonb_array_elements(own.kept) with ordinality as k (value, place)
            where k.value ->> 'column' = any (own.key_columns)) then
        execute format(
            'create temp table rowcast_retry on commit drop as '
            'select t.tableoid::regclass::text as relation, t.ctid as tid '
            'from rowcast.job_failure as f join %s as t on %s where f.job_id = $1',
            own.source, (
                select string_agg(format('t.%I = (f.key ->> %L)::%s', k.value ->> 'column',
                                         k.value ->> 'column', k.value ->> 'read'), ' and ')
                from jsonb_array_elements(own.kept) as k (value)
                where k.value ->> 'column' = any (own.key_columns)))
        using own.job_id;
    else
        create temp table rowcast_retry on commit drop as
        select left(f.place, -length(m.tid)) as relation, m.tid::tid as tid
        from rowcast.job_failure as f
        cross join lateral (select substring(f.place from '\(\d+,\d+\)$')) as m (tid)
        where f.job_id = own.job_id and m.tid is not null;
    end if;
    with gone as (
        delete from rowcast.job_failure as f where f.job_id = own.job_id returning 1
    ) select count(*) into places from gone;
    insert into rowcast.chunk (job_id, tick_id, key_count, priority, kind, keys, lower_key, upper_key)
    select own.job_id, job.tick_id, count(*), own.priority, 'tid', r.relation,
           array_agg(r.tid order by r.tid)::text, ''
    from (select t.relation, t.tid, row_number() over (partition by t.relation order by t.tid) as place
          from pg_temp.rowcast_retry as t) as r
    group by r.relation, (r.place - 1) / 1000;
    drop table pg_temp.rowcast_retry;

    update rowcast.job as j
    set rows_failed = j.rows_failed - places, state = 'running', finished_at = null, error = null
    where j.job_id = own.job_id;
    update rowcast.model_job as m
    set phase = 'score', checked_at = clock_timestamp(),
        -- What was delivered is not delivered again: rows that are mended are added to it.
        is_ours = m.is_ours and job.state = 'failed'
    where m.job_id = own.job_id;
    perform pg_notify('rowcast_control', 'job');
    return places + chunks;
end
$$;
comment on function rowcast.retry_failures(bigint) is
    'Has the rows of a job that failed, and the chunks that were given up, scored again, into the same '
    'destination; returns how many there are. Rows of a table are found by its primary key, as they are '
    'now; without one by their place, where a row that was updated is not any more. Errors: RC310.';
revoke all on function rowcast.retry_failures(bigint) from public;
grant execute on function rowcast.retry_failures(bigint) to rowcast_analyst;

create or replace function rowcast.clear_job(job_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
-- Who owns a schema may drop what is in it, whosever it is.
declare
    thing text;
begin
    -- Whoever drops a job and whoever clears it, one after the other: what is there is looked at then.
    perform from rowcast.model_job as m where m.job_id = clear_job.job_id for update;
    for thing in
        select format('function %s', p.oid::regprocedure) from pg_proc as p
        where p.pronamespace = 'rowcast_run'::regnamespace
          and p.proname ~ format('^job_%s(_(before|collect|write|deliver))?$', clear_job.job_id)
        union all
        select format('%s %s', case c.relkind when 'v' then 'view' else 'table' end, c.oid::regclass)
        from pg_class as c
        where c.relnamespace = 'rowcast_run'::regnamespace and c.relkind in ('r', 'v')
          and c.relname ~ format('^job_%s_(source|in|rows)$', clear_job.job_id)
    loop
        execute 'drop ' || thing;
    end loop;
    delete from rowcast.export_part as p where p.job_id = clear_job.job_id;
    update rowcast.model_job as m set is_cleared = true where m.job_id = clear_job.job_id;
end
$$;
comment on function rowcast.clear_job(bigint) is
    'Drops what a job had in rowcast_run. Its destination, its failures and its record stay.';
revoke all on function rowcast.clear_job(bigint) from public;

create or replace function rowcast.clear_jobs() returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
    number bigint;
    cleared int := 0;
begin
    for number in
        select m.job_id from rowcast.model_job as m join rowcast.job as j on j.job_id = m.job_id
        where not m.is_cleared and j.finished_at < clock_timestamp() - case
            -- A lane may still read for a job that ended early. What failed may be retried.
            when j.state = 'done' and j.rows_failed = 0 and not exists (
                select from rowcast.job_failure as f where f.job_id = m.job_id) then interval '2 seconds'
            when j.state = 'cancelled' then interval '5 seconds'
            else interval '7 days' end
        order by m.job_id limit 20 for update of m skip locked
    loop
        begin
            perform rowcast.clear_job(number);
            cleared := cleared + 1;
        exception when lock_not_available then
            null;  -- The next round.
        end;
    end loop;
    return cleared;
end
$$;
comment on function rowcast.clear_jobs() is
    'Clears jobs that are over: at once what is done or cancelled, after a week what has failures to retry.';
revoke all on function rowcast.clear_jobs() from public;

create or replace function rowcast.drop_job(job_id bigint) returns void
language plpgsql security definer
-- Lanes may still read for it, for a moment.
set search_path = pg_catalog, pg_temp set lock_timeout = '10s' as $$
declare
    own constant rowcast.model_job := rowcast.own_model_job(job_id);
begin
    perform rowcast.end_job(job_id, 'cancelled', null);
    perform rowcast.clear_job(job_id);
    if own.destination_text = 'predictions.job_' || job_id and to_regclass(own.destination_text) is not null
    then
        if own.mode = 'segments' then
            perform rowcast.drop_segments(own.destination_text);
        else
            execute format('drop table predictions.job_%s', job_id);
        end if;
    end if;
    delete from rowcast.chunk as c where c.job_id = drop_job.job_id;
    delete from rowcast.job as j where j.job_id = drop_job.job_id;
end
$$;
comment on function rowcast.drop_job(bigint) is
    'Removes a job with its record and its failures, and its table where that is predictions.job_<id>. '
    'Tables that were named stay. Errors: RC310 no such job.';
revoke all on function rowcast.drop_job(bigint) from public;
grant execute on function rowcast.drop_job(bigint) to rowcast_analyst;

create or replace function rowcast.job_failure_rows()
returns table (job_id bigint, place text, key jsonb, code text, reason text, failed_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    viewer constant name := rowcast.caller();
begin
    return query
    select f.job_id, f.place, f.key, f.code, f.reason, f.failed_at
    from rowcast.job_failure as f
    join rowcast.job as j on j.job_id = f.job_id
    left join pg_roles as r on r.rolname = j.created_by
    where pg_has_role(viewer, coalesce(r.oid, 'rowcast_admin'::regrole), 'member')
       or pg_has_role(viewer, 'rowcast_admin', 'member');
end
$$;
comment on function rowcast.job_failure_rows() is 'The rows of rowcast.job_failures.';
revoke all on function rowcast.job_failure_rows() from public;
grant execute on function rowcast.job_failure_rows() to rowcast_reader;

create or replace view rowcast.job_failures as select * from rowcast.job_failure_rows();
comment on view rowcast.job_failures is
    'Rows that the caller''s jobs could not score: where they were read, their key and kept columns, why.';
grant select on rowcast.job_failures to rowcast_reader;
