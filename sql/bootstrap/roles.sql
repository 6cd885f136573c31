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

    -- Whoever was given ready-made roles cannot grant one to another. Their rights do not depend on
    -- it: rights.sql gives analysts what readers have.
    for wanted in
        select g.granted, g.member
        from (values ('rowcast_reader', 'rowcast_analyst'), ('rowcast_analyst', 'rowcast_admin'),
                     ('rowcast_worker', 'rowcast_admin')) as g (granted, member)
        where not exists (
            select from pg_auth_members as m
            where m.roleid = to_regrole(g.granted) and m.member = to_regrole(g.member))
    loop
        begin
            execute format('grant %I to %I', wanted.granted, wanted.member);
        exception
            when insufficient_privilege then null;
            when internal_error or unique_violation then null;  -- granted by another just now
        end;
    end loop;

    -- From PostgreSQL 16 on, who creates a role is a member who may administer it, not become it.
    if not pg_has_role(current_user, 'rowcast_admin', case
        when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end)
    then
        execute format('grant rowcast_admin to %I', current_user);
    end if;
end
$$;
