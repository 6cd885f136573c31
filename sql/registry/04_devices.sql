-- Devices: where models run, and which workers can run them.
--
-- A model runs on the CPU unless somebody said otherwise. One that wants a GPU is scored by workers that have
-- one, and its chunks wait while there is none; auto takes the CPU where the worker has no GPU.

create or replace function rowcast.set_device(model text, device text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    other record;
begin
    perform rowcast.check_model_right(model);
    if device is null or device not in ('cpu', 'gpu', 'auto') then
        raise exception using errcode = 'RC303', message = format('device "%s" is not known', device),
            hint = 'Give cpu, gpu, or auto, which is a GPU where there is one.';
    end if;
    perform rowcast.bump_registry();
    select v.version, v.format into other
    from rowcast.model_version as v join rowcast.model as m using (model_id)
    where m.name = set_device.model and v.state = 'ready' and v.format <> 'onnx' limit 1;
    if found and device = 'gpu' then
        raise exception using errcode = 'RC303',
            message = format('model "%s" %s is of %s, and device gpu runs networks alone',
                             model, other.version, other.format);
    end if;
    update rowcast.model as m set device = set_device.device where m.name = set_device.model;
    if not found then
        raise exception using errcode = 'RC101', message = format('model "%s" does not exist', model),
            hint = 'select * from rowcast.models lists them; "rowcast push" adds one.';
    end if;
    perform pg_notify('rowcast_chunk', '');
end
$$;
comment on function rowcast.set_device(text, text) is
    'Says where all versions of a model run: cpu, gpu (rows wait for a worker that has one), or auto. Workers '
    'heed it when they load a version next. Errors: RC101, RC303.';
revoke all on function rowcast.set_device(text, text) from public;
grant execute on function rowcast.set_device(text, text) to rowcast_analyst;

create or replace function rowcast.offer_devices(worker_id int, devices text[]) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    update rowcast.worker as w set devices = offer_devices.devices where w.worker_id = offer_devices.worker_id
$$;
comment on function rowcast.offer_devices(int, text[]) is 'Says which devices a worker has, where that is more than the CPU.';
revoke all on function rowcast.offer_devices(int, text[]) from public;
grant execute on function rowcast.offer_devices(int, text[]) to rowcast_worker;

create or replace function rowcast.has_device(device text) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    -- As has_files: the lane whose session holds its lock lives.
    select exists (
        select from rowcast.worker as w
        join rowcast.lane as l on l.worker_id = w.worker_id
        join pg_locks as k on k.locktype = 'advisory' and k.granted and k.objsubid = 2
            and k.classid = 1919907684 and k.objid = l.lane_id::oid
            and k.database = (select d.oid from pg_database as d where d.datname = current_database())
        where has_device.device = any (w.devices))
$$;
comment on function rowcast.has_device(text) is
    'Whether a worker lives that has a device: cpu or gpu. Cost: a look at the locks of the server.';
revoke all on function rowcast.has_device(text) from public;
grant execute on function rowcast.has_device(text) to rowcast_reader, rowcast_worker;

create or replace function rowcast.lacks_gpu(lane int) returns boolean
-- Not in SQL: each tick and claim asks, and that would be planned anew each time.
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    -- Where no model wants one, that is all that is looked at: an index without entries.
    return exists (select from rowcast.model as m where m.device = 'gpu')
       and not exists (select from rowcast.lane as l join rowcast.worker as w on w.worker_id = l.worker_id
                       where l.lane_id = lacks_gpu.lane and 'gpu' = any (w.devices));
end
$$;
comment on function rowcast.lacks_gpu(int) is
    'Whether there are models that want a GPU, and the lane''s worker has none.';
revoke all on function rowcast.lacks_gpu(int) from public;

create or replace function rowcast.wants_gpu(scorer_id int, job_id bigint) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select exists (
        select from rowcast.model as m
        where m.device = 'gpu' and m.model_id = case
            when wants_gpu.scorer_id is not null then (
                select s.model_id from rowcast.scorer as s where s.scorer_id = wants_gpu.scorer_id)
            else (select j.model_id from rowcast.model_job as j where j.job_id = wants_gpu.job_id) end)
$$;
comment on function rowcast.wants_gpu(int, bigint) is
    'Whether chunks of a scorer, or of a job without one, are for workers with a GPU.';
revoke all on function rowcast.wants_gpu(int, bigint) from public;
