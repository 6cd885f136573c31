-- What servers ask of the registry.

create or replace function rowcast.model_catalog()
returns table (
    model_id int, model text, version int, state text, format text, aliases text[])
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select m.model_id, m.name, v.version, v.state, v.format,
           coalesce(array_agg(a.alias order by a.alias) filter (where a.alias is not null), '{}')
    from rowcast.model as m
    join rowcast.model_version as v using (model_id)
    left join rowcast.alias as a on a.model_id = v.model_id and a.version = v.version
    group by m.model_id, v.model_id, v.version
$$;
comment on function rowcast.model_catalog() is
    'One row a version of a model, with the aliases that point at it.';
revoke all on function rowcast.model_catalog() from public;
grant execute on function rowcast.model_catalog() to rowcast_worker;

create or replace function rowcast.catalog_revision() returns bigint
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select r.last_value from rowcast.registry_revision as r
$$;
comment on function rowcast.catalog_revision() is
    'Grows with each change of models and aliases: while it is the same, so is what is known of them.';
revoke all on function rowcast.catalog_revision() from public;
grant execute on function rowcast.catalog_revision() to rowcast_worker;
