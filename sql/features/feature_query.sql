-- Features from a query: what a scorer reads in place of its source's columns.
--
-- The source is watched and gives the keys; the query gives the features of those keys. For each chunk a lane
-- calls the query's function with the keys that the source has now, and the query is restricted to them:
-- PostgreSQL pushes the condition down through views, subqueries and GROUP BY where the key is one of their
-- columns. A key of which the query returns no row has no prediction.
--
-- Jobs of such scorers are cut into lists of keys and not into ranges, so that a chunk always says of each
-- key what became of it.

create or replace function rowcast.query_columns(function oid)
returns table (name text, type_id oid, place int)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select p.proargnames[a.place], a.type_id, (row_number() over (order by a.place))::int
    from pg_proc as p
    cross join lateral unnest(p.proallargtypes, p.proargmodes) with ordinality
        as a (type_id, mode, place)
    where p.oid = query_columns.function and a.mode = 't'
$$;
comment on function rowcast.query_columns(oid) is 'The columns that the function of a query returns.';
revoke all on function rowcast.query_columns(oid) from public;
grant execute on function rowcast.query_columns(oid) to rowcast_analyst;

create or replace function rowcast.input_columns(relation regclass, function oid)
returns table (name text, type_id oid, not_null boolean, place int)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select a.attname::text, a.atttypid, a.attnotnull, a.attnum::int
    from pg_attribute as a
    where a.attrelid = input_columns.relation and a.attnum > 0 and not a.attisdropped
      and input_columns.function is null
    union all
    select q.name, q.type_id, false, q.place from rowcast.query_columns(input_columns.function) as q
$$;
comment on function rowcast.input_columns(regclass, oid) is
    'The columns that features may come from: of the query''s function, or else of the source.';
revoke all on function rowcast.input_columns(regclass, oid) from public;
grant execute on function rowcast.input_columns(regclass, oid) to rowcast_analyst;

create or replace function rowcast.query_text(query text) returns text
-- No search_path of its own: a view's name is looked up on the caller's.
language sql stable as $$
    -- What is no name must not be looked up: that would be an error.
    select case when t.text !~ '^("[^"]+"|[[:alpha:]_][[:alnum:]_$]*)([.]("[^"]+"|[[:alpha:]_][[:alnum:]_$]*))?$'
                then t.text
                when pg_catalog.to_regclass(t.text) is null then t.text
                else 'select * from ' || pg_catalog.to_regclass(t.text)::pg_catalog.text end
    from (select pg_catalog.regexp_replace(pg_catalog.btrim(query_text.query, E' \t\r\n'), '[;[:space:]]+$', '')
         ) as t (text)
$$;
comment on function rowcast.query_text(text) is
    'A query without its last semicolon; of the name of a view or table, the query of all its rows.';
revoke all on function rowcast.query_text(text) from public;
grant execute on function rowcast.query_text(text) to rowcast_analyst;

create or replace function rowcast.describe_query(
    query text, what text, with_list text default '')
returns table (name text, type_id oid, base_type text, place int, reads oid[])
-- Runs as the caller, on his search_path: what he may not read is refused here. Operators whose arguments are
-- not exactly theirs are written with their schema, or somebody's on that path would fit better.
language plpgsql as $$
declare
    -- Nobody can have taken it before.
    view_name constant text := pg_catalog.format('rowcast_run.described_%s',
        pg_catalog.translate(pg_catalog.gen_random_uuid()::text, '-', ''));
    error_text text;
    error_hint text;
