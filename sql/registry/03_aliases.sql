-- Aliases: moved atomically, only to versions that are ready and fit the scorers which follow them.

create or replace function rowcast.type_widens(old_type text, new_type text) returns boolean
language sql immutable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
    select old_type = new_type
        or (old_type in ('float32', 'float64', 'int64', 'bool')
            and new_type in ('float32', 'float64'))
        or (old_type = 'bool' and new_type = 'int64')
$$;
comment on function rowcast.type_widens(text, text) is
    'Whether every column that fits a feature of the one type fits a feature of the other.';

create or replace function rowcast.check_scorer_fits(scorer_id int, version int) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.scorer;
    model_name text;
    new_signature jsonb;
    wrong record;
begin
    select s.* into strict own from rowcast.scorer as s
    where s.scorer_id = check_scorer_fits.scorer_id;
    select m.name into strict model_name from rowcast.model as m where m.model_id = own.model_id;
    select v.signature into new_signature from rowcast.model_version as v
    where v.model_id = own.model_id and v.version = check_scorer_fits.version;

    select f.entry ->> 'name' as input, f.entry ->> 'type' as new_type,
           mapped.entry ->> 'column' as column_name, mapped.entry ->> 'type' as old_type
    into wrong
    from jsonb_array_elements(new_signature -> 'features') with ordinality as f (entry, place)
    left join jsonb_array_elements(own.features) as mapped (entry)
        on mapped.entry ->> 'input' = f.entry ->> 'name'
    where mapped.entry is null
       or not rowcast.type_widens(mapped.entry ->> 'type', f.entry ->> 'type')
    order by f.place limit 1;
    if found and wrong.old_type is null then
        raise exception 'model "%" % wants a feature "%", which scorer "%" does not have',
            model_name, version, wrong.input, own.name
            using errcode = 'RC104',
                  hint = 'Create a scorer for this version beside it, or train without it.';
    elsif found then
        raise exception 'feature "%" of model "%" % is %, scorer "%" gives column "%" as %',
            wrong.input, model_name, version, wrong.new_type, own.name,
            wrong.column_name, wrong.old_type
            using errcode = 'RC104',
                  hint = 'Create a scorer for this version beside it, or keep the type.';
    end if;

    -- The columns of predictions.<scorer> stay what they are; more outputs are appended.
    if not rowcast.outputs_fit(own.outputs, new_signature) then
        raise exception 'outputs of model "%" % differ from those of scorer "%"',
            model_name, version, own.name
            using errcode = 'RC104',
                  detail = format('The scorer has %s; the version has %s.',
                      (select string_agg(format('%s %s', o.entry ->> 'column', o.entry ->> 'type'),
                                         ', ' order by o.place)
                       from jsonb_array_elements(own.outputs) with ordinality as o (entry, place)),
                      rowcast.output_columns(new_signature)),
                  hint = 'Create a scorer for this version beside it.';
    end if;
    if not rowcast.is_explained(own.model_id, version) and exists (
        select from jsonb_array_elements(own.outputs) as o
        where o ->> 'reason' is not null and o ->> 'blank' is null) then
        raise exception 'predictions of model "%" % cannot be explained, as scorer "%" wants',
            model_name, version, own.name
            using errcode = 'RC104',
                  hint = format('Do without: select rowcast.set_explanations(%L, 0);', own.name);
    end if;
end
$$;
comment on function rowcast.check_scorer_fits(int, int) is
    'Refuses (RC104) a version of a scorer''s model that cannot stand for its present one.';

create or replace function rowcast.check_alias_fits(model_id int, alias text, version int)
returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    follower int;
begin
    for follower in
        select s.scorer_id
        from rowcast.scorer as s
        where s.model_id = check_alias_fits.model_id and s.alias = check_alias_fits.alias
          and s.pinned_version is null and s.route is null
        order by s.name
    loop
        perform rowcast.check_scorer_fits(follower, version);
    end loop;
end
$$;
comment on function rowcast.check_alias_fits(int, text, int) is
    'Refuses a version whose signature does not fit a scorer which follows the alias: it needs only '
    'features that the scorer has, in types that their columns fit, and has the outputs of the scorer. Rows '
    'of a routed scorer are checked one by one, when they are scored.';

