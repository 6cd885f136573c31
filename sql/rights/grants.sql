-- Rights on single scorers and models, for custom roles that are in none of Rowcast's four.
--
--   read a scorer      select on its tables in predictions; rowcast.wait; its row of rowcast.my_scorers
--   manage a scorer    that, and pause_scorer, resume_scorer, rescore, audit, set_audit
--   manage a model     register_model under its name, set_alias, wait_for_model
--
-- A grant is a row here, which those functions look up for who is not an analyst, and PostgreSQL's own
-- rights to come so far: usage of the schemas, execute on the functions, select on the tables. The latter are
-- given and taken by sync_grants, which brings a role to what its rows say.

create or replace function rowcast.granted_functions(privilege text) returns setof regprocedure
language sql stable set search_path = pg_catalog, pg_temp as $$
    select f.routine::regprocedure
    from (values
        ('read scorer', 'rowcast.wait(text, interval)'), ('read scorer', 'rowcast.my_scorer_rows()'),
        ('manage scorer', 'rowcast.pause_scorer(text)'), ('manage scorer', 'rowcast.resume_scorer(text)'),
        ('manage scorer', 'rowcast.rescore(text, boolean)'), ('manage scorer', 'rowcast.audit(text, boolean)'),
        ('manage scorer', 'rowcast.set_audit(text, interval, int, boolean)'),
        ('manage model', 'rowcast.register_model(text, bytea, text, text[], text, jsonb, jsonb, jsonb)'),
        ('manage model', 'rowcast.set_alias(text, text, int)'),
        ('manage model', 'rowcast.set_device(text, text)'),
        ('manage model', 'rowcast.wait_for_model(text, int, interval)')) as f (privilege, routine)
    where granted_functions.privilege is null or f.privilege = granted_functions.privilege
$$;
comment on function rowcast.granted_functions(text) is
    'The functions that a grant on a scorer or model opens; all of them where none is given.';
revoke all on function rowcast.granted_functions(text) from public;

create or replace function rowcast.acts_as(role_name name, wanted text[]) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select bool_or(pg_has_role(role_name, to_regrole(w)::oid, 'usage'))
    from unnest(wanted) as w where to_regrole(w) is not null
$$;
comment on function rowcast.acts_as(name, text[]) is 'Whether a role has the rights of one of others.';
revoke all on function rowcast.acts_as(name, text[]) from public;

