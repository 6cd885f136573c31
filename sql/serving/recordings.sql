-- Records of what the HTTP server answers: switched on and off by model, written by servers, read, forgotten.

create or replace function rowcast.record_requests(
    model text, share double precision default 1, with_inputs boolean default false) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    if record_requests.share is null or not (record_requests.share > 0 and record_requests.share <= 1) then
        raise exception 'share of requests is %', coalesce(record_requests.share::text, 'null')
            using errcode = 'RC357',
            hint = 'Give a number above 0, up to 1 for all of them; rowcast.stop_recording ends it.';
    end if;
    perform rowcast.bump_registry();
    insert into rowcast.request_recording as r (model_id, share, with_inputs, set_by)
    values (rowcast.model_id_of(record_requests.model), record_requests.share,
            coalesce(record_requests.with_inputs, false), rowcast.caller())
    on conflict on constraint request_recording_pkey do update
    set share = excluded.share, with_inputs = excluded.with_inputs, set_at = clock_timestamp(),
        set_by = excluded.set_by;
end
$$;
comment on function rowcast.record_requests(text, double precision, boolean) is
    'Has servers record what requests for a model are answered, all of them or a share drawn at random, with the '
    'features of their rows or without. Takes effect within two seconds; rowcast.recorded_predictions shows them. '
    'Errors: RC101, RC357.';
revoke all on function rowcast.record_requests(text, double precision, boolean) from public;
grant execute on function rowcast.record_requests(text, double precision, boolean) to rowcast_analyst;

create or replace function rowcast.stop_recording(model text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform rowcast.bump_registry();
    delete from rowcast.request_recording as r where r.model_id = rowcast.model_id_of(stop_recording.model);
    return found;
end
$$;
comment on function rowcast.stop_recording(text) is
    'Ends the recording of a model''s requests; false where there was none. Records stay. Errors: RC101.';
revoke all on function rowcast.stop_recording(text) from public;
grant execute on function rowcast.stop_recording(text) to rowcast_analyst;

drop function if exists rowcast.forget_requests(text, timestamptz);

create or replace function rowcast.forget_requests(
    model text, before timestamptz default null, max_records int default 10000) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    gone bigint;
begin
    if max_records is null or max_records < 1 then
        raise exception 'max_records is %', coalesce(max_records::text, 'null') using errcode = 'RC357',
            hint = 'Give a number of 1 or more.';
    end if;
    -- The oldest first, as they lie.
    delete from rowcast.request_record as r where r.ctid = any (array(
        select o.ctid from rowcast.request_record as o
        where o.model = forget_requests.model
          and o.scored_at < coalesce(forget_requests.before, 'infinity')
        order by o.scored_at limit max_records));
    get diagnostics gone = row_count;
    return gone;
end
$$;
comment on function rowcast.forget_requests(text, timestamptz, int) is
    'Deletes records of a model''s requests, or of those before a moment, the oldest first and no more than '
    'max_records, and counts them: call it until it says 0. Cost: a look at all records before the last of these, of '
    'other models too. For administrators. Errors: RC357.';
revoke all on function rowcast.forget_requests(text, timestamptz, int) from public;
-- Nobody but rowcast_admin, its owner: it decides what is lost.

create or replace function rowcast.prune_request_records(older_than timestamptz, max_rows int) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    with gone as (
        delete from rowcast.request_record as r where r.ctid = any (array(
            select o.ctid from rowcast.request_record as o where o.scored_at < older_than
            order by o.scored_at limit max_rows)) returning 1
    ) select count(*) from gone
$$;
comment on function rowcast.prune_request_records(timestamptz, int) is
    'Prunes records of requests. Servers call for it as they add some, so that it keeps up with them.';
revoke all on function rowcast.prune_request_records(timestamptz, int) from public;

create or replace function rowcast.recording_catalog()
returns table (model_id int, share double precision, with_inputs boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select r.model_id, r.share, r.with_inputs from rowcast.request_recording as r
$$;
comment on function rowcast.recording_catalog() is 'Models of which servers are to record requests.';
revoke all on function rowcast.recording_catalog() from public;
grant execute on function rowcast.recording_catalog() to rowcast_worker;

-- Arrays of one length, an element a record.
create or replace function rowcast.add_request_records(
    scored_at timestamptz[], models text[], versions int[], request_ids text[], routes text[], key_ids text[],
    roles text[], microseconds bigint[], first_rows int[], inputs jsonb[], outputs jsonb[], failures jsonb[])
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.request_record (
        scored_at, model, model_version, request_id, route, key_id, role_name, latency, first_row, inputs,
        outputs, failures)
    select u.scored_at, u.model, u.version, u.request_id, u.route, u.key_id, u.role_name,
           u.microseconds * interval '1 microsecond', u.first_row, u.inputs, u.outputs, u.failures
    from unnest(add_request_records.scored_at, models, versions, request_ids, routes, key_ids, roles, microseconds,
                first_rows, inputs, outputs, failures)
        as u (scored_at, model, version, request_id, route, key_id, role_name, microseconds, first_row, inputs,
              outputs, failures)
$$;
comment on function rowcast.add_request_records(
    timestamptz[], text[], int[], text[], text[], text[], text[], bigint[], int[], jsonb[], jsonb[], jsonb[]) is
    'Appends what requests were answered. For servers.';
revoke all on function rowcast.add_request_records(
    timestamptz[], text[], int[], text[], text[], text[], text[], bigint[], int[], jsonb[], jsonb[], jsonb[])
    from public;
grant execute on function rowcast.add_request_records(
    timestamptz[], text[], int[], text[], text[], text[], text[], bigint[], int[], jsonb[], jsonb[], jsonb[])
    to rowcast_worker;

create or replace view rowcast.recordings as
select m.name as model, r.share, r.with_inputs, r.set_at, r.set_by
from rowcast.request_recording as r
join rowcast.model as m using (model_id);
comment on view rowcast.recordings is 'Models of which requests to the HTTP server are recorded.';
grant select on rowcast.recordings to rowcast_reader;

-- What clients sent, and who they are, is for those who may have it recorded, and for whom it is about.
--
-- A request is found by its time: an index by request_id, random as they are, would double what it takes to add a
-- record (8 microseconds without it, 16 to 19 with it, 12 by hash, a million records at a time), and most records
-- are never looked up.
create or replace view rowcast.recorded_predictions as
select r.scored_at, r.model, r.model_version, r.request_id, r.first_row + p.place::int - 1 as row_number, r.route,
       case when w.may_see then r.key_id end as key_id, case when w.may_see then r.role_name end as role_name,
       r.latency, case when w.may_see then p.inputs end as inputs, nullif(p.outputs, 'null') as outputs,
       r.failures ->> (p.place - 1)::text as failure
from rowcast.request_record as r
cross join lateral (
    select pg_has_role('rowcast_analyst', 'member') or coalesce(r.role_name = current_user, false) as may_see) as w
-- Side by side: an element by its place would unpack the whole array for each.
cross join lateral rows from (jsonb_array_elements(r.outputs), jsonb_array_elements(r.inputs))
    with ordinality as p (outputs, inputs, place);
comment on view rowcast.recorded_predictions is
    'One row a prediction that was served over HTTP, of the models and requests that are recorded: by which version, '
    'when, for whom, and after how long. Ask for a range of scored_at. Inputs, keys and roles are shown to '
    'rowcast_analyst, and to the role that asked.';
grant select on rowcast.recorded_predictions to rowcast_reader;