begin
    -- query_text made a query of the name of what is there.
    if query operator(pg_catalog.~)
            '^("[^"]+"|[[:alpha:]_][[:alnum:]_$]*)([.]("[^"]+"|[[:alpha:]_][[:alnum:]_$]*))*$' then
        raise exception using errcode = 'RC303',
            message = pg_catalog.format('%s: view "%s" does not exist', what, query),
            hint = 'Give a query (select …), or the name of a view or table.';
    end if;
    -- A view, because it names types and columns, and what it depends on can be asked.
    begin
        execute pg_catalog.format(E'create view %s as %s select * from (\n%s\n) as q', view_name, with_list, query);
        execute pg_catalog.format(E'%s select * from (\n%s\n) as q limit 0', with_list, query);
    exception when others then
        get stacked diagnostics error_text = message_text, error_hint = pg_exception_hint;
        raise exception using errcode = case when sqlstate = '42501' then '42501' else 'RC303' end,
            message = pg_catalog.format('%s: %s', what, error_text),
            hint = coalesce(nullif(error_hint, ''), case when sqlstate = '42501'
                then 'It runs with your rights.'
                when sqlstate = '42601' then 'Give a query (select …), or the name of a view or table.'
                else 'Try it alone: select * from (<query>) as q.' end);
    end;
    return query
        with recursive depends (relid) as (
            select d.refobjid from pg_catalog.pg_depend as d
            join pg_catalog.pg_rewrite as r on r.oid = d.objid
            where d.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
              and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
              and r.ev_class operator(pg_catalog.=) view_name::pg_catalog.regclass and d.refobjid <> r.ev_class
            union
            select d.refobjid from depends as b
            join pg_catalog.pg_rewrite as r on r.ev_class = b.relid
            join pg_catalog.pg_depend as d on d.objid = r.oid
            where d.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
              and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> r.ev_class
        )
        select a.attname::pg_catalog.text, a.atttypid,
               rowcast.typed_name(rowcast.base_type(a.atttypid)), a.attnum::int,
               array(select b.relid from depends as b join pg_catalog.pg_class as c on c.oid = b.relid
                     where c.relkind in ('r', 'p'))
        from pg_catalog.pg_attribute as a
        where a.attrelid operator(pg_catalog.=) view_name::pg_catalog.regclass and a.attnum > 0
        order by a.attnum;
    execute pg_catalog.format('drop view %s', view_name);
end
$$;
comment on function rowcast.describe_query(text, text, text) is
    'The columns of a query, and the tables that it reads, with the caller''s rights. Errors name what the '
    'query is for.';
revoke all on function rowcast.describe_query(text, text, text) from public;
grant execute on function rowcast.describe_query(text, text, text) to rowcast_analyst;

create or replace function rowcast.make_features(
    scorer text, relation regclass, key text[], query text, result_key text[])
returns jsonb
-- Runs as the caller, on his search_path, which the new function keeps.
language plpgsql as $$
#variable_conflict use_variable
declare
    what constant text := pg_catalog.format('feature query of scorer "%s"', scorer);
    wanted constant text := rowcast.query_text(query);
    src record;
    found_columns record;
    column_names text[];
    column_types text[];
    reads oid[];
    unwatched text;
    wrong text;
    function_oid oid;
begin
    if scorer !~ '^[a-z_][a-z0-9_]{0,53}$' then
        return null;  -- Refused later, with all that is wrong about a name.
    end if;
    select * into src from rowcast.find_key(relation, key);
    select pg_catalog.array_agg(d.name order by d.place), pg_catalog.array_agg(d.base_type order by d.place),
           pg_catalog.min(d.reads)
    into column_names, column_types, reads
    from rowcast.describe_query(wanted, what) as d;

    select k.name into wrong from pg_catalog.unnest(src.key_columns || result_key) as k (name)
    where not k.name operator(pg_catalog.=) any (column_names) limit 1;
    if found then
        raise exception using errcode = 'RC303',
            message = pg_catalog.format('%s returns no column "%s"', what, wrong),
            detail = pg_catalog.format('It returns %s.', pg_catalog.array_to_string(column_names, ', ')),
            hint = pg_catalog.format('A query of features returns the key of %s%s and the features.', relation,
                case when result_key is null then '' else ', the result key' end);
    end if;
    select pg_catalog.format('%s returns "%s" as %s, key column "%2$s" of source "%4$s" is %s',
                             what, k.name, c.type, relation, k.type)
    into wrong
    from unnest(src.key_columns, src.key_types) as k (name, type)
    join unnest(column_names, column_types) as c (name, type) on c.name = k.name
    where c.type <> k.type limit 1;
    if found then
        raise exception using errcode = 'RC303', message = wrong,
            hint = 'Cast it in the query.';
    end if;

    function_oid := rowcast.make_query_function(scorer || '_features',
        (select pg_catalog.string_agg(k.type || '[]', ', ' order by k.place)
         from pg_catalog.unnest(src.key_types) with ordinality as k (type, place)),
        pg_catalog.format('table (%s)', (
            select pg_catalog.string_agg(pg_catalog.format('%I %s', c.name, c.type), ', ' order by c.place)
            from unnest(column_names, column_types) with ordinality as c (name, type, place))),
        pg_catalog.format(E'\n#variable_conflict use_column\nbegin\n    return query select %s from (\n%s\n    ) as q\n'
            '    where %s%s;\nend\n',
            (select pg_catalog.string_agg(pg_catalog.format('q.%I::%s', c.name, c.type), ', ' order by c.place)
             from unnest(column_names, column_types) with ordinality as c (name, type, place)),
            wanted,
            (select pg_catalog.string_agg(pg_catalog.format('q.%I %s any ($%s)', k.name,
                        src.key_operators -> (k.place::int - 1) ->> '=', k.place), ' and ' order by k.place)
             from pg_catalog.unnest(src.key_columns) with ordinality as k (name, place)),
            -- Each column alone goes down into the query; together they are the keys.
            case when pg_catalog.cardinality(src.key_columns) > 1 then (
                select pg_catalog.format(' and exists (select from unnest(%s) as u (%s) where %s)',
                    pg_catalog.string_agg('$' || k.place, ', ' order by k.place),
                    pg_catalog.string_agg('k' || k.place, ', ' order by k.place),
                    pg_catalog.string_agg(pg_catalog.format('q.%I %s u.k%s', k.name,
                        src.key_operators -> (k.place::int - 1) ->> '=', k.place), ' and ' order by k.place))
                from pg_catalog.unnest(src.key_columns) with ordinality as k (name, place)) else '' end));

    select pg_catalog.string_agg(pg_catalog.format('%s', r.relid::pg_catalog.regclass), ', ' order by r.relid)
    into unwatched from pg_catalog.unnest(reads) as r (relid) where r.relid operator(pg_catalog.<>) relation;
    if unwatched is not null then
        raise notice using
            message = pg_catalog.format('scorer "%s" also reads %s', scorer, unwatched),
            hint = 'Rows of the source are scored again when they change; to score them when these tables '
                   'change: select rowcast.also_watch(...).';
    end if;
    return pg_catalog.jsonb_build_object('features_from', function_oid::pg_catalog.int8,
        'feature_query', query, 'result_key', pg_catalog.to_jsonb(result_key));
