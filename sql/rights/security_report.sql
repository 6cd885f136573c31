-- What a security review would ask of this installation.
--
-- Runs with the caller's rights: some answers only a superuser, or a member of pg_read_all_settings or
-- pg_monitor, may see. What could not be looked at is a row too, so that silence is never taken for health.

create or replace function rowcast.scram_matches(secret text, password text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
-- RFC 5803: SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>; the stored key is
-- sha256(hmac(pbkdf2(password), 'Client Key')). Cost: some 0.1 s at 4,096 iterations.
declare
    parts constant text[] := regexp_match(secret, '^SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)$');
    inner_pad bytea := '';
    outer_pad bytea := '';
    key bytea := convert_to(password, 'UTF8');
    round_hash bytea;
    salted bit(256);
begin
    if parts is null or key is null or length(key) > 64 or parts[1]::int > 20000 then
        return false;
    end if;
    key := key || decode(repeat('00', 64 - length(key)), 'hex');
    select string_agg(set_byte('\x00', 0, get_byte(key, i) # 54), '' order by i),
           string_agg(set_byte('\x00', 0, get_byte(key, i) # 92), '' order by i)
    into inner_pad, outer_pad from generate_series(0, 63) as i;
    round_hash := sha256(outer_pad || sha256(inner_pad || decode(parts[2], 'base64') || '\x00000001'));
    salted := ('x' || encode(round_hash, 'hex'))::bit(256);
    for i in 2..parts[1]::int loop
        round_hash := sha256(outer_pad || sha256(inner_pad || round_hash));
        salted := salted # ('x' || encode(round_hash, 'hex'))::bit(256);
    end loop;
    select string_agg(set_byte('\x00', 0, substring(salted from i * 8 + 1 for 8)::int), '' order by i)
    into key from generate_series(0, 31) as i;
    key := key || decode(repeat('00', 32), 'hex');
    select string_agg(set_byte('\x00', 0, get_byte(key, i) # 54), '' order by i),
           string_agg(set_byte('\x00', 0, get_byte(key, i) # 92), '' order by i)
    into inner_pad, outer_pad from generate_series(0, 63) as i;
    return encode(sha256(sha256(outer_pad || sha256(inner_pad || convert_to('Client Key', 'UTF8')))), 'base64')
           = parts[3];
end
$$;
comment on function rowcast.scram_matches(text, text) is
    'Whether a stored SCRAM secret is that of a password of at most 64 bytes.';
revoke all on function rowcast.scram_matches(text, text) from public;
grant execute on function rowcast.scram_matches(text, text) to rowcast_analyst;

create or replace function rowcast.password_findings()
returns table (level text, topic text, subject text, finding text, remedy text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    own record;
    guess text;
begin
    if not has_table_privilege('pg_authid', 'select') then
        level := 'unknown'; topic := 'passwords'; subject := 'roles';
        finding := 'passwords cannot be looked at by this role';
        remedy := 'Ask as a superuser.';
        return next;
        return;
    end if;
    for own in
        select a.rolname, a.rolpassword from pg_authid as a
        where a.rolcanlogin and (a.rolsuper or exists (
            select from unnest(array['rowcast_admin', 'rowcast_analyst', 'rowcast_worker', 'rowcast_reader'])
                as r (name)
            where to_regrole(r.name) is not null and pg_has_role(a.oid, to_regrole(r.name)::oid, 'member')))
        order by a.rolname
    loop
        topic := 'passwords';
        subject := own.rolname;
        remedy := format('alter role %I password ''...''; with one that is long and random.', own.rolname);
        if own.rolpassword like 'md5%' then
            level := 'yellow';
            finding := 'its password is stored as MD5';
            remedy := 'Set password_encryption to scram-sha-256, then set the password again.';
            return next;
            remedy := format('alter role %I password ''...''; with one that is long and random.', own.rolname);
        end if;
        foreach guess in array array['', own.rolname, 'postgres', 'password', 'rowcast', 'admin', 'changeme',
                                     'secret', '123456'] loop
            if own.rolpassword = 'md5' || md5(guess || own.rolname)
               or own.rolpassword like 'SCRAM%' and rowcast.scram_matches(own.rolpassword, guess) then
                level := 'red';
                finding := case when guess = '' then 'its password is empty'
                                else 'its password is among the first that anybody tries' end;
                return next;
                exit;
            end if;
        end loop;
    end loop;
end
$$;
comment on function rowcast.password_findings() is 'Logins of Rowcast whose password is easily guessed.';
revoke all on function rowcast.password_findings() from public;
grant execute on function rowcast.password_findings() to rowcast_analyst;

create or replace function rowcast.connection_findings()
returns table (level text, topic text, subject text, finding text, remedy text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    listens boolean;
begin
    begin
        listens := current_setting('listen_addresses') <> '';
    exception when insufficient_privilege then
        listens := true;
    end;
    if listens and current_setting('ssl') <> 'on' then
        level := 'red'; topic := 'connections'; subject := 'ssl';
        finding := 'the server listens on the network without TLS';
        remedy := 'Give it a certificate: ssl = on, ssl_cert_file, ssl_key_file; or listen_addresses = ''''.';
        return next;
    end if;
    if exists (select from pg_stat_activity as a where a.client_port is null
                 and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
                 and a.query = '<insufficient privilege>') then
        level := 'unknown'; topic := 'connections'; subject := 'sessions';
        finding := 'sessions of other roles cannot be looked at by this role';
        remedy := 'Ask as a member of pg_monitor.';
        return next;
    end if;
    return query
        select 'red', 'connections', a.usename::text,
               format('%s sessions come over the network without TLS', count(*)),
               format('In pg_hba.conf make the lines of %I "hostssl", and set sslmode=verify-full in its '
                      'connection strings.', a.usename)
        from pg_stat_activity as a join pg_stat_ssl as s on s.pid = a.pid
        where not s.ssl and a.client_addr is not null
          and not a.client_addr <<= '127.0.0.0/8' and a.client_addr <> '::1'
        group by a.usename order by a.usename;
    return query
        select 'red', 'workers', a.usename::text,
               format('%s sessions of workers log in as a superuser', count(*)),
               'Give workers a role of their own: create role scoring login; grant rowcast_worker to scoring;'
        from pg_stat_activity as a join pg_roles as r on r.oid = a.usesysid
        where a.application_name like 'rowcast %' and a.datname = current_database() and r.rolsuper
          -- The appliance's private server is reached by its own process alone.
          and a.client_addr is not null
        group by a.usename order by a.usename;
    -- Advisory locks are open to whoever may connect.
    return query
        select 'red', 'locks', a.usename::text,
               format('session %s holds a lock by which workers know of one another', a.pid),
               format('select pg_terminate_backend(%s); and let only those connect to the database who use it.', a.pid)
        from pg_locks as k join pg_stat_activity as a on a.pid = k.pid
        where k.locktype = 'advisory' and k.granted and k.objsubid = 2
          and k.database = (select d.oid from pg_database as d where d.datname = current_database())
          and (k.classid = 1919907683 and (k.objid in (2, 4, 6) or k.objid in (1, 5) and k.mode = 'ExclusiveLock')
               or k.classid = 1919907684)
          and not pg_has_role(a.usesysid, 'rowcast_worker', 'member')
        group by a.usename, a.pid order by a.pid;
    begin
        return query
            select case when h.type = 'local' then 'yellow' else 'red' end, 'connections',
                   format('pg_hba.conf, line %s', h.line_number),
                   format('%s lets %s in without a password%s', h.type,
                          array_to_string(h.user_name, ', '), coalesce(' from ' || h.address, '')),
                   case when h.type = 'local'
                        then 'Make it "peer", or see that nobody else can log in to this machine.'
                        else 'Make it "scram-sha-256".' end
            from pg_hba_file_rules as h
            where h.auth_method = 'trust' and h.error is null order by h.line_number;
        return query
            select 'yellow', 'connections', format('pg_hba.conf, line %s', h.line_number),
                   format('%s sends passwords in %s', h.type, case h.auth_method when 'password'
                          then 'clear text' else 'MD5' end), 'Make it "scram-sha-256".'
            from pg_hba_file_rules as h
            where h.auth_method in ('password', 'md5') and h.type <> 'local' and h.error is null
            order by h.line_number;
    exception when insufficient_privilege then
        level := 'unknown'; topic := 'connections'; subject := 'pg_hba.conf';
        finding := 'its rules cannot be looked at by this role';
        remedy := 'Ask as a superuser.';
        return next;
    end;
end
$$;
comment on function rowcast.connection_findings() is 'How sessions come in: TLS, trust, superusers.';
revoke all on function rowcast.connection_findings() from public;
grant execute on function rowcast.connection_findings() to rowcast_analyst;

create or replace function rowcast.grant_findings()
returns table (level text, topic text, subject text, finding text, remedy text)
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Of everybody.
    select 'red', 'grants', format('%s %s', o.kind, o.name), format('everybody has %s on it', o.privileges),
           format('revoke all on %s %s from public;', o.kind, o.name)
    from (
        select 'schema' as kind, n.nspname::text as name, string_agg(lower(g.privilege_type), ', ') as privileges
        from pg_namespace as n, aclexplode(n.nspacl) as g
        where n.nspname in ('rowcast', 'predictions', 'rowcast_run') and g.grantee = 0 group by n.nspname
        union all
        select 'table', c.oid::regclass::text, string_agg(lower(g.privilege_type), ', ')
        from pg_class as c, aclexplode(c.relacl) as g
        where c.relnamespace in (select n.oid from pg_namespace as n
                                 where n.nspname in ('rowcast', 'predictions', 'rowcast_run'))
          and g.grantee = 0 group by c.oid
        union all
        select case p.prokind when 'p' then 'procedure' else 'function' end, p.oid::regprocedure::text, 'execute'
        from pg_proc as p
        where p.pronamespace in (select n.oid from pg_namespace as n
                                 where n.nspname in ('rowcast', 'rowcast_run'))
          and has_function_privilege('public', p.oid, 'execute')
    ) as o
    union all
    select 'yellow', 'grants', format('schema %I', n.nspname), 'everybody may create objects in it',
           format('revoke create on schema %I from public;', n.nspname)
    from pg_namespace as n where n.nspname = 'public' and has_schema_privilege('public', n.oid, 'create')
    union all
    select 'yellow', 'grants', format('database %I', d.datname), 'everybody may connect',
           format('revoke connect on database %I from public; grant it to who needs it.', d.datname)
    from pg_database as d
    where d.datname = current_database() and has_database_privilege('public', d.oid, 'connect')
    union all
    -- Of Rowcast's roles.
    select 'red', 'roles', r.rolname::text, format('it is %s', concat_ws(' and ',
               case when r.rolsuper then 'a superuser' end, case when r.rolcreaterole then 'allowed to create roles' end,
               case when r.rolreplication then 'allowed to replicate' end)),
           format('alter role %I nosuperuser nocreaterole noreplication;', r.rolname)
    from pg_roles as r
    where r.rolname in ('rowcast_admin', 'rowcast_analyst', 'rowcast_worker', 'rowcast_reader')
      and (r.rolsuper or r.rolcreaterole or r.rolreplication)
    union all
    select 'yellow', 'roles', r.rolname::text, 'it can log in, so several people or programs share one login',
           format('alter role %I nologin; grant %1$I to a role of each.', r.rolname)
    from pg_roles as r
    where r.rolname in ('rowcast_admin', 'rowcast_analyst', 'rowcast_worker', 'rowcast_reader') and r.rolcanlogin
    union all
    select 'yellow', 'roles', m.member::regrole::text, 'it is a worker, and may administer Rowcast too',
           format('revoke rowcast_admin from %s;', m.member::regrole)
    from pg_auth_members as m
    where m.roleid = to_regrole('rowcast_admin') and exists (
        select from pg_auth_members as w
        where w.roleid = to_regrole('rowcast_worker') and w.member = m.member)
    union all
    -- Functions with the rights of their owner.
    select 'red', 'functions', p.oid::regprocedure::text,
           'it runs with its owner''s rights and without a search_path of its own',
           format('alter function %s set search_path = pg_catalog, pg_temp;', p.oid::regprocedure)
    from pg_proc as p
    where p.prosecdef
      and p.pronamespace in (select n.oid from pg_namespace as n
                             where n.nspname in ('rowcast', 'predictions', 'rowcast_run'))
      and not coalesce(array_to_string(p.proconfig, ' '), '') like '%search_path=%'
      -- Captures spell every schema out: see capture.sql.
      and not (p.pronamespace = to_regnamespace('rowcast')
               and p.proname ~ '^capture_(insert|update|delete|truncate|row)_[0-9]+$')
    union all
    select 'red', 'functions', p.oid::regprocedure::text,
           format('its owner is %s, and not rowcast_admin', p.proowner::regrole),
           format('alter routine %s owner to rowcast_admin;', p.oid::regprocedure)
    from pg_proc as p
    where p.pronamespace = to_regnamespace('rowcast') and p.proowner <> to_regrole('rowcast_admin')
$$;
comment on function rowcast.grant_findings() is 'Rights that are wider than Rowcast makes them.';
revoke all on function rowcast.grant_findings() from public;
grant execute on function rowcast.grant_findings() to rowcast_analyst;

create or replace function rowcast.model_findings()
returns table (level text, topic text, subject text, finding text, remedy text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select case when v.state = 'ready' then 'red' else 'yellow' end, 'models',
           format('%s, version %s', m.name, a.version),
           format('alias %s points at it, and no golden rows prove that it scores here as where it was trained',
                  string_agg(format('"%s"', a.alias), ', ' order by a.alias)),
           'Register it with golden rows: inputs with the outputs that its trainer computed.'
    from rowcast.alias as a
    join rowcast.model as m on m.model_id = a.model_id
    join rowcast.model_version as v on v.model_id = a.model_id and v.version = a.version
    where not exists (select from rowcast.golden_row as g
                      where g.model_id = a.model_id and g.version = a.version)
    group by m.name, a.version, v.state
    union all
    -- Readers of predictions who may not read what was scored.
    select 'yellow', 'predictions', 'predictions.' || s.name,
           format('%s may read it and not its source %s', string_agg(r.rolname, ', ' order by r.rolname),
                  o.relation_name),
           format('If they shall not: select rowcast.protect_predictions(%L);', s.name)
    from rowcast.scorer as s
    join rowcast.source as o on o.source_id = s.source_id
    join pg_class as c on c.oid = o.relation
    join pg_class as p on p.relnamespace = to_regnamespace('predictions') and p.relname = s.name
    join pg_roles as r on r.rolcanlogin and not r.rolsuper
    where not p.relrowsecurity
      and has_table_privilege(r.oid, p.oid, 'select') and not has_table_privilege(r.oid, c.oid, 'select')
    group by s.name, o.relation_name
$$;
comment on function rowcast.model_findings() is
    'Models in use without golden rows, and predictions that are open to more people than their source.';
revoke all on function rowcast.model_findings() from public;
grant execute on function rowcast.model_findings() to rowcast_analyst;

create or replace view rowcast.security_report as
select f.level, f.topic, f.subject, f.finding, f.remedy
from (
    select * from rowcast.password_findings()
    union all select * from rowcast.connection_findings()
    union all select * from rowcast.grant_findings()
    union all select * from rowcast.model_findings()
) as f
order by array_position(array['red', 'yellow', 'unknown'], f.level), f.topic, f.subject;
comment on view rowcast.security_report is
    'What is red (mend it), yellow (decide about it) or unknown to the role that asks, and the remedy of each. '
    'Cost: a second where passwords can be looked at, else milliseconds.';
grant select on rowcast.security_report to rowcast_analyst;
