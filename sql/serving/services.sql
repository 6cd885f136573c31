-- Services: made, refreshed, dropped.

create or replace function rowcast.create_service(
    name text, model text, candidates text default null, input text default null, ids text[] default null,
    alias text default 'champion') returns int
-- With the caller's rights: the query is theirs.
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    count int;
begin
    perform rowcast.add_service(name, model, input,
                                case when candidates is null then '{}' else coalesce(ids, '{question_id,answer_id}') end,
                                alias);
    if candidates is not null then
        count := rowcast.refresh_service(name, candidates);
    end if;
    return coalesce(count, 0);
end
$$;
comment on function rowcast.create_service(text, text, text, text, text[], text) is
    'Makes a service that POST /api/v1/service/NAME/score asks. With a query of candidates each of its rows stands '
    'beside the input: columns named in ids identify it in answers, the others are features of the model. Returns '
    'how many candidates there are; rowcast.refresh_service reads them anew.';
revoke all on function rowcast.create_service(text, text, text, text, text[], text) from public;
grant execute on function rowcast.create_service(text, text, text, text, text[], text) to rowcast_analyst;

create or replace function rowcast.refresh_service(name text, candidates text) returns int
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    rows jsonb;
begin
    execute format('select coalesce(jsonb_agg(to_jsonb(q)), ''[]'') from (%s) as q', candidates) into rows;
    return rowcast.set_candidates(name, rows);
end
$$;
comment on function rowcast.refresh_service(text, text) is
    'Replaces the candidates of a service by the rows of a query, read with the caller''s rights; counts them.';
revoke all on function rowcast.refresh_service(text, text) from public;
grant execute on function rowcast.refresh_service(text, text) to rowcast_analyst;

create or replace function rowcast.add_service(
    name text, model text, input text, ids text[], alias text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own_model constant int := rowcast.model_id_of(model);
begin
    if coalesce(add_service.name, '') !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$' then
        raise exception 'name of service "%" is not fit for a path', left(coalesce(add_service.name, ''), 60)
            using errcode = 'RC353', hint = 'Use up to 100 letters, digits, dots, dashes and underscores.';
    elsif add_service.alias is null or add_service.ids is null then
        raise exception 'the service has no alias to follow, or null for its ids' using errcode = 'RC353',
            hint = 'Leave them out, or give alias => ''champion''.';
    end if;
    perform rowcast.bump_registry();
    insert into rowcast.service as s (name, model_id, alias, input, ids, created_by)
    values (add_service.name, own_model, add_service.alias, add_service.input, add_service.ids, rowcast.caller());
exception when unique_violation then
    raise exception 'there is a service "%" already', add_service.name using errcode = 'RC353',
        hint = format('Drop it first: select rowcast.drop_service(%L);', add_service.name);
end
$$;
comment on function rowcast.add_service(text, text, text, text[], text) is
    'The first step of rowcast.create_service: the service, without candidates.';
revoke all on function rowcast.add_service(text, text, text, text[], text) from public;
grant execute on function rowcast.add_service(text, text, text, text[], text) to rowcast_analyst;

create or replace function rowcast.set_candidates(name text, candidates jsonb) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.service;
    missing text;
    count int;
begin
    perform rowcast.bump_registry();
    select * into own from rowcast.service as s where s.name = set_candidates.name for update;
    if not found then
        raise exception 'there is no service "%"', coalesce(set_candidates.name, 'null') using errcode = 'RC354',
            hint = 'The view rowcast.services lists them.';
    elsif jsonb_typeof(candidates) is distinct from 'array' or jsonb_array_length(candidates) > 100000 then
        raise exception 'candidates are not an array of up to 100000 objects' using errcode = 'RC353';
    end if;
    select i.id into missing from jsonb_array_elements(candidates) as c (entry)
    cross join lateral unnest(own.ids) as i (id) where not c.entry ? i.id limit 1;
    if found then
        raise exception 'candidates of service "%" have no column "%"', own.name, missing using errcode = 'RC353',
            hint = format('They are identified by %s.', array_to_string(own.ids, ', '));
    end if;
    delete from rowcast.service_candidate as c where c.service_id = own.service_id;
    insert into rowcast.service_candidate as c (service_id, place, ids, features)
    select own.service_id, e.place,
           (select coalesce(jsonb_agg(e.entry -> i.id order by i.place), '[]')
            from unnest(own.ids) with ordinality as i (id, place)), e.entry - own.ids
    from jsonb_array_elements(candidates) with ordinality as e (entry, place);
    get diagnostics count = row_count;
    update rowcast.service as s set refreshed_at = clock_timestamp() where s.service_id = own.service_id;
    return count;
end
$$;
comment on function rowcast.set_candidates(text, jsonb) is
    'Replaces the candidates of a service by an array of objects; counts them. rowcast.refresh_service reads them '
    'from a query.';
revoke all on function rowcast.set_candidates(text, jsonb) from public;
grant execute on function rowcast.set_candidates(text, jsonb) to rowcast_analyst;

create or replace function rowcast.drop_service(name text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform rowcast.bump_registry();
    delete from rowcast.service as s where s.name = drop_service.name;
    if not found then
        raise exception 'there is no service "%"', coalesce(drop_service.name, 'null') using errcode = 'RC354',
            hint = 'The view rowcast.services lists them.';
    end if;
end
$$;
comment on function rowcast.drop_service(text) is 'Drops a service with its candidates; its model stays.';
revoke all on function rowcast.drop_service(text) from public;
grant execute on function rowcast.drop_service(text) to rowcast_analyst;

create or replace view rowcast.services as
select s.name as service, m.name as model, s.alias, s.input, s.ids,
       (select count(*) from rowcast.service_candidate as c where c.service_id = s.service_id) as candidates,
       s.created_at, s.created_by, s.refreshed_at
from rowcast.service as s
join rowcast.model as m using (model_id);
comment on view rowcast.services is 'One row a service of the HTTP server.';
grant select on rowcast.services to rowcast_analyst, rowcast_reader;

create or replace function rowcast.service_catalog()
returns table (name text, model text, alias text, input text, ids int, candidates text, places text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.name, m.name, s.alias, s.input, cardinality(s.ids),
           coalesce(string_agg(c.features::text, e'\n' order by c.place), ''),
           coalesce(string_agg(c.ids::text, e'\n' order by c.place), '')
    from rowcast.service as s
    join rowcast.model as m using (model_id)
    left join rowcast.service_candidate as c using (service_id)
    group by s.service_id, m.model_id
$$;
comment on function rowcast.service_catalog() is
    'One row a service, with the features and the ids of its candidates as JSON, a line each.';
revoke all on function rowcast.service_catalog() from public;
grant execute on function rowcast.service_catalog() to rowcast_worker;
