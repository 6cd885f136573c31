-- Shadows: a challenger scores the rows that the champion scores, into a table of its own.
--
-- A shadow is a scorer on the same source, named <scorer>_shadow. So it has the same ticks by
-- construction, its own backlog, failures and pause, and nothing that it does can slow down or stop a
-- write of the champion's, but for the lanes that both use.

create or replace function rowcast.shadow_plan(
    scorer text, alias text, version int,
    out name text, out relation regclass, out model text, out route text, out key text[],
    out features jsonb, out top_k int)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    other text;
    signature jsonb;
    wanted int;
begin
    name := own.name || '_shadow';
    if own.shadow_of is not null then
        raise exception using errcode = 'RC320',
            message = format('scorer "%s" is a shadow itself', scorer),
            hint = 'Start the shadow of the scorer that it runs beside.';
    elsif char_length(own.name) > 47 then
        raise exception using errcode = 'RC320',
            message = format('name of scorer "%s" is too long for a shadow', scorer),
            detail = 'A shadow has the name with "_shadow", and names have at most 54 characters.',
            hint = 'Create a scorer under another name for the other version.';
    end if;
    select s.name into other from rowcast.scorer as s where s.shadow_of = own.scorer_id;
    if found then
        raise exception using errcode = 'RC320',
            message = format('scorer "%s" has a shadow', scorer),
            hint = format('select rowcast.stop_shadow(%L) ends it.', scorer);
    end if;
    select m.name into model from rowcast.model as m where m.model_id = own.model_id;
    select o.relation, o.key_columns into relation, key
    from rowcast.source as o where o.source_id = own.source_id;
    route := own.route;
    top_k := own.top_k;

    -- Each input from the column that the scorer reads it from; what only the challenger wants, by name.
    if own.route is null then
        wanted := coalesce(version, (
            select a.version from rowcast.alias as a
            where a.model_id = own.model_id and a.alias = shadow_plan.alias));
        if wanted is null then
            raise exception using errcode = 'RC101',
                message = format('model "%s" has no alias "%s"', model, alias),
                hint = format('select rowcast.set_alias(%L, %L, <version>);', model, alias);
        end if;
        signature := rowcast.ready_signature(model, wanted);
    end if;
    if route is not null or not exists (
        select from jsonb_array_elements(signature -> 'features') as f
        where not exists (select from jsonb_array_elements(own.features) as m
                          where m ->> 'input' = f ->> 'name')) then
        select jsonb_agg(m.entry -> 'column' order by f.place) into features
        from jsonb_array_elements(coalesce(signature -> 'features', (
                 select jsonb_agg(jsonb_build_object('name', e.entry -> 'input') order by e.place)
                 from jsonb_array_elements(own.features) with ordinality as e (entry, place))))
             with ordinality as f (entry, place)
        join jsonb_array_elements(own.features) as m (entry)
          on m.entry ->> 'input' = f.entry ->> 'name';
    else
        select jsonb_object_agg(m ->> 'column', m ->> 'input') into features
        from jsonb_array_elements(own.features) as m
        where exists (select from jsonb_array_elements(signature -> 'features') as f
                      where f ->> 'name' = m ->> 'input');
    end if;
end
$$;
comment on function rowcast.shadow_plan(text, text, int) is
    'The arguments of create_scorer that make a shadow of a scorer.';
revoke all on function rowcast.shadow_plan(text, text, int) from public;
grant execute on function rowcast.shadow_plan(text, text, int) to rowcast_analyst;

create or replace function rowcast.mark_shadow(scorer text, shadow text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    shadow_id int;
begin
    update rowcast.scorer as s set shadow_of = own.scorer_id
    where s.name = shadow and s.created_at = now() and s.created_by = rowcast.caller()
      and s.source_id = own.source_id and own.shadow_of is null
      and s.name = own.name || '_shadow'
    returning s.scorer_id into shadow_id;
    if not found then
        raise exception using errcode = 'RC306',
            message = format('scorer "%s" is not being made in this transaction', shadow),
            hint = format('select * from rowcast.start_shadow(%L);', scorer);
    end if;
    perform rowcast.share_watches(scorer, shadow);
    if (select c.relrowsecurity from pg_class as c
        where c.oid = format('predictions.%I', own.name)::regclass) then
        perform rowcast.set_protection(shadow_id, true);  -- Who may not see the one may not see the other.
    end if;
end
$$;
comment on function rowcast.mark_shadow(text, text) is
    'The end of start_shadow, in its transaction: makes the new scorer a shadow.';
revoke all on function rowcast.mark_shadow(text, text) from public;
grant execute on function rowcast.mark_shadow(text, text) to rowcast_analyst;

create or replace function rowcast.start_shadow(
    scorer text, alias text default 'challenger', version int default null,
    backfill boolean default true)
returns table (input text, input_type text, column_name text, column_type text, on_null text)
-- With the caller's rights, as create_scorer: he needs those that the scorer itself needed.
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    plan record;
begin
    select * into plan from rowcast.shadow_plan(scorer, alias, version);
    return query select * from rowcast.make_scorer(
        plan.name, plan.relation, plan.model, plan.route, alias, version, plan.key, plan.features,
        plan.top_k, backfill, rowcast.query_options(scorer));
    perform rowcast.mark_shadow(scorer, plan.name);
end
$$;
comment on function rowcast.start_shadow(text, text, int, boolean) is
    'Has the rows of a scorer scored by another version too, into predictions.<scorer>_shadow: the one '
    'that an alias of its model points at, now and later, or a pinned one. Returns what create_scorer '
    'does. A scorer has at most one shadow; rowcast.compare compares the two.';
revoke all on function rowcast.start_shadow(text, text, int, boolean) from public;
grant execute on function rowcast.start_shadow(text, text, int, boolean) to rowcast_analyst;

create or replace function rowcast.shadow_name(scorer text) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.name from rowcast.scorer as s
    join rowcast.scorer as o on o.scorer_id = s.shadow_of
    where o.name = shadow_name.scorer
$$;
comment on function rowcast.shadow_name(text) is 'The shadow of a scorer; null where it has none.';
revoke all on function rowcast.shadow_name(text) from public;
grant execute on function rowcast.shadow_name(text) to rowcast_analyst, rowcast_reader;

create or replace function rowcast.stop_shadow(scorer text, keep_predictions boolean default false)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    shadow constant text := rowcast.shadow_name(scorer);
begin
    if shadow is null then
        raise exception using errcode = 'RC320',
            message = format('scorer "%s" has no shadow', scorer),
            hint = 'select * from rowcast.rollouts lists them.';
    end if;
    perform rowcast.drop_scorer(shadow, keep_predictions);
end
$$;
comment on function rowcast.stop_shadow(text, boolean) is
    'Ends the shadow of a scorer, and drops its predictions unless they are kept.';
revoke all on function rowcast.stop_shadow(text, boolean) from public;
grant execute on function rowcast.stop_shadow(text, boolean) to rowcast_analyst;
