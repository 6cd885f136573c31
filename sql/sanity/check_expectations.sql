-- Expectations of any rows, judged in one pass in SQL with the caller's rights.

create or replace function rowcast.expectation_plan(scorer text)
returns table (name text, kind text, column_kind text, place smallint, column_name text, is_text boolean,
               action text, minimum double precision, maximum double precision, allowed text[],
               tolerance double precision, minimum_rows int, base_count bigint, base_missing bigint,
               base_mean double precision, base_sd double precision, edges double precision[],
               labels text[], bins bigint[])
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    own constant rowcast.scorer := rowcast.own_scorer(expectation_plan.scorer);
    refused text;
begin
    -- Edges and labels are values of the source.
    select e.column_name into refused
    from rowcast.expectation as e
    where e.scorer_id = own.scorer_id and e.column_kind = 'input'
      and not rowcast.may_read_input(own.scorer_id, e.column_name)
    limit 1;
    if found then
        raise exception using errcode = '42501',
            message = format('permission denied for column "%s" of the source', refused);
    end if;
    return query
    select e.name, e.kind, e.column_kind, e.place, e.column_name,
           coalesce(c.is_text, false), e.action, e.minimum, e.maximum, e.allowed, e.tolerance,
           e.minimum_rows, b.value_count, b.missing_count, b.mean,
           sqrt(b.m2 / nullif(b.value_count, 0)), b.edges, b.labels, b.bins
    from rowcast.expectation as e
    left join rowcast.profile_columns(own.scorer_id) as c on c.kind = e.column_kind and c.place = e.place
    left join rowcast.profile as p on p.scorer_id = e.scorer_id and p.is_current
    left join rowcast.profile_column as b
      on b.profile_id = p.profile_id and b.kind = e.column_kind and b.place = e.place
    where e.scorer_id = own.scorer_id
    order by e.expectation_id;
end
$$;
comment on function rowcast.expectation_plan(text) is
    'What is expected of a scorer''s rows, with the baseline; for those who may read the columns.';
revoke all on function rowcast.expectation_plan(text) from public;
grant execute on function rowcast.expectation_plan(text) to rowcast_analyst;

create or replace function rowcast.unfit_columns(scorer text, types oid[]) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select string_agg(case when t.type_id is null then format('column "%s" is missing', c.column_name)
                           else format('column "%s" is %s', c.column_name, format_type(t.type_id, null))
                      end, '; ' order by c.place)
    from rowcast.own_scorer(scorer) as s
    cross join jsonb_array_elements(s.features) with ordinality as f (value, place)
    join rowcast.profile_columns(s.scorer_id) as c on c.kind = 'input' and c.place = f.place
    left join unnest(types) with ordinality as t (type_id, place) on t.place = f.place
    where t.type_id is null
       or not coalesce(rowcast.type_fits(f.value ->> 'type', rowcast.base_type(t.type_id)), false)
$$;
comment on function rowcast.unfit_columns(text, oid[]) is
    'Columns that a scorer reads and that are missing or of a type that does not fit; null for none.';
revoke all on function rowcast.unfit_columns(text, oid[]) from public;
grant execute on function rowcast.unfit_columns(text, oid[]) to rowcast_analyst;

create or replace function rowcast.measure_sql(
    kind text, place int, is_text boolean, minimum double precision, maximum double precision,
    allowed text[], edges double precision[], labels text[]) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
-- Of a text v<place> and its length n<place>; of a number i<place>, and n<place> which is null for one
-- that is not finite.
declare
    v constant text := format(case when is_text then 'r.v%s' else 'r.n%s' end, place);
    n constant text := format('r.n%s', place);
    i constant text := format('r.i%s', place);
    failed text := '0';
    counts text := '';
