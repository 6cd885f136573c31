-- Jobs with a model, a source and a destination of their own.
--
-- submit_job only reads the catalog: it takes the same few milliseconds whatever the size. It runs with
-- the caller's rights, which create the destination and the functions of the job (run_functions.sql);
-- add_model_job and start_model_job, which write the machinery's tables, check all rights on their own.
--
-- Destination. A table that is named and does not exist is created by the caller, and is his. Without a
-- name it is predictions.job_<id>, of rowcast_admin, which the caller may read; drop_job removes it.
-- Workers COPY into a table only where nothing in it could run code (is_plain) and its author may insert;
-- else, and always for upserts, rows go through a function of the author, with his rights.

create or replace function rowcast.draw_job() returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    number bigint;
begin
    loop
        number := nextval(pg_get_serial_sequence('rowcast.job', 'job_id'));
        -- Every analyst may create in rowcast_run: what somebody called like a job to come is passed by.
        exit when not exists (
            select from unnest(array['', '_before', '_collect', '_write', '_deliver']) as part
            join pg_proc as p on p.proname = 'job_' || number || part
            where p.pronamespace = 'rowcast_run'::regnamespace
        ) and not exists (
            select from unnest(array['', '_source', '_in', '_rows', '_segments']) as part
            join pg_class as c on c.relname = 'job_' || number || part
            where c.relnamespace in ('rowcast_run'::regnamespace, 'predictions'::regnamespace));
    end loop;
    return number;
end
$$;
comment on function rowcast.draw_job() is 'The number of a new job.';
revoke all on function rowcast.draw_job() from public;
grant execute on function rowcast.draw_job() to rowcast_analyst;

create or replace function rowcast.submit_job(
    model text, source text, destination text default null, mode text default 'create',
    keep text[] default null, key text[] default null, features jsonb default null,
    alias text default 'champion', version int default null, top_k int default null,
    before text default null, priority text default 'normal', max_concurrency int default null,
    error_threshold bigint default null, max_retries int default 3, format text default null,
    snapshot boolean default false)
returns bigint
-- No search_path of its own: unqualified names are looked up on the caller's.
language plpgsql as $$
declare
    job_id constant bigint := rowcast.draw_job();
    own_name constant text := 'job_' || job_id;
    proof pg_catalog.regprocedure;
    relation pg_catalog.regclass;
    target pg_catalog.regclass;
    target_name text[];
    query text;
    estimate json;
    plan jsonb;
