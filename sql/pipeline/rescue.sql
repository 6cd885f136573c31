-- Rescue: chunks whose lane is gone are available again at once, and chunks that kill are cornered.
--
-- A lane is gone when the lock of its session is free. PostgreSQL releases it after it has rolled the
-- session's transaction back, so a write that was under way is over by then, one way or the other.
-- A lane that only looked dead is refused by its attempt.
--
-- A chunk is blamed for what ended its worker, or the server. A session that ended by itself was ended by
-- others (an operator, a timeout, a cut of the network), as often as they like.

create or replace function rowcast.rescue_chunks()
returns table (chunk_id bigint, scorer_id int, attempt int, action text)
language plpgsql security definer
-- It writes texts of keys when it splits a range: see make_job_chunks.
set search_path = pg_catalog, pg_temp set datestyle = 'ISO, YMD' set intervalstyle = 'iso_8601'
set timezone = 'UTC' set extra_float_digits = 1 set bytea_output = 'hex' set row_security = off as $$
#variable_conflict use_column
declare
    dead int[];
    lost rowcast.chunk;
    rung boolean := false;
begin
    dead := array(
        select c.claimed_by from (
            select distinct c.claimed_by from rowcast.open_chunks() as c where c.state = 'running') as c
        where pg_try_advisory_xact_lock(1919907684, c.claimed_by));
    if cardinality(dead) = 0 then
        return;
    end if;

    for lost in
        select c.* from rowcast.chunk as c
        where c.state = 'running' and c.claimed_by = any (dead)
        order by c.chunk_id for update skip locked
    loop
        rung := true;
        chunk_id := lost.chunk_id;
        scorer_id := lost.scorer_id;
        attempt := lost.attempt;
        if exists (
            select from rowcast.lane as l join rowcast.worker as w on w.worker_id = l.worker_id
            join pg_stat_activity as a on a.pid = w.backend_pid
            where l.lane_id = lost.claimed_by and l.backend_pid <> w.backend_pid
              and w.session_since <= lost.claimed_at)
        then
            action := 'available';
            update rowcast.chunk as c
            set state = 'available', claimed_by = null, claimed_at = null,
                held = coalesce((select s.state <> 'active' from rowcast.scorer as s
                                 where s.scorer_id = c.scorer_id), c.held)
            where c.chunk_id = lost.chunk_id;
            return next;
            continue;
        end if;
        lost.deaths := lost.deaths + 1;
        if lost.scorer_id is null then
            action := rowcast.rescue_job_chunk(lost);
        -- What maps keys ends no worker: it is PostgreSQL that does it.
        elsif lost.kind not in ('truncate', 'map') and lost.deaths >= 4 and lost.key_count = 1 then
            action := 'failed';
            perform rowcast.fail_deadly(lost);
        elsif lost.kind not in ('truncate', 'map') and lost.deaths % 2 = 0 and lost.key_count > 1 then
            action := 'split';
            perform rowcast.split_chunk(lost);
        else
            action := 'available';
            update rowcast.chunk as c
            set state = 'available', claimed_by = null, claimed_at = null, deaths = lost.deaths,
                held = s.state <> 'active'
            from rowcast.scorer as s
            where c.chunk_id = lost.chunk_id and s.scorer_id = c.scorer_id;
        end if;
        return next;
    end loop;
    delete from rowcast.lane as l where l.lane_id = any (dead);
    if rung then
        perform pg_notify('rowcast_chunk', '');
    end if;
end
$$;
comment on function rowcast.rescue_chunks() is
    'Makes the chunks of dead lanes available. One that has ended its worker for the second time is '
    'split; a single key is given up after four. Cost: a probe a lane that holds a chunk.';
revoke all on function rowcast.rescue_chunks() from public;
grant execute on function rowcast.rescue_chunks() to rowcast_worker;

create or replace function rowcast.end_split(lost rowcast.chunk, pieces int) returns void
language sql volatile set search_path = pg_catalog, pg_temp as $$
    update rowcast.chunk as c
    set state = 'cancelled', claimed_by = null, finished_at = clock_timestamp(), deaths = lost.deaths,
        error = format('split into %s after %s deaths', pieces, lost.deaths)
    where c.chunk_id = lost.chunk_id
