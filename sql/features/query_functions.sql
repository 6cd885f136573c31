-- Queries that people hand over: they run with the rights of whoever wrote them, never with ours.
--
-- A query becomes a security definer function in the schema rowcast_run. Its author creates it himself, in
-- a function of ours that runs as the caller, so he owns it; his search_path of that moment is pinned. Lanes
-- call it by its oid.
--
-- The author owns the function and may alter it: to another query, which is as well his and runs as him, but
-- also to SECURITY INVOKER, and then it would run as whoever calls it. So what is called is exactly the row
-- of pg_proc that was checked: `unaltered` compares the transaction that wrote it, in a snapshot of its own,
-- and stands in an argument of the call. The executor has looked the function up before it evaluates
-- arguments; an alteration that it saw is therefore committed, and seen here; and a function whose arguments
-- hold a subquery is never put into the calling query as text. There is no moment in between.
-- A dump that is restored writes all functions anew; resume_scorer then accepts those that are as they were.

create or replace function rowcast.make_query_function(
    name text, arguments text, returns text, body text)
returns oid
-- No search_path of its own: the caller's is pinned to the new function.
language plpgsql as $$
declare
    own record;
begin
    for own in
        select p.oid::pg_catalog.regprocedure as signature, p.proowner
        from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
        where n.nspname = 'rowcast_run' and p.proname = make_query_function.name
    loop
        if not pg_catalog.pg_has_role(own.proowner, 'usage') then
            raise exception using errcode = 'RC304',
                message = pg_catalog.format('function %s belongs to another role', own.signature),
                hint = 'Take another name, or let its owner drop it.';
        end if;
        execute pg_catalog.format('drop function %s', own.signature);
    end loop;
    -- The keys of a chunk are looked at by the planner: a plan for any keys may be one for ten.
    execute pg_catalog.format(
        'create function rowcast_run.%I(%s) returns %s language plpgsql stable security definer '
        'set search_path from current set plan_cache_mode = force_custom_plan set jit = off as %L',
        name, arguments, returns, body);
    select p.oid into strict own
    from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname = 'rowcast_run' and p.proname = make_query_function.name;
    execute pg_catalog.format('revoke all on function %s from public', own.oid::pg_catalog.regprocedure);
    execute pg_catalog.format('grant execute on function %s to rowcast_worker, rowcast_admin',
                              own.oid::pg_catalog.regprocedure);
    return own.oid;
end
$$;
comment on function rowcast.make_query_function(text, text, text, text) is
    'Creates rowcast_run.<name>, which runs with the caller''s rights and search_path whoever calls it, in '
    'place of one of that name. Only workers may call it.';
revoke all on function rowcast.make_query_function(text, text, text, text) from public;
grant execute on function rowcast.make_query_function(text, text, text, text) to rowcast_analyst;

create or replace function rowcast.run_function_row(function oid, author text) returns xid
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    own record;
begin
    select p.prosecdef, p.proowner::regrole::text as owner, p.xmin as row, n.nspname
    into own from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
    where p.oid = function;
    if own.nspname is distinct from 'rowcast_run' or not own.prosecdef
       or not pg_has_role(author, own.owner, 'usage') then
        raise exception using errcode = 'RC305',
            message = case when own is null then format('function %s is gone', function)
                else format('function %s is none that runs with the rights of %s',
                            function::regprocedure, author) end;
    end if;
    return own.row;
end
$$;
comment on function rowcast.run_function_row(oid, text) is
    'Checks a function that runs somebody''s query, and returns the transaction that wrote it.';
revoke all on function rowcast.run_function_row(oid, text) from public;

create or replace function rowcast.unaltered(function oid, written_by xid) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from pg_proc as p where p.oid = function and p.xmin = written_by) then
        raise exception using errcode = '42P13',
            message = coalesce((select format('function %s was altered', p.oid::regprocedure)
                                from pg_proc as p where p.oid = function),
                               format('function %s was dropped', function)),
            hint = 'Make it anew by making the scorer or the watch anew; "rowcast.resume_scorer" accepts what '
                   'a restored database holds.';
    end if;
    return true;
end
$$;
comment on function rowcast.unaltered(oid, xid) is
    'True, or an error where a function is not the one that was checked. To be called in an argument of '
    'that function, within a subquery.';
revoke all on function rowcast.unaltered(oid, xid) from public;
grant execute on function rowcast.unaltered(oid, xid) to rowcast_worker;

create or replace function rowcast.run_name(function oid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select format('%I.%I', n.nspname, p.proname)
    from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace where p.oid = run_name.function
$$;
comment on function rowcast.run_name(oid) is 'A function''s name as it is called; null where it is gone.';
revoke all on function rowcast.run_name(oid) from public;