begin
    if kind = 'range' then
        failed := format('count(*) filter (where %s <> ''NaN'' and (%s))', i, concat_ws(' or ',
            case when minimum is not null then format('%s < %L::float8', i, minimum) end,
            case when maximum is not null then format('%s > %L::float8', i, maximum) end));
    elsif kind = 'allowed' and is_text then
        failed := format('count(*) filter (where %s <> all (%L::text[]))', v, allowed);
    elsif kind = 'allowed' then
        failed := format('count(*) filter (where %s <> all (%L::float8[]))', v, allowed);
    elsif kind = 'null' then
        failed := format('count(*) filter (where %s is null)', v);
    elsif kind = 'drift' then
        select coalesce(string_agg(case
                   when labels is null then format(', count(*) filter (where %s >= %L::float8)', n, b.bin)
                   else format(', count(*) filter (where %s = %L)', v, b.bin) end, '' order by b.place), '')
        into counts
        from unnest(coalesce(labels, edges::text[])) with ordinality as b (bin, place);
    end if;
    return format('array[count(*), count(%s), %s, coalesce(avg(%s), 0), coalesce(stddev_pop(%s), 0)%s]'
                  '::float8[]::text', v, failed,
                  case when kind in ('mean', 'spread') then n else 'null::float8' end,
                  case when kind in ('mean', 'spread') then n else 'null::float8' end, counts);
end
$$;
comment on function rowcast.measure_sql(
    text, int, boolean, double precision, double precision, text[], double precision[], text[]) is
    'An expression that measures a column for an expectation: rows, values, failed rows, mean, standard '
    'deviation, then values at or above each edge or equal to each label.';
revoke all on function rowcast.measure_sql(
    text, int, boolean, double precision, double precision, text[], double precision[], text[])
    from public;
grant execute on function rowcast.measure_sql(
    text, int, boolean, double precision, double precision, text[], double precision[], text[])
    to rowcast_analyst;

create or replace function rowcast.judge(
    kind text, column_name text, maximum double precision, tolerance double precision,
    minimum_rows int, base_count bigint, base_missing bigint, base_mean double precision,
    base_sd double precision, labels text[], bins bigint[], measured double precision[],
    out passed boolean, out observed double precision, out failed bigint, out reason text)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    row_count constant double precision := measured[1];
    value_count constant double precision := measured[2];
    counted constant double precision := case kind when 'drift' then row_count else value_count end;
    counts bigint[];
begin
    failed := 0;
    if kind in ('range', 'allowed', 'null') then
        failed := measured[3];
        observed := failed / nullif(row_count, 0);
        if kind = 'null' and row_count < minimum_rows and maximum > 0 then
            reason := format('%s rows, %s are needed to judge', row_count, minimum_rows);
            return;
        end if;
        passed := coalesce(observed, 0) <= case kind when 'null' then maximum else 0 end;
        reason := case when not passed then format('%s of %s rows of column "%s" %s', failed, row_count,
            column_name, case kind when 'null' then 'are missing' when 'range' then 'are out of range'
                         else 'are not allowed' end) end;
        return;
    elsif base_count is null or base_count = 0 then
        reason := 'there is no baseline';
        return;
    elsif counted < minimum_rows then
        reason := format('%s rows, %s are needed to judge', counted, minimum_rows);
        return;
    end if;
    case kind
    when 'mean' then
        observed := case when measured[4] = base_mean then 0
                         when base_sd = 0 then 'Infinity'
                         else (measured[4] - base_mean) / base_sd end;
        passed := abs(observed) <= tolerance;
        reason := format('mean of column "%s" is %s standard deviations off the baseline, %s tolerated',
                         column_name, round(observed::numeric, 3), tolerance);
    when 'spread' then
        observed := case when measured[5] = base_sd then 1
                         when base_sd = 0 then 'Infinity' else measured[5] / base_sd end;
        passed := observed between 1 / (1 + tolerance) and 1 + tolerance;
        reason := format('spread of column "%s" is %s times the baseline''s, a factor of %s tolerated',
                         column_name, round(observed::numeric, 3), 1 + tolerance);
    else
        if labels is null then
            -- From values at or above each edge to values in each bin.
            select array_agg((coalesce(b.reached, value_count)
                              - coalesce(measured[5 + b.place], 0))::bigint order by b.place)
            into counts
            from (select s.place, case when s.place > 1 then measured[4 + s.place] end as reached
                  from generate_series(1, cardinality(bins)) as s (place)) as b;
        else
            counts := measured[6:5 + cardinality(labels)]::bigint[];
            counts := counts || (value_count - (select coalesce(sum(c), 0) from unnest(counts) as c))::bigint;
        end if;
        observed := rowcast.psi(bins || base_missing, counts || (row_count - value_count)::bigint);
        passed := observed <= tolerance;
        reason := format('stability index of column "%s" is %s, %s tolerated', column_name,
                         round(observed::numeric, 3), tolerance);
    end case;
    reason := case when not passed then reason end;
