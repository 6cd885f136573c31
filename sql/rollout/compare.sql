-- Comparing two versions by what they made of the same rows.
--
-- Runs with the caller's rights: whoever may read both tables may compare them. Figures:
--
-- * Spearman's rank correlation is Pearson's of the ranks, ties having the mean of theirs.
-- * The population stability index sums (q - p) ln(q / p) over ten classes of the score that hold a tenth
--   of the base's rows each (fewer where many scores are equal), p and q being the shares of base and
--   other, at least 0.0001.

create or replace function rowcast.version_of(model_id int, which text) returns int
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(
        (select a.version from rowcast.alias as a
         where a.model_id = version_of.model_id and a.alias = which),
        (select v.version from rowcast.model_version as v
         where v.model_id = version_of.model_id and v.version::text = which))
$$;
comment on function rowcast.version_of(int, text) is
    'The version that an alias, else a number, means; null where it means none.';
revoke all on function rowcast.version_of(int, text) from public;

create or replace function rowcast.side_sql(
    own rowcast.scorer, shadow rowcast.scorer, which text, out rows_sql text, out version int,
    out outputs jsonb)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    audit constant text[] := rowcast.row_audit(own.scorer_id, false);
    keys constant text[] := array(select k.name from rowcast.row_key(own.scorer_id) as k order by k.place);
    side rowcast.scorer;
    model text;
begin
    if own.route is not null then
        if which = own.alias then
            side := own;
        elsif which = shadow.alias then
            side := shadow;
        end if;
    else
        select m.name into strict model from rowcast.model as m where m.model_id = own.model_id;
        version := case when which = shadow.alias then shadow.pinned_version end;
        version := coalesce(version, rowcast.version_of(own.model_id, which));
        if version is null then
            raise exception using errcode = 'RC101',
                message = format('model "%s" has no alias "%s"', model, which),
                hint = 'The view rowcast.aliases lists them. A number means a version.';
        end if;
        if version = coalesce(own.pinned_version, rowcast.version_of(own.model_id, own.alias)) then
            side := own;
        elsif version = coalesce(shadow.pinned_version,
                                 rowcast.version_of(own.model_id, shadow.alias)) then
            side := shadow;
        end if;
    end if;
    if side.scorer_id is not null then
        outputs := side.outputs;
        rows_sql := format('select s.* from predictions.%I as s', side.name)
            || case when version is null then '' else format(
                ' where s.%I = %L and s.%I = %s', audit[1], model, audit[2], version) end;
    elsif version is not null and exists (
        select from rowcast.history as h where h.scorer_id = own.scorer_id) then
        -- The last that it made of each row, whether it still stands or not.
        outputs := own.outputs;
        rows_sql := format(
            'select distinct on (%1$s) r.* from ('
            'select %2$s, ''infinity''::timestamptz as until from predictions.%3$I as s '
            'union all select %2$s, s.%4$I from predictions.%5$I as s) as r '
            'where r.%6$I = %7$L and r.%8$I = %9$s order by %1$s, r.until desc',
            (select string_agg(format('r.%I', k), ', ') from unnest(keys) as k),
            (select string_agg(format('s.%I', c), ', ')
             from unnest(keys || audit || array(
                 select o ->> 'column' from jsonb_array_elements(own.outputs) as o)) as c),
            own.name, (rowcast.history_columns(own.scorer_id)).ended, own.name || '_history',
            audit[1], model, audit[2], version);
    end if;
end
$$;
comment on function rowcast.side_sql(rowcast.scorer, rowcast.scorer, text) is
    'The query of the rows that a version scored: in the scorer''s table, its shadow''s, or its history.';
revoke all on function rowcast.side_sql(rowcast.scorer, rowcast.scorer, text) from public;

drop function if exists rowcast.comparison(text, text, text);
create function rowcast.comparison(
    scorer text, base text, other text,
    out base_sql text, out other_sql text, out base_version int, out other_version int,
    out key_columns text[], out key_operators jsonb, out key_json text, out columns jsonb)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    shadow rowcast.scorer;
    base_side record;
    other_side record;
