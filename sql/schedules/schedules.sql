-- Schedules: the dispatcher asks each second which are due.
--
-- What becomes of a time is decided once: next_at moves in the transaction that writes the run and makes
-- the job, under a lock on the schedule. A dispatcher that dies before its commit has decided nothing, and
-- the next one decides; two at once wait for one another.

create or replace function rowcast.own_schedule(name text) returns rowcast.schedule
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.schedule;
begin
    select s.* into own from rowcast.schedule as s where s.name = own_schedule.name for update;
    if not found then
        raise exception using errcode = 'RC402', message = format('schedule "%s" does not exist', name),
            hint = 'select name from rowcast.schedules lists them.';
    end if;
    return own;
end
$$;
comment on function rowcast.own_schedule(text) is 'The schedule of a name, locked, or RC402.';
revoke all on function rowcast.own_schedule(text) from public;

create or replace function rowcast.create_schedule(
    name text, cron text, scorer text default null, time_zone text default null,
    overlap text default 'skip', catch_up text default 'one', failures_only boolean default null,
    job jsonb default null, command text default null)
returns timestamptz
-- No search_path of its own: the job, or the command, keeps the caller's.
language plpgsql as $$
declare
    number constant int := rowcast.draw_schedule();
    run_function pg_catalog.regprocedure;
    trial bigint;
begin
    if pg_catalog.num_nonnulls(scorer, job, command) <> 1 then
        raise exception using errcode = 'RC401',
            message = 'a schedule runs one thing: a scorer, a job or a command',
            hint = 'Give scorer => ''churn'', job => ''{"model": ...}'' or command => ''select ...''.';
    elsif job is not null then
        -- What could not be submitted now is refused now.
        begin
            trial := rowcast.submit_job(job);
            raise exception using errcode = 'RC499';
        exception when sqlstate 'RC499' then
            null;
        end;
        run_function := rowcast.make_run_function('schedule_' || number, 'checked boolean', 'bigint', pg_catalog.format(
            'begin return rowcast.submit_job(%L::jsonb); end', job));
    elsif command is not null then
        run_function := rowcast.make_run_function('schedule_' || number, 'checked boolean', 'bigint', pg_catalog.format(
            'begin execute %L; return 0; end', command));
    end if;
    return rowcast.add_schedule(number, name, cron, scorer, time_zone, overlap, catch_up, failures_only,
                                job, command, run_function);
end
$$;
comment on function rowcast.create_schedule(
    text, text, text, text, text, text, boolean, jsonb, text) is
    'Runs by a timetable: a scorer''s rows, or those that failed, scored again; a job, as an object of '
    'submit_job''s arguments; or an SQL command. Jobs and commands run with the caller''s rights. Returns the '
    'first time. The time zone is the session''s where none is given. Errors: RC306 no such scorer, RC401 '
    'not a timetable or a time zone, RC402 the name is taken; for a job those of submit_job.';
revoke all on function rowcast.create_schedule(
    text, text, text, text, text, text, boolean, jsonb, text) from public;
grant execute on function rowcast.create_schedule(
    text, text, text, text, text, text, boolean, jsonb, text) to rowcast_analyst;

create or replace function rowcast.draw_schedule() returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    number int;
begin
    loop
        number := nextval(pg_get_serial_sequence('rowcast.schedule', 'schedule_id'));
        -- As in draw_job.
        exit when not exists (select from pg_proc as p where p.pronamespace = 'rowcast_run'::regnamespace
                              and p.proname = 'schedule_' || number);
    end loop;
    return number;
end
$$;
comment on function rowcast.draw_schedule() is 'The number of a new schedule.';
revoke all on function rowcast.draw_schedule() from public;
grant execute on function rowcast.draw_schedule() to rowcast_analyst;

create or replace function rowcast.add_schedule(
    number int, name text, cron text, scorer text, time_zone text, overlap text, catch_up text,
    failures_only boolean, job jsonb, command text, run_function regprocedure)
