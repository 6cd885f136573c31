-- Somebody's SQL as a function that runs with his rights, whoever calls it.
--
-- Workers may read more than any analyst, so no text that a person hands over is ever run as they are.
-- It becomes a function in the schema rowcast_run, owned by its author, security definer, with the
-- search_path that he had. Only workers may call it, and only as it was checked: its author may alter it,
-- also to run as whoever calls it, so the row of pg_proc is compared in an argument of the call (run_call;
-- the argument is in query_functions.sql). What the author may not do, he may not do through us; the error
-- that he would have got is the error of his job.

create or replace function rowcast.make_run_function(
    name text, arguments text, returns text, body text) returns regprocedure
-- No search_path of its own: the function keeps the caller's.
language plpgsql as $$
begin
    execute pg_catalog.format(
        'create function rowcast_run.%I(%s) returns %s language plpgsql security definer '
        'set search_path from current as %L', name, arguments, returns, body);
    execute pg_catalog.format('revoke all on function rowcast_run.%I from public', name);
    execute pg_catalog.format('grant execute on function rowcast_run.%I to rowcast_worker', name);
    return pg_catalog.format('rowcast_run.%I', name)::pg_catalog.regproc::pg_catalog.regprocedure;
end
$$;
comment on function rowcast.make_run_function(text, text, text, text) is
    'Makes a function in rowcast_run that runs as the caller, and that only workers may call.';
revoke all on function rowcast.make_run_function(text, text, text, text) from public;
grant execute on function rowcast.make_run_function(text, text, text, text) to rowcast_analyst;

create or replace function rowcast.run_call(function oid, author name, arguments text default '')
returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    own record;
begin
    select p.proname, p.prosecdef, p.xmin as row, pg_get_userbyid(p.proowner) as rolname into own
    from pg_proc as p
    where p.oid = run_call.function and p.pronamespace = 'rowcast_run'::regnamespace;
    if not found then
        raise exception using errcode = '42883', message = 'a function of the job is gone',
            hint = 'Submit the job again.';
    elsif own.rolname <> author or not own.prosecdef then
        raise exception using errcode = '42501',
            message = format('function rowcast_run.%I was altered', own.proname),
            hint = 'Submit the job again.';
    end if;
    return format('rowcast_run.%I(%s(select rowcast.unaltered(%s, ''%s''::pg_catalog.xid)))', own.proname,
                  arguments, run_call.function, own.row);
end
$$;
comment on function rowcast.run_call(oid, name, text) is
    'A call of a function of rowcast_run that runs as its author, for as long as it is not altered; else '
    '42883 or 42501.';
revoke all on function rowcast.run_call(oid, name, text) from public;

create or replace function rowcast.author_of(proof regprocedure) returns name
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
-- Nobody can make something that another owns. So the owner of a function that this very transaction
-- made is who called us, also from inside functions of his that others call, where no setting tells.
-- What is visible and whose transaction is in progress is of this transaction.
declare
    own record;
    now_is constant bigint := pg_current_xact_id()::text::bigint;
    made_by bigint;
begin
    select p.xmin::text::bigint as xmin, pg_get_userbyid(p.proowner) as rolname into own
    from pg_proc as p
    where p.oid = proof and p.pronamespace = 'rowcast_run'::regnamespace;
    if found then
        made_by := (now_is >> 32 << 32) | own.xmin;
        if made_by >= now_is and pg_xact_status(made_by::text::xid8) = 'in progress' then
            return own.rolname;
        end if;
    end if;
    raise exception using errcode = '42501', message = 'the job is not being made in this transaction',
        hint = 'rowcast.submit_job makes jobs.';
end
$$;
comment on function rowcast.author_of(regprocedure) is
    'Who made a function of rowcast_run in this transaction; 42501 where it is older.';
revoke all on function rowcast.author_of(regprocedure) from public;