begin
    if own.shadow_of is not null then
        raise exception using errcode = 'RC320',
            message = format('scorer "%s" is a shadow itself', scorer),
            hint = 'Name the scorer that it runs beside.';
    end if;
    select s.* into shadow from rowcast.scorer as s where s.shadow_of = own.scorer_id;
    select array_agg(k.name order by k.place),
           jsonb_agg(jsonb_build_object('=', k.equals) order by k.place)
    into key_columns, key_operators from rowcast.row_key(own.scorer_id) as k;
    key_json := rowcast.key_json('b', key_columns, (
        select o.key_types || own.result_types from rowcast.source as o where o.source_id = own.source_id));
    select * into base_side from rowcast.side_sql(own, shadow, base);
    select * into other_side from rowcast.side_sql(own, shadow, other);
    if base = other or base_side.version = other_side.version then
        raise exception using errcode = 'RC320',
            message = format('"%s" and "%s" are one version, %s', base, other, base_side.version);
    elsif base_side.rows_sql is null or other_side.rows_sql is null then
        raise exception using errcode = 'RC320',
            message = format('scorer "%s" has no rows of "%s"', scorer,
                             case when base_side.rows_sql is null then base else other end),
            hint = format('Have the rows scored by it first: select * from rowcast.start_shadow(%L, %s).', scorer, (
                select format(case when t.side ~ '^[0-9]+$' then 'version => %s' else '%L' end, t.side)
                from (select case when base_side.rows_sql is null then base else other end) as t (side)));
    end if;
    base_sql := base_side.rows_sql;
    other_sql := other_side.rows_sql;
    base_version := base_side.version;
    other_version := other_side.version;
    -- What both have, by the model's name for it, else by the rank.
    select coalesce(jsonb_agg(jsonb_build_object(
               'column', b.entry -> 'column', 'other_column', o.entry -> 'column',
               'is_score', b.entry ->> 'type' in ('real', 'double precision')
                           and o.entry ->> 'type' in ('real', 'double precision'))
               order by b.place), '[]')
    into columns
    from jsonb_array_elements(base_side.outputs) with ordinality as b (entry, place)
    join jsonb_array_elements(other_side.outputs) as o (entry)
      on (b.entry ->> 'output', b.entry ->> 'rank', b.entry ->> 'of')
         is not distinct from (o.entry ->> 'output', o.entry ->> 'rank', o.entry ->> 'of');
end
$$;
comment on function rowcast.comparison(text, text, text) is
    'How the rows of two versions are found and which columns they share.';
revoke all on function rowcast.comparison(text, text, text) from public;
grant execute on function rowcast.comparison(text, text, text) to rowcast_reader;

