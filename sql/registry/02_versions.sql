-- Registering models and waiting for their inspection.

create or replace function rowcast.model_id_of(model text) returns int
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    found_id int;
begin
    select m.model_id into found_id from rowcast.model as m where m.name = model_id_of.model;
    if found_id is null then
        raise exception 'there is no model "%"', model
            using errcode = 'RC101', hint = 'The view rowcast.models lists them.';
    end if;
    return found_id;
end
$$;
comment on function rowcast.model_id_of(text) is 'The id of a model, or an error that names it.';

create or replace function rowcast.check_golden(golden jsonb) returns void
language plpgsql immutable security definer set search_path = pg_catalog, pg_temp as $$
declare
    place bigint;
begin
    if jsonb_typeof(golden) is distinct from 'array' then
        raise exception 'golden rows are a JSON %, an array is wanted', jsonb_typeof(golden)
            using errcode = 'RC106',
                  hint = 'Give [{"inputs": {"age": 41}, "outputs": {"score": 0.7}}, ...].';
    end if;
    select g.place into place
    from jsonb_array_elements(golden) with ordinality as g (entry, place)
    where jsonb_typeof(g.entry -> 'inputs') is distinct from 'object'
       or jsonb_typeof(g.entry -> 'outputs') is distinct from 'object'
    order by g.place limit 1;
    if place is not null then
        raise exception 'golden row % lacks an object "inputs" or an object "outputs"', place
            using errcode = 'RC106',
                  hint = 'Give [{"inputs": {"age": 41}, "outputs": {"score": 0.7}}, ...].';
    end if;
end
$$;
comment on function rowcast.check_golden(jsonb) is 'Refuses golden rows of another shape.';

create or replace function rowcast.check_names(model text, alias text) returns void
language plpgsql immutable security definer set search_path = pg_catalog, pg_temp as $$
begin
    if model is null or btrim(model) = '' then
        raise exception 'the model has no name'
            using errcode = 'RC106', hint = 'Give a name, as in name => ''churn''.';
    elsif char_length(model) > 200 or model <> btrim(model) or model ~ '[[:cntrl:]]' then
        raise exception 'name of model "%" is not fit for one', left(model, 60)
            using errcode = 'RC106',
                  hint = 'Use at most 200 characters, none of them a control character, and no '
                         'blank at either end.';
    elsif char_length(alias) > 63 or alias ~ '[[:cntrl:][:space:]]' or alias = '' then
        raise exception 'alias "%" is not one word', left(alias, 60)
            using errcode = 'RC106', hint = 'Use at most 63 characters and no blanks: champion.';
    end if;
end
$$;
comment on function rowcast.check_names(text, text) is
    'Refuses names that the tables would refuse, and says why.';

drop function if exists rowcast.register_model(text, bytea, text, text[], text, jsonb, jsonb);
create or replace function rowcast.register_model(
    name text,
    artifact bytea,
    alias text default null,
    labels text[] default null,
    description text default null,
    metrics jsonb default null,
    golden jsonb default null,
    setup jsonb default null
) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    part_size constant int := 1048576;
    -- Read a stored value once, and not again for every part.
    content constant bytea := artifact || ''::bytea;
    content_hash constant bytea := sha256(content);
    class_names constant text[] := nullif(labels, '{}');
    own_setup constant jsonb := nullif(setup, '{}');
    target_id int;
    same record;
    new_version int;
