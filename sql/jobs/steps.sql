-- Steps of a job: SQL before scoring, collecting a query's rows, scanning files, delivering.
--
-- A step is a chunk, and a transaction of its lane: begin_step, the work, finish_step. What it wrote is
-- committed with its end, so a step that a dead lane leaves behind is run again from nothing. While it runs
-- its session holds (1919907686, chunk_id): stop_steps finds the session of a job that was cancelled.

create or replace function rowcast.begin_step(chunk_id bigint, attempt int) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.model_job;
    author name;
    step text;
begin
    -- Not locked: who cancels the job must not wait for the step.
    select m.* into own from rowcast.chunk as c join rowcast.model_job as m on m.job_id = c.job_id
    where c.chunk_id = begin_step.chunk_id and c.attempt = begin_step.attempt and c.claimed_by is not null;
    if not found then
        perform rowcast.refuse_stale(chunk_id, attempt);
    end if;
    select c.keys into strict step from rowcast.chunk as c where c.chunk_id = begin_step.chunk_id;
    select j.created_by into author from rowcast.job as j where j.job_id = own.job_id;
    perform pg_advisory_xact_lock(1919907686, (begin_step.chunk_id % 2147483648)::int);
    -- A lane that is killed leaves no step running.
    perform set_config('client_connection_check_interval', '1s', true);
    -- What follows is the job's own SQL, which may take its time.
    perform set_config('statement_timeout', '0', true);
    return case
        when step = 'before' then format('select %s', rowcast.run_call(own.before_function, author))
        when step = 'collect' then format('select %s', rowcast.run_call(own.collect_function, author))
        when step = 'deliver' and own.destination_kind = 'table' then
            format('select %s', rowcast.run_call(own.deliver_function, author)) end;
end
$$;
comment on function rowcast.begin_step(bigint, int) is
    'Starts a step inside the caller''s transaction: refuses a stale attempt (RC201), and returns the '
    'statement to run; null where it is work on files.';
revoke all on function rowcast.begin_step(bigint, int) from public;
grant execute on function rowcast.begin_step(bigint, int) to rowcast_worker;