$$;
comment on function rowcast.end_split(rowcast.chunk, int) is 'Ends a chunk whose pieces stand for it.';
revoke all on function rowcast.end_split(rowcast.chunk, int) from public;

create or replace function rowcast.split_chunk(lost rowcast.chunk) returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    keys text[];
    src rowcast.source;
    relation_exists boolean;
    pieces int;
begin
    if lost.kind = 'range' then
        select o.* into strict src from rowcast.scorer as s
        join rowcast.source as o on o.source_id = s.source_id where s.scorer_id = lost.scorer_id;
        select exists (select from pg_class as c where c.oid = src.relation) into relation_exists;
        if relation_exists then
            execute format('select array_agg(%s order by %s)::text from %s as t where %s',
                rowcast.key_of(src), rowcast.key_order(src, false), src.relation,
                rowcast.key_between(src, '>=', '<=', '$1', '$2'))
            into lost.keys using lost.lower_key, lost.upper_key;
        end if;
    end if;
    keys := coalesce(lost.keys::text[], '{}');

    -- In eight: a culprit among 4,096 is alone after four splits. The pieces are new chunks with a
    -- new count, so that four deaths of a single key are its own.
    insert into rowcast.chunk (scorer_id, tick_id, job_id, changed_at, key_count, priority, held, kind,
                               keys)
    select lost.scorer_id, lost.tick_id, lost.job_id, lost.changed_at, count(*), lost.priority,
           s.state <> 'active', 'keys', array_agg(k.key order by k.place)::text
    from unnest(keys) with ordinality as k (key, place)
    join rowcast.scorer as s on s.scorer_id = lost.scorer_id
    group by (k.place - 1) / ceil(cardinality(keys) / 8.0)::int, s.state;
    get diagnostics pieces = row_count;
    perform rowcast.end_split(lost, pieces);
    return pieces;
end
$$;
comment on function rowcast.split_chunk(rowcast.chunk) is
    'Replaces a running chunk by up to eight smaller ones, and counts them.';
revoke all on function rowcast.split_chunk(rowcast.chunk) from public;

