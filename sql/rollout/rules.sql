-- Rules of aliases: qa, production and the like are aliases that not everything, and not everybody, may
-- move. A rule holds for the alias of that name of every model. An alias without a rule, as champion is
-- at first, is moved by any analyst to any version that fits.

create or replace function rowcast.known_checks() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select array['golden_rows', 'expectations', 'metric_not_worse', 'compared_rows', 'label_changes', 'stability_index']
$$;
comment on function rowcast.known_checks() is 'Checks that a rule can require, beside was_<alias>.';
revoke all on function rowcast.known_checks() from public;

create or replace function rowcast.set_alias_rule(
    alias text, checks text[] default '{}', setters text[] default null, min_rows bigint default null,
    max_label_change double precision default null, max_stability_index double precision default null,
    metric text default null, higher_is_better boolean default null,
    metric_tolerance double precision default null)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    stranger text;
begin
    perform rowcast.check_names('any', alias);
    select c into stranger from unnest(checks) as c
    where c is null or not (c = any (rowcast.known_checks()) or c ~ '^was_.+');
    if found then
        raise exception using errcode = 'RC122',
            message = format('there is no check "%s"', stranger),
            hint = format('Checks are %s, and was_<alias>.',
                          array_to_string(rowcast.known_checks(), ', '));
    end if;
    select r into stranger from unnest(setters) as r where to_regrole(quote_ident(r)) is null;
    if found then
        raise exception using errcode = 'RC122',
            message = format('role "%s" does not exist', stranger);
    end if;
    perform rowcast.bump_registry();
    insert into rowcast.alias_rule as r (alias, checks, setters, settings, set_by)
    values (set_alias_rule.alias,
            -- A bound asks for its check.
            array(select distinct c from unnest(
                coalesce(set_alias_rule.checks, '{}')
                || case when min_rows is not null then array['compared_rows'] end
                || case when max_label_change is not null then array['label_changes'] end
                || case when max_stability_index is not null then array['stability_index'] end
                || case when metric is not null then array['metric_not_worse'] end) as c order by c),
            set_alias_rule.setters,
            jsonb_strip_nulls(jsonb_build_object(
                'min_rows', min_rows, 'max_label_change', max_label_change,
                'max_stability_index', max_stability_index, 'metric', metric,
                'higher_is_better', higher_is_better, 'metric_tolerance', metric_tolerance)),
            rowcast.caller())
    on conflict on constraint alias_rule_pkey do update
    set checks = excluded.checks, setters = excluded.setters, settings = excluded.settings,
        set_at = now(), set_by = excluded.set_by;
end
$$;
comment on function rowcast.set_alias_rule(
    text, text[], text[], bigint, double precision, double precision, text, boolean, double precision) is
    'Makes or replaces the rule of an alias: checks that a version must pass before the alias of any '
    'model is moved to it, with their bounds (see rowcast.promote), and roles whose members may move it '
    '(every analyst where none are given; administrators always). For administrators.';
revoke all on function rowcast.set_alias_rule(
    text, text[], text[], bigint, double precision, double precision, text, boolean, double precision)
    from public;

create or replace function rowcast.drop_alias_rule(alias text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from rowcast.alias_rule as r where r.alias = drop_alias_rule.alias;
    if not found then
        raise exception using errcode = 'RC122',
            message = format('alias "%s" has no rule', alias),
            hint = 'select * from rowcast.alias_rules lists them.';
    end if;
end
$$;
comment on function rowcast.drop_alias_rule(text) is
    'Removes the rule of an alias: every analyst may move it again. For administrators.';
revoke all on function rowcast.drop_alias_rule(text) from public;

create or replace function rowcast.check_may_set(alias text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    allowed text[];
    me name;
begin
    select r.setters into allowed from rowcast.alias_rule as r
    where r.alias = check_may_set.alias and r.setters is not null;
    if not found then
        return;
    end if;
    me := rowcast.caller();
    if not pg_has_role(me, 'rowcast_admin', 'member') and not exists (
        select from unnest(allowed) as a (role)
        where to_regrole(quote_ident(a.role)) is not null and pg_has_role(me, a.role, 'member'))
    then
        raise exception using errcode = '42501',
            message = format('permission denied: moving alias "%s"', alias),
            detail = format('Its rule leaves that to members of %s.', array_to_string(allowed, ', '));
    end if;
end
$$;
comment on function rowcast.check_may_set(text) is
    'Refuses (42501) a caller whom the rule of an alias does not let move it.';
revoke all on function rowcast.check_may_set(text) from public;

create or replace function rowcast.check_alias_rule(model_id int, alias text, version int) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    rule rowcast.alias_rule;
    missed text;
    facts text;
begin
    select r.* into rule from rowcast.alias_rule as r
    where r.alias = check_alias_rule.alias and cardinality(r.checks) > 0;
    if not found or exists (
        select from rowcast.alias as a
        where a.model_id = check_alias_rule.model_id and a.alias = check_alias_rule.alias
          and a.version = check_alias_rule.version) then
        return;
    end if;
    select string_agg(c.check_name, ', '), string_agg(c.check_name || ': ' || c.detail || '.', ' ')
    into missed, facts
    from rowcast.promotion_checks(model_id, alias, version, null, rule.settings, rule.checks) as c
    where not c.passed;
    if missed is not null then
        raise exception using errcode = 'RC122',
            message = format('version %s of model "%s" does not pass the rule of alias "%s": %s', version,
                (select m.name from rowcast.model as m where m.model_id = check_alias_rule.model_id),
                alias, missed),
            detail = facts,
            hint = 'rowcast.promote shows all checks with dry_run => true, and can be forced with a reason.';
    end if;
end
$$;
comment on function rowcast.check_alias_rule(int, text, int) is
    'Raises RC122 where a version does not pass what the rule of an alias requires.';
revoke all on function rowcast.check_alias_rule(int, text, int) from public;

create or replace view rowcast.alias_rules as
select r.alias, r.checks, r.settings, r.setters, r.set_at, r.set_by from rowcast.alias_rule as r;
comment on view rowcast.alias_rules is 'What must hold before an alias is moved, and who may move it.';
grant select on rowcast.alias_rules to rowcast_reader;
