-- What the migrator must know of a server, a database and its own user before it changes anything.
select current_setting('server_version') as server_version,
       current_setting('server_encoding') as encoding,
       current_database()::text as database_name,
       current_user::text as user_name,
       pg_is_in_recovery() as is_standby,
       (select r.rolsuper or r.rolcreaterole from pg_roles as r where r.rolname = current_user)
           as may_create_roles,
       array(
           select r.name
           from (values (1, 'rowcast_reader'), (2, 'rowcast_analyst'), (3, 'rowcast_worker'),
                        (4, 'rowcast_admin')) as r (place, name)
           where to_regrole(r.name) is null
           order by r.place)::text[] as missing_roles,
       -- From PostgreSQL 16 on, not every member may take on the role.
       coalesce(pg_has_role(current_user, to_regrole('rowcast_admin')::oid, case
           when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end),
           false) as is_admin,
       has_database_privilege(current_database(), 'create') as may_create_schemas,
       to_regnamespace('rowcast') is not null and to_regnamespace('predictions') is not null
           and to_regnamespace('rowcast_run') is not null as has_schemas,
       exists (
           select from pg_class as c
           where c.relnamespace = to_regnamespace('rowcast') and c.relname = 'schema_migration')
           as has_ledger
