-- What a scorer has for itself: tables, the SQL that reads its source, and what a lane is told of it.

create or replace function rowcast.make_tables(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sco rowcast.scorer;
    src rowcast.source;
    keys text;
    key_list text;
    result_list text;
    results text;
    key_names text[];
    outputs text;
    audit text[];
    target text;
    failure text;
    column_row record;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = make_tables.scorer_id;
    select s.* into strict src from rowcast.source as s where s.source_id = sco.source_id;
    target := format('predictions.%I', sco.name);
    failure := format('predictions.%I', sco.name || '_failure');

    -- Never a domain itself: its checks are functions of its owner, and would run with our rights.
    select string_agg(format('%I %s%s not null', a.attname,
                             case when t.oid = a.atttypid then format_type(a.atttypid, a.atttypmod)
                                  else rowcast.typed_name(t.oid) end,
                             case when a.attcollation not in (0, t.typcollation) then
                                 ' collate ' || a.attcollation::regcollation else '' end),
                      ', ' order by k.place),
           string_agg(quote_ident(k.name), ', ' order by k.place)
    into keys, key_list
    from unnest(src.key_columns) with ordinality as k (name, place)
    join pg_attribute as a on a.attrelid = src.relation and a.attname = k.name
    join pg_type as t on t.oid = rowcast.base_type(a.atttypid);
    -- What tells the results of one key apart comes after it.
    key_names := src.key_columns || sco.result_key;
    select string_agg(format(', %I %s', r.name, r.type), '' order by r.place),
           string_agg(format(', %I', r.name), '' order by r.place)
    into result_list, results
    from unnest(sco.result_key, sco.result_types) with ordinality as r (name, type, place);
    select coalesce(string_agg(format('%I %s, ', o.value ->> 'column', o.value ->> 'type'), ''
                               order by o.place), '')
    into outputs from jsonb_array_elements(sco.outputs) with ordinality as o (value, place);

    -- Rescoring updates rows in place: room on each page keeps the new version beside the old one,
    -- and vacuum comes by count as well as by share, so that big tables are not left for days.
    audit := rowcast.audit_names(key_names, false);
    execute format('create table %s (%s%s, %s%I text not null, %I int not null, %I bigint not null, '
                   '%I timestamptz not null default now(), primary key (%s%s)) '
                   'with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, '
                   'autovacuum_analyze_scale_factor = 0.05)',
                   target, keys, result_list, outputs, audit[1], audit[2], audit[3], audit[4], key_list,
                   results);
    execute format('comment on table %s is %L', target, format(
        'Predictions for the rows of %s, kept by Rowcast''s scorer %s.', src.relation, sco.name));
    for column_row in
        select o.value ->> 'column' as name,
               case o.value ->> 'of'
                   when 'class' then format('The class of rank %s.', o.value ->> 'rank')
                   when 'probability' then format('Probability of the class of rank %s.',
                                                  o.value ->> 'rank')
                   else format('Output "%s" of the model.', o.value ->> 'output') end as note
        from jsonb_array_elements(sco.outputs) as o (value)
        union all
        select n.name, case n.place when 1 then 'Model that made the prediction.'
                                    when 2 then 'Its version.'
                                    when 3 then 'Tick of the change that was scored.'
                                    else 'When the prediction was written.' end
        from unnest(audit) with ordinality as n (name, place)
        union all
        select k.name, format('Key of the row of %s.', src.relation) from unnest(src.key_columns) as k (name)
    loop
        execute format('comment on column %s.%I is %L', target, column_row.name, column_row.note);
    end loop;

    audit := rowcast.audit_names(key_names, true);
    execute format('create table %s (%s%s, %I text not null, %I text not null, %I text, %I int, '
                   '%I bigint not null, %I timestamptz not null default now(), %s (%s%s))',
                   failure, keys, result_list, audit[1], audit[2], audit[3], audit[4], audit[5], audit[6],
                   -- A key whose results are not known has failed as a whole.
                   case when result_list is null then 'primary key' else 'unique' end, key_list, results);
    execute format('comment on table %s is %L', failure, format(
        'Rows of %s that scorer %s could not score, and why. A row leaves when it is scored.',
        src.relation, sco.name));
    execute format('comment on column %s.%I is %L', failure, audit[1],
                   'missing, not_finite, unseen_category, wrong_type, bad_image, expectation, no_model, crashed.');
    execute format('comment on column %s.%I is %L', failure, audit[2],
                   'Names the feature and the rule, never the value.');
    for column_row in
        select n.name, case n.place when 3 then 'Model that would have scored, where known.'
                                    when 4 then 'Its version.'
                                    when 5 then 'Tick of the change that could not be scored.'
                                    else 'When the failure was written.' end as note
        from unnest(audit) with ordinality as n (name, place) where n.place > 2
        union all
        select k.name, format('Key of the row of %s.', src.relation) from unnest(src.key_columns) as k (name)
    loop
        execute format('comment on column %s.%I is %L', failure, column_row.name, column_row.note);
    end loop;

    execute format('create table rowcast.retraction_%s (%s, tick bigint not null)', sco.scorer_id, (
        select string_agg(format('key_%s %s', k.place, t.type), ', ' order by k.place)
        from unnest(src.key_columns) with ordinality as k (name, place)
        cross join lateral (
            select src.key_types[k.place] || case when a.attcollation not in (0, y.typcollation)
                   then ' collate ' || a.attcollation::regcollation else '' end
            from pg_attribute as a join pg_type as y on y.oid = rowcast.base_type(a.atttypid)
            where a.attrelid = src.relation and a.attname = k.name) as t (type)));
    execute format('create index retraction_%s_idx on rowcast.retraction_%1$s (key_1)', sco.scorer_id);
    execute format('comment on table rowcast.retraction_%s is %L', sco.scorer_id, format(
        'Tombstones of scorer %s: keys (null: all) that were gone at a tick, kept while older chunks '
        'are open.', sco.name));
    if sco.result_key is not null then
        perform rowcast.make_set_table(scorer_id);
    end if;

    execute format('revoke all on %s, %s from public', target, failure);
    execute format('grant select on %s, %s to rowcast_reader', target, failure);
    execute format('grant select, insert on %s to rowcast_worker', target);
    perform rowcast.make_result_view(scorer_id);
end
$$;
comment on function rowcast.make_tables(int) is
    'Creates the tables of a scorer: predictions, failures, tombstones; and the view of its classes or objects.';
revoke all on function rowcast.make_tables(int) from public;

create or replace function rowcast.key_range(src rowcast.source, lower_side text, upper_side text)
returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
-- A condition on t for keys after (or from) one and up to another: `lower_side` is '>' or '>=', an
-- empty side means none. The bounds are lo and hi after a character that no name has: rows, or plain
-- values of the key's type.
declare
    plain boolean := not src.key_operators::text ~ 'operator\((?!pg_catalog\.)';
    names text;
    condition text := '';
    side record;
begin
    select string_agg(format('t.%I', k.name), ', ' order by k.place) into names
    from unnest(src.key_columns) with ordinality as k (name, place);
    for side in select * from (values (1, lower_side, 'lo'), (2, upper_side, 'hi'))
                     as b (place, sign, bound) where b.sign <> '' order by b.place
    loop
        condition := condition || case when condition = '' then '' else ' and ' end;
        if not src.composite then
            condition := condition || format('t.%I %s %s', src.key_columns[1],
                                             src.key_operators -> 0 ->> side.sign, chr(1) || side.bound);
        elsif plain then
            condition := condition || format('(%s) operator(pg_catalog.%s) (%s)', names, side.sign, (
                select string_agg(format('(%s).%I', chr(1) || side.bound, k.name), ', ' order by k.place)
                from unnest(src.key_columns) with ordinality as k (name, place)));
        else
            -- Row comparison looks up one operator name for all columns, which a type whose operators
            -- live elsewhere does not allow. Spelled out, with the first column apart for the index.
            condition := condition || format('t.%1$I %2$s (%3$s).%1$I and (%4$s)', src.key_columns[1],
                src.key_operators -> 0 ->> (left(side.sign, 1) || '='), chr(1) || side.bound, (
                select string_agg('(' || p.term || ')', ' or ' order by p.place)
                from (
                    select k.place, coalesce((
                               select string_agg(format('t.%I %s (%s).%1$I', e.name, src.key_operators
                                   -> (e.place::int - 1) ->> '=', chr(1) || side.bound), ' and '
                                   order by e.place)
                               from unnest(src.key_columns) with ordinality as e (name, place)
                               where e.place < k.place) || ' and ', '')
                           || format('t.%I %s (%s).%1$I', k.name, src.key_operators
                                  -> (k.place::int - 1) ->> case
                                      when k.place = cardinality(src.key_columns) then side.sign
                                      else left(side.sign, 1) end, chr(1) || side.bound) as term
                    from unnest(src.key_columns) with ordinality as k (name, place)) as p));
        end if;
    end loop;
    return condition;
end
$$;
comment on function rowcast.key_range(rowcast.source, text, text) is
    'The condition that a key of t lies in a range whose bounds stand as lo and hi after a character 1.';
revoke all on function rowcast.key_range(rowcast.source, text, text) from public;

create or replace function rowcast.key_cast(src rowcast.source) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select case when src.composite then format('rowcast.key_%s', src.source_id)
                else src.key_types[1] end
$$;
comment on function rowcast.key_cast(rowcast.source) is 'The type of a source''s key as one value.';
revoke all on function rowcast.key_cast(rowcast.source) from public;

create or replace function rowcast.key_between(
    src rowcast.source, lower_side text, upper_side text, lower_value text, upper_value text)
returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select replace(replace(rowcast.key_range(src, lower_side, upper_side),
                           chr(1) || 'lo', format('((%s)::%s)', lower_value, rowcast.key_cast(src))),
                   chr(1) || 'hi', format('((%s)::%s)', upper_value, rowcast.key_cast(src)))
$$;
comment on function rowcast.key_between(rowcast.source, text, text, text, text) is
    'The condition that a key of t lies in a range, whose bounds are expressions for their texts.';
revoke all on function rowcast.key_between(rowcast.source, text, text, text, text) from public;

create or replace function rowcast.read_sql(scorer_id int, by_range boolean) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
-- Runs in the session of a lane, so it names every operator's schema.
declare
    sco rowcast.scorer;
    src rowcast.source;
    columns text;
    from_list text;
    key_order text;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = read_sql.scorer_id;
    select s.* into strict src from rowcast.source as s where s.source_id = sco.source_id;

    select string_agg(format('t.%I', k.name), ', ' order by k.place) into key_order
    from unnest(src.key_columns || sco.result_key) with ordinality as k (name, place);
    -- An enum is not cast: a cast function of its owner would run with the lane's rights.
    select key_order || coalesce(string_agg(', ' || format(
               case when f.value ->> 'type' <> 'string' then 't.%I'
                    when y.typtype = 'e' then 'pg_catalog.textin(pg_catalog.enum_out(t.%I))'
                    else 't.%I::pg_catalog.text' end, f.value ->> 'column'), '' order by f.place), '')
    into columns
    from jsonb_array_elements(sco.features) with ordinality as f (value, place)
    left join rowcast.input_columns(src.relation, sco.features_from) as a on a.name = f.value ->> 'column'
    left join pg_type as y on y.oid = rowcast.base_type(a.type_id);
    if sco.route is not null then
        -- Null where a column of the route is null: then there is no model for the row.
        columns := columns || ', ' || (
            select string_agg(p.piece, ' operator(pg_catalog.||) ' order by p.place, p.half)
            from (
                select r.place, 1 as half, quote_literal(r.literal) || '::pg_catalog.text' as piece
                from rowcast.route_parts(sco.route) as r where r.literal <> ''
                union all
                select r.place, 2, format(
                    case when y.typnamespace = 'pg_catalog'::regnamespace then 't.%I::pg_catalog.text'
                         else 'case when t.%1$I is not null then pg_catalog.concat(t.%1$I) end' end,
                    r.column_name)
                from rowcast.route_parts(sco.route) as r
                left join rowcast.input_columns(src.relation, sco.features_from) as a
                    on a.name = r.column_name
                left join pg_type as y on y.oid = rowcast.base_type(a.type_id)
                where r.column_name is not null
            ) as p);
    end if;

    if by_range then
        from_list := format('%s as t where %s', src.relation,
            rowcast.key_between(src, '>=', '<=', '$1::pg_catalog.text', '$2::pg_catalog.text'));
    elsif src.composite then
        from_list := format('(select distinct %s from pg_catalog.unnest('
                            '($1::pg_catalog.text)::%s[]) as u) as k join %s as t on %s',
            (select string_agg(format('(u).%I', k.name), ', ' order by k.place)
             from unnest(src.key_columns) with ordinality as k (name, place)),
            rowcast.key_cast(src), src.relation,
            (select string_agg(format('t.%I %s k.%1$I', k.name, src.key_operators
                               -> (k.place::int - 1) ->> '='), ' and ' order by k.place)
             from unnest(src.key_columns) with ordinality as k (name, place)));
    else
        -- Beside a scan the text would become an array again for each row; as a query it does once.
        from_list := format('%1$s as t where t.%2$I %3$s any ((select ($1::pg_catalog.text)::%4$s[])::%4$s[])',
                            src.relation, src.key_columns[1], src.key_operators -> 0 ->> '=',
                            src.key_types[1]);
    end if;
    if sco.features_from is not null then
        from_list := rowcast.query_from(sco, src, from_list);
    end if;
    return format('select %s from %s order by %s', columns, from_list, key_order);
end
$$;
comment on function rowcast.read_sql(int, boolean) is
    'The query that reads a scorer''s rows by keys ($1) or by range ($1 to $2): key columns, features '
    'in the model''s order, name of the model if routed; in the order of the key.';
revoke all on function rowcast.read_sql(int, boolean) from public;

drop function if exists rowcast.load_scorer(int);
create or replace function rowcast.load_scorer(scorer_id int)
returns table (
    name text, revision bigint, source text, key_columns text[], key_type_oids bigint[],
    key_array_oids bigint[], features jsonb, outputs jsonb, top_k int, route text, alias text,
    model_id int, model text, state text, read_keys_sql text, read_range_sql text, write_sql text,
    copy_sql text, reads_query boolean)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    return query
    select s.name, s.revision, src.relation::text, src.key_columns || s.result_key,
           array(select to_regtype(k.type)::oid::bigint
                 from unnest(src.key_types || s.result_types) with ordinality as k (type, place)
                 order by k.place),
           array(select t.typarray::bigint
                 from unnest(src.key_types || s.result_types) with ordinality as k (type, place)
                 join pg_type as t on t.oid = to_regtype(k.type) order by k.place),
           s.features, s.outputs, s.top_k, s.route, s.alias, s.model_id, m.name, s.state,
           rowcast.read_sql(s.scorer_id, false), rowcast.read_sql(s.scorer_id, true),
           format('select rowcast.write_%s(%s)', s.scorer_id, (
               select string_agg(format('$%s::%s', a.place, a.type), ', ' order by a.place)
               from unnest(rowcast.write_arguments(s.scorer_id)) with ordinality as a (type, place))),
           -- A set of results replaces another, which a copy cannot; vectors travel as text.
           case when s.result_key is null
                     and not exists (select from jsonb_array_elements(s.outputs) as o
                                     where rowcast.written_cast(o ->> 'type') <> '') then
           format('copy predictions.%I (%s) from stdin (format binary)', s.name, (
               select string_agg(quote_ident(c.name), ', ' order by c.place)
               from unnest(src.key_columns
                   || array(select o.value ->> 'column' from jsonb_array_elements(s.outputs)
                            with ordinality as o (value, place) order by o.place)
                   || (rowcast.audit_names(src.key_columns, false))[1:3])
                   with ordinality as c (name, place))) else '' end,
           s.features_from is not null
    from rowcast.scorer as s
    join rowcast.source as src on src.source_id = s.source_id
    left join rowcast.model as m on m.model_id = s.model_id
    where s.scorer_id = $1;
end
$$;
comment on function rowcast.load_scorer(int) is
    'All that a lane must know of a scorer, with the SQL that reads and writes for it.';
revoke all on function rowcast.load_scorer(int) from public;
grant execute on function rowcast.load_scorer(int) to rowcast_worker;