begin
    perform rowcast.check_names(name, alias);
    perform rowcast.check_model_right(name);
    if coalesce(octet_length(content), 0) = 0 then
        raise exception 'model "%" has no bytes', name
            using errcode = 'RC106', hint = 'Give the content of an ONNX, LightGBM or XGBoost file.';
    end if;
    if array_position(class_names, null) is not null or array_ndims(class_names) > 1 then
        raise exception 'labels of model "%" are not a list of names', name
            using errcode = 'RC106', hint = 'Give one text a class, in the order of the model.';
    end if;
    if golden is not null then
        perform rowcast.check_golden(golden);
    end if;
    if jsonb_typeof(own_setup) <> 'object' then
        raise exception 'setup of model "%" is a JSON %, an object is wanted', name, jsonb_typeof(own_setup)
            using errcode = 'RC106', hint = 'Give {"image": {"preset": "torchvision"}, "softmax": true}.';
    end if;
    if alias is not null then
        perform rowcast.check_may_set(alias);
    end if;

    perform rowcast.bump_registry();
    insert into rowcast.model as m (name, description, created_by)
    values (register_model.name, register_model.description, rowcast.caller())
    on conflict on constraint model_name_key do update
        set description = coalesce(excluded.description, m.description)
    returning m.model_id into target_id;

    select v.version, v.state into same
    from rowcast.model_version as v
    where v.model_id = target_id and v.sha256 = content_hash
      and coalesce(v.labels, '{}') = coalesce(class_names, '{}')
      and v.setup is not distinct from own_setup;
    if found then
        perform rowcast.register_again(target_id, same.version, alias);
        if golden is not null or metrics is not null then
            raise notice 'version % of model "%" has these bytes already, so its metrics and '
                'golden rows stay as they are', same.version, name;
        end if;
        return same.version;
    end if;

    update rowcast.model as m set last_version = m.last_version + 1
    where m.model_id = target_id
    returning m.last_version into new_version;
    insert into rowcast.model_version
        (model_id, version, sha256, byte_count, labels, metrics, wanted_alias, setup, created_by)
    values (target_id, new_version, content_hash, octet_length(content), class_names,
            register_model.metrics, register_model.alias, own_setup, rowcast.caller());
    insert into rowcast.model_part (model_id, version, part, bytes)
    select target_id, new_version, p.part,
           substring(content from p.part * part_size + 1 for part_size)
    from generate_series(0, (octet_length(content) - 1) / part_size) as p (part);
    insert into rowcast.golden_row (model_id, version, row_number, inputs, outputs)
    select target_id, new_version, g.place, g.entry -> 'inputs', g.entry -> 'outputs'
    from jsonb_array_elements(golden) with ordinality as g (entry, place);
    return new_version;
end
$$;
comment on function rowcast.register_model(text, bytea, text, text[], text, jsonb, jsonb, jsonb) is
    'Stores the bytes of a model (less than 1 GB) as a new version, and returns its number; bytes, '
    'labels and setup that the model has already give the version that has them. A worker then inspects '
    'the version, makes it ready or refuses it, and sets the alias given. golden: an array of '
    '{"inputs": {...}, "outputs": {...}}, rows as the trainer scored them. setup: what the bytes do not say, '
    '{"image": {"preset": "torchvision", "width": 224, "height": 224}, "softmax": true}.';
revoke all on function rowcast.register_model(text, bytea, text, text[], text, jsonb, jsonb, jsonb)
    from public;
grant execute on function rowcast.register_model(text, bytea, text, text[], text, jsonb, jsonb, jsonb)
    to rowcast_analyst;

-- The same bytes once more: a refused version gets another inspection, for the release may be newer.
create or replace function rowcast.register_again(model_id int, version int, alias text)
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    known text;
begin
    update rowcast.model_version as v
    set state = case v.state when 'refused' then 'registered' else v.state end,
        refusal = null,
        wanted_alias = coalesce(register_again.alias, v.wanted_alias),
        alias_refusal = null
    where v.model_id = register_again.model_id and v.version = register_again.version
      and (v.state <> 'ready' or register_again.alias is not null)
    returning v.state into known;
    if known = 'ready' then
        perform rowcast.move_alias(model_id, alias, version);
    end if;
end
$$;
comment on function rowcast.register_again(int, int, text) is
    'What register_model does with bytes that are there: sets the alias if the version is ready.';

create or replace procedure rowcast.wait_for_model(
    name text, version int default null, timeout interval default '60 seconds'
)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    target_id constant int := rowcast.model_id_of(name);
    give_up_at constant timestamptz := clock_timestamp() + timeout;
    pause interval := '10 milliseconds';
    target record;
