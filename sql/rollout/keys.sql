-- What tells the rows of a scorer's tables apart: the source's key, and what its feature query adds to it.

create or replace function rowcast.row_key(scorer_id int)
returns table (place int, name text, equals text)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select k.place::int, k.name, o.key_operators -> (k.place::int - 1) ->> '='
    from rowcast.scorer as s
    join rowcast.source as o on o.source_id = s.source_id
    cross join unnest(o.key_columns) with ordinality as k (name, place)
    where s.scorer_id = row_key.scorer_id
    union all
    select cardinality(o.key_columns) + r.place::int, r.name, rowcast.equality(r.type)
    from rowcast.scorer as s
    join rowcast.source as o on o.source_id = s.source_id
    cross join unnest(s.result_key, s.result_types) with ordinality as r (name, type, place)
    where s.scorer_id = row_key.scorer_id
    order by 1
$$;
comment on function rowcast.row_key(int) is
    'The key columns of a scorer''s predictions, with the operators that they are equal by.';
revoke all on function rowcast.row_key(int) from public;

create or replace function rowcast.row_audit(scorer_id int, code boolean) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
    select rowcast.audit_names(array(select k.name from rowcast.row_key(scorer_id) as k order by k.place),
                               code)
$$;
comment on function rowcast.row_audit(int, boolean) is
    'Names of the audit columns of a scorer''s predictions, or (code) of its failures.';
revoke all on function rowcast.row_audit(int, boolean) from public;