returns timestamptz
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    scorer_id constant int := case when scorer is not null then (rowcast.own_scorer(scorer)).scorer_id end;
    author constant name := case when scorer is not null then rowcast.caller()
                                 else rowcast.author_of(run_function) end;
    zone constant text := coalesce(time_zone, current_setting('TimeZone'));
    first_run timestamptz;
begin
    if not exists (select from pg_timezone_names as z where lower(z.name) = lower(zone)) then
        raise exception using errcode = 'RC401', message = format('"%s" is not a time zone', zone),
            hint = 'select name from pg_timezone_names lists them.';
    end if;
    first_run := rowcast.next_run(cron, zone, clock_timestamp());
    if first_run is null then
        raise exception using errcode = 'RC401', message = format('"%s" is never due', cron);
    elsif coalesce(overlap, '') not in ('skip', 'queue', 'cancel') then
        raise exception using errcode = 'RC401', message = format('overlap is "%s"', overlap),
            hint = 'While an earlier run goes on: "skip" the new one, "queue" it, or "cancel" the earlier.';
    elsif coalesce(catch_up, '') not in ('none', 'one', 'all') then
        raise exception using errcode = 'RC401', message = format('catch_up is "%s"', catch_up),
            hint = 'Of the times that passed while no worker ran: "none", "one" run for all, or "all".';
    end if;
    begin
        insert into rowcast.schedule (schedule_id, name, cron, time_zone, scorer_id, failures_only, overlap,
                                      catch_up, next_at, created_by, template, command, run_function)
        overriding system value
        values (number, name, cron, zone, scorer_id,
                case when scorer is not null then coalesce(failures_only, false) end, overlap, catch_up,
                first_run, author, job, command, run_function);
    exception when unique_violation then
        raise exception using errcode = 'RC402', message = format('schedule "%s" exists', name),
            hint = format('select rowcast.drop_schedule(%L);', name);
    end;
    return first_run;
end
$$;
comment on function rowcast.add_schedule(
    int, text, text, text, text, text, text, boolean, jsonb, text, regprocedure) is
    'The part of create_schedule that writes the machinery''s own table.';
revoke all on function rowcast.add_schedule(
    int, text, text, text, text, text, text, boolean, jsonb, text, regprocedure) from public;
grant execute on function rowcast.add_schedule(
    int, text, text, text, text, text, text, boolean, jsonb, text, regprocedure) to rowcast_analyst;