end
$$;
comment on function rowcast.make_features(text, regclass, text[], text, text[]) is
    'Checks a query of features and makes its function; the options that add_scorer takes of it.';
revoke all on function rowcast.make_features(text, regclass, text[], text, text[]) from public;
grant execute on function rowcast.make_features(text, regclass, text[], text, text[]) to rowcast_analyst;

create or replace function rowcast.query_options(scorer text) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select case when s.features_from is null then '{}' else jsonb_build_object(
        'features_from', s.features_from::bigint, 'feature_query', s.feature_query,
        'result_key', to_jsonb(s.result_key)) end
    from rowcast.scorer as s where s.name = query_options.scorer
$$;
comment on function rowcast.query_options(text) is
    'The options that give another scorer the features of this one. Its author may use them, and who may act '
    'as he.';
revoke all on function rowcast.query_options(text) from public;
grant execute on function rowcast.query_options(text) to rowcast_analyst;

create or replace function rowcast.take_query(
    relation regclass, src_key_columns text[], src_key_types text[], options jsonb,
    out features_from oid, out written_by xid, out result_key text[], out result_types text[])
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    wrong text;
begin
    if not options ? 'features_from' then
        if jsonb_typeof(options -> 'result_key') = 'array' then
            raise exception using errcode = 'RC303',
                message = 'a result key is given without a feature query',
                hint = 'Rows of a table have one result each: give feature_query => ''select ...''.';
        end if;
        return;
    end if;
    features_from := (options ->> 'features_from')::bigint;
    written_by := rowcast.run_function_row(features_from, rowcast.caller());
    result_key := array(select k.value from jsonb_array_elements_text(
        case when jsonb_typeof(options -> 'result_key') = 'array' then options -> 'result_key' else '[]' end)
        with ordinality as k (value, place) order by k.place);
    select format('column "%s" is no result key: %s', k.name, case
               when k.name = any (src_key_columns) then 'it is of the key'
               when t.typname is null then 'the query does not return it'
               else format('it is %s', rowcast.typed_name(t.oid)) end)
    into wrong
    from unnest(result_key) as k (name)
    left join rowcast.query_columns(features_from) as q on q.name = k.name
    left join pg_type as t on t.oid = q.type_id
    where t.typname is null or k.name = any (src_key_columns) or t.typcategory in ('A', 'C') or t.typarray = 0
       or not exists (select from pg_opclass as o join pg_am as m on m.oid = o.opcmethod
                      where m.amname = 'btree' and o.opcdefault
                        and (o.opcintype = t.oid or t.typtype = 'e' and o.opcintype = 'anyenum'::regtype
                             or t.oid = 'varchar'::regtype and o.opcintype = 'text'::regtype))
    limit 1;
    if found then
        raise exception using errcode = 'RC303', message = wrong;
    end if;
    result_types := array(select rowcast.typed_name(q.type_id)
                          from unnest(result_key) with ordinality as k (name, place)
                          join rowcast.query_columns(features_from) as q on q.name = k.name order by k.place);
    if cardinality(result_key) = 0 then
        result_key := null;
        result_types := null;
    end if;
