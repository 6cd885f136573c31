-- Gives analysts what readers may read, where the one role is not a member of the other.
--
-- Runs as rowcast_admin after every change of functions, views and grants.
do $$
declare
    readable record;
begin
    if pg_has_role('rowcast_analyst', 'rowcast_reader', 'usage') then
        return;
    end if;
    alter default privileges for role rowcast_admin in schema predictions
        grant select on tables to rowcast_analyst;
    for readable in
        select c.oid::regclass as relation
        from pg_class as c
        where c.relnamespace in ('rowcast'::regnamespace, 'predictions'::regnamespace)
          and c.relkind in ('r', 'p', 'v', 'm')
          and has_table_privilege('rowcast_reader', c.oid, 'select')
          and not has_table_privilege('rowcast_analyst', c.oid, 'select')
    loop
        execute format('grant select on %s to rowcast_analyst', readable.relation);
    end loop;
    for readable in
        select p.oid::regprocedure as routine
        from pg_proc as p
        where p.pronamespace = 'rowcast'::regnamespace
          and has_function_privilege('rowcast_reader', p.oid, 'execute')
          and not has_function_privilege('rowcast_analyst', p.oid, 'execute')
    loop
        execute format('grant execute on routine %s to rowcast_analyst', readable.routine);
    end loop;
end
$$;
