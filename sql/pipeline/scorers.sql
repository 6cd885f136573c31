-- Scorers: made, dropped, paused, resumed, checked.
--
-- Rights. The caller needs SELECT on the columns that the scorer reads (nobody may see predictions of
-- what he may not read himself) and TRIGGER on the source: the triggers are created with his rights,
-- in functions that run as the caller. The machinery's own tables are written by private functions
-- that run as rowcast_admin and check the caller's rights on their own, so calling them directly
-- gains nothing. Workers need SELECT on the source, granted here where the caller may.

drop function if exists rowcast.create_scorer(
    text, text, text, text, text, int, text[], jsonb, int, boolean);
drop function if exists rowcast.create_scorer(
    text, text, text, text, text, int, text[], jsonb, int, boolean, text, text[]);
drop function if exists rowcast.make_scorer(
    text, regclass, text, text, text, int, text[], jsonb, int, boolean);
drop function if exists rowcast.add_scorer(
    text, regclass, text, text, text, int, text[], jsonb, int);

create or replace function rowcast.create_scorer(
    name text, source text, model text default null, route text default null,
    alias text default 'champion', version int default null, key text[] default null,
    features jsonb default null, top_k int default null, backfill boolean default true,
    feature_query text default null, result_key text[] default null, explain int default 0)
returns table (input text, input_type text, column_name text, column_type text, on_null text)
-- No search_path of its own: an unqualified source is looked up on the caller's.
language plpgsql as $$
declare
    relation pg_catalog.regclass;
    options pg_catalog.jsonb := pg_catalog.jsonb_build_object('result_key', result_key);
begin
    begin
        relation := pg_catalog.to_regclass(source);
    exception when invalid_name or syntax_error or feature_not_supported then
        raise exception using errcode = 'RC301',
            message = pg_catalog.format('source "%s" is not the name of a table', source),
            hint = pg_catalog.format('Quote names with spaces, capitals or signs as in SQL: %L.',
                                     pg_catalog.quote_ident(source));
    end;
    if relation is null then
        raise exception using errcode = 'RC301',
            message = pg_catalog.format('source "%s" does not exist', source),
            hint = 'Write it as schema.table, quoted as in SQL.';
    end if;
    if feature_query is not null then
        options := options operator(pg_catalog.||)
            rowcast.make_features(name, relation, key, feature_query, result_key);
    end if;
    return query select * from rowcast.make_scorer(
        name, relation, model, route, alias, version, key, features, top_k, backfill, options);
    perform rowcast.set_explanations(name, coalesce(explain, 0), rescore => false);
end
$$;
comment on function rowcast.create_scorer(
    text, text, text, text, text, int, text[], jsonb, int, boolean, text, text[], int) is
    'Has a table watched, and scored with a model into predictions.<name>. Features are columns of the '
    'table, or of feature_query: a query, or the name of a view, that returns the table''s key and the '
    'features; with result_key, several rows for a key. Returns the column that each input of the model is '
    'read from, and what a NULL in it leads to: a failure, missing (the model has a rule), or never (the '
    'column is not null). explain: how many of each prediction''s largest contributions are written beside it.';
revoke all on function rowcast.create_scorer(
    text, text, text, text, text, int, text[], jsonb, int, boolean, text, text[], int) from public;
grant execute on function rowcast.create_scorer(
    text, text, text, text, text, int, text[], jsonb, int, boolean, text, text[], int) to rowcast_analyst;

create or replace function rowcast.make_scorer(
    name text, relation regclass, model text, route text, alias text, version int, key text[],
    features jsonb, top_k int, backfill boolean, options jsonb default '{}')