end
$$;
comment on function rowcast.take_query(regclass, text[], text[], jsonb) is
    'Checks what create_scorer says of a query of features.';
revoke all on function rowcast.take_query(regclass, text[], text[], jsonb) from public;

create or replace function rowcast.query_from(sco rowcast.scorer, src rowcast.source, keys_from text)
returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    -- What a lane reads of a query: `keys_from` is a from list that has the source's rows of the chunk as t.
    return (select format('%s(%s) as t%s', rowcast.run_name(sco.features_from),
        (select string_agg(format(
             '(select case when rowcast.unaltered(%s::pg_catalog.oid, ''%s''::pg_catalog.xid) '
             'then pg_catalog.array_agg(t.%I order by %s) end from %s)',
             sco.features_from, sco.features_row, k.name, o.key_order, keys_from), ', ' order by k.place)
         from unnest(src.key_columns) with ordinality as k (name, place)),
        -- A key that is joined to nothing has an empty set of results.
        (select ' where ' || string_agg(format('t.%I is not null', r.name), ' and ' order by r.place)
         from unnest(sco.result_key) with ordinality as r (name, place)))
    from (select string_agg(format('t.%I', k.name), ', ' order by k.place) as key_order
          from unnest(src.key_columns) with ordinality as k (name, place)) as o);
end
$$;
comment on function rowcast.query_from(rowcast.scorer, rowcast.source, text) is
    'The from list of a lane''s read: the query''s rows for those keys that the source has.';
revoke all on function rowcast.query_from(rowcast.scorer, rowcast.source, text) from public;

create or replace function rowcast.query_problem(sco rowcast.scorer) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    wrong record;
    own record;
begin
    if sco.query_error is not null then
        return sco.query_error;
    end if;
    for own in
        select sco.features_from as function, sco.features_row as row, 'its feature query' as what
        where sco.features_from is not null
        union all
        select w.maps_with, w.maps_row, format('the mapping of "%s"', s.relation_name)
        from rowcast.watch as w join rowcast.source as s on s.source_id = w.source_id
        where w.scorer_id = sco.scorer_id
    loop
        if not exists (select from pg_proc as p where p.oid = own.function) then
            return format('the function of %s was dropped', own.what);
        elsif not exists (select from pg_proc as p where p.oid = own.function and p.xmin = own.row) then
            return format('the function of %s was altered', own.what);
        end if;
    end loop;
    for wrong in
        select w.source_id, src.relation_name, src.relation, src.key_columns, src.key_types
        from rowcast.watch as w join rowcast.source as src on src.source_id = w.source_id
        where w.scorer_id = sco.scorer_id
    loop
        if not exists (select from pg_class as c where c.oid = wrong.relation) then
            return format('watched relation "%s" was dropped', wrong.relation_name);
        elsif exists (
            select from unnest(wrong.key_columns, wrong.key_types) as k (name, type)
            left join pg_attribute as a on a.attrelid = wrong.relation and a.attname = k.name
                and a.attnum > 0 and not a.attisdropped
            where a.attname is null or rowcast.typed_name(rowcast.base_type(a.atttypid)) <> k.type) then
            return format('a column of watched relation "%s" that the mapping reads was altered',
                          wrong.relation);
        elsif rowcast.capture_problem(wrong.source_id) is not null then
            return rowcast.capture_problem(wrong.source_id);
        end if;
    end loop;
    return null;
end
$$;
comment on function rowcast.query_problem(rowcast.scorer) is
    'What keeps a scorer''s queries from being run, as one clause; null where nothing is known.';
revoke all on function rowcast.query_problem(rowcast.scorer) from public;

create or replace function rowcast.accept_queries(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    -- A person asks for another try: what the rows held may be mended, and functions of a restored database
    -- were written anew. They are accepted where they still run as their authors.
    update rowcast.scorer as s
    set query_error = null,
        features_row = case when s.features_from is null then null
                            else rowcast.run_function_row(s.features_from, s.created_by) end
    where s.scorer_id = accept_queries.scorer_id and s.features_from is not null;
    update rowcast.watch as w set maps_row = rowcast.run_function_row(w.maps_with, w.created_by)
    where w.scorer_id = accept_queries.scorer_id;
end
$$;
comment on function rowcast.accept_queries(int) is
    'Forgets what a scorer''s queries met, and takes their functions as they are now.';
revoke all on function rowcast.accept_queries(int) from public;
