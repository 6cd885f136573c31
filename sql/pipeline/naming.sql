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
--   (1919907687, schedule_id) a schedule's function runs, for its transaction

create or replace function rowcast.typed_name(type_id oid) returns text
-- Names that are kept must read the same in every session.
language sql stable set search_path = pg_catalog, pg_temp set quote_all_identifiers = off as $$
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

create or replace function rowcast.runs_code(type_id oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    with recursive part (type_id) as (
        select runs_code.type_id
        union
        select i.type_id
        from part as p
        join pg_type as t on t.oid = p.type_id
        cross join lateral (
            select t.typelem where t.typelem <> 0
            union all
            select r.rngsubtype from pg_range as r where t.oid in (r.rngtypid, r.rngmultitypid)
        ) as i (type_id)
    )
    -- Columns may be added to a composite type, whatever it has now.
    select exists (select from part as p join pg_type as t on t.oid = p.type_id where t.typtype in ('d', 'c'))
$$;
comment on function rowcast.runs_code(oid) is
    'Whether reading a value of a type runs, or could run, the check of a domain inside it: a function of '
    'somebody, with the rights of whoever reads.';
revoke all on function rowcast.runs_code(oid) from public;
grant execute on function rowcast.runs_code(oid) to rowcast_analyst;

create or replace function rowcast.key_json(alias text, columns text[], types text[]) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Who owns a type may have written a cast to JSON, which would run with our rights; what is no type of
    -- PostgreSQL's own is written by its output function.
    select format('jsonb_build_object(%s)', string_agg(format(
        case when t.typnamespace = 'pg_catalog'::regnamespace then '%L, %I.%1$I'
             else '%L, pg_catalog.concat(%I.%1$I)' end, k.name, alias), ', ' order by k.place))
    from unnest(columns, types) with ordinality as k (name, type, place)
    left join pg_type as t on t.oid = to_regtype(k.type)
$$;
comment on function rowcast.key_json(text, text[], text[]) is
    'An expression for columns of an alias as a JSON object.';
revoke all on function rowcast.key_json(text, text[], text[]) from public;

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

create or replace function rowcast.lent_to() returns name
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
-- By locks of the session that nobody can give up before its transaction is over: of a step (begin_step), of a
-- schedule's function (start_run), and of a role that lends its rights (act_for).
declare
    authors name[];
begin
    select array_agg(distinct coalesce(j.created_by, s.created_by, l.role_name, '')) into authors
    from pg_locks as k
    left join rowcast.chunk as c
      on k.classid = 1919907686 and (c.chunk_id % 2147483648)::int::oid = k.objid and c.kind = 'step'
     and c.state = 'running'
    left join rowcast.job as j on j.job_id = c.job_id
    left join rowcast.schedule as s on k.classid = 1919907687 and s.schedule_id = k.objid::bigint
    left join pg_roles as r on k.classid = 1919907690 and r.oid = k.objid
    left join rowcast.lender as l on l.role_name = r.rolname
    where k.locktype = 'advisory' and k.pid = pg_backend_pid() and k.objsubid = 2
      and k.classid in (1919907686, 1919907687, 1919907690);
    -- A lane reads and writes by functions of authors of queries, and of owners of tables.
    if authors is null and exists (
        select from rowcast.lane as l join rowcast.chunk as c on c.claimed_by = l.lane_id
        where l.backend_pid = pg_backend_pid() and c.state = 'running') then
        return '';
    end if;
    return case when cardinality(authors) > 1 then '' else authors[1] end;
end
$$;
comment on function rowcast.lent_to() is
    'Whose SQL the session runs, where it runs somebody else''s for him; empty where that is not known, null in a '
    'session of one''s own.';
revoke all on function rowcast.lent_to() from public;

create or replace function rowcast.caller() returns name
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    own name;
    author name;
begin
    -- In a security definer function current_user is the owner. The role setting is not touched by
    -- that, and nobody can set it to a role that he may not become. But ANALYZE, REINDEX and the like
    -- run the functions of an index as the table's owner, in the session of a superuser (autovacuum),
    -- whose name would then be answered here. Such operations are refused UNLISTEN.
    execute 'unlisten rowcast_none';
    own := case current_setting('role') when 'none' then session_user else current_setting('role')::name end;
    -- So do sessions that run what others wrote, with its author's rights: he must not be taken for them. A
    -- worker's may act for him. In anybody else's such a lock is no proof of more rights, only of less.
    author := rowcast.lent_to();
    if author is null or author = own then
        return own;
    elsif author = '' or not pg_has_role(own, 'rowcast_worker', 'member')
          or not exists (select from pg_roles as r where r.rolname = author) then
        raise exception using errcode = '42501',
            message = 'this cannot be done by SQL that somebody else''s session runs';
    end if;
    return author;
end
$$;
comment on function rowcast.caller() is
    'The role whose rights count, seen from inside a security definer function: in a worker''s session the '
    'author of the step that it runs. Raises 42501 inside what runs functions for somebody else: ANALYZE, a '
    'lane that reads or writes, rowcast.run_now of another''s schedule.';
revoke all on function rowcast.caller() from public;