create or replace function rowcast.drop_schedule(name text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp set client_min_messages = warning as $$
declare
    own constant rowcast.schedule := rowcast.own_schedule(name);
begin
    delete from rowcast.schedule as s where s.schedule_id = own.schedule_id;
    -- Of its author, but who owns a schema may drop what is in it.
    execute format('drop function if exists rowcast_run.schedule_%s(boolean)', own.schedule_id);
end
$$;
comment on function rowcast.drop_schedule(text) is
    'Takes a schedule and its history away; a job that it made goes on.';
revoke all on function rowcast.drop_schedule(text) from public;
grant execute on function rowcast.drop_schedule(text) to rowcast_analyst;

create or replace function rowcast.pause_schedule(name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.schedule := rowcast.own_schedule(name);
begin
    update rowcast.schedule as s set paused = true where s.schedule_id = own.schedule_id;
end
$$;
comment on function rowcast.pause_schedule(text) is 'Stops a schedule until resume_schedule.';
revoke all on function rowcast.pause_schedule(text) from public;
grant execute on function rowcast.pause_schedule(text) to rowcast_analyst;

create or replace function rowcast.resume_schedule(name text) returns timestamptz
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.schedule := rowcast.own_schedule(name);
    first_run constant timestamptz := rowcast.next_run(own.cron, own.time_zone, clock_timestamp());
begin
    update rowcast.schedule as s
    set paused = false, next_at = case when own.paused then first_run else s.next_at end
    where s.schedule_id = own.schedule_id;
    return first_run;
end
$$;
comment on function rowcast.resume_schedule(text) is
    'Goes on with a schedule, and returns its next time. Times that passed meanwhile are not caught up.';
revoke all on function rowcast.resume_schedule(text) from public;
grant execute on function rowcast.resume_schedule(text) to rowcast_analyst;

create or replace function rowcast.start_run(own rowcast.schedule, due_at timestamptz) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    scorer_name text;
    earlier bigint;
    new_job bigint;
begin
    -- The newest run that has a job is the only one whose job can be open.
    select j.job_id into earlier
    from rowcast.schedule_run as r join rowcast.job as j on j.job_id = r.job_id
    where r.schedule_id = own.schedule_id and j.finished_at is null
    order by r.due_at desc limit 1;
    if found and own.overlap = 'cancel' then
        perform rowcast.cancel_job(earlier);
    elsif found then
        insert into rowcast.schedule_run (schedule_id, due_at, outcome, reason)
        values (own.schedule_id, due_at, case own.overlap when 'queue' then 'queued' else 'skipped' end,
                format('job %s was not over', earlier))
        on conflict on constraint schedule_run_pkey do nothing;
        return null;
    end if;
    begin
        if own.template is not null then
            -- Its author's SQL is not ours: see caller.
            perform pg_advisory_xact_lock_shared(1919907687, own.schedule_id);
            execute 'select ' || rowcast.run_call(own.run_function, own.created_by)
            into strict new_job;
        elsif own.command is not null then
            new_job := rowcast.make_command_job(own);
        else
            select s.name into strict scorer_name from rowcast.scorer as s
            where s.scorer_id = own.scorer_id;
            new_job := rowcast.make_job(own.scorer_id, 'rescore', case when own.failures_only
                then format('predictions.%I', scorer_name || '_failure')::regclass end);
        end if;
        insert into rowcast.schedule_run (schedule_id, due_at, outcome, job_id)
        values (own.schedule_id, due_at, 'started', new_job)
        on conflict on constraint schedule_run_pkey
        do update set outcome = 'started', job_id = excluded.job_id, decided_at = excluded.decided_at;
    exception when others then
        -- One schedule that cannot run keeps no other from running.
        insert into rowcast.schedule_run (schedule_id, due_at, outcome, reason)
        values (own.schedule_id, due_at, 'failed', sqlerrm)
        on conflict on constraint schedule_run_pkey
        do update set outcome = 'failed', reason = excluded.reason, decided_at = excluded.decided_at;
        return null;
    end;
    return new_job;
end
$$;
comment on function rowcast.start_run(rowcast.schedule, timestamptz) is
    'Makes the job of a time, or notes why there is none; a queued run becomes a started one.';
revoke all on function rowcast.start_run(rowcast.schedule, timestamptz) from public;

create or replace function rowcast.make_command_job(own rowcast.schedule) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    new_tick bigint;
    new_job bigint;
begin
    insert into rowcast.tick (snapshot) values (null) returning tick_id into new_tick;
    insert into rowcast.job (kind, tick_id, rows_total, created_by)
    values ('command', new_tick, 0, own.created_by) returning job_id into new_job;
    insert into rowcast.model_job (job_id, phase, source_kind, source_text, destination_kind, mode,
                                   max_retries, before_function)
    values (new_job, 'before', 'none', 'schedule ' || own.name, 'none', 'create', 0, own.run_function);
    perform pg_notify('rowcast_control', 'job');
    return new_job;
end
$$;
comment on function rowcast.make_command_job(rowcast.schedule) is
    'Makes the job that runs a schedule''s command: one step, by a lane.';
revoke all on function rowcast.make_command_job(rowcast.schedule) from public;

create or replace function rowcast.run_now(name text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.schedule := rowcast.own_schedule(name);
begin
    -- Its function is its author's SQL, and might leave the session other than it was: to a worker with it.
    if own.template is not null and own.created_by <> rowcast.caller() then
        if own.paused then
            raise exception using errcode = 'RC401', message = format('schedule "%s" is paused', name),
                hint = format('select rowcast.resume_schedule(%L);', name);
        end if;
        update rowcast.schedule as s set next_at = least(s.next_at, clock_timestamp())
        where s.schedule_id = own.schedule_id;
        return null;
    end if;
    return rowcast.start_run(own, clock_timestamp());
end
$$;
comment on function rowcast.run_now(text) is
    'Runs a schedule beside its timetable, as an outside scheduler may, and returns the job; null where an '
    'earlier run is not over and the schedule''s overlap skips or queues, and for somebody else''s job, which a '
    'worker then submits within a second. Errors: RC401 that one is paused, RC402 no such schedule.';
revoke all on function rowcast.run_now(text) from public;
grant execute on function rowcast.run_now(text) to rowcast_analyst;

create or replace function rowcast.due_schedule(
    tried int[] default '{}', moment timestamptz default clock_timestamp()) returns int
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    -- Each by its index: this is asked every second, whatever the number of schedules.
    select d.schedule_id
    from (
        (select s.schedule_id, s.next_at as at from rowcast.schedule as s
         where not s.paused and s.next_at <= moment and s.schedule_id <> all (tried)
         order by s.next_at limit 1)
        union all
        (select r.schedule_id, r.due_at from rowcast.schedule_run as r
         where r.outcome = 'queued' and r.schedule_id <> all (tried)
           and not exists (select from rowcast.schedule_run as o join rowcast.job as j on j.job_id = o.job_id
                           where o.schedule_id = r.schedule_id and j.finished_at is null)
         order by r.schedule_id, r.due_at limit 1)
    ) as d
    order by d.at limit 1
$$;
comment on function rowcast.due_schedule(int[], timestamptz) is
    'The schedule that is due first, or whose run waited for one that is over; null for none. Not those tried.';
revoke all on function rowcast.due_schedule(int[], timestamptz) from public;
grant execute on function rowcast.due_schedule(int[], timestamptz) to rowcast_worker;

create or replace function rowcast.fire_schedule(number int, moment timestamptz default clock_timestamp())
returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
-- A minute late is on time: a dispatcher that takes over, or a busy one, misses nothing.
declare
    grace constant interval := interval '1 minute';
    own rowcast.schedule;
    due timestamptz;
    following timestamptz;
    started int := 0;
begin
    select s.* into own from rowcast.schedule as s
    where s.schedule_id = number and not s.paused and s.next_at <= moment for update skip locked;
    if found then
        due := own.next_at;
        -- More times than a person could want run at once are not all decided in one transaction.
        for i in 1..200 loop
            exit when due is null or due > moment;
            following := rowcast.next_run(own.cron, own.time_zone, due);
            if due >= moment - grace or own.catch_up = 'all'
               or own.catch_up = 'one' and (following is null or following > moment) then
                started := started + (rowcast.start_run(own, due) is not null)::int;
            else
                insert into rowcast.schedule_run (schedule_id, due_at, outcome, reason)
                values (own.schedule_id, due, 'missed', 'no worker ran')
                on conflict on constraint schedule_run_pkey do nothing;
            end if;
            due := following;
        end loop;
        update rowcast.schedule as s set next_at = coalesce(due, 'infinity')
        where s.schedule_id = own.schedule_id;
    end if;

    -- A run that waited for an earlier one, one at a time.
    select s.* into own from rowcast.schedule as s
    where s.schedule_id = number
      and exists (select from rowcast.schedule_run as r
                  where r.schedule_id = s.schedule_id and r.outcome = 'queued')
      and not exists (select from rowcast.schedule_run as r
                      join rowcast.job as j on j.job_id = r.job_id
                      where r.schedule_id = s.schedule_id and j.finished_at is null)
    for update of s skip locked;
    if found then
        due := (select min(r.due_at) from rowcast.schedule_run as r
                where r.schedule_id = number and r.outcome = 'queued');
        started := started + (rowcast.start_run(own, due) is not null)::int;
    end if;
    return started;
end
$$;
comment on function rowcast.fire_schedule(int, timestamptz) is
    'Decides about the times of a schedule up to a moment that nobody decided about, and counts the jobs made.';
revoke all on function rowcast.fire_schedule(int, timestamptz) from public;
grant execute on function rowcast.fire_schedule(int, timestamptz) to rowcast_worker;

create or replace function rowcast.fail_schedule(number int, error text, moment timestamptz default clock_timestamp())
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.schedule;
    due timestamptz;
begin
    select s.* into own from rowcast.schedule as s where s.schedule_id = number for update;
    if not found then
        return;
    elsif not own.paused and own.next_at <= moment then
        due := own.next_at;
        update rowcast.schedule as s
        set next_at = coalesce(rowcast.next_run(own.cron, own.time_zone, moment), 'infinity')
        where s.schedule_id = number;
    else
        due := (select min(r.due_at) from rowcast.schedule_run as r
                where r.schedule_id = number and r.outcome = 'queued');
    end if;
    insert into rowcast.schedule_run (schedule_id, due_at, outcome, reason)
    select number, due, 'failed', fail_schedule.error where due is not null
    on conflict on constraint schedule_run_pkey
    do update set outcome = 'failed', reason = excluded.reason, decided_at = excluded.decided_at;
end
$$;
comment on function rowcast.fail_schedule(int, text, timestamptz) is
    'Notes why a schedule that is due could not be fired at all, and goes on to its next time.';
revoke all on function rowcast.fail_schedule(int, text, timestamptz) from public;
grant execute on function rowcast.fail_schedule(int, text, timestamptz) to rowcast_worker;

create or replace function rowcast.fire_schedules(moment timestamptz default clock_timestamp())
returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    number int;
    tried int[] := '{}';
    started int := 0;
begin
    loop
        number := rowcast.due_schedule(tried, moment);
        exit when number is null;
        tried := tried || number;
        started := started + rowcast.fire_schedule(number, moment);
    end loop;
    return started;
end
$$;
comment on function rowcast.fire_schedules(timestamptz) is
    'Fires every schedule that is due, in one transaction, and counts the jobs made. Workers fire one at a time.';
revoke all on function rowcast.fire_schedules(timestamptz) from public;
grant execute on function rowcast.fire_schedules(timestamptz) to rowcast_worker;

create or replace view rowcast.schedules as
select s.name, c.name as scorer, s.cron, s.time_zone, s.overlap, s.catch_up, s.failures_only, s.paused,
       case when not s.paused then s.next_at end as next_at, r.due_at as last_due_at,
       r.outcome as last_outcome, r.job_id as last_job_id, s.created_at, s.created_by,
       s.template ->> 'model' as job_model, s.command is not null as is_command
from rowcast.schedule as s
left join rowcast.scorer as c on c.scorer_id = s.scorer_id
left join lateral (
    select r.due_at, r.outcome, r.job_id from rowcast.schedule_run as r
    where r.schedule_id = s.schedule_id order by r.due_at desc limit 1
) as r on true
order by s.name;
comment on view rowcast.schedules is 'Schedules, when they are due next, and what became of the last time.';
grant select on rowcast.schedules to rowcast_reader;

create or replace view rowcast.schedule_history as
select s.name, r.due_at, r.outcome, r.reason, r.decided_at, r.job_id, j.state as job_state
from rowcast.schedule_run as r
join rowcast.schedule as s on s.schedule_id = r.schedule_id
left join rowcast.job as j on j.job_id = r.job_id
order by r.due_at desc, s.name;
comment on view rowcast.schedule_history is
    'What became of each time: started (with its job), queued, skipped, missed or failed.';
grant select on rowcast.schedule_history to rowcast_reader;
