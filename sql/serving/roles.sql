-- What servers ask of the roles that tokens speak for.

create or replace function rowcast.role_rights()
returns table (role_name text, level text, models text[])
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    -- From those that have rights to their members: a server may have thousands of other roles.
    with recursive candidate (role_id) as (
        select r.oid from pg_roles as r
        where r.rolname in ('rowcast_admin', 'rowcast_analyst', 'rowcast_reader')
           or exists (select from rowcast.model_grant as g where g.grantee = r.rolname)
        union
        select m.member from pg_auth_members as m join candidate as c on m.roleid = c.role_id
    )
    select r.rolname::text, l.level, l.models
    from candidate as c
    join pg_roles as r on r.oid = c.role_id
    cross join lateral (
        select case when rowcast.acts_as(r.rolname, '{rowcast_admin}') then 'admin'
                    when rowcast.acts_as(r.rolname, '{rowcast_analyst}') then 'analyst'
                    when rowcast.acts_as(r.rolname, '{rowcast_reader}') then 'reader' end as level,
               array(select distinct m.name::text
                     from rowcast.model_grant as g join rowcast.model as m using (model_id)
                     where rowcast.acts_as(r.rolname, array[quote_ident(g.grantee)])
                     order by 1) as models) as l
    where not r.rolsuper and (l.level is not null or l.models <> '{}')
$$;
comment on function rowcast.role_rights() is
    'One row a role that has rights here: as administrator, analyst or reader, and the models that were granted to '
    'it. Superusers are in no row: no token speaks for them.';
revoke all on function rowcast.role_rights() from public;
grant execute on function rowcast.role_rights() to rowcast_worker;
