-- Small pure functions that the generators share.
--
-- Advisory locks of Rowcast, all in the form (int4, int4); this is the one place that lists them:
--   (1919907683, 1)          doorbell: writers shared to commit, the sleeping dispatcher exclusive
--   (1919907683, 2)          election of the dispatcher, for its session
--   (1919907683, 3)          migrator
--   (1919907683, 4)          order of ticks: whoever adds a tick or rotates the log, to commit
--   (1919907683, 5)          new chunks: shared by whoever inserts, exclusive to raise the floor
--   (1919907683, 6)          background audits: one step at a time, to commit
--   (1919907684, lane_id)    a lane is alive, for its session
--   (1919907685, scorer_id)  writes of a scorer: shared by plain upserts, exclusive for the rest
--   (1919907686, chunk_id)   a step of a job runs, for its transaction

create or replace function rowcast.typed_name(type_id oid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- With typmod -1 and not null: "character" would mean one character, "bpchar" means any.
    select format_type(type_id, -1)
$$;
comment on function rowcast.typed_name(oid) is
    'A type''s name without length, with its schema unless it is PostgreSQL''s own.';
revoke all on function rowcast.typed_name(oid) from public;
grant execute on function rowcast.typed_name(oid) to rowcast_analyst;

create or replace function rowcast.base_type(type_id oid) returns oid
language sql stable set search_path = pg_catalog, pg_temp as $$
    with recursive step (type_id, typtype, base) as (
        select t.oid, t.typtype, t.typbasetype from pg_type as t where t.oid = base_type.type_id
        union all
        select t.oid, t.typtype, t.typbasetype
        from step join pg_type as t on t.oid = step.base
        where step.typtype = 'd'
    ) select s.type_id from step as s where s.typtype <> 'd'
$$;
comment on function rowcast.base_type(oid) is 'The type below a domain, or the type itself.';
revoke all on function rowcast.base_type(oid) from public;
grant execute on function rowcast.base_type(oid) to rowcast_analyst;

create or replace function rowcast.fit_name(wanted text, taken text[]) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    fit text := wanted;
    suffix text := '';
    number int := 1;
begin
    loop
        -- Cut whole characters, never inside one.
        fit := wanted;
        while octet_length(fit) + octet_length(suffix) > 63 loop
            fit := left(fit, -1);
        end loop;
        fit := fit || suffix;
        exit when coalesce(not fit = any (taken), true);
        suffix := case number when 1 then '_output' else '_output_' || number end;
        number := number + 1;
    end loop;
    return fit;
end
$$;
comment on function rowcast.fit_name(text, text[]) is
    'A column name that is not taken and has at most 63 bytes: as wanted, or with suffix _output.';
revoke all on function rowcast.fit_name(text, text[]) from public;

create or replace function rowcast.audit_names(key_columns text[], code boolean)
returns text[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    names text[] := '{}';
    wanted text;
begin
    foreach wanted in array case when code
        then array['code', 'reason', 'model_name', 'model_version', 'tick', 'failed_at']
        else array['model_name', 'model_version', 'tick', 'scored_at'] end
    loop
        names := names || rowcast.fit_name(wanted, key_columns || names);
    end loop;
    return names;
end
$$;
comment on function rowcast.audit_names(text[], boolean) is
    'Names of the audit columns of a prediction, or (code) of a failure: their own, with suffix '
    '_output where a key column has that name.';
revoke all on function rowcast.audit_names(text[], boolean) from public;

create or replace function rowcast.caller() returns name
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    -- In a security definer function current_user is the owner. The role setting is not touched by
    -- that, and nobody can set it to a role that he may not become. But ANALYZE, REINDEX and the like
    -- run the functions of an index as the table's owner, in the session of a superuser (autovacuum),
    -- whose name would then be answered here. Such operations are refused UNLISTEN.
    execute 'unlisten rowcast_none';
    return case current_setting('role') when 'none' then session_user
                else current_setting('role')::name end;
end
$$;
comment on function rowcast.caller() is
    'The role whose rights count, seen from inside a security definer function. Raises 42501 inside '
    'an operation that runs functions for somebody else, such as ANALYZE.';
revoke all on function rowcast.caller() from public;
