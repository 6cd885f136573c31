-- The destination of a job: its columns, the table, the function that writes it as the job's author.

create or replace function rowcast.job_column_list(own rowcast.model_job)
returns table (place bigint, name text, type text, read text, argument text, note text)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select row_number() over (order by c.part, c.place), c.name, c.type, c.read, c.argument, c.note
    from (
        select 1 as part, k.place, k.value ->> 'column' as name, k.value ->> 'type' as type,
               k.value ->> 'read' as read, 'kept_' || k.place as argument, null as note
        from jsonb_array_elements(own.kept) with ordinality as k (value, place)
        union all
        select 2, o.place, o.value ->> 'column', o.value ->> 'type',
               rowcast.written_type(o.value ->> 'type'), 'output_' || o.place, case o.value ->> 'of'
                   when 'class' then format('The class of rank %s.', o.value ->> 'rank')
                   when 'probability' then format('Probability of the class of rank %s.',
                                                  o.value ->> 'rank')
                   else format('Output "%s" of the model.', o.value ->> 'output') end
        from jsonb_array_elements(own.outputs) with ordinality as o (value, place)
        union all
        select 3, a.place, a.name, t.type, t.type, t.argument, t.note
        from unnest(own.audit_columns) with ordinality as a (name, place)
        join (values (1, 'text', 'model_name', 'Model that made the prediction.'),
                     (2, 'integer', 'model_version', 'Its version.'),
                     (3, 'bigint', 'job', 'The job, as rowcast.job_progress numbers it.'),
                     (4, 'timestamp with time zone', 'scored_at', 'When the prediction was written.'))
            as t (place, type, argument, note) on t.place = a.place
        where a.name <> ''
    ) as c
$$;
comment on function rowcast.job_column_list(rowcast.model_job) is
    'The columns that a job writes, in order: passed through, outputs, audit; read is the type as which lanes give '
    'values, text for vectors.';
revoke all on function rowcast.job_column_list(rowcast.model_job) from public;

