-- Rows that hold images: few at once, because a lane has all of a chunk's in memory.

create or replace function rowcast.rows_at_once(relation oid, features jsonb, wanted int) returns int
language sql stable set search_path = pg_catalog, pg_temp as $$
    select case when not features @> '[{"type": "bytes"}]' then wanted else greatest(1, least(wanted, coalesce((
        -- Rows that 16 MB of the table hold, large values and all. Where nobody counted its rows yet, few.
        select 16777216 * sum(c.reltuples) / nullif(sum(pg_table_size(c.oid)), 0)
        from pg_class as c
        where c.reltuples > 0 and c.relkind in ('r', 't')
          and (c.oid = relation or c.oid in (select t.relid from pg_partition_tree(relation) as t
                                             where t.isleaf))), 16)))::int end
$$;
comment on function rowcast.rows_at_once(oid, jsonb, int) is
    'How many rows a chunk may have: those wanted, or fewer where a feature is an image.';
revoke all on function rowcast.rows_at_once(oid, jsonb, int) from public;