end
$$;
comment on function rowcast.judge(
    text, text, double precision, double precision, int, bigint, bigint, double precision,
    double precision, text[], bigint[], double precision[]) is
    'Judges an expectation by what measure_sql measured; passed is null where that cannot be.';
revoke all on function rowcast.judge(
    text, text, double precision, double precision, int, bigint, bigint, double precision,
    double precision, text[], bigint[], double precision[]) from public;
grant execute on function rowcast.judge(
    text, text, double precision, double precision, int, bigint, bigint, double precision,
    double precision, text[], bigint[], double precision[]) to rowcast_analyst;

create or replace function rowcast.can_measure(is_text boolean, type_id oid) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select type_id is not null and rowcast.type_fits(
        case when is_text then 'string' else 'float64' end, rowcast.base_type(type_id))
$$;
comment on function rowcast.can_measure(boolean, oid) is 'Whether a column is there, and of a kind that fits.';
revoke all on function rowcast.can_measure(boolean, oid) from public;
grant execute on function rowcast.can_measure(boolean, oid) to rowcast_analyst;

create or replace function rowcast.measured_rows(
    rows_from text, columns text[], are_texts boolean[], types oid[]) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select format('(select *%s from (select %s from %s) as q)',
        string_agg(format(case when c.is_text then ', pg_catalog.octet_length(v%1$s) as n%1$s'
            else ', case when i%1$s not in (''NaN'', ''Infinity'', ''-Infinity'') then i%1$s end as n%1$s'
            end, c.place), '' order by c.place),
        string_agg(format(case
            when c.is_text then '%I::pg_catalog.text as v%s'
            when rowcast.base_type(c.type_id) = 'bool'::regtype
            then '%I::pg_catalog.int4::pg_catalog.float8 as i%s'
            else '%I::pg_catalog.float8 as i%s' end, c.name, c.place), ', ' order by c.place),
        rows_from)
    from unnest(columns, are_texts, types) with ordinality as c (name, is_text, type_id, place)
    where rowcast.can_measure(c.is_text, c.type_id)
$$;
comment on function rowcast.measured_rows(text, text[], boolean[], oid[]) is
    'A subquery with the columns that measure_sql asks for, of those that are there.';
revoke all on function rowcast.measured_rows(text, text[], boolean[], oid[]) from public;
grant execute on function rowcast.measured_rows(text, text[], boolean[], oid[]) to rowcast_analyst;

create or replace function rowcast.check_expectations(scorer text, reference text default null)
returns table (name text, kind text, column_name text, action text, passed boolean,
               observed double precision, rows bigint, failed bigint, reason text)
-- No search_path of its own: the reference may be the caller's query. It runs with his rights.
language plpgsql set extra_float_digits = 1 as $$
#variable_conflict use_variable
declare
    own record;
    plan record;
    rows_from text;
    types pg_catalog.oid[];
    pieces text[] := '{}';
    places int[] := '{}';
    measured text[];
    one pg_catalog.float8[];
    has_columns boolean := false;
    unfit text;
