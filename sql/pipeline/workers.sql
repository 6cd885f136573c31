-- Workers and lanes: who is there. Liveness is the lane's session lock, which PostgreSQL releases when
-- the session ends; seen_at is for people, and for sessions that hang without ending.

create or replace function rowcast.register_worker(
    name text, host text, pid int, release text, lanes int) returns int
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.worker (name, host, pid, release, lanes, backend_pid)
    values (register_worker.name, register_worker.host, register_worker.pid,
            register_worker.release, register_worker.lanes, pg_backend_pid())
    returning worker_id
$$;
comment on function rowcast.register_worker(text, text, int, text, int) is
    'Introduces a process that scores.';
revoke all on function rowcast.register_worker(text, text, int, text, int) from public;
grant execute on function rowcast.register_worker(text, text, int, text, int) to rowcast_worker;

create or replace function rowcast.beat(worker_id int, dispatcher boolean) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    update rowcast.worker as w
    set seen_at = clock_timestamp(), dispatcher = beat.dispatcher, backend_pid = pg_backend_pid(),
        session_since = case when w.backend_pid = pg_backend_pid() then w.session_since
                             else clock_timestamp() end
    where w.worker_id = beat.worker_id;
    if not found then
        raise exception using errcode = 'RC202',
            message = format('worker %s is not registered', worker_id),
            hint = 'Register again.';
    end if;
end
$$;
comment on function rowcast.beat(int, boolean) is
    'Says that a worker is there; raises RC202 where it was forgotten.';
revoke all on function rowcast.beat(int, boolean) from public;
grant execute on function rowcast.beat(int, boolean) to rowcast_worker;

create or replace function rowcast.register_lane(worker_id int) returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    new_lane int;
begin
    insert into rowcast.lane (worker_id, backend_pid)
    values (register_lane.worker_id, pg_backend_pid()) returning lane_id into new_lane;
    if not pg_try_advisory_lock(1919907684, new_lane) then
        raise exception using errcode = 'RC902',
            message = format('the lock of lane %s is taken', new_lane);
    end if;
    -- A source that gets row security shows an error, not a part of its rows, whose others would then
    -- pass for deleted; and no policy of its owner runs with the lane's rights.
    perform set_config('row_security', 'off', false);
    return new_lane;
end
$$;
comment on function rowcast.register_lane(int) is
    'Makes the calling session a lane: it holds (1919907684, lane_id) until it ends, and reads no table '
    'through row security.';
revoke all on function rowcast.register_lane(int) from public;
grant execute on function rowcast.register_lane(int) to rowcast_worker;

create or replace function rowcast.unregister_worker(worker_id int) returns int
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    with released as (
        update rowcast.chunk as c
        set state = 'available', claimed_by = null, claimed_at = null
        from rowcast.lane as l
        where l.worker_id = unregister_worker.worker_id and c.claimed_by = l.lane_id
          and c.state = 'running'
        returning 1
    ), gone as (
        delete from rowcast.worker as w where w.worker_id = unregister_worker.worker_id
    ), rung as (
        select pg_notify('rowcast_chunk', '') from (select from released limit 1) as any_row
    ) select (select count(*) from released)::int + 0 * (select count(*) from rung)::int
$$;
comment on function rowcast.unregister_worker(int) is
    'Takes leave: what the worker''s lanes still held is available again, and counted.';
revoke all on function rowcast.unregister_worker(int) from public;
grant execute on function rowcast.unregister_worker(int) to rowcast_worker;
