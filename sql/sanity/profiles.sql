-- Reference rows of a scorer: its profile. Lanes count in the bins of the current one.
--
-- A scorer's first profile is made of the first rows that a worker scores; set_baseline makes another.
-- Rows are read with the rights of whoever asks; the private functions get numbers and texts.

create or replace function rowcast.profile_columns(scorer_id int)
returns table (kind text, place smallint, column_name text, is_text boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select 'input', f.place::smallint, f.value ->> 'column', f.value ->> 'type' = 'string'
    from rowcast.scorer as s, jsonb_array_elements(s.features) with ordinality as f (value, place)
    where s.scorer_id = profile_columns.scorer_id
    union all
    select 'output', o.place::smallint, o.value ->> 'column', o.value ->> 'type' = 'text'
    from rowcast.scorer as s, jsonb_array_elements(s.outputs) with ordinality as o (value, place)
    where s.scorer_id = profile_columns.scorer_id
$$;
comment on function rowcast.profile_columns(int) is
    'The columns that are counted: inputs in the order of the scorer''s features, then outputs.';
revoke all on function rowcast.profile_columns(int) from public;

create or replace function rowcast.may_read_input(scorer_id int, column_name text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select case
        -- What a query reads only its author is known to be allowed to.
        when s.features_from is not null then pg_has_role(rowcast.caller(), s.created_by, 'member')
        else coalesce((select has_column_privilege(rowcast.caller(), a.attrelid, a.attnum, 'select')
                       from pg_attribute as a
                       where a.attrelid = o.relation and a.attname = may_read_input.column_name
                         and not a.attisdropped), true) end
    from rowcast.scorer as s join rowcast.source as o on o.source_id = s.source_id
    where s.scorer_id = may_read_input.scorer_id
$$;
comment on function rowcast.may_read_input(int, text) is
    'Whether the caller may read an input of a scorer himself; of a column that is gone nothing is left.';
revoke all on function rowcast.may_read_input(int, text) from public;

create or replace function rowcast.load_profile(scorer_id int)
returns table (profile_id int, kind text, place smallint, edges double precision[], labels text[],
               value_count bigint, missing_count bigint, mean double precision, m2 double precision,
               bins bigint[])
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    return query
    select c.profile_id, c.kind, c.place, c.edges, c.labels, c.value_count, c.missing_count, c.mean,
           c.m2, c.bins
    from rowcast.profile as p
    join rowcast.profile_column as c on c.profile_id = p.profile_id
    where p.scorer_id = load_profile.scorer_id and p.is_current
    order by c.kind, c.place;
end
$$;
comment on function rowcast.load_profile(int) is 'What a lane must know of a scorer''s reference rows.';
revoke all on function rowcast.load_profile(int) from public;
grant execute on function rowcast.load_profile(int) to rowcast_worker;

create or replace function rowcast.begin_profile(scorer_id int, origin text, is_first boolean)
returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    new_profile int;
begin
    -- One at a time: of two workers that bring first rows, the second finds the profile.
    perform from rowcast.scorer as s where s.scorer_id = begin_profile.scorer_id for no key update;
    if not found or is_first and exists (
        select from rowcast.profile as p where p.scorer_id = begin_profile.scorer_id)
    then
        return null;
    end if;
    insert into rowcast.profile (scorer_id, origin, made_at, made_by)
    values (begin_profile.scorer_id, origin, now(),
            -- The first one is a lane's.
            case when is_first then session_user else rowcast.caller() end)
    returning profile_id into new_profile;
    return new_profile;
end
$$;
comment on function rowcast.begin_profile(int, text, boolean) is
    'Begins a profile, to be filled and started in the same transaction; null where the first one is '
    'wanted and there is one.';
revoke all on function rowcast.begin_profile(int, text, boolean) from public;
grant execute on function rowcast.begin_profile(int, text, boolean) to rowcast_worker, rowcast_analyst;

create or replace function rowcast.find_edges(numbers double precision[]) returns double precision[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    tenths constant double precision[] := array[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
    different double precision[];
    most bigint;
    edges double precision[];
begin
    select array_agg(d.number order by d.number), max(d.frequency) into different, most
    from (select u.number, count(*) as frequency from unnest(numbers) as u (number)
          group by u.number) as d;
    if coalesce(cardinality(different), 0) <= 20 then
        return coalesce(different[2:], '{}');  -- Few values: one bin each.
    end if;
    select percentile_disc(tenths) within group (order by u.number) into edges
    from unnest(numbers) as u (number);
    if most * 2 > cardinality(numbers) then
        -- Where half of the rows have one value, tenths of the rows tell little of the others.
        edges := edges || (select percentile_disc(tenths) within group (order by u.number)
                           from unnest(different) as u (number));
    end if;
    return array(select distinct e.edge from unnest(edges) as e (edge)
                 where e.edge > different[1] order by e.edge);
end
$$;
comment on function rowcast.find_edges(double precision[]) is
    'Edges that cut numbers into tenths; a bin a value where there are at most twenty values.';
revoke all on function rowcast.find_edges(double precision[]) from public;

create or replace function rowcast.add_profile_column(
    profile_id int, kind text, place smallint, numbers double precision[], texts text[])
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    own rowcast.profile;
    name text;
    finite double precision[];
    edges double precision[];
    labels text[];
    bins bigint[];
    missing bigint;
begin
    select p.* into own from rowcast.profile as p
    where p.profile_id = add_profile_column.profile_id and p.made_at = now() and not p.is_current;
    if not found then
        raise exception using errcode = 'RC305',
            message = format('profile %s is not being made in this transaction', profile_id);
    end if;
    select c.column_name into name from rowcast.profile_columns(own.scorer_id) as c
    where c.kind = add_profile_column.kind and c.place = add_profile_column.place;
    if not found then
        return;  -- The scorer changed since.
    end if;

    if texts is not null then
        select array_agg(t.text order by t.frequency desc, t.text), array_agg(
                   t.frequency order by t.frequency desc, t.text)
        into labels, bins
        from (select u.text, count(*) as frequency from unnest(texts) as u (text)
              where octet_length(u.text) <= 200 group by u.text order by 2 desc, 1 limit 20) as t;
        labels := coalesce(labels, '{}');
        finite := array(select octet_length(u.text)::float8 from unnest(texts) as u (text)
                        where u.text is not null);
        missing := cardinality(texts) - cardinality(finite);
        bins := coalesce(bins, '{}') || (cardinality(finite)
            - (select coalesce(sum(b.frequency), 0) from unnest(bins) as b (frequency)))::bigint;
    else
        finite := array(select u.number from unnest(numbers) as u (number)
                        where u.number not in ('NaN', 'Infinity', '-Infinity'));
        missing := cardinality(numbers) - cardinality(finite);
        edges := rowcast.find_edges(finite);
        bins := case when edges = '{}' then array[cardinality(finite)::bigint] else array(
            select coalesce(c.frequency, 0)
            from generate_series(0, cardinality(edges)) as b (bin)
            left join (select width_bucket(u.number, edges) as bin, count(*) as frequency
                       from unnest(finite) as u (number) group by 1) as c on c.bin = b.bin
            order by b.bin) end;
    end if;
    insert into rowcast.profile_column (
        profile_id, kind, place, column_name, value_count, missing_count, mean, m2, minimum, maximum,
        edges, labels, bins)
    select profile_id, kind, place, name, count(*), coalesce(missing, 0), avg(u.number),
           var_pop(u.number) * count(*), min(u.number), max(u.number), edges, labels, bins
    from unnest(finite) as u (number);
    update rowcast.profile as p set row_count = greatest(p.row_count,
        coalesce(cardinality(numbers), cardinality(texts), 0))
    where p.profile_id = add_profile_column.profile_id;
end
$$;
comment on function rowcast.add_profile_column(int, text, smallint, double precision[], text[]) is
    'Adds a column to a profile that is being made, from its values: numbers, or else texts.';
revoke all on function rowcast.add_profile_column(int, text, smallint, double precision[], text[])
    from public;
grant execute on function rowcast.add_profile_column(int, text, smallint, double precision[], text[])
    to rowcast_worker, rowcast_analyst;

create or replace function rowcast.start_profile(profile_id int) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.profile;
begin
    select p.* into own from rowcast.profile as p
    where p.profile_id = start_profile.profile_id and p.made_at = now() and not p.is_current;
    if not found then
        raise exception using errcode = 'RC305',
            message = format('profile %s is not being made in this transaction', profile_id);
    end if;
    update rowcast.profile as p set is_current = false
    where p.scorer_id = own.scorer_id and p.is_current;
    update rowcast.profile as p set is_current = true where p.profile_id = own.profile_id;
    delete from rowcast.profile as p
    where p.scorer_id = own.scorer_id and not p.is_current and not exists (
        select from rowcast.observation as o
        where o.scorer_id = p.scorer_id and o.profile_id = p.profile_id);
    -- Lanes load the scorer anew.
    update rowcast.scorer as s set revision = s.revision + 1 where s.scorer_id = own.scorer_id;
end
$$;
comment on function rowcast.start_profile(int) is 'Makes a profile the one that its scorer goes by.';
revoke all on function rowcast.start_profile(int) from public;
grant execute on function rowcast.start_profile(int) to rowcast_worker, rowcast_analyst;

create or replace function rowcast.profile_source(
    name text, out scorer_id int, out source text, out query text, out source_rows double precision,
    out joined text,
    out scored_at text, out inputs text[], out input_texts boolean[], out outputs text[],
    out output_texts boolean[])
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(name);
begin
    scorer_id := own.scorer_id;
    select case when own.features_from is null then format('%I.%I', n.nspname, c.relname) end,
           -- Whoever asks would run it with his own rights.
           case when own.created_by = rowcast.caller() then own.feature_query end, c.reltuples,
           (select string_agg(format('t.%I %s p.%1$I', k.name, coalesce(o.key_operators
                              -> (k.place::int - 1) ->> '=', '=')), ' and ' order by k.place)
            from unnest(o.key_columns || own.result_key) with ordinality as k (name, place)),
           (rowcast.audit_names(o.key_columns || own.result_key, false))[4]
    into source, query, source_rows, joined, scored_at
    from rowcast.source as o
    join pg_class as c on c.oid = o.relation join pg_namespace as n on n.oid = c.relnamespace
    where o.source_id = own.source_id;
    select array_agg(c.column_name order by c.place) filter (where c.kind = 'input'),
           array_agg(c.is_text order by c.place) filter (where c.kind = 'input'),
           array_agg(c.column_name order by c.place) filter (where c.kind = 'output'),
           array_agg(c.is_text order by c.place) filter (where c.kind = 'output')
    into inputs, input_texts, outputs, output_texts
    from rowcast.profile_columns(own.scorer_id) as c;
end
$$;
comment on function rowcast.profile_source(text) is
    'Where the rows of a scorer are, how they are joined to their predictions, and which columns '
    'are counted.';
revoke all on function rowcast.profile_source(text) from public;
grant execute on function rowcast.profile_source(text) to rowcast_analyst;

create or replace function rowcast.rows_from(reference text) returns text
-- No search_path of its own: what is not qualified is looked up on the caller's.
language plpgsql stable as $$
declare
    relation pg_catalog.regclass;
begin
    if reference is null then
        return null;
    end if;
    if pg_catalog.regexp_match(reference, '^\s*(\(|(select|with|values|table)\M)', 'i') is not null then
        return pg_catalog.concat('(', pg_catalog.regexp_replace(reference, ';\s*$', ''), E'\n)');
    end if;
    relation := pg_catalog.to_regclass(reference);
    if relation is null then
        raise exception using errcode = 'RC301',
            message = pg_catalog.format('"%s" is neither a relation nor a query', reference),
            hint = 'Write it as schema.table, quoted as in SQL, or as a query that begins with select.';
    end if;
    return relation::pg_catalog.text;
end
$$;
comment on function rowcast.rows_from(text) is 'A relation or a query, as an item of a from clause.';
revoke all on function rowcast.rows_from(text) from public;
grant execute on function rowcast.rows_from(text) to rowcast_analyst;

create or replace function rowcast.column_types(rows_from text, columns text[])
returns table (column_name text, type_id oid)
-- No search_path of its own: rows_from may be the caller's query.
language plpgsql stable as $$
begin
    execute pg_catalog.format('select from %s limit 0', rows_from);  -- its own errors, if any
    foreach column_name in array columns loop
        begin
            -- Not qualified: t.name is also an old way to call a function.
            execute pg_catalog.format(
                'select pg_catalog.pg_typeof((select %I from %s limit 0))::pg_catalog.oid',
                column_name, rows_from) into type_id;
        exception when undefined_column then
            type_id := null;
        end;
        return next;
    end loop;
end
$$;
comment on function rowcast.column_types(text, text[]) is
    'The types of columns of a relation or query; null of one that is not there. Reads no row.';
revoke all on function rowcast.column_types(text, text[]) from public;
grant execute on function rowcast.column_types(text, text[]) to rowcast_analyst;

create or replace function rowcast.sample_sql(
    rows_from text, columns text[], are_texts boolean[], types oid[], sample_rows int) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select format('with r as materialized (select %s from %s order by pg_catalog.random() limit %s) ',
                  string_agg(format('t.%I%s as c%s', c.name, case
                      when c.is_text then '::pg_catalog.text'
                      when rowcast.base_type(c.type_id) = 'bool'::regtype
                      then '::pg_catalog.int4::pg_catalog.float8'
                      else '::pg_catalog.float8' end, c.place), ', ' order by c.place),
                  rows_from, sample_rows)
        || string_agg(format(
               case when c.is_text
                    then 'select %1$s::pg_catalog.int2, null::pg_catalog.float8[], '
                         'pg_catalog.array_agg(r.c%1$s) from r'
                    else 'select %1$s::pg_catalog.int2, pg_catalog.array_agg(r.c%1$s), '
                         'null::pg_catalog.text[] from r' end, c.place), ' union all ' order by c.place)
    from unnest(columns, are_texts, types) with ordinality as c (name, is_text, type_id, place)
$$;
comment on function rowcast.sample_sql(text, text[], boolean[], oid[], int) is
    'A query that gives a sample of each column''s values: its place, numbers, texts.';
revoke all on function rowcast.sample_sql(text, text[], boolean[], oid[], int) from public;
grant execute on function rowcast.sample_sql(text, text[], boolean[], oid[], int) to rowcast_analyst;

create or replace function rowcast.set_baseline(scorer text, reference text default 'now')
returns table (kind text, column_name text, value_count bigint, missing_count bigint,
               mean double precision, sd double precision, bins int)
-- No search_path of its own: the reference may be the caller's query. It runs with his rights.
language plpgsql set extra_float_digits = 1 as $$
#variable_conflict use_variable
declare
    sample_rows constant int := 50000;
    own record;
    is_now constant boolean := pg_catalog.lower(pg_catalog.btrim(reference)) = 'now';
    span_text constant text := (pg_catalog.regexp_match(reference, '^\s*last\s+(.+)$', 'i'))[1];
    span pg_catalog.interval;
    inputs_from text;
    outputs_from text;
    new_profile int;
begin
    select * into strict own from rowcast.profile_source(scorer);
    own.source := coalesce(own.source, rowcast.rows_from(own.query));
    if own.source is null and (is_now or span_text is not null) then
        raise exception using errcode = 'RC301',
            message = pg_catalog.format('the rows of scorer "%s" cannot be read from here', scorer),
            hint = 'Its source was dropped, or it has a feature query, which only its author runs so. Give the '
                   'rows: reference => ''select ...''.';
    end if;
    outputs_from := pg_catalog.format('predictions.%I as t', scorer);
    if is_now then
        inputs_from := own.source || ' as t' || case
            when own.query is null and own.source_rows operator(pg_catalog.>) (20 * sample_rows)::pg_catalog.float8
            -- Ten times what is kept, so that the order of pages shows less.
            then pg_catalog.format(' tablesample system (%s)', (1000 * sample_rows)::pg_catalog.float8 operator(pg_catalog./) own.source_rows)
            else '' end;
    elsif span_text is not null then
        begin
            span := span_text::pg_catalog.interval;
        exception when invalid_datetime_format then
            raise exception using errcode = 'RC305',
                message = pg_catalog.format('reference "%s" is no span of time', reference),
                hint = 'For example: last 7 days. Else: now, a relation, or a query.';
        end;
        inputs_from := pg_catalog.format(
            '%s as t join predictions.%I as p on %s where p.%I >= pg_catalog.now() - '
            '%L::pg_catalog.interval', own.source, scorer, own.joined, own.scored_at, span);
        outputs_from := pg_catalog.format(
            '%s where t.%I >= pg_catalog.now() - %L::pg_catalog.interval', outputs_from,
            own.scored_at, span);
    else
        inputs_from := rowcast.rows_from(reference) || ' as t';
    end if;

    new_profile := rowcast.begin_profile(own.scorer_id, reference, false);
    perform rowcast.sample_columns(
        new_profile, 'input', inputs_from, own.inputs, own.input_texts, sample_rows,
        case when is_now or span is not null then own.source || ' as t' else inputs_from end);
    perform rowcast.sample_columns(
        new_profile, 'output', outputs_from, own.outputs, own.output_texts, sample_rows,
        pg_catalog.format('predictions.%I as t', scorer));
    if not exists (select from rowcast.profile_summary(new_profile) as b
                   where b.value_count + b.missing_count > 0) then
        raise exception using errcode = 'RC305',
            message = pg_catalog.format('reference "%s" has no rows', reference);
    end if;
    perform rowcast.start_profile(new_profile);
    return query select b.kind, b.column_name, b.value_count, b.missing_count, b.mean, b.sd, b.bins
                 from rowcast.profile_summary(new_profile) as b;
end
$$;
comment on function rowcast.set_baseline(text, text) is
    'Makes the rows of now, of a span (last 7 days: those scored within it), or of a relation or query '
    'what a scorer''s inputs and scores are compared with. At most 50,000 rows, taken at random. Its '
    'histograms begin anew, in bins that these rows fill evenly. Reads with the caller''s rights; a feature '
    'query is run so for its author only.';
revoke all on function rowcast.set_baseline(text, text) from public;
grant execute on function rowcast.set_baseline(text, text) to rowcast_analyst;

create or replace function rowcast.sample_columns(
    profile_id int, kind text, sample_from text, columns text[], are_texts boolean[], sample_rows int,
    typed_as text)
returns void
-- No search_path of its own: sample_from may be the caller's query.
language plpgsql as $$
#variable_conflict use_variable
declare
    types oid[];
    wrong text;
    column_place int2;
    numbers float8[];
    texts text[];
begin
    if columns is null then
        return;
    end if;
    select pg_catalog.array_agg(c.type_id order by c.place),
           pg_catalog.min(c.column_name) filter (where c.type_id is null)
    into types, wrong
    from rowcast.column_types(typed_as, columns) with ordinality as c (column_name, type_id, place);
    if wrong is not null then
        raise exception using errcode = 'RC303',
            message = pg_catalog.format('the reference has no column "%s"', wrong),
            hint = 'It needs a column for each that the scorer reads, under the same name.';
    end if;
    for column_place, numbers, texts in
        execute rowcast.sample_sql(sample_from, columns, are_texts, types, sample_rows)
    loop
        perform rowcast.add_profile_column(profile_id, kind, column_place, numbers, texts);
    end loop;
end
$$;
comment on function rowcast.sample_columns(int, text, text, text[], boolean[], int, text) is
    'Adds columns of a relation or query to a profile that is being made, with the caller''s rights.';
revoke all on function rowcast.sample_columns(int, text, text, text[], boolean[], int, text) from public;
grant execute on function rowcast.sample_columns(int, text, text, text[], boolean[], int, text)
    to rowcast_analyst;

create or replace function rowcast.profile_summary(profile_id int)
returns table (kind text, column_name text, value_count bigint, missing_count bigint,
               mean double precision, sd double precision, bins int)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select c.kind, c.column_name, c.value_count, c.missing_count, c.mean,
           sqrt(c.m2 / nullif(c.value_count, 0)), cardinality(c.bins)
    from rowcast.profile as p
    join rowcast.profile_column as c on c.profile_id = p.profile_id
    where p.profile_id = profile_summary.profile_id and p.made_at = now()
      and p.made_by = rowcast.caller()
    order by c.kind, c.place
$$;
comment on function rowcast.profile_summary(int) is
    'The columns of a profile that the caller made in this transaction.';
revoke all on function rowcast.profile_summary(int) from public;
grant execute on function rowcast.profile_summary(int) to rowcast_analyst;