create or replace function rowcast.check_scorer_right(scorer text, privilege text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    who constant name := rowcast.caller();
begin
    -- Workers run the schedules of analysts.
    if not (rowcast.acts_as(who, '{rowcast_admin,rowcast_analyst,rowcast_worker}')
            or privilege = 'read' and rowcast.acts_as(who, '{rowcast_reader}')
            or exists (
                select from rowcast.scorer_grant as g join rowcast.scorer as s on s.scorer_id = g.scorer_id
                where s.name = scorer and (g.privilege = check_scorer_right.privilege or g.privilege = 'manage')
                  and rowcast.acts_as(who, array[quote_ident(g.grantee)]))) then
        raise exception using errcode = '42501',
            message = format('permission denied for scorer "%s"', scorer),
            hint = format('Let an analyst run: select rowcast.grant_scorer(%L, %L, %L);', scorer, who, privilege);
    end if;
end
$$;
comment on function rowcast.check_scorer_right(text, text) is
    'Raises 42501 where the caller may not read or manage a scorer.';
revoke all on function rowcast.check_scorer_right(text, text) from public;

create or replace function rowcast.check_model_right(model text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    who constant name := rowcast.caller();
begin
    if not (rowcast.acts_as(who, '{rowcast_admin,rowcast_analyst,rowcast_worker}')
            or exists (
                select from rowcast.model_grant as g join rowcast.model as m on m.model_id = g.model_id
                where m.name = model and rowcast.acts_as(who, array[quote_ident(g.grantee)]))) then
        raise exception using errcode = '42501',
            message = format('permission denied for model "%s"', model),
            hint = format('Let an analyst run: select rowcast.grant_model(%L, %L);', model, who);
    end if;
end
$$;
comment on function rowcast.check_model_right(text) is
    'Raises 42501 where the caller may not manage a model.';
revoke all on function rowcast.check_model_right(text) from public;

create or replace function rowcast.scorer_tables(scorer text) returns setof regclass
language sql stable set search_path = pg_catalog, pg_temp as $$
    select c.oid::regclass
    from unnest(array['', '_failure', '_history', '_classes', '_objects', '_shadow', '_shadow_failure']) as t (suffix)
    join pg_class as c on c.relnamespace = 'predictions'::regnamespace and c.relname = scorer || t.suffix
    where c.relkind in ('r', 'p', 'v')
      -- Another scorer may have such a name for its own.
      and (t.suffix in ('', '_failure') or not exists (
          select from rowcast.scorer as s
          where s.name = scorer || t.suffix and t.suffix not like '\_shadow%'))
$$;
comment on function rowcast.scorer_tables(text) is 'The tables of a scorer in schema predictions.';
revoke all on function rowcast.scorer_tables(text) from public;

create or replace function rowcast.sync_grants(grantee name, revoked_scorer text default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    wanted record;
    has_any boolean;
begin
    has_any := exists (select from rowcast.scorer_grant as g where g.grantee = sync_grants.grantee)
            or exists (select from rowcast.model_grant as g where g.grantee = sync_grants.grantee);
    execute format(case when has_any then 'grant usage on schema rowcast, predictions to %I'
                        else 'revoke usage on schema rowcast, predictions from %I' end, grantee);
    execute format(case when has_any then 'grant select on rowcast.my_scorers to %I'
                        else 'revoke select on rowcast.my_scorers from %I' end, grantee);
    for wanted in
        select f as routine, exists (
                   select from rowcast.scorer_grant as g
                   where g.grantee = sync_grants.grantee
                     and (f in (select rowcast.granted_functions(g.privilege || ' scorer'))
                          or g.privilege = 'manage' and f in (select rowcast.granted_functions('read scorer'))))
               or exists (
                   select from rowcast.model_grant as g
                   where g.grantee = sync_grants.grantee
                     and f in (select rowcast.granted_functions(g.privilege || ' model'))) as is_granted
        from rowcast.granted_functions(null) as f
    loop
        execute format(case when wanted.is_granted then 'grant execute on routine %s to %I'
                            else 'revoke execute on routine %s from %I' end, wanted.routine, grantee);
    end loop;
    for wanted in
        select t as relation, exists (select from rowcast.scorer_grant as g
                                      where g.scorer_id = s.scorer_id and g.grantee = sync_grants.grantee)
                   as is_granted
        from rowcast.scorer as s cross join rowcast.scorer_tables(s.name) as t
        where s.name = sync_grants.revoked_scorer
           or exists (select from rowcast.scorer_grant as g
                      where g.scorer_id = s.scorer_id and g.grantee = sync_grants.grantee)
        order by is_granted
    loop
        execute format(case when wanted.is_granted then 'grant select on %s to %I'
                            else 'revoke select on %s from %I' end, wanted.relation, grantee);
    end loop;
end
$$;
comment on function rowcast.sync_grants(name, text) is
    'Brings the rights of a role to what is granted to it on scorers and models.';
revoke all on function rowcast.sync_grants(name, text) from public;

create or replace function rowcast.check_grantee(grantee name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from pg_roles as r where r.rolname = grantee) then
        raise exception using errcode = '42704', message = format('role "%s" does not exist', grantee),
            hint = 'Give the name as it is, without quotes.';
    elsif grantee in ('rowcast_admin', 'rowcast_analyst', 'rowcast_worker', 'rowcast_reader') then
        raise exception using errcode = 'RC303',
            message = format('role "%s" has its rights on all scorers and models', grantee),
            hint = 'Grant to a role of your own.';
    end if;
end
$$;
comment on function rowcast.check_grantee(name) is 'Refuses roles that cannot be granted to.';
revoke all on function rowcast.check_grantee(name) from public;

create or replace function rowcast.grant_scorer(scorer text, grantee name, privilege text default 'read')
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
begin
    perform rowcast.check_grantee(grantee);
    if coalesce(privilege, '') not in ('read', 'manage') then
        raise exception using errcode = 'RC303', message = format('privilege is "%s"', privilege),
            hint = 'Give "read" or "manage".';
    end if;
    insert into rowcast.scorer_grant (scorer_id, grantee, privilege, granted_by)
    values (own.scorer_id, grant_scorer.grantee, grant_scorer.privilege, rowcast.caller())
    on conflict on constraint scorer_grant_pkey do nothing;
    perform rowcast.sync_grants(grantee);
end
$$;
comment on function rowcast.grant_scorer(text, name, text) is
    'Lets a role read the predictions of one scorer and wait for them, or manage it as well: pause, resume, '
    'rescore, audit. Errors: RC303, RC306, 42704.';
revoke all on function rowcast.grant_scorer(text, name, text) from public;
grant execute on function rowcast.grant_scorer(text, name, text) to rowcast_analyst;

create or replace function rowcast.revoke_scorer(scorer text, grantee name, privilege text default null)
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
begin
    delete from rowcast.scorer_grant as g
    where g.scorer_id = own.scorer_id and g.grantee = revoke_scorer.grantee
      and (revoke_scorer.privilege is null or g.privilege = revoke_scorer.privilege);
    if exists (select from pg_roles as r where r.rolname = grantee) then
        perform rowcast.sync_grants(grantee, scorer);
    end if;
end
$$;
comment on function rowcast.revoke_scorer(text, name, text) is
    'Takes back what grant_scorer gave: one privilege, or all. Errors: RC306.';
revoke all on function rowcast.revoke_scorer(text, name, text) from public;
grant execute on function rowcast.revoke_scorer(text, name, text) to rowcast_analyst;

create or replace function rowcast.grant_model(model text, grantee name, privilege text default 'manage')
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    target_id constant int := rowcast.model_id_of(model);
begin
    perform rowcast.check_grantee(grantee);
    if privilege is distinct from 'manage' then
        raise exception using errcode = 'RC303', message = format('privilege is "%s"', privilege),
            hint = 'Models have one privilege, "manage".';
    end if;
    insert into rowcast.model_grant (model_id, grantee, privilege, granted_by)
    values (target_id, grant_model.grantee, grant_model.privilege, rowcast.caller())
    on conflict on constraint model_grant_pkey do nothing;
    perform rowcast.sync_grants(grantee);
end
$$;
comment on function rowcast.grant_model(text, name, text) is
    'Lets a role register versions of one model and move its aliases. Errors: RC101, RC303, 42704.';
revoke all on function rowcast.grant_model(text, name, text) from public;
grant execute on function rowcast.grant_model(text, name, text) to rowcast_analyst;

create or replace function rowcast.revoke_model(model text, grantee name, privilege text default null)
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    target_id constant int := rowcast.model_id_of(model);
begin
    delete from rowcast.model_grant as g
    where g.model_id = target_id and g.grantee = revoke_model.grantee
      and (revoke_model.privilege is null or g.privilege = revoke_model.privilege);
    if exists (select from pg_roles as r where r.rolname = grantee) then
        perform rowcast.sync_grants(grantee);
    end if;
end
$$;
comment on function rowcast.revoke_model(text, name, text) is 'Takes back what grant_model gave. Errors: RC101.';
revoke all on function rowcast.revoke_model(text, name, text) from public;
grant execute on function rowcast.revoke_model(text, name, text) to rowcast_analyst;

create or replace view rowcast.grants as
select 'scorer' as kind, s.name, g.grantee, g.privilege, g.granted_by, g.granted_at
from rowcast.scorer_grant as g join rowcast.scorer as s on s.scorer_id = g.scorer_id
union all
select 'model', m.name, g.grantee, g.privilege, g.granted_by, g.granted_at
from rowcast.model_grant as g join rowcast.model as m on m.model_id = g.model_id;
comment on view rowcast.grants is 'Rights on single scorers and models, beside those of Rowcast''s four roles.';
grant select on rowcast.grants to rowcast_analyst;

create or replace function rowcast.my_scorer_rows()
returns table (name text, source text, model text, state text, state_reason text, backlog_rows bigint,
               oldest_age interval, rows_per_second double precision, failures bigint, last_error text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    who constant name := case current_setting('role') when 'none' then session_user
                              else current_setting('role')::name end;
begin
    return query
        select r.name, r.source, r.model, r.state, r.state_reason, r.backlog_rows, r.oldest_age,
               r.rows_per_second, r.failures, r.last_error
        from rowcast.status_rows() as r
        where rowcast.acts_as(who, '{rowcast_reader,rowcast_analyst,rowcast_admin}')
           or exists (select from rowcast.scorer_grant as g join rowcast.scorer as s on s.scorer_id = g.scorer_id
                      where s.name = r.name and rowcast.acts_as(who, array[quote_ident(g.grantee)]));
end
$$;
comment on function rowcast.my_scorer_rows() is 'The rows of rowcast.my_scorers.';
revoke all on function rowcast.my_scorer_rows() from public;
grant execute on function rowcast.my_scorer_rows() to rowcast_reader;

create or replace view rowcast.my_scorers as select * from rowcast.my_scorer_rows();
comment on view rowcast.my_scorers is
    'As rowcast.scorer_status, of the scorers that the reader has a right on.';
grant select on rowcast.my_scorers to rowcast_reader;