create or replace function rowcast.finish_step(chunk_id bigint, attempt int, rows bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.model_job;
    step text;
begin
    perform from rowcast.job as j where j.job_id = (
        select c.job_id from rowcast.chunk as c where c.chunk_id = finish_step.chunk_id) for update;
    update rowcast.chunk as c
    set state = 'done', claimed_by = null, finished_at = clock_timestamp(), rows_scored = 0,
        rows_failed = 0
    where c.chunk_id = finish_step.chunk_id and c.attempt = finish_step.attempt and c.claimed_by is not null
    returning c.keys into step;
    if not found then
        perform rowcast.refuse_stale(chunk_id, attempt);
    end if;
    select m.* into strict own from rowcast.model_job as m
    where m.job_id = (select c.job_id from rowcast.chunk as c where c.chunk_id = finish_step.chunk_id);
    if step in ('collect', 'scan') then
        update rowcast.job as j set rows_total = rows where j.job_id = own.job_id;
    end if;
    if rowcast.next_phase(own) = 'over' then
        perform rowcast.end_job(own.job_id, 'done', null);
    else
        update rowcast.model_job as m set phase = rowcast.next_phase(own) where m.job_id = own.job_id;
        perform pg_notify('rowcast_control', 'job');
    end if;
end
$$;
comment on function rowcast.finish_step(bigint, int, bigint) is
    'Marks a step done and moves its job on, or raises RC201.';
revoke all on function rowcast.finish_step(bigint, int, bigint) from public;
grant execute on function rowcast.finish_step(bigint, int, bigint) to rowcast_worker;

create or replace function rowcast.stray_steps() returns table (pid int)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select distinct k.pid
    from pg_locks as k
    join rowcast.chunk as c on (c.chunk_id % 2147483648)::int::oid = k.objid and c.kind = 'step'
    where k.locktype = 'advisory' and k.granted and k.objsubid = 2 and k.classid = 1919907686
      and k.database = (select d.oid from pg_database as d where d.datname = current_database())
      and c.state = 'cancelled'
$$;
comment on function rowcast.stray_steps() is 'Sessions that run a step whose job was cancelled or failed.';
revoke all on function rowcast.stray_steps() from public;
grant execute on function rowcast.stray_steps() to rowcast_worker;

create or replace function rowcast.stop_steps() returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- With the caller's rights: a role may cancel what sessions of its own do.
declare
    stray int;
    stopped int := 0;
begin
    for stray in select s.pid from rowcast.stray_steps() as s loop
        begin
            stopped := stopped + pg_cancel_backend(stray)::int;
        exception when insufficient_privilege then
            raise warning using errcode = '01000',
                message = format('session %s runs a step of a cancelled job and cannot be stopped from here',
                                 stray),
                hint = 'Let all workers log in as one role, or grant it pg_signal_backend.';
        end;
    end loop;
    return stopped;
end
$$;
comment on function rowcast.stop_steps() is 'Cancels the statements of steps that nobody waits for.';
revoke all on function rowcast.stop_steps() from public;
grant execute on function rowcast.stop_steps() to rowcast_worker;

create or replace function rowcast.file_step(chunk_id bigint)
returns table (step text, job_id bigint, source_path text, destination_path text, replaces boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select c.keys, m.job_id, substr(m.source_text, 6), substr(m.destination_text, 6), m.mode = 'replace'
    from rowcast.chunk as c join rowcast.model_job as m on m.job_id = c.job_id
    where c.chunk_id = file_step.chunk_id
$$;
comment on function rowcast.file_step(bigint) is 'What a step is to do with files.';
revoke all on function rowcast.file_step(bigint) from public;
grant execute on function rowcast.file_step(bigint) to rowcast_worker;

create or replace function rowcast.add_file_parts(
    chunk_id bigint, paths text[], firsts bigint[], sizes bigint[], lines bigint[], counts bigint[])
returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    number constant bigint := (select c.job_id from rowcast.chunk as c
                               where c.chunk_id = add_file_parts.chunk_id and c.kind = 'step');
begin
    delete from rowcast.job_part as p where p.job_id = number;
    insert into rowcast.job_part (job_id, part, path, first, size, line, row_count)
    select number, f.part, f.path, f.first, f.size, f.line, f.row_count
    from unnest(paths, firsts, sizes, lines, counts) with ordinality
        as f (path, first, size, line, row_count, part);
    return (select sum(c) from unnest(counts) as c);
end
$$;
comment on function rowcast.add_file_parts(bigint, text[], bigint[], bigint[], bigint[], bigint[]) is
    'Notes the pieces that a job''s files were cut into, and returns the records in them.';
revoke all on function rowcast.add_file_parts(bigint, text[], bigint[], bigint[], bigint[], bigint[])
    from public;
grant execute on function rowcast.add_file_parts(bigint, text[], bigint[], bigint[], bigint[], bigint[])
    to rowcast_worker;

create or replace function rowcast.export_parts(job_id bigint, part int, first bigint)
returns table (next_part int, next_first bigint, bytes bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select p.part, p.first, p.bytes from rowcast.export_part as p
    where p.job_id = export_parts.job_id
      and (p.part, p.first) > (export_parts.part, export_parts.first)
    order by p.part, p.first limit 8
$$;
comment on function rowcast.export_parts(bigint, int, bigint) is
    'The next lines of an export behind a part, in the order of the source.';
revoke all on function rowcast.export_parts(bigint, int, bigint) from public;
grant execute on function rowcast.export_parts(bigint, int, bigint) to rowcast_worker;

create or replace function rowcast.offer_files(worker_id int) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    update rowcast.worker as w set has_files = true where w.worker_id = offer_files.worker_id
$$;
comment on function rowcast.offer_files(int) is
    'Says that a worker has a directory of files: it gets the chunks that need one.';
revoke all on function rowcast.offer_files(int) from public;
grant execute on function rowcast.offer_files(int) to rowcast_worker;

create or replace function rowcast.has_files() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- The lane whose session holds its lock lives, whatever is written of its worker.
    select exists (
        select from rowcast.worker as w
        join rowcast.lane as l on l.worker_id = w.worker_id
        join pg_locks as k on k.locktype = 'advisory' and k.granted and k.objsubid = 2
            and k.classid = 1919907684 and k.objid = l.lane_id::oid
            and k.database = (select d.oid from pg_database as d where d.datname = current_database())
        where w.has_files)
$$;
comment on function rowcast.has_files() is
    'Whether a worker lives that has a directory of files. Cost: a look at the locks of the server.';
revoke all on function rowcast.has_files() from public;
