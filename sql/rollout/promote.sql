-- Promotion and rollback: an alias is moved in one transaction, after checks, and the record tells why.

create or replace function rowcast.rollout_target(
    name text, out model_id int, out model text, out scorer_id int)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.scorer;
    same_name int := (select m.model_id from rowcast.model as m where m.name = rollout_target.name);
begin
    select s.* into own from rowcast.scorer as s where s.name = rollout_target.name;
    if own.scorer_id is null and same_name is null then
        raise exception using errcode = 'RC101',
            message = format('there is neither a scorer nor a model "%s"', name),
            hint = 'The views rowcast.scorer_status and rowcast.models list them.';
    elsif own.route is not null and same_name is null then
        raise exception using errcode = 'RC121',
            message = format('scorer "%s" routes its rows to many models', name),
            hint = 'Name the model.';
    elsif own.model_id <> same_name then
        raise exception using errcode = 'RC121',
            message = format('"%s" is a model, and a scorer of another one', name),
            hint = 'Move the alias with rowcast.set_alias, or rename one of them.';
    elsif own.shadow_of is not null then
        raise exception using errcode = 'RC121',
            message = format('scorer "%s" is a shadow', name),
            hint = 'Name the scorer that it runs beside.';
    end if;
    model_id := coalesce(own.model_id, same_name);
    select m.name into model from rowcast.model as m where m.model_id = rollout_target.model_id;
    -- A model of the same name means all scorers that follow it.
    scorer_id := case when same_name is null then own.scorer_id end;
end
$$;
comment on function rowcast.rollout_target(text) is
    'The model that a name means, its own or its scorer''s; an error where that is not clear.';
revoke all on function rowcast.rollout_target(text) from public;

create or replace function rowcast.point_alias(model_id int, alias text, version int) returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    perform rowcast.append_outputs(model_id, alias, version);
    insert into rowcast.alias as a (model_id, alias, version)
    values (point_alias.model_id, point_alias.alias, point_alias.version)
    on conflict on constraint alias_pkey do update
        set version = excluded.version, set_at = now(), set_by = session_user
        where a.version <> excluded.version;
    if not found then
        return null;
    end if;
    perform rowcast.settle_canaries(model_id, alias, version);
    return (select max(c.change_id) from rowcast.alias_change as c
            join rowcast.model as m on m.name = c.model
            where m.model_id = point_alias.model_id and c.alias = point_alias.alias);
end
$$;
comment on function rowcast.point_alias(int, text, int) is
    'Points an alias at a version, unasked. Returns the entry of the history; null where it did already.';
revoke all on function rowcast.point_alias(int, text, int) from public;

create or replace function rowcast.rescore_followers(model_id int, alias text)
returns table (scorer text, job_id bigint)
language sql volatile set search_path = pg_catalog, pg_temp as $$
    select s.name, rowcast.make_job(s.scorer_id, 'rescore')
    from rowcast.scorer as s
    where s.model_id = rescore_followers.model_id and s.alias = rescore_followers.alias
      and s.pinned_version is null
    order by s.name
$$;
comment on function rowcast.rescore_followers(int, text) is
    'Has all rows of the scorers that follow an alias scored again; returns the jobs.';
revoke all on function rowcast.rescore_followers(int, text) from public;

create or replace function rowcast.promote(
    name text, candidate text default 'challenger', alias text default 'champion',
    min_rows bigint default null, max_label_change double precision default null,
    max_stability_index double precision default null, metric text default null,
    higher_is_better boolean default null, metric_tolerance double precision default null,
    rescore boolean default false, dry_run boolean default false, force boolean default false,
    reason text default null)