begin
    if source is null or model is null then
        raise exception using errcode = 'RC312', message = 'a job needs a model and a source';
    end if;
    proof := rowcast.make_run_function(own_name, '', 'void', 'begin end');

    -- The source: a file, a query, or the name of a table or view.
    source := pg_catalog.btrim(source, E' \t\r\n;');
    if source operator(pg_catalog.~*) '^(select|with|values|table)\M' then
        query := source;
    elsif source operator(pg_catalog.!~) '^file:' then
        relation := pg_catalog.to_regclass(source);
        if relation is null then
            raise exception using errcode = 'RC301',
                message = pg_catalog.format('source "%s" does not exist', source),
                hint = 'Write a table or view as in SQL, a query that begins with select, or '
                       'file:<path> for a file.';
        elsif not pg_catalog.has_any_column_privilege(relation, 'select') then
            raise exception using errcode = '42501',
                message = pg_catalog.format('permission denied for source "%s"', source);
        elsif snapshot or not rowcast.is_read_directly(relation) then
            query := pg_catalog.format('select * from %s', relation);
        end if;
    end if;
    if query is not null then
        -- A view tells the columns, and makes sure that it is one query and no more.
        begin
            execute pg_catalog.format(E'create view rowcast_run.%I as (%s\n)', own_name || '_source', query);
        exception when invalid_table_definition or syntax_error then
            raise exception using errcode = 'RC301',
                message = pg_catalog.format('the source is not a query: %s', sqlerrm);
        end;
        relation := pg_catalog.format('rowcast_run.%I', own_name || '_source')::pg_catalog.regclass;
        execute pg_catalog.format('explain (format json) select from %s', relation) into estimate;
    end if;

    -- The destination: a file, or a table that is there or not.
    if destination operator(pg_catalog.!~) '^file:' then
        target := pg_catalog.to_regclass(destination);
        if target is null then
            target_name := pg_catalog.parse_ident(destination);
            if pg_catalog.cardinality(target_name) = 1 then
                target_name := pg_catalog.array_prepend(pg_catalog.current_schema()::text, target_name);
            end if;
        end if;
    end if;

    plan := rowcast.add_model_job(proof, pg_catalog.jsonb_build_object(
        'job_id', job_id, 'model', model, 'source', source, 'query', query,
        'relation', relation::pg_catalog.oid::pg_catalog.int8, 'destination', destination,
        'target', target::pg_catalog.oid::pg_catalog.int8, 'target_name', target_name, 'mode', mode,
        'keep', keep, 'key', key, 'features', features, 'alias', alias, 'version', version,
        'top_k', top_k, 'before', before is not null, 'priority', priority,
        'max_concurrency', max_concurrency, 'error_threshold', error_threshold,
        'max_retries', max_retries, 'format', format,
        'estimate', estimate -> 0 -> 'Plan' -> 'Plan Rows'));
    if plan ? 'create_table' then
        execute plan ->> 'create_table';
    end if;
    if plan ? 'table' then
        perform rowcast.open_destination((plan ->> 'table')::pg_catalog.regclass);
    end if;
    if before is not null then
        perform rowcast.make_run_function(own_name || '_before', 'checked boolean', 'bigint', pg_catalog.format(
            'begin execute %L; return 0; end', before));
    end if;
    if plan ? 'collect' then
        perform rowcast.make_run_function(own_name || '_collect', 'checked boolean', 'bigint', plan ->> 'collect');
    end if;
    if plan ? 'write' then
        perform rowcast.make_run_function(own_name || '_write', plan ->> 'arguments', 'void',
                                          plan ->> 'write');
    end if;
    if plan ? 'deliver' then
        perform rowcast.make_run_function(own_name || '_deliver', 'checked boolean', 'bigint', plan ->> 'deliver');
    end if;
    perform rowcast.start_model_job(proof, job_id);
    return job_id;
end
$$;
comment on function rowcast.submit_job(
    text, text, text, text, text[], text[], jsonb, text, int, int, text, text, int, bigint, int, text,
    boolean) is
    'Has the rows of a table, view, query or file scored with a model, once, into a table or file, and '
    'returns the job at once: rowcast.job_progress tells how far it is. Errors: RC1nn the model; RC301 the '
    'source, RC302 the key, RC303 columns that do not fit, RC311 the destination, RC312 other arguments.';
revoke all on function rowcast.submit_job(
    text, text, text, text, text[], text[], jsonb, text, int, int, text, text, int, bigint, int, text,
    boolean) from public;
grant execute on function rowcast.submit_job(
    text, text, text, text, text[], text[], jsonb, text, int, int, text, text, int, bigint, int, text,
    boolean) to rowcast_analyst;

create or replace function rowcast.heirs(parent regclass) returns table (relation regclass)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    if exists (select from pg_inherits as i where i.inhparent = parent) then
        return query
        with recursive part (relation) as (
            select i.inhrelid::regclass from pg_inherits as i where i.inhparent = parent
            union
            select i.inhrelid::regclass from part as p join pg_inherits as i on i.inhparent = p.relation
        ) select p.relation from part as p;
    end if;
end
$$;
comment on function rowcast.heirs(regclass) is 'Partitions and inheriting tables of a table, at every level.';
revoke all on function rowcast.heirs(regclass) from public;
grant execute on function rowcast.heirs(regclass) to rowcast_analyst;

create or replace function rowcast.is_read_directly(relation regclass) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- With the caller's rights, since it grants what he may grant.
declare
    own record;
    leaf regclass;
