-- Rights that a role lends to callers of the HTTP server.
--
-- A job's source may be a query, so whoever may submit one over HTTP may read what the query reads. It must not
-- be read with the server's rights: its login is a worker, which may read more than any analyst. Nor may a key
-- open what nobody meant to open. So three have to agree:
--
--   the role      calls rowcast.lend_rights(), by itself: it makes a function in rowcast_run that is its own,
--                 security definer, and submits a job. Nobody can make such a function for another role.
--   who gives     an administrator makes a key with the action jobs or push for that role, of which he has to
--                 be a member: what he could not read himself he cannot hand on. Or the issuer of tokens names it.
--   the caller    shows the key.
--
-- The job is then submitted by that function, whose rights are the role's and no others: inside of it
-- the session cannot become another role, so what runs while a query is planned gets no further. What runs
-- later are functions of the job, made by the role there (run_functions.sql). Administrators cannot lend: with
-- their rights a query would read the machinery's own tables.
--
-- In the meantime the session holds (1919907690, oid of the role), by which rowcast.caller() knows whom it
-- acts for, until its transaction is over.

create or replace function rowcast.lend_rights() returns void
-- No search_path of its own: jobs keep the caller's.
language plpgsql as $$
begin
    perform rowcast.add_lender(rowcast.make_run_function(
        'lender_' operator(pg_catalog.||) pg_catalog.replace(pg_catalog.gen_random_uuid()::text, '-', ''),
        'job jsonb, checked boolean', 'bigint', 'begin return rowcast.submit_job(job); end'));
end
$$;
comment on function rowcast.lend_rights() is
    'Lets callers of the HTTP server submit jobs and register models with the rights of the role that says so: '
    'those whose key, or token, is for it. Names in their queries are looked up on its search_path of now. '
    'rowcast.reclaim_rights() ends it.';
revoke all on function rowcast.lend_rights() from public;
grant execute on function rowcast.lend_rights() to rowcast_analyst;

create or replace function rowcast.drop_lender_function(function oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    -- Who owns a schema may drop what is in it.
    execute coalesce((
        select format('drop function %s', p.oid::regprocedure) from pg_proc as p
        where p.oid = function and p.pronamespace = 'rowcast_run'::regnamespace
          and p.proname like 'lender\_%'), 'select');
end
$$;
comment on function rowcast.drop_lender_function(oid) is 'Drops what a role lent its rights by, if it is there still.';
revoke all on function rowcast.drop_lender_function(oid) from public;

create or replace function rowcast.add_lender(function regprocedure) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    author constant name := rowcast.author_of(function);
    earlier oid;
begin
    if pg_has_role(author, 'rowcast_admin', 'member') then
        raise exception using errcode = 'RC360',
            message = format('role "%s" may read the machinery''s own tables, so its rights are not lent', author),
            hint = 'Make a role for it that may read what its jobs shall read, and is a member of rowcast_analyst.';
    end if;
    select l.function into earlier from rowcast.lender as l where l.role_name = author for update;
    insert into rowcast.lender as l (role_name, function) values (author, add_lender.function)
    on conflict on constraint lender_pkey do update
        set function = excluded.function, lent_at = excluded.lent_at;
    perform rowcast.drop_lender_function(earlier);
end
$$;
comment on function rowcast.add_lender(regprocedure) is
    'The part of lend_rights that writes the machinery''s own table.';
revoke all on function rowcast.add_lender(regprocedure) from public;
grant execute on function rowcast.add_lender(regprocedure) to rowcast_analyst;

create or replace function rowcast.reclaim_rights(role name default null) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    me constant name := rowcast.caller();
    gone oid;
begin
    if role <> me and not pg_has_role(me, 'rowcast_admin', 'member') then
        raise exception using errcode = '42501', message = format('permission denied for role "%s"', role);
    end if;
    delete from rowcast.lender as l where l.role_name = coalesce(reclaim_rights.role, me) returning l.function into gone;
    if found then
        perform rowcast.drop_lender_function(gone);
        return true;
    end if;
    return false;
end
$$;
comment on function rowcast.reclaim_rights(name) is
    'Ends what lend_rights began, for oneself or, as an administrator, for another role; false where nothing was '
    'lent. Jobs that were submitted go on.';
revoke all on function rowcast.reclaim_rights(name) from public;
grant execute on function rowcast.reclaim_rights(name) to rowcast_analyst;

create or replace function rowcast.act_for(role name) returns oid
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    own record;
begin
    -- Another role may have got the name since.
    select l.function, r.oid into own
    from rowcast.lender as l
    join pg_roles as r on r.rolname = l.role_name
    join pg_proc as p on p.oid = l.function and p.proowner = r.oid
    where l.role_name = act_for.role;
    if not found then
        raise exception using errcode = 'RC361',
            message = format('role "%s" does not lend its rights to callers of the HTTP server', role),
            hint = 'Let it run: select rowcast.lend_rights();';
    elsif pg_has_role(own.oid, 'rowcast_admin', 'member') then
        raise exception using errcode = 'RC361',
            message = format('role "%s" has become an administrator, so its rights are not lent any more', role);
    end if;
    perform pg_advisory_xact_lock_shared(1919907690, own.oid::bigint::bit(32)::int);
    return own.function;
end
$$;
comment on function rowcast.act_for(name) is
    'Makes rowcast.caller() answer a role that lends its rights, to the end of the transaction. Returns what submits '
    'its jobs. Errors: RC361 where the role does not lend them.';
revoke all on function rowcast.act_for(name) from public;

create or replace view rowcast.lenders as
select l.role_name as role, l.lent_at,
       (select count(*) from rowcast.keys as k where k.role = l.role_name and k.state = 'live') as live_keys
from rowcast.lender as l;
comment on view rowcast.lenders is 'Roles that lend their rights to callers of the HTTP server.';