returns table (check_name text, passed boolean, detail text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    target constant record := rowcast.rollout_target(name);
    new_version constant int := rowcast.version_of(target.model_id, candidate);
    old_version int;
    rule rowcast.alias_rule;
    settings jsonb := jsonb_strip_nulls(jsonb_build_object(
        'min_rows', min_rows, 'max_label_change', max_label_change,
        'max_stability_index', max_stability_index, 'metric', metric,
        'higher_is_better', higher_is_better, 'metric_tolerance', metric_tolerance));
    required text[];
    results jsonb;
    missed text;
    facts text;
    is_forced boolean := false;
    change_id bigint;
begin
    perform rowcast.check_names(target.model, alias);
    if new_version is null then
        raise exception using errcode = 'RC101',
            message = format('model "%s" has neither an alias nor a version "%s"', target.model, candidate),
            hint = 'The views rowcast.aliases and rowcast.model_versions list them.';
    elsif force and btrim(coalesce(reason, '')) = '' then
        raise exception using errcode = 'RC121',
            message = 'a promotion is forced without a reason',
            hint = 'Say it for the record: reason => ''...''.';
    end if;
    if not dry_run then
        perform rowcast.check_may_set(alias);
    end if;

    select a.version into old_version from rowcast.alias as a
    where a.model_id = target.model_id and a.alias = promote.alias;
    select r.* into rule from rowcast.alias_rule as r where r.alias = promote.alias;
    settings := settings || coalesce(rule.settings, '{}');  -- Nobody loosens a rule by an argument.
    required := array(select distinct c from unnest(coalesce(rule.checks, '{}')
        || case when settings ? 'min_rows' then array['compared_rows'] end
        || case when settings ? 'max_label_change' then array['label_changes'] end
        || case when settings ? 'max_stability_index' then array['stability_index'] end
        || case when settings ? 'metric' then array['metric_not_worse'] end) as c order by c);
    select jsonb_agg(to_jsonb(c)) into results
    from rowcast.promotion_checks(target.model_id, alias, new_version, target.scorer_id, settings,
                                  required) as c;
    select string_agg(distinct c ->> 'check_name', ', '),
           string_agg(format('%s: %s.', c ->> 'check_name', c ->> 'detail'), ' ')
    into missed, facts
    from jsonb_array_elements(results) as c where not (c ->> 'passed')::bool;

    if not dry_run then
        if missed is not null then
            -- What cannot score is not promoted for any reason.
            is_forced := force and not exists (
                select from jsonb_array_elements(results) as c
                where c ->> 'check_name' in ('ready', 'fits') and not (c ->> 'passed')::bool);
            if not is_forced then
                raise exception using errcode = 'RC121',
                    message = format('version %s of model "%s" is not promoted to "%s": %s', new_version,
                                     target.model, alias, missed),
                    detail = facts,
                    hint = case when force then 'These cannot be forced.'
                        else 'To do it nevertheless: force => true, reason => ''...''.' end;
            end if;
        end if;
        -- Not before: a comparison may take long, and whoever changes the registry waits for this lock.
        perform rowcast.bump_registry();
        if old_version is distinct from rowcast.version_of(target.model_id, alias)
           or new_version is distinct from rowcast.version_of(target.model_id, candidate)
           or rule.set_at is distinct from (
               select r.set_at from rowcast.alias_rule as r where r.alias = promote.alias)
        then
            raise exception using errcode = 'RC121',
                message = format('alias "%s" or "%s" of model "%s" was moved meanwhile', alias, candidate,
                                 target.model),
                hint = 'Look again, then promote again.';
        end if;
        perform rowcast.check_alias_fits(target.model_id, alias, new_version);
        change_id := rowcast.point_alias(target.model_id, alias, new_version);
        insert into rowcast.promotion (kind, model, alias, old_version, new_version, change_id, scorer,
                                       checks, forced, reason, made_by)
        values ('promotion', target.model, alias, old_version, new_version, change_id,
                (select s.name from rowcast.scorer as s where s.scorer_id = target.scorer_id),
                results, is_forced, reason, rowcast.caller());
    end if;

    return query select c ->> 'check_name', (c ->> 'passed')::bool, c ->> 'detail'
    from jsonb_array_elements(results) with ordinality as e (c, place) order by e.place;
    if not dry_run then
        check_name := 'promoted';
        passed := true;
        detail := format('alias "%s" of model "%s" points at version %s, before at %s%s', alias,
                         target.model, new_version, coalesce(old_version::text, 'none'),
                         case when is_forced then '; forced: ' || reason else '' end);
        return next;
        if rescore then
            return query select 'rescore', true, format('job %s of scorer "%s"', j.job_id, j.scorer)
            from rowcast.rescore_followers(target.model_id, alias) as j;
        end if;
    end if;
end
$$;
comment on function rowcast.promote(
    text, text, text, bigint, double precision, double precision, text, boolean, double precision,
    boolean, boolean, boolean, text) is
    'Moves an alias of a model (or of a scorer''s model) to a version, given by alias or number, if it '
    'passes: ready and fits; golden_rows, at least where the present version has some; metric_not_worse, '
    'of one metric or of all that both versions have; compared_rows, label_changes and stability_index '
    'where bounds are given or the alias''s rule has them, which then hold (see rowcast.compare). Else RC121, '
    'unless forced with a reason, which is recorded. dry_run: only tells. rescore: has all rows of the scorers that '
    'follow scored again.';
revoke all on function rowcast.promote(
    text, text, text, bigint, double precision, double precision, text, boolean, double precision,
    boolean, boolean, boolean, text) from public;
grant execute on function rowcast.promote(
    text, text, text, bigint, double precision, double precision, text, boolean, double precision,
    boolean, boolean, boolean, text) to rowcast_analyst;

create or replace function rowcast.version_before(model text, alias text) returns int
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
-- The history read as a stack: moves push, rollbacks pop. So two rollbacks go back two versions, and not
-- back to what the first one left.
declare
    stack int[] := '{}';
    move record;
begin
    for move in
        select c.new_version, exists (select from rowcast.promotion as p
                                      where p.change_id = c.change_id and p.kind = 'rollback') as is_back
        from rowcast.alias_change as c
        where c.model = version_before.model and c.alias = version_before.alias
        order by c.change_id
    loop
        if move.new_version is null then
            stack := '{}';
        elsif move.is_back and cardinality(stack) > 1 then
            stack := stack[:cardinality(stack) - 1];
        else
            stack := stack || move.new_version;
        end if;
    end loop;
    return stack[cardinality(stack) - 1];
end
$$;
comment on function rowcast.version_before(text, text) is
    'What an alias pointed at before it was moved where it points now; null where it was new.';
revoke all on function rowcast.version_before(text, text) from public;

create or replace function rowcast.rollback(
    name text, alias text default 'champion', reason text default null, rescore boolean default false)
returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    target constant record := rowcast.rollout_target(name);
    old_version int;
    new_version int;
    change_id bigint;
begin
    perform rowcast.check_may_set(alias);
    perform rowcast.bump_registry();
    select a.version into old_version from rowcast.alias as a
    where a.model_id = target.model_id and a.alias = rollback.alias;
    if not found then
        raise exception using errcode = 'RC101',
            message = format('model "%s" has no alias "%s"', target.model, alias),
            hint = 'The view rowcast.aliases lists them.';
    end if;
    new_version := rowcast.version_before(target.model, alias);
    if new_version is null then
        raise exception using errcode = 'RC121',
            message = format('alias "%s" of model "%s" points at version %s, and at none before', alias,
                             target.model, old_version),
            hint = 'The view rowcast.alias_history tells where it pointed.';
    elsif not exists (select from rowcast.model_version as v
                      where v.model_id = target.model_id and v.version = new_version) then
        raise exception using errcode = 'RC121',
            message = format('version %s of model "%s" was dropped', new_version, target.model),
            hint = 'Move the alias with rowcast.set_alias.';
    end if;
    perform rowcast.check_alias_fits(target.model_id, alias, new_version);
    change_id := rowcast.point_alias(target.model_id, alias, new_version);
    insert into rowcast.promotion (kind, model, alias, old_version, new_version, change_id, scorer, reason,
                                   made_by)
    values ('rollback', target.model, alias, old_version, new_version, change_id,
            (select s.name from rowcast.scorer as s where s.scorer_id = target.scorer_id), reason,
            rowcast.caller());
    if rescore then
        perform from rowcast.rescore_followers(target.model_id, alias);
    end if;
    return new_version;
end
$$;
comment on function rowcast.rollback(text, text, text, boolean) is
    'Moves an alias of a model (or of a scorer''s model) back to the version that it pointed at before, and '
    'returns it; once more, and it goes back further. It must fit, and nothing else is checked. rescore: '
    'has all rows of the scorers that follow scored again.';
revoke all on function rowcast.rollback(text, text, text, boolean) from public;
grant execute on function rowcast.rollback(text, text, text, boolean) to rowcast_analyst;

create or replace view rowcast.promotions as
select p.promotion_id, p.kind, p.model, p.alias, p.old_version, p.new_version, p.scorer, p.checks,
       p.forced, p.reason, p.made_at, p.made_by
from rowcast.promotion as p;
comment on view rowcast.promotions is 'Every promotion and rollback, with what was checked and why.';
grant select on rowcast.promotions to rowcast_reader;