begin
    select * into strict own from rowcast.profile_source(scorer);
    own.source := coalesce(own.source, rowcast.rows_from(own.query));
    if reference is null and own.source is null then
        raise exception using errcode = 'RC301',
            message = pg_catalog.format('the rows of scorer "%s" cannot be read from here', scorer),
            hint = 'Its source was dropped, or it has a feature query, which only its author runs so. Give the '
                   'rows: reference => ''select ...''.';
    end if;
    rows_from := case when reference is null then own.source else rowcast.rows_from(reference) end
                 || ' as t';
    select pg_catalog.array_agg(c.type_id order by c.place) into types
    from rowcast.column_types(rows_from, own.inputs) with ordinality as c (column_name, type_id, place);
    unfit := rowcast.unfit_columns(scorer, types);

    for plan in select p.* from rowcast.expectation_plan(scorer) as p loop
        if plan.column_kind = 'input' and rowcast.can_measure(plan.is_text, types[plan.place]) then
            pieces := pg_catalog.array_append(pieces, rowcast.measure_sql(
                plan.kind, plan.place, plan.is_text, plan.minimum, plan.maximum, plan.allowed,
                plan.edges, plan.labels));
        end if;
        has_columns := has_columns or plan.kind = 'columns';
    end loop;
    execute pg_catalog.format(
        'select array[pg_catalog.count(*)::pg_catalog.text%s] from %s as r',
        (select pg_catalog.string_agg(', ' || p.piece, '' order by p.place)
         from pg_catalog.unnest(pieces) with ordinality as p (piece, place)),
        coalesce(rowcast.measured_rows(rows_from, own.inputs, own.input_texts, types), rows_from))
    into measured;

    rows := measured[1];
    measured := measured[2:];
    if not has_columns then
        -- Nobody has to ask for it: without its columns nothing can be scored.
        name := '(columns)';
        kind := 'columns';
        action := 'gate';
        passed := unfit is null;
        failed := case when passed then 0 else rows end;
        reason := unfit;
        return next;
    end if;
    for plan in select p.* from rowcast.expectation_plan(scorer) as p loop
        name := plan.name;
        kind := plan.kind;
        column_name := plan.column_name;
        action := plan.action;
        observed := null;
        failed := 0;
        if plan.kind = 'columns' then
            passed := unfit is null;
            failed := case when passed then 0 else rows end;
            reason := unfit;
        elsif plan.column_kind = 'output' then
            passed := null;
            reason := 'outputs are judged when rows are scored';
        elsif not rowcast.can_measure(plan.is_text, types[plan.place]) then
            passed := false;
            failed := rows;
            reason := pg_catalog.format(case when types[plan.place] is null then 'column "%s" is missing'
                                             else 'column "%s" is of a type that does not fit' end,
                                        plan.column_name);
        else
            one := measured[1]::pg_catalog.float8[];
            measured := measured[2:];
            select j.passed, j.observed, j.failed, j.reason into passed, observed, failed, reason
            from rowcast.judge(plan.kind, plan.column_name, plan.maximum, plan.tolerance,
                               plan.minimum_rows, plan.base_count, plan.base_missing, plan.base_mean,
                               plan.base_sd, plan.labels, plan.bins, one) as j;
        end if;
        return next;
    end loop;
end
$$;
comment on function rowcast.check_expectations(text, text) is
    'Judges rows by all expectations of a scorer, in one pass: those of a relation or query, or of its '
    'source. passed is null where it cannot be judged: too few rows, no baseline, an output. That the '
    'columns are there is always judged. Reads with the caller''s rights.';
revoke all on function rowcast.check_expectations(text, text) from public;
grant execute on function rowcast.check_expectations(text, text) to rowcast_analyst;

create or replace function rowcast.require_expectations(scorer text, reference text default null)
returns void
language plpgsql as $$
declare
    complaints text;
begin
    select pg_catalog.string_agg(pg_catalog.format('%s: %s', c.name, c.reason), '; ') into complaints
    from rowcast.check_expectations(scorer, reference) as c
    where c.action = 'gate' and not c.passed;
    if complaints is not null then
        raise exception using errcode = 'RC342',
            message = pg_catalog.format('rows do not meet the expectations of scorer "%s"', scorer),
            detail = complaints;
    end if;
end
$$;
comment on function rowcast.require_expectations(text, text) is
    'Raises RC342 where rows fail a gate of a scorer: a step before a job. See check_expectations.';
revoke all on function rowcast.require_expectations(text, text) from public;
grant execute on function rowcast.require_expectations(text, text) to rowcast_analyst;