create or replace function rowcast.compare_scores(pairs_sql text)
returns table (measure text, value double precision)
language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
begin
    return query execute format($sql$
        with pair as materialized (
            select p.x, p.y, abs(p.y - p.x) as apart from (%s) as p
            where p.x > '-Infinity' and p.x < 'Infinity' and p.y > '-Infinity' and p.y < 'Infinity'
        ), apart as (
            select count(*) as n, avg(p.y - p.x) as mean, avg(p.apart) as mean_apart,
                   percentile_cont(array[0.5, 0.95]) within group (order by p.apart) as quantiles,
                   max(p.apart) as most
            from pair as p
        ), ranked as (
            select rank() over (order by p.x) + (count(*) over (partition by p.x) - 1) / 2.0 as x,
                   rank() over (order by p.y) + (count(*) over (partition by p.y) - 1) / 2.0 as y
            from pair as p
        ), edge as (
            select array_agg(distinct e.value order by e.value) as edges
            from unnest((select percentile_disc(array[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
                                within group (order by p.x) from pair as p)) as e (value)
        ), class as (
            select greatest(0.0001, (count(*) filter (where v.is_base))::float8 / max(a.n)) as p,
                   greatest(0.0001, (count(*) filter (where not v.is_base))::float8 / max(a.n)) as q
            from edge as e cross join apart as a cross join pair as r
            cross join lateral (values (true, width_bucket(r.x, e.edges)),
                                       (false, width_bucket(r.y, e.edges))) as v (is_base, class)
            group by v.class
        )
        select m.measure, m.value from apart as a cross join lateral (values
            (1, 'compared', a.n::float8), (2, 'mean difference', a.mean::float8),
            (3, 'mean absolute difference', a.mean_apart::float8),
            (4, 'median absolute difference', a.quantiles[1]),
            (5, 'p95 absolute difference', a.quantiles[2]), (6, 'largest difference', a.most),
            (7, 'rank correlation', (select corr(r.x, r.y) from ranked as r)),
            (8, 'stability index', (select sum((c.q - c.p) * ln(c.q / c.p)) from class as c))
        ) as m (place, measure, value) order by m.place$sql$, pairs_sql);
end
$$;
comment on function rowcast.compare_scores(text) is
    'Compares columns x and y of a query, pair by pair, where both are finite.';
revoke all on function rowcast.compare_scores(text) from public;
grant execute on function rowcast.compare_scores(text) to rowcast_reader;

create or replace function rowcast.compare(
    scorer text, base text default 'champion', other text default 'challenger', examples int default 5)
returns table (measure text, output text, value double precision, detail jsonb)
language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
declare
    plan record;
    joined text;
    part record;
    shown_name text;
    shown_other text;
    shown_is_score boolean := false;
begin
    select * into plan from rowcast.comparison(scorer, base, other);
    select string_agg(format('b.%I %s o.%1$I', k.name, plan.key_operators -> (k.place::int - 1) ->> '='),
                      ' and ' order by k.place)
    into joined from unnest(plan.key_columns) with ordinality as k (name, place);
    return query execute format(
        'select m.measure, null::text, m.value, m.detail from ('
        '    select count(*) filter (where b.%3$I is not null and o.%3$I is not null)::float8 as both, '
        '           count(*) filter (where o.%3$I is null)::float8 as base_only, '
        '           count(*) filter (where b.%3$I is null)::float8 as other_only '
        '    from (%1$s) as b full join (%2$s) as o on %4$s) as n '
        'cross join lateral (values '
        '    (''rows'', n.both, jsonb_build_object(''base'', $1, ''other'', $2)), '
        '    (''rows of base only'', n.base_only, null), (''rows of other only'', n.other_only, null)) '
        'as m (measure, value, detail)',
        plan.base_sql, plan.other_sql, plan.key_columns[1], joined)
        using plan.base_version, plan.other_version;

    joined := format('from (%s) as b join (%s) as o on %s', plan.base_sql, plan.other_sql, joined);
    for part in
        select c.place, c.entry ->> 'column' as name, c.entry ->> 'other_column' as other_name,
               (c.entry -> 'is_score')::bool as is_score
        from jsonb_array_elements(plan.columns) with ordinality as c (entry, place) order by c.place
    loop
        if part.is_score then
            return query select s.measure, part.name, s.value, null::jsonb
            from rowcast.compare_scores(format('select b.%I::float8 as x, o.%I::float8 as y %s',
                                               part.name, part.other_name, joined)) as s;
        else
            return query execute format(
                'with pair as materialized (select b.%I::text as x, o.%I::text as y %s), changed as ('
                '    select p.x, p.y, count(*) as n from pair as p where p.x is distinct from p.y '
                '    group by p.x, p.y) '
                'select ''labels changed'', $1, coalesce((select sum(c.n) from changed as c), 0)::float8 '
                '       / nullif((select count(*) from pair), 0), '
                '       jsonb_build_object(''rows'', coalesce((select sum(c.n) from changed as c), 0)) '
                'union all (select ''label change'', $1, c.n::float8, '
                '                  jsonb_build_object(''base'', c.x, ''other'', c.y) '
                '           from changed as c order by c.n desc, c.x, c.y limit 20)',
                part.name, part.other_name, joined) using part.name;
        end if;
        -- Examples of the first score; of the first label where there is none.
        if shown_name is null or part.is_score and not shown_is_score then
            shown_name := part.name;
            shown_other := part.other_name;
            shown_is_score := part.is_score;
        end if;
    end loop;

    if shown_name is not null then
        return query execute format(
            'select ''example'', $1, %1$s, jsonb_build_object(''key'', %2$s, '
            '    ''base'', b.%3$I, ''other'', o.%4$I) %5$s where b.%3$I is distinct from o.%4$I '
            'order by 3 desc nulls last, %6$s limit %7$s',
            case when shown_is_score then format('abs(o.%I::float8 - b.%I::float8)', shown_other,
                                                 shown_name) else 'null::float8' end,
            plan.key_json, shown_name, shown_other, joined,
            (select string_agg(format('b.%I', k), ', ') from unnest(plan.key_columns) as k), examples)
            using shown_name;
    end if;
end
$$;
comment on function rowcast.compare(text, text, text, int) is
    'Compares what two versions (aliases, or numbers) made of the rows of a scorer that both have scored, '
    'one of them as its shadow, or formerly where a history is kept: for each score the differences, other minus base, Spearman''s rank '
    'correlation and the population stability index; for each label the share of rows that it changed '
    'in, and from what to what; and the rows that are furthest apart. Cost: several sorts of all rows.';
revoke all on function rowcast.compare(text, text, text, int) from public;
grant execute on function rowcast.compare(text, text, text, int) to rowcast_reader;