create or replace function rowcast.output_cast(argument text, type text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select case when argument like 'output\_%' then rowcast.written_cast(type) else '' end
$$;
comment on function rowcast.output_cast(text, text) is
    'What makes a column''s value of what a lane gives for an argument of a job''s write function.';
revoke all on function rowcast.output_cast(text, text) from public;

create or replace function rowcast.job_columns(own rowcast.model_job) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select string_agg(quote_ident(c.name), ', ' order by c.place) from rowcast.job_column_list(own) as c
$$;
comment on function rowcast.job_columns(rowcast.model_job) is 'The names of job_column_list, quoted.';
revoke all on function rowcast.job_columns(rowcast.model_job) from public;

drop function if exists rowcast.destination_ddl(text, rowcast.model_job);
create or replace function rowcast.destination_ddl(
    target text, own rowcast.model_job, is_copied boolean default false) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select format('create table %s (%s%s)', target,
                  string_agg(format('%I %s', c.name, case when is_copied and rowcast.output_cast(c.argument, c.type) <> ''
                                                          then c.read else c.type end), ', ' order by c.place),
                  case when own.mode = 'upsert' then format(', primary key (%s)', (
                      select string_agg(quote_ident(k.name), ', ' order by k.place)
                      from unnest(own.key_columns) with ordinality as k (name, place))) else '' end)
           || format('; comment on table %s is %L', target, format('Written by job %s of Rowcast.', own.job_id))
           || string_agg(format('; comment on column %s.%I is %L', target, c.name, c.note), ''
                         order by c.place) filter (where c.note is not null)
    from rowcast.job_column_list(own) as c
$$;
comment on function rowcast.destination_ddl(text, rowcast.model_job, boolean) is
    'The statements that create a table for what a job writes; is_copied: with the types that lanes copy.';
revoke all on function rowcast.destination_ddl(text, rowcast.model_job, boolean) from public;

create or replace function rowcast.fit_destination(target regclass, own rowcast.model_job) returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    wanted record;
    found_type oid;
    audit text[] := '{}';
    name text;
    given oid;
begin
    if not exists (select from pg_class as c where c.oid = target and c.relkind in ('r', 'p', 'v')
                   and c.relnamespace not in ('pg_catalog'::regnamespace, 'rowcast'::regnamespace,
                                              'rowcast_run'::regnamespace)) then
        raise exception using errcode = 'RC311',
            message = format('destination "%s" is not a table that a job may write', target);
    elsif own.mode = 'upsert' and not exists (
        select from pg_index as i
        where i.indrelid = target and i.indisunique and i.indisvalid and i.indpred is null
          and i.indexprs is null and i.indnkeyatts = cardinality(own.key_columns)
          and (select array_agg(a.attname::text order by a.attname::text)
               from unnest(i.indkey) with ordinality as c (attnum, place)
               join pg_attribute as a on a.attrelid = target and a.attnum = c.attnum
               where c.place <= i.indnkeyatts)
              = (select array_agg(k.name order by k.name) from unnest(own.key_columns) as k (name))) then
        raise exception using errcode = 'RC302',
            message = format('key (%s) is not unique in destination "%s"',
                             array_to_string(own.key_columns, ', '), target),
            hint = 'It needs a unique index over exactly these columns, without expression or condition.';
    end if;
    foreach name in array own.audit_columns loop
        audit := audit || case when exists (
            select from pg_attribute as a where a.attrelid = target and a.attname = name
            and a.attnum > 0 and not a.attisdropped) then name else '' end;
    end loop;
    own.audit_columns := audit;
    for wanted in select c.* from rowcast.job_column_list(own) as c loop
        select a.atttypid into found_type from pg_attribute as a
        where a.attrelid = target and a.attname = wanted.name and a.attnum > 0 and not a.attisdropped;
        if not found then
            raise exception using errcode = 'RC311',
                message = format('destination "%s" has no column "%s"', target, wanted.name),
                hint = format('alter table %s add column %I %s; or keep => array[...] other columns.',
                              target, wanted.name, wanted.type);
        end if;
        -- A vector is made of its text before it is assigned.
        given := to_regtype(case when rowcast.output_cast(wanted.argument, wanted.type) <> '' then wanted.type
                                 else wanted.read end);
        if found_type <> given and not exists (
            select from pg_cast as c where c.castsource = given
            and c.casttarget = rowcast.base_type(found_type) and c.castcontext in ('i', 'a'))
            and rowcast.base_type(found_type) <> given
            and not exists (select from pg_type as t where t.oid = rowcast.base_type(found_type)
                            and t.typcategory = 'S') then
            raise exception using errcode = 'RC311',
                message = format('column "%s" of destination "%s" is %s, the job writes %s', wanted.name,
                                 target, format_type(found_type, null), format_type(given, null));
        end if;
    end loop;
    return audit;
end
$$;
comment on function rowcast.fit_destination(regclass, rowcast.model_job) is
    'Checks that a table that exists takes what a job writes. Returns the audit columns, empty text for '
    'those that the table does not have.';
revoke all on function rowcast.fit_destination(regclass, rowcast.model_job) from public;

create or replace function rowcast.job_arguments(own rowcast.model_job) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select string_agg(c.argument || ' ' || c.read || '[]', ', ' order by c.place)
               filter (where c.argument ~ '^(kept|output)_\d+$')
           || ', model_name text, model_version integer, job bigint, scored_at timestamptz'
           || case own.mode when 'segments' then ', places integer[]' else '' end || ', checked boolean'
    from rowcast.job_column_list(own) as c
$$;
comment on function rowcast.job_arguments(rowcast.model_job) is 'The arguments of a job''s write function.';
revoke all on function rowcast.job_arguments(rowcast.model_job) from public;

create or replace function rowcast.job_write_body(target text, own rowcast.model_job) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    own_name constant text := format('job_%s_write', own.job_id);
    names text;
    given text;
    fields text;
    taken text;
    key_list constant text := (select string_agg(quote_ident(k.name), ', ' order by k.place)
                               from unnest(own.key_columns) with ordinality as k (name, place));
    key_fields constant text := (
        select string_agg(c.value, ', ' order by k.place)
        from unnest(own.key_columns) with ordinality as k (name, place)
        join lateral (select 'r.kept_' || e.place as value
                      from jsonb_array_elements(own.kept) with ordinality as e (value, place)
                      where e.value ->> 'column' = k.name) as c on true);
begin
    select string_agg(quote_ident(c.name), ', ' order by c.place),
           string_agg(own_name || '.' || c.argument, ', ' order by c.place)
               filter (where c.argument ~ '^(kept|output)_\d+$'),
           string_agg(c.argument, ', ' order by c.place)
               filter (where c.argument ~ '^(kept|output)_\d+$'),
           string_agg(case when c.argument ~ '^(kept|output)_\d+$' then 'r.' else own_name || '.' end
                      || c.argument || rowcast.output_cast(c.argument, c.type), ', ' order by c.place)
    into names, given, fields, taken
    from rowcast.job_column_list(own) as c;
    return format(E'#variable_conflict use_column\nbegin insert into %s (%s) select %s%s from unnest(%s) '
                  'as r (%s)%s; end', target, names,
                  case when own.mode = 'upsert' then format('distinct on (%s) ', key_fields) else '' end,
                  taken, given, fields,
                  case when own.mode = 'upsert' then format(
                      ' order by %s on conflict (%s) do %s', key_fields, key_list, coalesce((
                          select 'update set ' || string_agg(format('%I = excluded.%1$I', c.name), ', ')
                          from rowcast.job_column_list(own) as c
                          where c.name <> all (own.key_columns)), 'nothing')) else '' end);
end
$$;
comment on function rowcast.job_write_body(text, rowcast.model_job) is
    'The body of the function that writes a chunk''s rows into a destination, as the job''s author.';
revoke all on function rowcast.job_write_body(text, rowcast.model_job) from public;

create or replace function rowcast.make_collected(
    number bigint, author name, relation regclass, query text, names text[]) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- The table is of rowcast_admin, so that its author cannot put anything else in its place, which workers
-- would then read.
declare
    columns text;
    name_list text;
begin
    select string_agg(format('%I %s', n.name, rowcast.column_type(relation, n.name) ->> 'type'), ', '
                      order by n.place),
           string_agg(quote_ident(n.name), ', ' order by n.place)
    into columns, name_list
    from (select u.name, min(u.place) as place from unnest(names) with ordinality as u (name, place)
          group by u.name) as n;
    execute format('create table rowcast_run.job_%s_in (%s)', number, columns);
    execute format('alter table rowcast_run.job_%s_in set (autovacuum_enabled = false)', number);
    execute format('grant insert on rowcast_run.job_%s_in to %I', number, author);
    execute format('grant select on rowcast_run.job_%s_in to rowcast_worker', number);
    return format(E'declare rows bigint; begin insert into rowcast_run.job_%s_in (%s) select %s from (%s\n) '
                  'as q; get diagnostics rows = row_count; return rows; end', number, name_list,
                  (select string_agg(format('q.%I', n.name), ', ' order by n.place)
                   from (select u.name, min(u.place) as place
                         from unnest(names) with ordinality as u (name, place) group by u.name) as n),
                  query);
end
$$;
comment on function rowcast.make_collected(bigint, name, regclass, text, text[]) is
    'Creates the table that a query''s rows are collected in, and returns the body of the function that '
    'collects them.';
revoke all on function rowcast.make_collected(bigint, name, regclass, text, text[]) from public;

create or replace function rowcast.is_plain(target regclass, own rowcast.model_job) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Nothing in it runs code when a row is inserted: no trigger, rule, policy, check, expression, default
    -- or domain.
    select c.relkind = 'r' and not c.relispartition and not c.relrowsecurity and not c.relhasrules
       and not exists (select from pg_trigger as t where t.tgrelid = c.oid)
       and not exists (select from pg_constraint as k where k.conrelid = c.oid and k.contype in ('c', 'x'))
       and not exists (select from pg_index as i where i.indrelid = c.oid
                       and (i.indexprs is not null or i.indpred is not null))
       and not exists (
           select from pg_attribute as a
           join pg_type as t on t.oid = a.atttypid
           left join pg_type as e on e.oid = t.typelem and t.typelem <> 0
           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
             and (a.attgenerated <> '' or a.atthasdef or a.attidentity <> ''
                  or t.typtype not in ('b', 'e') or e.typtype not in ('b', 'e')))
       and not exists (
           select from rowcast.job_column_list(own) as l
           left join pg_attribute as a on a.attrelid = c.oid and a.attname = l.name
               and a.attnum > 0 and not a.attisdropped
           where a.atttypid is distinct from to_regtype(l.read))
    from pg_class as c where c.oid = target
$$;
comment on function rowcast.is_plain(regclass, rowcast.model_job) is
    'Whether a worker may COPY into a table: nothing in it can run code, and its types are those that the '
    'job writes.';
revoke all on function rowcast.is_plain(regclass, rowcast.model_job) from public;
