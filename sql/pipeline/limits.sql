-- What workers take of the server: how many sessions, and when they hold back.
--
-- Every worker tells each second what it has and would have, and is told what it may have. The budget is
-- shared evenly; who wants less leaves the rest to others. A worker that may have more takes it only when
-- the others have given it back, so together they never have more than the budget, but for the one session
-- of a worker that stands by. A worker is there while its control session holds (1919907688, worker_id).

create or replace function rowcast.limit_rows()
returns table (name text, value text, default_value text, about text, set_at timestamptz, set_by text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select d.name, coalesce(s.value, d.default_value), d.default_value, d.about, s.set_at, s.set_by
    from (values
        (1, 'connections', 'half',
         'Sessions that all workers together may have; half of those that the server has for ordinary '
         'roles unless set, and never more than their role or the database may have.'),
        (2, 'slowdown', '10',
         'How many times its usual time a statement of a worker may take before jobs hold back; less than '
         'two seconds never counts.'),
        (3, 'replica_lag', '00:00:30',
         'How long ago what the slowest replica has replayed may have been written, likewise. Workers see it '
         'as members of pg_monitor.'),
        (4, 'wal_share', '1.25',
         'How much of max_wal_size may be written since the last checkpoint began, likewise: more says that '
         'checkpoints do not keep up.'),
        (5, 'transaction_age', '02:00:00',
         'How old the oldest transaction may be, likewise: vacuum removes nothing that it may see. Members '
         'of pg_read_all_stats see snapshots that only read, too.')
    ) as d (place, name, default_value, about)
    left join rowcast.limit_setting as s on s.name = d.name
    order by d.place
$$;
comment on function rowcast.limit_rows() is 'The rows of rowcast.limits.';
revoke all on function rowcast.limit_rows() from public;
grant execute on function rowcast.limit_rows() to rowcast_reader, rowcast_worker;

create or replace view rowcast.limits as select * from rowcast.limit_rows();
comment on view rowcast.limits is
    'What workers take of the server at most, and when jobs hold back; rowcast.set_limit changes it.';
grant select on rowcast.limits to rowcast_reader, rowcast_worker;

create or replace function rowcast.set_limit(name text, value text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    problem text;
begin
    if not exists (select from rowcast.limit_rows() as l where l.name = set_limit.name) then
        raise exception using errcode = 'RC303', message = format('there is no limit "%s"', name),
            hint = (select format('There are %s.', string_agg(format('"%s"', l.name), ', '))
                    from rowcast.limit_rows() as l);
    elsif value is null then
        delete from rowcast.limit_setting as s where s.name = set_limit.name;
        perform pg_notify('rowcast_connections', '');
        return;
    end if;
    begin
        if name = 'connections' then
            problem := case when value::int < 4 then 'a worker needs 4' end;
            value := value::int::text;
        elsif value = 'off' then
            null;
        elsif name in ('replica_lag', 'transaction_age') then
            problem := case when value::interval <= interval '0' then 'it is not positive' end;
            value := value::interval::text;
        else
            problem := case when not value::float8 between 1 and 1000000 then 'it is not from 1 to 1000000' end;
            value := value::float8::text;
        end if;
    exception when data_exception then
        problem := case when name = 'connections' then 'it is not a whole number'
                        when name in ('replica_lag', 'transaction_age') then 'it is neither an interval nor "off"'
                        else 'it is neither a number nor "off"' end;
    end;
    if problem is not null then
        raise exception using errcode = 'RC303',
            message = format('limit "%s" cannot be "%s": %s', name, value, problem),
            hint = (select l.about from rowcast.limit_rows() as l where l.name = set_limit.name);
    end if;
    insert into rowcast.limit_setting as s (name, value, set_by)
    values (name, value, rowcast.caller())
    on conflict on constraint limit_setting_pkey do update
    set value = excluded.value, set_at = excluded.set_at, set_by = excluded.set_by;
    perform pg_notify('rowcast_connections', '');
end
$$;
comment on function rowcast.set_limit(text, text) is
    'Sets a limit of rowcast.limits, which workers follow within a second; null goes back to its default, '
    '''off'' lifts it (not that of connections). For administrators. Errors: RC303.';
revoke all on function rowcast.set_limit(text, text) from public;
-- Nobody but rowcast_admin, its owner: it decides what workers may take from others.

create or replace function rowcast.connection_budget() returns int
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select greatest(1, least(
        coalesce((select s.value::int from rowcast.limit_setting as s where s.name = 'connections'), room / 2),
        room,
        (select nullif(d.datconnlimit, -1) from pg_database as d where d.datname = current_database()),
        (select nullif(r.rolconnlimit, -1) from pg_roles as r
         where r.rolname = session_user and not r.rolsuper)))
    from (select current_setting('max_connections')::int
                 - current_setting('superuser_reserved_connections')::int
                 - coalesce(current_setting('reserved_connections', true)::int, 0)) as server (room)
$$;
comment on function rowcast.connection_budget() is
    'How many sessions workers that log in as the caller does may have, all together.';
revoke all on function rowcast.connection_budget() from public;
grant execute on function rowcast.connection_budget() to rowcast_reader, rowcast_worker;

create or replace function rowcast.attend(worker_id int) returns boolean
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select pg_try_advisory_lock(1919907688, worker_id)
$$;
comment on function rowcast.attend(int) is
    'Says that the calling session is a worker''s control session, for as long as it lasts.';
revoke all on function rowcast.attend(int) from public;
grant execute on function rowcast.attend(int) to rowcast_worker;

create or replace function rowcast.workers_here() returns int[]
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select array(
        select k.objid::bigint::int from pg_locks as k
        where k.locktype = 'advisory' and k.granted and k.objsubid = 2 and k.classid = 1919907688
          and k.database = (select d.oid from pg_database as d where d.datname = current_database()))
$$;
comment on function rowcast.workers_here() is
    'The workers whose control sessions are there now. Cost: a look at the locks of the server.';
revoke all on function rowcast.workers_here() from public;

create or replace function rowcast.pulse(
    worker_id int, wanted int, used int, bulk_lanes int, pressure text,
    out connections int, out budget int, out worker_count int)
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
#variable_conflict use_variable
declare
    -- Control, election or standby, one lane, and one for what comes up.
    least_useful constant int := 4;
    here int[];
    useful int;
    rest int;
    share int;
    fair int := 1;
    before rowcast.worker;
    others int;
    own record;
begin
    perform set_config('synchronous_commit', 'off', true);
    perform pg_advisory_xact_lock(1919907683, 6);
    select w.* into before from rowcast.worker as w where w.worker_id = pulse.worker_id;
    if not found then
        raise exception using errcode = 'RC202',
            message = format('worker %s is not registered', worker_id), hint = 'Register again.';
    end if;
    here := rowcast.workers_here();
    if not worker_id = any (here) then
        -- The session that this one replaces was not over yet when it began.
        perform rowcast.attend(worker_id);
        here := here || worker_id;
    end if;
    here := array(select distinct h from unnest(here) as h join rowcast.worker as w on w.worker_id = h);
    worker_count := cardinality(here);
    budget := rowcast.connection_budget();

    -- Those who came first; the others stand by, with their control session, until there is room.
    useful := greatest(1, least(worker_count, (budget - worker_count) / (least_useful - 1)));
    rest := greatest(budget - (worker_count - useful), least_useful);
    for own in
        select w.worker_id, w.wanted, row_number() over (order by w.wanted, w.worker_id) as place
        from (
            select w.worker_id, case when w.worker_id = pulse.worker_id then pulse.wanted
                                     else coalesce(w.connections_wanted, least_useful) end as wanted
            from rowcast.worker as w where w.worker_id = any (here)
            order by w.worker_id limit useful) as w
        order by place
    loop
        share := least(own.wanted, rest / (useful - own.place + 1));
        rest := rest - share;
        if own.worker_id = worker_id then
            fair := share;
        end if;
    end loop;

    -- What others have not given back yet is theirs.
    select coalesce(sum(coalesce(greatest(w.connections, w.connections_used), 1)), 0) into others
    from rowcast.worker as w where w.worker_id = any (here) and w.worker_id <> pulse.worker_id;
    connections := greatest(1, least(fair, greatest(before.connections, budget - others)));

    if (before.connections_wanted, before.connections, before.connections_used, before.bulk_lanes, before.pressure)
       is not distinct from (wanted, connections, used, bulk_lanes, pressure) then
        return;
    end if;
    update rowcast.worker as w
    set connections_wanted = wanted, connections = pulse.connections, connections_used = used,
        bulk_lanes = pulse.bulk_lanes, pressure = pulse.pressure,
        pressure_since = case when pulse.pressure is null then null
                              when w.pressure is null then clock_timestamp() else w.pressure_since end
    where w.worker_id = pulse.worker_id;
    if worker_count > 1 and (before.connections_wanted, before.connections, before.connections_used)
                            is distinct from (wanted, connections, used) then
        perform pg_notify('rowcast_connections', '');  -- The others share anew, at once.
    end if;
end
$$;
comment on function rowcast.pulse(int, int, int, int, text) is
    'Each second: notes what a worker has and would have of sessions and why its lanes hold back, and tells '
    'what it may have, the whole budget and how many workers share it. Raises RC202 where it was forgotten.';
revoke all on function rowcast.pulse(int, int, int, int, text) from public;
grant execute on function rowcast.pulse(int, int, int, int, text) to rowcast_worker;

create or replace function rowcast.bulk_lane_count(known int) returns int
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select greatest(known, coalesce(sum(coalesce(w.bulk_lanes, w.lanes)), 0))::int
    from rowcast.worker as w
    where w.seen_at > clock_timestamp() - interval '2 seconds'
$$;
comment on function rowcast.bulk_lane_count(int) is
    'Lanes of all workers that take chunks of jobs, at least those known: a worker that is gone counts for '
    'two seconds more.';
revoke all on function rowcast.bulk_lane_count(int) from public;

create or replace function rowcast.server_health()
returns table (statement_seconds double precision, statement_wait text, wal_share double precision,
               wal_position bigint, replayed_position bigint, replica text,
               transaction_seconds double precision, oldest_xid bigint, slowdown double precision,
               replica_lag_limit double precision, wal_share_limit double precision,
               transaction_age_limit double precision)
language sql volatile
-- With the caller's rights: what a member of pg_monitor may see, others see as null.
set search_path = pg_catalog, pg_temp as $$
    select statement.seconds, statement.wait, wal.share, wal.position, replica.position, replica.name,
           greatest(old.seconds, (select extract(epoch from clock_timestamp() - min(p.prepared))::float8
                                  from pg_prepared_xacts as p where p.database = current_database())),
           case when not pg_has_role('pg_read_all_stats', 'usage')
                then nullif(txid_snapshot_xmin(txid_current_snapshot()),
                            txid_snapshot_xmax(txid_current_snapshot())) end,
           limits.slowdown, limits.replica_lag, limits.wal_share, limits.transaction_age
    from (select pg_is_in_recovery()) as server (is_replica)
    cross join lateral (
        select max(l.value::float8) filter (where l.name = 'slowdown') as slowdown,
               max(extract(epoch from l.value::interval)) filter (where l.name = 'replica_lag')::float8
                   as replica_lag,
               max(l.value::float8) filter (where l.name = 'wal_share') as wal_share,
               max(extract(epoch from l.value::interval)) filter (where l.name = 'transaction_age')::float8
                   as transaction_age
        from rowcast.limit_rows() as l where l.value <> 'off' and l.name <> 'connections') as limits
    left join lateral (
        select extract(epoch from clock_timestamp() - a.query_start)::float8 as seconds,
               a.wait_event_type || '/' || a.wait_event as wait
        from pg_stat_activity as a
        where a.datname = current_database() and a.application_name = 'rowcast lane' and a.state = 'active'
          and not a.pid = any (rowcast.lanes_in_steps())
        order by a.query_start limit 1) as statement on true
    left join lateral (
        select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint as position,
               (pg_current_wal_insert_lsn() - c.redo_lsn)::float8
                   / pg_size_bytes(current_setting('max_wal_size')) as share
        from pg_control_checkpoint() as c where not server.is_replica) as wal on true
    left join lateral (
        select (r.replay_lsn - '0/0'::pg_lsn)::bigint as position, r.application_name as name
        from pg_stat_replication as r where r.replay_lsn is not null
        order by r.replay_lsn limit 1) as replica on true
    left join lateral (
        select max(extract(epoch from clock_timestamp() - a.xact_start))::float8 as seconds
        from pg_stat_activity as a
        where (a.backend_xid is not null or a.backend_xmin is not null)
          and a.backend_type = 'client backend' and a.application_name not like 'rowcast %') as old on true
$$;
comment on function rowcast.server_health() is
    'What workers look at each second: how long a statement of a lane runs already and what it waits for, '
    'WAL since the last checkpoint as a share of max_wal_size, positions in the WAL of the server and of its '
    'slowest replica, and the age of the oldest transaction, or its number where ages may not be seen. With '
    'the limits (null: lifted) of each.';
revoke all on function rowcast.server_health() from public;
grant execute on function rowcast.server_health() to rowcast_worker;

create or replace function rowcast.lanes_in_steps() returns int[]
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select array(
        select l.backend_pid from rowcast.open_chunks() as c join rowcast.lane as l on l.lane_id = c.claimed_by
        where c.state = 'running' and c.kind in ('step', 'map'))
$$;
comment on function rowcast.lanes_in_steps() is 'Sessions of lanes that run somebody''s SQL, which may take its time.';
revoke all on function rowcast.lanes_in_steps() from public;
grant execute on function rowcast.lanes_in_steps() to rowcast_worker;
