-- Makes the four roles and their memberships where they are missing.
--
-- Runs as the user who migrates: a superuser, or a role with createrole. It changes nothing where
-- everything is there, so any member of rowcast_admin may run it. Roles belong to the whole server,
-- and migrators of two databases may race; who comes second finds the work done.
do $$
declare
    wanted record;
begin
    for wanted in
        select r.name
        from (values (1, 'rowcast_reader'), (2, 'rowcast_analyst'), (3, 'rowcast_worker'),
                     (4, 'rowcast_admin')) as r (place, name)
        where to_regrole(r.name) is null
        order by r.place
    loop
        begin
            execute format('create role %I nologin', wanted.name);
        exception when duplicate_object or unique_violation then
            null;
        end;
    end loop;

    for wanted in
        select g.granted, g.member
        from (values ('rowcast_reader', 'rowcast_analyst'), ('rowcast_analyst', 'rowcast_admin'),
                     ('rowcast_worker', 'rowcast_admin'), ('rowcast_admin', current_user))
            as g (granted, member)
        where not (g.member = current_user
                   and (select r.rolsuper from pg_roles as r where r.rolname = current_user))
          and not exists (
            select 1 from pg_auth_members as m
            where m.roleid = to_regrole(g.granted)::oid
              and m.member = to_regrole(quote_ident(g.member))::oid)
          -- Membership through another role is as good for the user who migrates.
          and not (g.member = current_user and pg_has_role(g.member, g.granted, 'member'))
    loop
        begin
            execute format('grant %I to %I', wanted.granted, wanted.member);
        exception when internal_error or unique_violation then
            null;  -- "tuple concurrently updated": another migrator grants the same.
        end;
    end loop;
end
$$;
