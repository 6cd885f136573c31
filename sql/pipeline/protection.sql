-- Predictions that only those may read who may read the row that was scored.
--
-- Row security on the tables of predictions, with a policy that looks for the row in the source. PostgreSQL
-- evaluates it with the reader's own rights and under the policies that hold for him there, so rows that
-- are hidden from him hide their predictions, and who may not read the source at all is refused. That
-- works alike on all versions; views with security_invoker, of 15 and later, would leave the table below
-- them open. Lanes then write by statements only, since COPY into a table with row security is refused to
-- all but its owner. The owner, rowcast_admin, whose functions write, is not bound by it.
--
-- A source that has row security itself can be scored where rowcast_admin and the logins of workers bypass it
-- (alter role ... bypassrls), and its predictions are protected: create_scorer does that by itself.

create or replace function rowcast.bypasses_row_security(role_name name) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce((select r.rolsuper or r.rolbypassrls from pg_roles as r where r.rolname = role_name), false)
$$;
comment on function rowcast.bypasses_row_security(name) is 'Whether no policy holds for a role.';
revoke all on function rowcast.bypasses_row_security(name) from public;

create or replace function rowcast.row_security_problem(scorer_id int) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    own record;
    bound name;
begin
    select c.relrowsecurity as source_has, p.relrowsecurity as predictions_have, o.relation, s.name
    into own
    from rowcast.scorer as s
    join rowcast.source as o on o.source_id = s.source_id
    join pg_class as c on c.oid = o.relation
    left join pg_class as p on p.relnamespace = 'predictions'::regnamespace and p.relname = s.name
    where s.scorer_id = row_security_problem.scorer_id;
    if not coalesce(own.source_has, false) then
        return null;
    elsif not rowcast.bypasses_row_security('rowcast_admin') then
        return format('source "%s" has row security', own.relation);
    elsif not coalesce(own.predictions_have, false) then
        return format('source "%s" has row security, and predictions.%I has none', own.relation, own.name);
    end if;
    select a.usename into bound
    from rowcast.lane as l join pg_stat_activity as a on a.pid = l.backend_pid
    where not rowcast.bypasses_row_security(a.usename) limit 1;
    if found then
        return format('source "%s" has row security, which holds for the workers'' role %I', own.relation, bound);
    end if;
    return null;
end
$$;
comment on function rowcast.row_security_problem(int) is
    'Why a source with row security cannot be scored; null where it can, or has none.';
revoke all on function rowcast.row_security_problem(int) from public;

create or replace function rowcast.set_protection(scorer_id int, protect boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp set client_min_messages = warning as $$
declare
    sco rowcast.scorer;
    src rowcast.source;
    target regclass;
    same_key text;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = set_protection.scorer_id;
    select s.* into strict src from rowcast.source as s where s.source_id = sco.source_id;
    for target in select t from rowcast.scorer_tables(sco.name) as t
        join pg_class as c on c.oid = t and c.relkind in ('r', 'p')
    loop
        execute format('drop policy if exists rowcast_source on %s', target);
        execute format('drop policy if exists rowcast_worker on %s', target);
        if protect then
            select string_agg(format('t.%I %s %s.%1$I', k.name, src.key_operators -> (k.place::int - 1) ->> '=',
                                     (select quote_ident(c.relname) from pg_class as c where c.oid = target)),
                              ' and ' order by k.place)
            into same_key from unnest(src.key_columns) with ordinality as k (name, place);
            execute format('create policy rowcast_source on %s for select using '
                           '(exists (select from %s as t where %s))', target, src.relation, same_key);
            execute format('create policy rowcast_worker on %s to rowcast_worker using (true) with check (true)',
                           target);
        end if;
        execute format('alter table %s %s row level security', target,
                       case when protect then 'enable' else 'disable' end);
    end loop;
    perform rowcast.make_result_view(scorer_id);
end
$$;
comment on function rowcast.set_protection(int, boolean) is
    'Gives the tables of a scorer row security that follows its source, or takes it away.';
revoke all on function rowcast.set_protection(int, boolean) from public;

create or replace function rowcast.protect_predictions(scorer text, protect boolean default true) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    relation constant regclass := (select o.relation from rowcast.source as o where o.source_id = own.source_id);
begin
    if protect is null then
        raise exception using errcode = 'RC303', message = 'protect is null', hint = 'Give true or false.';
    elsif not exists (select from pg_class as c where c.oid = relation) then
        raise exception using errcode = 'RC306',
            message = format('the source of scorer "%s" was dropped', scorer);
    elsif not protect and (select c.relrowsecurity from pg_class as c where c.oid = relation) then
        raise exception using errcode = 'RC301',
            message = format('source "%s" has row security', relation),
            hint = 'Its predictions would be visible to every reader.';
    end if;
    perform rowcast.set_protection(own.scorer_id, protect);
end
$$;
comment on function rowcast.protect_predictions(text, boolean) is
    'Lets only those read predictions and failures of a scorer who may read the rows that were scored, its row '
    'level security included; or all readers again. Cost: a probe of the source''s key for each row that a '
    'reader reads, and workers write without COPY. Errors: RC301, RC303, RC306.';
revoke all on function rowcast.protect_predictions(text, boolean) from public;
grant execute on function rowcast.protect_predictions(text, boolean) to rowcast_analyst;