begin
    perform rowcast.check_model_right(name);
    loop
        select v.version, v.state, v.refusal, v.wanted_alias, v.alias_refusal,
               v.xmin = pg_current_xact_id_if_assigned()::xid as is_mine
        into target
        from rowcast.model_version as v
        where v.model_id = target_id
          and v.version = coalesce(wait_for_model.version, (
                select max(newest.version) from rowcast.model_version as newest
                where newest.model_id = target_id));
        if not found then
            raise exception 'model "%" has no version %', name, coalesce(version::text, 'yet')
                using errcode = 'RC101', hint = 'The view rowcast.model_versions lists them.';
        elsif target.state = 'refused' then
            raise exception 'version % of model "%" was refused', target.version, name
                using errcode = 'RC102', detail = target.refusal;
        elsif target.state = 'ready' and target.alias_refusal is not null then
            raise exception 'version % of model "%" is ready, but alias "%" was not set',
                target.version, name, target.wanted_alias
                using errcode = 'RC104', detail = target.alias_refusal;
        elsif target.state = 'ready' then
            return;
        elsif target.is_mine then
            raise exception 'version % of model "%" is not committed', target.version, name
                using errcode = 'RC103',
                      hint = 'Commit first: workers see only what is committed.';
        elsif clock_timestamp() >= give_up_at then
            raise exception 'version % of model "%" was not inspected within %',
                target.version, name, timeout
                using errcode = 'RC107',
                      hint = 'Start a worker with "rowcast worker" or "rowcast up".';
        end if;
        perform pg_sleep(extract(epoch from least(pause, give_up_at - clock_timestamp())));
        pause := least(pause * 2, interval '200 milliseconds');
    end loop;
end
$$;
comment on procedure rowcast.wait_for_model(text, int, interval) is
    'Returns when a version (the newest where none is given) is ready and has the alias that was '
    'asked for; an error says why it was refused, or that nobody inspected it in time.';
revoke all on procedure rowcast.wait_for_model(text, int, interval) from public;
grant execute on procedure rowcast.wait_for_model(text, int, interval) to rowcast_analyst;

create or replace function rowcast.drop_model_version(model text, version int) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    target_id constant int := rowcast.model_id_of(model);
    holder text;
begin
    perform rowcast.bump_registry();
    select string_agg(format('%I', a.alias), ', ' order by a.alias) into holder
    from rowcast.alias as a
    where a.model_id = target_id and a.version = drop_model_version.version;
    if holder is not null then
        raise exception 'version % of model "%" has the alias %', version, model, holder
            using errcode = 'RC105', hint = 'Move the alias to another version, or drop it.';
    end if;
    select string_agg(format('%I', s.name), ', ' order by s.name) into holder
    from rowcast.scorer as s
    where s.model_id = target_id and s.pinned_version = drop_model_version.version;
    if holder is not null then
        raise exception 'version % of model "%" is pinned by the scorer %', version, model, holder
            using errcode = 'RC105', hint = 'Drop the scorer first.';
    end if;
    select string_agg(format('%I', s.name), ', ' order by s.name) into holder
    from rowcast.scorer as s join rowcast.canary as c on c.scorer_id = s.scorer_id
    where s.model_id = target_id and c.version = drop_model_version.version and c.state = 'running';
    if holder is not null then
        raise exception 'version % of model "%" is the canary of the scorer %', version, model, holder
            using errcode = 'RC105', hint = 'Stop it first: rowcast.stop_canary.';
    end if;
    delete from rowcast.model_version as v
    where v.model_id = target_id and v.version = drop_model_version.version;
    if not found then
        raise exception 'model "%" has no version %', model, coalesce(version::text, 'null')
            using errcode = 'RC101', hint = 'The view rowcast.model_versions lists them.';
    end if;
end
$$;
comment on function rowcast.drop_model_version(text, int) is
    'Deletes a version and its bytes. Refused while an alias points at it or a scorer pins it. Its '
    'number is not given again.';
revoke all on function rowcast.drop_model_version(text, int) from public;
grant execute on function rowcast.drop_model_version(text, int) to rowcast_analyst;

create or replace function rowcast.drop_model(model text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    target_id constant int := rowcast.model_id_of(model);
    holder text;
begin
    perform rowcast.bump_registry();
    select string_agg(format('%I', s.name), ', ' order by s.name) into holder
    from rowcast.scorer as s where s.model_id = target_id;
    if holder is not null then
        raise exception 'model "%" is used by the scorer %', model, holder
            using errcode = 'RC105', hint = 'Drop the scorer first.';
    end if;
    delete from rowcast.alias as a where a.model_id = target_id;
    delete from rowcast.model_version as v where v.model_id = target_id;
    delete from rowcast.model as m where m.model_id = target_id;
end
$$;
comment on function rowcast.drop_model(text) is
    'Deletes a model with its versions and aliases; the history of the aliases stays. Refused while '
    'a scorer names the model. Rows routed to it by name become failures when they next change.';
revoke all on function rowcast.drop_model(text) from public;
grant execute on function rowcast.drop_model(text) to rowcast_analyst;
