-- The findings of a range of keys, without those that work waits for: see compare.sql.

create or replace function rowcast.audit_candidates(
    sco rowcast.scorer, src rowcast.source, lower_key text, upper_key text,
    out row_count bigint, out scored bigint, out failed bigint, out suspects bigint)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    execute format(
        'select count(t.age), count(p.age) filter (where t.age is not null and f.age is null), '
        'count(f.age) filter (where t.age is not null), '
        'count(*) filter (where t.age is null or p.age is null and f.age is null '
        ' or %s t.age < greatest(p.age, f.age)) from %s',
        -- A set may have both, results and failures.
        case when sco.result_key is null then 'p.age is not null and f.age is not null or' else '' end,
        rowcast.audit_pairs(sco, src, rowcast.audit_range(src, lower_key is not null, upper_key is not null),
                            false))
    into row_count, scored, failed, suspects using lower_key, upper_key;
end
$$;
comment on function rowcast.audit_candidates(rowcast.scorer, rowcast.source, text, text) is
    'Counts a range: the way of audits that find nothing. Suspects may be rows on their way.';
revoke all on function rowcast.audit_candidates(rowcast.scorer, rowcast.source, text, text) from public;

create or replace function rowcast.audit_findings(
    sco rowcast.scorer, src rowcast.source, lower_key text, upper_key text)
returns table (kind text, key_count int, keys text, outcomes text[])
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    cursor_snapshot txid_snapshot;
    one_key text;
    open_range text;
    ahead text;
begin
    lock table rowcast.change_0, rowcast.change_1 in access share mode;
    select t.snapshot::text::txid_snapshot into strict cursor_snapshot
    from rowcast.tick as t where t.snapshot is not null order by t.tick_id desc limit 1;

    -- Ranges of keys, over candidates that are called t and have the names of the columns.
    one_key := case when src.composite then format('row(%s)::rowcast.key_%s', (
                        select string_agg('c.key_' || k, ', ' order by k)
                        from generate_series(1, cardinality(src.key_columns)) as k), src.source_id)
                    else 'c.key_1' end;
    open_range := rowcast.key_between(src, '>=', '<=', 'w.lower_key', 'w.upper_key');
    ahead := format('(j.next_key is null or %s) and (%s)',
        rowcast.key_between(src, '>', '', 'j.next_key', ''),
        rowcast.key_between(src, '', '<=', '', 'j.last_key'));

    return query execute format($sql$
        with candidate as materialized (
            select case when t.age is null then 'orphaned'
                        when p.age is null and f.age is null then 'missing' else 'stale' end as kind,
                   %1$s, concat(p.outcome, f.outcome) as outcome
            from %2$s
            where t.age is null or p.age is null and f.age is null
               or %10$s t.age < greatest(p.age, f.age)
        ), past as materialized (
            select c.op, c.keys from rowcast.changes_between($3, txid_current_snapshot()) as c
            where c.source_id = %3$s
        ), work as materialized (
            -- As this snapshot has them, not from the floor on: that may be raised beyond a chunk whose
            -- predictions are not seen yet.
            select c.kind, c.keys, c.lower_key, c.upper_key from rowcast.chunk as c
            where c.scorer_id = %4$s and c.state in ('available', 'running')
        ), waiting (key) as materialized (
            -- In the list, where a key of several columns stays one value.
            select unnest(c.keys::%5$s[]) from past as c where c.op = 'K'
            union
            select unnest(w.keys::%5$s[]) from work as w where w.kind = 'keys'
        ), found as (
            select c.kind, %6$s as key, c.outcome
            from candidate as c
            cross join lateral (select %7$s) as t
            where not exists (select from past as b where b.op = 'X')
              and (c.kind <> 'orphaned'
                   or not exists (select from past as b where b.op = 'T')
                      and not exists (select from work as w where w.kind = 'truncate'))
              and not exists (select from waiting as w where w.key = %6$s)
              and not exists (select from work as w where w.kind = 'range' and %8$s)
              and not exists (select from rowcast.job as j
                              where j.scorer_id = %4$s and j.state in ('running', 'paused')
                                and (not j.bounded or j.last_key is not null and %9$s))
        ), placed as (
            select f.kind, f.key, f.outcome,
                   (row_number() over (partition by f.kind order by f.key) - 1) / $4 as slice
            from found as f
        )
        select p.kind, count(*)::int, array_agg(p.key order by p.key)::text,
               case when p.kind = 'stale' then array_agg(p.outcome order by p.key) end
        from placed as p group by p.kind, p.slice$sql$,
        (select string_agg(format('coalesce(t.key_%s, p.key_%1$s, f.key_%1$s) as key_%1$s', k), ', '
                           order by k)
         from generate_series(1, cardinality(src.key_columns)) as k),
        rowcast.audit_pairs(sco, src, rowcast.audit_range(src, lower_key is not null,
                                                          upper_key is not null), true),
        src.source_id, sco.scorer_id, rowcast.key_cast(src), one_key,
        (select string_agg(format('c.key_%s as %I', k.place, k.name), ', ' order by k.place)
         from unnest(src.key_columns) with ordinality as k (name, place)),
        open_range, ahead,
        case when sco.result_key is null then 'p.age is not null and f.age is not null or' else '' end)
    using lower_key, upper_key, cursor_snapshot, sco.chunk_rows;
end
$$;
comment on function rowcast.audit_findings(rowcast.scorer, rowcast.source, text, text) is
    'Keys of a range that are missing, orphaned or stale and that no work waits for, cut in chunks. '
    'Holds the log of changes against truncation until the transaction ends.';
revoke all on function rowcast.audit_findings(rowcast.scorer, rowcast.source, text, text) from public;