returns table (input text, input_type text, column_name text, column_type text, on_null text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    own record;
begin
    select * into own from rowcast.add_scorer(
        name, relation, model, route, alias, version, key, features, top_k, options);
    perform rowcast.attach_capture(own.source_id, own.widened);
    perform rowcast.open_source(relation);
    perform rowcast.start_scorer(own.scorer_id, backfill);
    return query
        select f.value ->> 'input',
               case f.value ->> 'type' when 'float32' then 'float' when 'float64' then 'float'
                    when 'int64' then 'integer' when 'string' then 'text' when 'bytes' then 'image'
                    else f.value ->> 'type' end,
               f.value ->> 'column', coalesce(
                   (select format_type(a.atttypid, a.atttypmod) from pg_attribute as a
                    where a.attrelid = make_scorer.relation and a.attname = c.name and c.not_null is not null
                      and not options ? 'features_from'), format_type(c.type_id, null)),
               case when c.not_null then 'never'
                    when f.value ->> 'missing' = 'allowed' then 'missing' else 'failure' end
        from rowcast.scorer_features(own.scorer_id) as f (value, place)
        join rowcast.input_columns(relation, (options ->> 'features_from')::bigint::oid) as c
          on c.name = f.value ->> 'column'
        order by f.place;
end
$$;
comment on function rowcast.make_scorer(
    text, regclass, text, text, text, int, text[], jsonb, int, boolean, jsonb) is
    'create_scorer for a relation that was found. Options: features_from (a function of rowcast_run), '
    'feature_query, result_key.';
revoke all on function rowcast.make_scorer(
    text, regclass, text, text, text, int, text[], jsonb, int, boolean, jsonb) from public;
grant execute on function rowcast.make_scorer(
    text, regclass, text, text, text, int, text[], jsonb, int, boolean, jsonb) to rowcast_analyst;

create or replace function rowcast.scorer_features(scorer_id int)
returns table (value jsonb, place bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select f.value, f.ordinality
    from rowcast.scorer as s, jsonb_array_elements(s.features) with ordinality as f
    where s.scorer_id = scorer_features.scorer_id
$$;
comment on function rowcast.scorer_features(int) is 'The inputs of a scorer, in the model''s order.';
revoke all on function rowcast.scorer_features(int) from public;
grant execute on function rowcast.scorer_features(int) to rowcast_analyst;

create or replace function rowcast.open_source(relation regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- With the caller's rights. Granting needs ownership or the grant option; where the workers can read
-- the source already, neither is asked for.
declare
    namespace oid := (select c.relnamespace from pg_class as c where c.oid = relation);
begin
    begin
        if not has_schema_privilege('rowcast_worker', namespace, 'usage') then
            execute format('grant usage on schema %s to rowcast_worker', namespace::regnamespace);
        end if;
        if not has_table_privilege('rowcast_worker', relation, 'select') then
            execute format('grant select on table %s to rowcast_worker', relation);
        end if;
    exception when insufficient_privilege then
        null;
    end;
    if not has_schema_privilege('rowcast_worker', namespace, 'usage')
       or not has_table_privilege('rowcast_worker', relation, 'select') then
        raise exception using errcode = 'RC305',
            message = format('workers may not read source "%s"', relation),
            hint = format('Let its owner run: grant usage on schema %s to rowcast_worker; '
                          'grant select on table %s to rowcast_worker;',
                          namespace::regnamespace, relation);
    end if;
end
$$;
comment on function rowcast.open_source(regclass) is 'Lets workers read a source, or says who can.';
revoke all on function rowcast.open_source(regclass) from public;
grant execute on function rowcast.open_source(regclass) to rowcast_analyst;

create or replace function rowcast.find_key(
    relation regclass, key text[], out key_columns text[], out key_types text[],
    out key_operators jsonb)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    index_id oid;
    wrong record;
begin
    if key is null then
        select i.indexrelid into index_id from pg_index as i
        where i.indrelid = relation and i.indisprimary;
        if not found then
            raise exception using errcode = 'RC302',
                message = format('source "%s" has no primary key', relation),
                hint = 'Add one, or name the columns of a unique index over columns that are not '
                       'null: key => array[''id''].';
        end if;
    else
        for wrong in select k.name from unnest(key) as k (name)
            where not exists (select from pg_attribute as a where a.attrelid = relation
                              and a.attname = k.name and a.attnum > 0 and not a.attisdropped)
        loop
            raise exception using errcode = 'RC302',
                message = format('key column "%s" does not exist in source "%s"', wrong.name, relation);
        end loop;
        select i.indexrelid into index_id from pg_index as i
        where i.indrelid = relation and i.indisunique and i.indisvalid
          and i.indpred is null and i.indexprs is null and i.indnkeyatts = cardinality(key)
          and (select array_agg(a.attname::text order by a.attname::text)
               from unnest(i.indkey) with ordinality as c (attnum, place)
               join pg_attribute as a on a.attrelid = relation and a.attnum = c.attnum
               where c.place <= i.indnkeyatts)
              = (select array_agg(k.name order by k.name) from unnest(key) as k (name))
        order by i.indisprimary desc, i.indexrelid limit 1;
        if not found then
            raise exception using errcode = 'RC302',
                message = format('key (%s) is not unique in source "%s"',
                                 array_to_string(key, ', '), relation),
                hint = 'It needs a unique index over exactly these columns, without expression or '
                       'condition.';
        end if;
    end if;

    -- In the order of the index, so that ranges of the key are ranges of the index.
    select array_agg(a.attname::text order by c.place),
           array_agg(rowcast.typed_name(rowcast.base_type(a.atttypid)) order by c.place),
           jsonb_agg((
               select jsonb_object_agg(
                          case o.amopstrategy when 1 then '<' when 2 then '<=' when 3 then '='
                               when 4 then '>=' else '>' end,
                          format('operator(%I.%s)', n.nspname, p.oprname))
               from pg_opclass as f
               join pg_amop as o on o.amopfamily = f.opcfamily and o.amoplefttype = f.opcintype
                                and o.amoprighttype = f.opcintype and o.amopstrategy between 1 and 5
               join pg_operator as p on p.oid = o.amopopr
               join pg_namespace as n on n.oid = p.oprnamespace
               where f.oid = i.indclass[c.place - 1]) order by c.place)
    into key_columns, key_types, key_operators
    from pg_index as i
    cross join unnest(i.indkey) with ordinality as c (attnum, place)
    join pg_attribute as a on a.attrelid = relation and a.attnum = c.attnum
    where i.indexrelid = index_id and c.place <= i.indnkeyatts;

    for wrong in
        select a.attname, a.attnotnull, b.typcategory, b.typarray, b.oid
        from pg_attribute as a
        join pg_type as b on b.oid = rowcast.base_type(a.atttypid)
        where a.attrelid = relation and a.attname = any (key_columns)
    loop
        if not wrong.attnotnull then
            raise exception using errcode = 'RC302',
                message = format('key column "%s" of source "%s" may be null', wrong.attname, relation),
                hint = format('alter table %s alter column %I set not null;', relation, wrong.attname);
        elsif wrong.typcategory in ('A', 'C') or wrong.typarray = 0
              or wrong.oid = 'money'::regtype or rowcast.runs_code(wrong.oid) then
            raise exception using errcode = 'RC302',
                message = format('key column "%s" is %s, which cannot be a key here',
                                 wrong.attname, rowcast.typed_name(wrong.oid));
        end if;
    end loop;
end
$$;
comment on function rowcast.find_key(regclass, text[]) is
    'The key of a source: the primary key, or the unique index over the columns given.';
revoke all on function rowcast.find_key(regclass, text[]) from public;
grant execute on function rowcast.find_key(regclass, text[]) to rowcast_analyst;

create or replace function rowcast.route_parts(route text)
returns table (place bigint, literal text, column_name text)
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select row_number() over (order by m.place), m.part[1], m.part[2]
    from regexp_matches(route, '([^{}]*)(?:\{([^{}]+)\}|$)', 'g') with ordinality as m (part, place)
    where m.part[1] <> '' or m.part[2] is not null
$$;
comment on function rowcast.route_parts(text) is
    'A route template in pieces: literal text, then the column that follows it.';
revoke all on function rowcast.route_parts(text) from public;

create or replace function rowcast.route_pattern(route text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select '^' || string_agg(regexp_replace(p.literal, '([^[:alnum:]_])', '\\\1', 'g')
                             || case when p.column_name is null then '' else '.+' end, ''
                             order by p.place) || '$'
    from rowcast.route_parts(route) as p
$$;
comment on function rowcast.route_pattern(text) is
    'A regular expression for the names of models that a route may lead to.';
revoke all on function rowcast.route_pattern(text) from public;

create or replace function rowcast.ready_signature(model text, version int) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    own record;
begin
    select v.state, v.signature, v.refusal into own
    from rowcast.model as m join rowcast.model_version as v on v.model_id = m.model_id
    where m.name = ready_signature.model and v.version = ready_signature.version;
    if not found then
        raise exception using errcode = 'RC101',
            message = format('model "%s" has no version %s', model, version),
            hint = 'select * from rowcast.model_versions lists them.';
    elsif own.state = 'registered' then
        raise exception using errcode = 'RC103',
            message = format('model "%s" %s is not ready: no worker has inspected it yet', model, version),
            hint = format('With a worker running: call rowcast.wait_for_model(%L);', model);
    elsif own.state = 'refused' then
        raise exception using errcode = 'RC102',
            message = format('model "%s" %s was refused: %s', model, version, own.refusal);
    end if;
    return own.signature;
end
$$;
comment on function rowcast.ready_signature(text, int) is
    'The signature of a version that can score; else an error that says why it cannot.';
revoke all on function rowcast.ready_signature(text, int) from public;

create or replace function rowcast.shape(signature jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select jsonb_build_object(
        'features', (select jsonb_agg(jsonb_build_array(f ->> 'name', f ->> 'type'))
                     from jsonb_array_elements(signature -> 'features') as f),
        'outputs', (select jsonb_agg(jsonb_build_array(o ->> 'name', o ->> 'type'))
                    from jsonb_array_elements(signature -> 'outputs') as o))
$$;
comment on function rowcast.shape(jsonb) is
    'Names and types of a signature: models that can stand for one another have the same.';
revoke all on function rowcast.shape(jsonb) from public;

drop function if exists rowcast.map_features(regclass, jsonb, jsonb, text);
drop function if exists rowcast.map_features(regclass, jsonb, jsonb, text, oid);

create or replace function rowcast.map_features(
    relation regclass, signature jsonb, features jsonb, model text, features_from oid default null,
    viewer name default rowcast.caller())
returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    feature record;
    found_column record;
    wanted text;
    mapped jsonb := '[]';
    inputs text[] := array(select f.value ->> 'name' from jsonb_array_elements(signature -> 'features')
                           with ordinality as f (value, place) order by f.place);
    given record;
    origin constant text := case when features_from is null then format('source "%s"', relation)
                                 else 'the feature query' end;
begin
    if jsonb_typeof(features) = 'array' and jsonb_array_length(features) <> cardinality(inputs) then
        raise exception using errcode = 'RC303',
            message = format('%s columns are given for the %s features of %s',
                             jsonb_array_length(features), cardinality(inputs), model),
            detail = format('Features: %s.', array_to_string(inputs, ', '));
    elsif jsonb_typeof(features) = 'object' then
        select f.key, f.value into given from jsonb_each_text(features) as f
        where not f.value = any (inputs) limit 1;
        if found then
            raise exception using errcode = 'RC303',
                message = format('%s has no feature "%s"', model, given.value),
                detail = format('Features: %s.', array_to_string(inputs, ', ')),
                hint = case when given.key = any (inputs) then
                           format('The column comes first, then the feature: features => %L.',
                                  jsonb_build_object(given.value, given.key))
                       else 'features is ''{"<column>": "<feature>"}''.' end;
        end if;
    elsif jsonb_typeof(features) not in ('array', 'object') then
        raise exception using errcode = 'RC303',
            message = format('features is a JSON %s', jsonb_typeof(features)),
            hint = 'Give an object of column to feature, or an array of columns in the model''s order.';
    end if;

    for feature in
        select f.value ->> 'name' as name, f.value ->> 'type' as type,
               f.value ->> 'missing' as missing, f.place::int
        from jsonb_array_elements(signature -> 'features') with ordinality as f (value, place)
        order by f.place
    loop
        wanted := case jsonb_typeof(features)
            when 'array' then features ->> (feature.place - 1)
            when 'object' then (select f.key from jsonb_each_text(features) as f
                                where f.value = feature.name limit 1) end;
        select a.name, a.type_id, rowcast.base_type(a.type_id) as base
        into found_column
        from rowcast.input_columns(relation, features_from) as a
        where case when wanted is null then lower(a.name) = lower(feature.name)
                   else a.name = wanted end
        order by a.name = feature.name desc, a.place limit 1;
        if not found then
            raise exception using errcode = 'RC303',
                message = case when wanted is null then
                    format('%s wants feature "%s", %s has no column of that name',
                           model, feature.name, origin)
                    else format('column "%s" does not exist in %s', wanted, origin) end,
                hint = format('Map it: features => ''{"<column>": "%s"}''.', feature.name);
        end if;
        -- What a query may read is a matter of its own rights.
        if features_from is null
           and not has_column_privilege(viewer, relation, found_column.name, 'select') then
            raise exception using errcode = '42501',
                message = format('permission denied for column "%s" of source "%s"',
                                 found_column.name, relation);
        end if;
        if not rowcast.type_fits(feature.type, found_column.base) then
            raise exception using errcode = 'RC303',
                message = format('column "%s" is %s, %s wants %s', found_column.name,
                    format_type(found_column.type_id, null), model,
                    case feature.type when 'float32' then 'float' when 'float64' then 'float'
                         when 'int64' then 'integer' when 'string' then 'text'
                         when 'bytes' then 'an image as bytea' else feature.type end || case when wanted is null
                            or lower(wanted) = lower(feature.name) then ''
                            else format(' for "%s"', feature.name) end),
                hint = format(case when features_from is not null then 'Cast it in the query: %1$s as %2$I.'
                    else 'Cast it in a query: feature_query => ''select …, %1$s as %2$I from %3$s'', '
                         'of a job source => ''select …''.' end,
                    format(case when feature.type in ('float32', 'float64', 'int64') and (
                                    select t.typcategory = 'D' from pg_type as t where t.oid = found_column.base)
                                then 'extract(epoch from %I)::%s' else '%I::%s' end, found_column.name,
                           case feature.type when 'int64' then 'bigint' when 'string' then 'text'
                                when 'bool' then 'boolean' when 'bytes' then 'bytea' else 'float8' end),
                    found_column.name, relation);
        end if;
        mapped := mapped || jsonb_build_object('input', feature.name, 'column', found_column.name,
                                               'type', feature.type, 'missing', feature.missing);
    end loop;
    return mapped;
end
$$;
comment on function rowcast.map_features(regclass, jsonb, jsonb, text, oid, name) is
    'Finds the column of each feature and checks its type, and that a role may read it: as given, else by '
    'name, exact before regardless of case.';
revoke all on function rowcast.map_features(regclass, jsonb, jsonb, text, oid, name) from public;

create or replace function rowcast.map_outputs(
    signature jsonb, top_k int, taken text[], model text) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    output record;
    columns jsonb := '[]';
    ranked int := (select count(*) from jsonb_array_elements(signature -> 'outputs') as o
                   where o ->> 'role' = 'probability');
    rank_type text := (select o ->> 'type' from jsonb_array_elements(signature -> 'outputs') as o
                       where o ->> 'role' = 'probability' limit 1);
begin
    if top_k is not null and (top_k < 1 or top_k > ranked) then
        raise exception using errcode = 'RC303',
            message = format('top_k is %s, %s gives %s probabilities', top_k, model, ranked);
    end if;
    for output in
        select w.name, w.type, w.rank, w.half, w.object
        from (
            select o.place::numeric as place, o.value ->> 'name' as name,
                   rowcast.output_column_type(o.value) as type, null::int as rank, null::text as half,
                   case when o.value ->> 'role' like 'box%' then o.value ->> 'role' end as object
            from jsonb_array_elements(signature -> 'outputs') with ordinality as o (value, place)
            where top_k is null or o.value ->> 'role' <> 'probability'
            union all
            select 1e6 + 2 * k, 'top_' || k, 'text', k, 'class', null from generate_series(1, top_k) as k
            union all
            select 1e6 + 2 * k + 1, 'top_' || k || '_probability', rowcast.output_column_type(rank_type), k,
                   'probability', null
            from generate_series(1, top_k) as k
        ) as w order by w.place
    loop
        columns := columns || jsonb_strip_nulls(jsonb_build_object(
            'output', case when output.rank is null then output.name end,
            'rank', output.rank, 'of', output.half, 'object', output.object,
            'column', rowcast.fit_name(output.name, taken),
            'type', output.type));
        taken := taken || (columns -> -1 ->> 'column');
    end loop;
    -- PostgreSQL's functions have at most 100 arguments.
    if jsonb_array_length(columns) > 70 then
        raise exception using errcode = 'RC303',
            message = format('%s has %s outputs, a scorer keeps at most 70',
                             model, jsonb_array_length(columns)),
            hint = 'Keep the most probable classes only: top_k => 5.';
    end if;
    return columns;
end
$$;
comment on function rowcast.map_outputs(jsonb, int, text[], text) is
    'The columns of a model''s outputs, under names that are not taken; with top_k, the most probable '
    'classes in place of one probability a class.';
revoke all on function rowcast.map_outputs(jsonb, int, text[], text) from public;

create or replace function rowcast.take_source(
    relation regclass, key_columns text[], key_types text[], key_operators jsonb, has_unique_key boolean,
    watched text[], out source_id int, out widened boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    is_new boolean := false;
    composite_key boolean;
begin
    loop
        select s.source_id, not s.watched_columns @> watched into source_id, widened
        from rowcast.source as s
        where s.relation = take_source.relation and s.key_columns = take_source.key_columns
        for update;
        exit when found;
        -- Where another session makes the same source, this waits for it and then finds it.
        widened := false;
        insert into rowcast.source as s (
            relation, relation_name, key_columns, key_types, key_operators, has_unique_key,
            watched_columns, composite)
        values (relation, relation::text, key_columns, key_types, key_operators, has_unique_key, watched,
                -- Text is never cast to a plain type of somebody's own: a cast function of its owner
                -- would run with our rights. As a field of a row it is read by its input function.
                cardinality(take_source.key_columns) > 1 or exists (
                    select from unnest(take_source.key_types) as k (type_name)
                    join pg_type as t on t.oid = to_regtype(k.type_name)
                    where t.typnamespace <> 'pg_catalog'::regnamespace))
        on conflict on constraint source_relation_key do nothing
        returning s.source_id, s.composite into source_id, composite_key;
        is_new := found;
        exit when is_new;
    end loop;
    if is_new then
        if composite_key then
            execute format('create type rowcast.key_%s as (%s)', source_id, (
                select string_agg(format('%I %s', k.name, take_source.key_types[k.place]), ', ' order by k.place)
                from unnest(take_source.key_columns) with ordinality as k (name, place)));
            execute format('comment on type rowcast.key_%s is %L', source_id,
                           format('A key of %s.', relation));
            execute format('grant usage on type rowcast.key_%s to rowcast_worker, rowcast_analyst',
                           source_id);
        end if;
        perform rowcast.make_capture(source_id);
    elsif widened then
        update rowcast.source as s
        set watched_columns = array(select unnest(s.watched_columns) union select unnest(watched)
                                    order by 1)
        where s.source_id = take_source.source_id;
        perform rowcast.make_capture(source_id);
    end if;
end
$$;
comment on function rowcast.take_source(regclass, text[], text[], jsonb, boolean, text[]) is
    'The source of a relation and a key, made where there is none, with the columns watched; widened where it '
    'watches more than before.';
revoke all on function rowcast.take_source(regclass, text[], text[], jsonb, boolean, text[]) from public;

create or replace function rowcast.add_scorer(
    name text, relation regclass, model text, route text, alias text, version int, key text[],
    features jsonb, top_k int, options jsonb default '{}', out scorer_id int, out source_id int,
    out widened boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    own_model_id int;
    own_version int;
    other record;
    src record;
    input record;  -- Where features come from, if not from the source.
    spelled text;
    signature jsonb;
    mapped jsonb;
    outputs jsonb;
    watched text[];
    relation_row pg_class := (select c from pg_class as c where c.oid = relation);
    missing_column text;
    waiting record;
begin
    -- The name.
    if name is null or name !~ '^[a-z_][a-z0-9_]{0,53}$' then
        raise exception using errcode = 'RC304',
            message = format('"%s" cannot be the name of a scorer', name),
            hint = 'Names have 1 to 54 lower-case letters, digits and underscores, no digit first.';
    elsif exists (select from rowcast.scorer as s where s.name = add_scorer.name) then
        raise exception using errcode = 'RC304',
            message = format('scorer "%s" exists', name),
            hint = format('select rowcast.drop_scorer(%L) removes it.', name);
    elsif to_regclass('predictions.' || name) is not null
          or to_regclass('predictions.' || name || '_failure') is not null then
        raise exception using errcode = 'RC304',
            message = format('table predictions.%s exists already', coalesce(
                case when to_regclass('predictions.' || name) is not null then name end,
                name || '_failure')),
            hint = 'It was kept when its scorer was dropped; rename or drop it, or take another name.';
    end if;

    -- The source.
    if relation_row.relkind not in ('r', 'p') then
        raise exception using errcode = 'RC301',
            message = format('source "%s" is a %s', relation, case relation_row.relkind
                when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
                when 'S' then 'sequence' when 'i' then 'index' when 'c' then 'type'
                else 'relation without rows of its own' end),
            hint = case when relation_row.relkind in ('v', 'm')
                then 'Changes are seen on tables. Watch the table that the view reads, or a table that '
                     'is filled from it.'
                else 'A source is a table or a partitioned table.' end;
    elsif relation_row.relpersistence = 't' then
        raise exception using errcode = 'RC301',
            message = format('source "%s" is a temporary table', relation),
            hint = 'Workers have sessions of their own and cannot see it.';
    elsif relation_row.relnamespace in ('pg_catalog'::regnamespace, 'rowcast'::regnamespace) then
        raise exception using errcode = 'RC301',
            message = format('source "%s" belongs to the machinery', relation);
    elsif relation_row.relrowsecurity and not rowcast.bypasses_row_security('rowcast_admin') then
        raise exception using errcode = 'RC301',
            message = format('source "%s" has row security', relation),
            hint = 'Let a superuser run "alter role rowcast_admin bypassrls", and the same for the login of '
                   'workers: predictions are then shown to who may see their row. Or watch a table without, '
                   'that is filled from it.';
    elsif relation_row.relkind = 'r' and exists (
            select from pg_inherits as i where i.inhparent = relation) then
        raise exception using errcode = 'RC301',
            message = format('source "%s" has inheriting tables', relation),
            hint = 'Its key is not unique over them. Make it a partitioned table, or watch one of them.';
    elsif not has_table_privilege(rowcast.caller(), relation, 'trigger') then
        raise exception using errcode = '42501',
            message = format('permission denied: creating triggers on source "%s"', relation),
            hint = format('Let its owner run: grant trigger on table %s to %I;',
                          relation, rowcast.caller());
    end if;

    -- The key.
    select * into src from rowcast.find_key(relation, key);
    select k into missing_column from unnest(src.key_columns) as k
    where not has_column_privilege(rowcast.caller(), relation, k, 'select') limit 1;
    if found then
        raise exception using errcode = '42501',
            message = format('permission denied for column "%s" of source "%s"',
                             missing_column, relation);
    end if;

    select * into input from rowcast.take_query(relation, src.key_columns, src.key_types, options);

    -- The model, or one of those that the route may lead to.
    if (model is null) = (route is null) then
        raise exception using errcode = 'RC303',
            message = case when model is null then 'neither a model nor a route is given'
                           else 'both a model and a route are given' end,
            hint = 'Give model => ''name'', or route => ''name_{column}''.';
    elsif route is not null and version is not null then
        raise exception using errcode = 'RC303',
            message = 'a version is given for a route', hint = 'Give an alias that all models have.';
    end if;
    if model is not null then
        select m.model_id, coalesce(add_scorer.version, a.version) into own_model_id, own_version
        from rowcast.model as m
        left join rowcast.alias as a on a.model_id = m.model_id and a.alias = add_scorer.alias
        where m.name = model;
        if not found then
            raise exception using errcode = 'RC101',
                message = format('model "%s" does not exist', model),
                hint = 'select * from rowcast.models lists them; "rowcast push" adds one.';
        elsif own_version is null then
            select v.version, v.state, coalesce(v.refusal, v.alias_refusal) as reason into waiting
            from rowcast.model_version as v
            where v.model_id = own_model_id and v.wanted_alias = add_scorer.alias
            order by v.version desc limit 1;
            if found and waiting.state <> 'ready' then
                perform rowcast.ready_signature(model, waiting.version);  -- Says why it cannot score.
            end if;
            raise exception using errcode = 'RC101',
                message = format('model "%s" has no alias "%s"', model, alias),
                detail = coalesce(waiting.reason, (
                    select format('It has %s.', string_agg(format('"%s"', a.alias), ', ' order by a.alias))
                    from rowcast.alias as a where a.model_id = own_model_id having count(*) > 0),
                    'It has none.'),
                hint = format('select rowcast.set_alias(%L, %L, <version>);', model, alias);
        end if;
        spelled := format('model "%s" %s', model, own_version);
        signature := rowcast.ready_signature(model, own_version);
    else
        if route ~ '[{}]' and regexp_replace(route, '\{[^{}]+\}', '', 'g') ~ '[{}]' or route !~ '\{' then
            raise exception using errcode = 'RC303',
                message = format('route "%s" is not a name with {column} in it', route),
                hint = 'For example: anomaly_{device}_{sensor}.';
        end if;
        select p.column_name into missing_column from rowcast.route_parts(route) as p
        where p.column_name is not null and not exists (
            select from rowcast.input_columns(relation, input.features_from) as a
            where a.name = p.column_name) limit 1;
        if found then
            raise exception using errcode = 'RC303',
                message = format('route column "%s" does not exist in %s', missing_column,
                                 case when input.features_from is null then format('source "%s"', relation)
                                      else 'the feature query' end);
        end if;
        select p.column_name into missing_column from rowcast.route_parts(route) as p
        where p.column_name is not null and input.features_from is null
          and not has_column_privilege(rowcast.caller(), relation, p.column_name, 'select') limit 1;
        if found then
            raise exception using errcode = '42501',
                message = format('permission denied for column "%s" of source "%s"',
                                 missing_column, relation);
        end if;
        for other in
            select m.name, m.model_id, a.version, v.signature
            from rowcast.model as m
            join rowcast.alias as a on a.model_id = m.model_id and a.alias = add_scorer.alias
            join rowcast.model_version as v on v.model_id = m.model_id and v.version = a.version
            where m.name ~ rowcast.route_pattern(route) and v.state = 'ready'
            order by m.name
        loop
            if signature is null then
                spelled := format('model "%s" %s', other.name, other.version);
                signature := other.signature;
            elsif rowcast.shape(signature) is distinct from rowcast.shape(other.signature) then
                raise exception using errcode = 'RC303',
                    message = format('model "%s" %s has other inputs or outputs than %s',
                                     other.name, other.version, spelled),
                    hint = 'All models of a route are alike: they fill one table.';
            end if;
        end loop;
        if signature is null then
            raise exception using errcode = 'RC101',
                message = format('no model with alias "%s" matches route "%s"', alias, route),
                hint = 'Push the models first. select * from rowcast.models lists them.';
        end if;
    end if;

    mapped := rowcast.map_features(relation, signature, features, spelled, input.features_from);
    if to_regclass(format('predictions.%I', name || '_classes')) is not null and top_k is not null
       or to_regclass(format('predictions.%I', name || '_objects')) is not null
          and signature -> 'outputs' @> '[{"role": "box"}]' then
        raise exception using errcode = 'RC304',
            message = format('predictions.%s exists already', name
                || case when top_k is not null then '_classes' else '_objects' end),
            hint = 'The scorer would have a view of that name: take another name.';
    end if;
    outputs := rowcast.map_outputs(signature, top_k,
        src.key_columns || input.result_key
        || rowcast.audit_names(src.key_columns || input.result_key, false), spelled);

    -- The source, shared by the scorers that have its key.
    watched := case when input.features_from is null then array(
            select m ->> 'column' from jsonb_array_elements(mapped) as m
            union select p.column_name from rowcast.route_parts(route) as p
            where p.column_name is not null order by 1)
        -- Which of them a query reads is not looked into: a function in it may read any.
        else array(select c.name from rowcast.input_columns(relation, null) as c order by 1) end;
    select * into source_id, widened from rowcast.take_source(
        relation, src.key_columns, src.key_types, src.key_operators, true, watched);

    -- The scorer.
    insert into rowcast.scorer as s (
        name, source_id, model_id, alias, pinned_version, route, features, outputs, top_k,
        created_tick, created_by, state, state_reason, feature_query, features_from, features_row,
        result_key, result_types, chunk_rows)
    values (name, source_id, own_model_id, alias, version, route, mapped, outputs, top_k,
            (select max(t.tick_id) from rowcast.tick as t), rowcast.caller(),
            'suspended', 'it was not started',
            case when input.features_from is not null then coalesce(options ->> 'feature_query', '') end,
            input.features_from, input.written_by, input.result_key, input.result_types,
            -- Until it is measured. Where rows name their model, a few of each should meet in a chunk.
            -- A network of texts takes milliseconds a row.
            case when mapped @> '[{"type": "bytes"}]' then 16
                 when outputs @> '[{"type": "real[]"}]' then 64 when route is null then 1024 else 4096 end)
    returning s.scorer_id into scorer_id;
    perform rowcast.make_tables(scorer_id);
    if relation_row.relrowsecurity then
        perform rowcast.set_protection(scorer_id, true);
    end if;
    perform rowcast.make_write(scorer_id);
end
$$;
comment on function rowcast.add_scorer(
    text, regclass, text, text, text, int, text[], jsonb, int, jsonb) is
    'The part of create_scorer that writes the machinery''s own tables: checks everything, then makes '
    'the scorer, its tables and functions, but neither triggers nor a backfill.';
revoke all on function rowcast.add_scorer(
    text, regclass, text, text, text, int, text[], jsonb, int, jsonb) from public;
grant execute on function rowcast.add_scorer(
    text, regclass, text, text, text, int, text[], jsonb, int, jsonb) to rowcast_analyst;
