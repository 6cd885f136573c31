-- What workers ask of the registry and tell it.

create or replace function rowcast.models_to_inspect()
returns table (model_id int, version int, name text, byte_count bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select v.model_id, v.version, m.name, v.byte_count
    from rowcast.model_version as v
    join rowcast.model as m using (model_id)
    where v.state = 'registered'
    order by v.created_at, v.model_id, v.version
$$;
comment on function rowcast.models_to_inspect() is
    'Versions that no worker has inspected, oldest first. Inspecting one twice is harmless.';
revoke all on function rowcast.models_to_inspect() from public;
grant execute on function rowcast.models_to_inspect() to rowcast_worker;

drop function if exists rowcast.model_header(int, int);
create or replace function rowcast.model_header(model_id int, version int)
returns table (
    name text, format text, sha256 bytea, byte_count bigint, labels text[], signature jsonb,
    state text, setup jsonb, device text
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select m.name, v.format, v.sha256, v.byte_count, v.labels, v.signature, v.state, v.setup, m.device
    from rowcast.model_version as v
    join rowcast.model as m using (model_id)
    where v.model_id = model_header.model_id and v.version = model_header.version
$$;
comment on function rowcast.model_header(int, int) is
    'One row about a version, without its bytes; none where there is no such version.';
revoke all on function rowcast.model_header(int, int) from public;
grant execute on function rowcast.model_header(int, int) to rowcast_worker;

create or replace function rowcast.load_model(model_id int, version int)
returns table (part int, bytes bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select p.part, p.bytes
    from rowcast.model_part as p
    where p.model_id = load_model.model_id and p.version = load_model.version
    order by p.part
$$;
comment on function rowcast.load_model(int, int) is
    'The bytes of a version, in parts of 1 MiB, in order.';
revoke all on function rowcast.load_model(int, int) from public;
grant execute on function rowcast.load_model(int, int) to rowcast_worker;

create or replace function rowcast.golden_rows(model_id int, version int)
returns table (row_number int, inputs jsonb, outputs jsonb)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select g.row_number, g.inputs, g.outputs
    from rowcast.golden_row as g
    where g.model_id = golden_rows.model_id and g.version = golden_rows.version
    order by g.row_number
$$;
comment on function rowcast.golden_rows(int, int) is
    'Rows that the version must score as its trainer did.';
revoke all on function rowcast.golden_rows(int, int) from public;
grant execute on function rowcast.golden_rows(int, int) to rowcast_worker;

create or replace function rowcast.record_inspection(
    model_id int, version int, signature jsonb, refusal text, format text default null
) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
    wanted text;
    problem text;
    action text;
begin
    if (signature is null) = (refusal is null) then
        raise exception 'an inspection gives either a signature or a refusal'
            using errcode = 'RC106', hint = 'Give exactly one of them.';
    end if;
    if jsonb_typeof(signature -> 'features') <> 'array'
       or jsonb_typeof(signature -> 'outputs') <> 'array'
       or (signature is not null and not signature ?& array['features', 'outputs']) then
        raise exception 'a signature has arrays "features" and "outputs"' using errcode = 'RC106',
            hint = 'Workers of this release send it so: is another release running?';
    end if;
    perform rowcast.bump_registry();
    update rowcast.model_version as v
    set state = case when record_inspection.refusal is null then 'ready' else 'refused' end,
        signature = record_inspection.signature,
        refusal = record_inspection.refusal,
        format = coalesce(record_inspection.format, v.format)
    where v.model_id = record_inspection.model_id and v.version = record_inspection.version
      and v.state = 'registered'
    returning v.wanted_alias into wanted;
    if found and refusal is null and wanted is not null then
        begin
            perform rowcast.move_alias(model_id, wanted, version);
        exception when others then
            get stacked diagnostics problem = message_text, action = pg_exception_hint;
            update rowcast.model_version as v
            set alias_refusal = concat_ws('. ', problem, nullif(action, ''))
            where v.model_id = record_inspection.model_id
              and v.version = record_inspection.version;
        end;
    end if;
    return (
        select v.state from rowcast.model_version as v
        where v.model_id = record_inspection.model_id and v.version = record_inspection.version);
end
$$;
comment on function rowcast.record_inspection(int, int, jsonb, text, text) is
    'Makes a registered version ready, with the signature that the engine read, or refuses it, with '
    'the reason; then sets the alias that was asked for. The first inspection counts. Returns the '
    'state of the version, null where it was dropped meanwhile.';
revoke all on function rowcast.record_inspection(int, int, jsonb, text, text) from public;
grant execute on function rowcast.record_inspection(int, int, jsonb, text, text) to rowcast_worker;

create or replace function rowcast.resolve_models(names text[], alias text)
returns table (name text, model_id int, version int, state text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select wanted.name, m.model_id, v.version, v.state
    from unnest(resolve_models.names) with ordinality as wanted (name, place)
    left join rowcast.model as m on m.name = wanted.name
    left join rowcast.alias as a
        on a.model_id = m.model_id and a.alias = resolve_models.alias
    left join rowcast.model_version as v
        on v.model_id = a.model_id and v.version = a.version
    order by wanted.place
$$;
comment on function rowcast.resolve_models(text[], text) is
    'One row a name, in the order given. No model_id: there is no such model. No version: the model '
    'lacks the alias.';
revoke all on function rowcast.resolve_models(text[], text) from public;
grant execute on function rowcast.resolve_models(text[], text) to rowcast_worker;