create or replace function rowcast.fail_deadly(lost rowcast.chunk) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- The row's outcome is a failure; the write function knows how to leave one.
declare
    src rowcast.source;
    outs int;
    sco rowcast.scorer;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = lost.scorer_id;
    select o.* into strict src from rowcast.source as o where o.source_id = sco.source_id;
    outs := jsonb_array_length(sco.outputs);
    if lost.keys is null then
        lost.keys := array[lost.lower_key]::text;
    end if;
    execute format(
        'select rowcast.write_%s($1, $2, %s, null, null, %s, array[''crashed''], array[$4], '
        'array[null]::text[], array[null]::int[], 1) from (select ($3::%s[])[1] as k) as k',
        lost.scorer_id,
        (select string_agg(format('''{}''::%s[]', t.type), ', ' order by t.place) from (
            select k.type, k.place from unnest(src.key_types || sco.result_types) with ordinality as k (type, place)
            union all
            select rowcast.written_type(o.value ->> 'type'), 1000 + o.place
            from jsonb_array_elements(sco.outputs) with ordinality as o (value, place)) as t),
        case when src.composite then
            (select string_agg(format('array[(k.k).%I]', k.name), ', ' order by k.place)
             from unnest(src.key_columns) with ordinality as k (name, place))
            else 'array[k.k]' end
        || coalesce((select string_agg(format(', array[null]::%s[]', r.type), '' order by r.place)
                     from unnest(sco.result_types) with ordinality as r (type, place)), ''),
        rowcast.key_cast(src))
    using lost.chunk_id, lost.attempt, lost.keys,
          format('scoring this row ended the worker %s times', lost.deaths);
    update rowcast.chunk as c
    set state = 'failed', deaths = lost.deaths, rows_scored = 0, rows_failed = 1,
        error = format('a row ended the worker %s times', lost.deaths)
    where c.chunk_id = lost.chunk_id;
end
$$;
comment on function rowcast.fail_deadly(rowcast.chunk) is
    'Gives up a chunk of one key that ended its lane again and again: the row becomes a failure.';
revoke all on function rowcast.fail_deadly(rowcast.chunk) from public;

create or replace function rowcast.stalled_lanes(timeout interval)
returns table (lane_id int, pid int)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    -- The session that holds the lane's lock, and no other that got its number since.
    select l.lane_id, k.pid
    from rowcast.worker as w
    join rowcast.lane as l on l.worker_id = w.worker_id
    join pg_locks as k on k.locktype = 'advisory' and k.granted and k.objsubid = 2
        and k.classid = 1919907684 and k.objid = l.lane_id::oid
        and k.database = (select d.oid from pg_database as d where d.datname = current_database())
    -- A beat that is still to come is from before the clock was set back.
    where (w.seen_at < clock_timestamp() - timeout or w.seen_at > clock_timestamp() + timeout)
      and exists (select from rowcast.chunk as c
                  where c.claimed_by = l.lane_id and c.state = 'running')
$$;
comment on function rowcast.stalled_lanes(interval) is
    'Lanes that hold chunks while their worker was not seen for that long.';
revoke all on function rowcast.stalled_lanes(interval) from public;
grant execute on function rowcast.stalled_lanes(interval) to rowcast_worker;

create or replace function rowcast.end_stalled(timeout interval)
returns table (lane_id int, pid int)
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- With the caller's rights: a role may end sessions of its own, so workers need no more than to log
-- in as the same role, or to be members of pg_signal_backend.
#variable_conflict use_column
declare
    stalled record;
begin
    for stalled in select s.lane_id, s.pid from rowcast.stalled_lanes(timeout) as s loop
        begin
            if pg_terminate_backend(stalled.pid) then
                lane_id := stalled.lane_id;
                pid := stalled.pid;
                return next;
            end if;
        exception when insufficient_privilege then
            raise warning using errcode = '01000',
                message = format('lane %s is stalled, and its session %s cannot be ended from here',
                                 stalled.lane_id, stalled.pid),
                hint = 'Let all workers log in as one role, or grant it pg_signal_backend.';
        end;
    end loop;
end
$$;
comment on function rowcast.end_stalled(interval) is
    'Ends the sessions of lanes that hold chunks though their worker was not seen for that long '
    '(stopped processes, hung hosts); rescue_chunks does the rest.';
revoke all on function rowcast.end_stalled(interval) from public;
grant execute on function rowcast.end_stalled(interval) to rowcast_worker;

create or replace function rowcast.stalled_dispatcher(timeout interval)
returns table (worker_id int, pid int)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select w.worker_id, k.pid
    from pg_locks as k
    left join rowcast.worker as w on w.backend_pid = k.pid
    where k.locktype = 'advisory' and k.granted and k.objsubid = 2
      and k.classid = 1919907683 and k.objid = 2
      and k.database = (select d.oid from pg_database as d where d.datname = current_database())
      and abs(extract(epoch from clock_timestamp() - coalesce(w.seen_at, (
          select a.backend_start from pg_stat_activity as a where a.pid = k.pid))))
          > extract(epoch from timeout)
$$;
comment on function rowcast.stalled_dispatcher(interval) is
    'The session that was elected dispatcher, where it did not beat for that long.';
revoke all on function rowcast.stalled_dispatcher(interval) from public;
grant execute on function rowcast.stalled_dispatcher(interval) to rowcast_worker;

create or replace function rowcast.end_stalled_dispatcher(timeout interval)
returns table (worker_id int, pid int)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    stalled record;
begin
    for stalled in select s.worker_id, s.pid from rowcast.stalled_dispatcher(timeout) as s
        where s.pid <> pg_backend_pid()
    loop
        begin
            if pg_terminate_backend(stalled.pid) then
                worker_id := stalled.worker_id;
                pid := stalled.pid;
                return next;
            end if;
        exception when insufficient_privilege then
            raise warning using errcode = '01000',
                message = format('the dispatcher is stalled, and its session %s cannot be ended from '
                                 'here', stalled.pid),
                hint = 'Let all workers log in as one role, or grant it pg_signal_backend.';
        end;
    end loop;
end
$$;
comment on function rowcast.end_stalled_dispatcher(interval) is
    'For standbys: ends the elected session that did not beat for that long, which frees the election.';
revoke all on function rowcast.end_stalled_dispatcher(interval) from public;
grant execute on function rowcast.end_stalled_dispatcher(interval) to rowcast_worker;