begin
    select c.relkind, c.relrowsecurity, c.relpersistence into own from pg_class as c
    where c.oid = relation;
    if own.relkind not in ('r', 'p', 'm') or own.relrowsecurity or own.relpersistence = 't' then
        return false;
    elsif own.relkind = 'p' and exists (select from pg_partition_tree(relation) as t join pg_class as c on c.oid = t.relid
                  where c.relkind not in ('r', 'p')) then
        return false;
    end if;
    -- Pages are those of partitions, and of tables that inherit. Granting what one may not grant would be a
    -- warning to the caller, who did not ask for it.
    for leaf in
        select relation
        union all
        select i.relation from rowcast.heirs(relation) as i
    loop
        if exists (
            select from pg_class as c where c.oid = leaf and (
                not has_schema_privilege('rowcast_worker', c.relnamespace, 'usage')
                and not has_schema_privilege(c.relnamespace, 'usage with grant option')
                or not has_table_privilege('rowcast_worker', leaf, 'select')
                and not has_table_privilege(leaf, 'select with grant option'))) then
            return false;
        end if;
        perform rowcast.open_source(leaf);
    end loop;
    return true;
end
$$;
comment on function rowcast.is_read_directly(regclass) is
    'Whether workers may read a table by its pages. Otherwise its rows are collected first, with the '
    'rights of the job''s author.';
revoke all on function rowcast.is_read_directly(regclass) from public;
grant execute on function rowcast.is_read_directly(regclass) to rowcast_analyst;

create or replace function rowcast.open_destination(relation regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- With the caller's rights. Where he may not grant, rows go through his function, and take longer.
declare
    namespace constant oid := (select c.relnamespace from pg_class as c where c.oid = relation);
begin
    if not has_schema_privilege('rowcast_worker', namespace, 'usage') then
        if not has_schema_privilege(namespace, 'usage with grant option') then
            return;
        end if;
        execute format('grant usage on schema %s to rowcast_worker', namespace::regnamespace);
    end if;
    execute format('grant insert on table %s to rowcast_worker', relation);
end
$$;
comment on function rowcast.open_destination(regclass) is
    'Lets workers insert into a table that a job created, where the caller may grant that.';
revoke all on function rowcast.open_destination(regclass) from public;
grant execute on function rowcast.open_destination(regclass) to rowcast_analyst;

create or replace function rowcast.submit_job(job jsonb) returns bigint
language plpgsql as $$
declare
    stranger text;
begin
    select k into stranger from pg_catalog.jsonb_object_keys(job) as k
    where k operator(pg_catalog.<>) all (array[
        'model', 'source', 'destination', 'mode', 'keep', 'key', 'features', 'alias', 'version', 'top_k',
        'before', 'priority', 'max_concurrency', 'error_threshold', 'max_retries', 'format', 'snapshot'])
    limit 1;
    if found then
        raise exception using errcode = 'RC312',
            message = pg_catalog.format('submit_job has no argument "%s"', stranger);
    end if;
    return rowcast.submit_job(
        model => job ->> 'model', source => job ->> 'source', destination => job ->> 'destination',
        mode => coalesce(job ->> 'mode', 'create'),
        keep => case when pg_catalog.jsonb_typeof(job -> 'keep') = 'array' then
            array(select pg_catalog.jsonb_array_elements_text(job -> 'keep')) end,
        key => case when pg_catalog.jsonb_typeof(job -> 'key') = 'array' then
            array(select pg_catalog.jsonb_array_elements_text(job -> 'key')) end,
        features => job -> 'features', alias => coalesce(job ->> 'alias', 'champion'),
        version => (job ->> 'version')::int, top_k => (job ->> 'top_k')::int, before => job ->> 'before',
        priority => coalesce(job ->> 'priority', 'normal'),
        max_concurrency => (job ->> 'max_concurrency')::int,
        error_threshold => (job ->> 'error_threshold')::bigint,
        max_retries => coalesce((job ->> 'max_retries')::int, 3), format => job ->> 'format',
        snapshot => coalesce((job ->> 'snapshot')::boolean, false));
end
$$;
comment on function rowcast.submit_job(jsonb) is
    'submit_job with its arguments as an object, as schedules keep them.';
revoke all on function rowcast.submit_job(jsonb) from public;
grant execute on function rowcast.submit_job(jsonb) to rowcast_analyst;