create or replace function rowcast.output_columns(signature jsonb) returns text
language sql immutable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
    select string_agg(format('%s %s', o.entry ->> 'name', o.entry ->> 'type'), ', '
                      order by o.place)
    from jsonb_array_elements(signature -> 'outputs') with ordinality as o (entry, place)
$$;
comment on function rowcast.output_columns(jsonb) is
    'The outputs of a signature as text, equal for signatures that fill the same columns.';
revoke all on function rowcast.output_columns(jsonb) from public;
-- A view checks calls with the rights of who reads it.
grant execute on function rowcast.output_columns(jsonb) to rowcast_reader, rowcast_worker;

create or replace function rowcast.move_alias(model_id int, alias text, version int) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform rowcast.check_alias_fits(model_id, alias, version);
    perform rowcast.check_alias_rule(model_id, alias, version);
    perform rowcast.point_alias(model_id, alias, version);
end
$$;
comment on function rowcast.move_alias(int, text, int) is
    'Points an alias at a version that is known to be ready, if the scorers and the alias''s rule allow it.';

create or replace function rowcast.set_alias(model text, alias text, version int) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    target_id constant int := rowcast.model_id_of(model);
    target record;
begin
    perform rowcast.check_names(model, alias);
    perform rowcast.check_model_right(model);
    perform rowcast.check_may_set(alias);
    perform rowcast.bump_registry();
    select v.state, v.refusal into target
    from rowcast.model_version as v
    where v.model_id = target_id and v.version = set_alias.version;
    if not found then
        raise exception 'model "%" has no version %', model, coalesce(version::text, 'null')
            using errcode = 'RC101', hint = 'The view rowcast.model_versions lists them.';
    elsif target.state = 'refused' then
        raise exception 'version % of model "%" was refused', version, model
            using errcode = 'RC102', detail = target.refusal;
    elsif target.state <> 'ready' then
        raise exception 'version % of model "%" is not inspected yet', version, model
            using errcode = 'RC103',
                  hint = format('Wait for it: call rowcast.wait_for_model(%L, %s).', model, version);
    end if;
    -- A slip of the pen would otherwise be an alias that nobody follows.
    if exists (select from rowcast.alias as a where a.model_id = target_id)
       and not exists (select from rowcast.alias as a
                       where a.model_id = target_id and a.alias = set_alias.alias) then
        raise notice 'alias "%" of model "%" is new, beside %', alias, model,
            (select string_agg(format('"%s"', a.alias), ', ' order by a.alias)
             from rowcast.alias as a where a.model_id = target_id);
    end if;
    perform rowcast.move_alias(target_id, alias, version);
end
$$;
comment on function rowcast.set_alias(text, text, int) is
    'Points an alias at a version, at once for every scorer that follows it. Refused for a version '
    'that is not ready, or that does not fit these scorers. Scored rows are not scored again: '
    'rowcast.rescore does that.';
revoke all on function rowcast.set_alias(text, text, int) from public;
grant execute on function rowcast.set_alias(text, text, int) to rowcast_analyst;

create or replace function rowcast.drop_alias(model text, alias text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    target_id constant int := rowcast.model_id_of(model);
    follower text;
begin
    perform rowcast.check_may_set(alias);
    perform rowcast.bump_registry();
    select string_agg(format('%I', s.name), ', ' order by s.name) into follower
    from rowcast.scorer as s
    where s.model_id = target_id and s.alias = drop_alias.alias and s.pinned_version is null;
    if follower is not null then
        raise exception 'alias "%" of model "%" is followed by the scorer %', alias, model, follower
            using errcode = 'RC105', hint = 'Drop the scorer first, or move the alias.';
    end if;
    delete from rowcast.alias as a
    where a.model_id = target_id and a.alias = drop_alias.alias;
    if not found then
        raise exception 'model "%" has no alias "%"', model, alias
            using errcode = 'RC101', hint = 'The view rowcast.aliases lists them.';
    end if;
end
$$;
comment on function rowcast.drop_alias(text, text) is
    'Drops an alias. Refused while a scorer follows it.';
revoke all on function rowcast.drop_alias(text, text) from public;
grant execute on function rowcast.drop_alias(text, text) to rowcast_analyst;
