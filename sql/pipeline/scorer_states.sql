-- States of a scorer: active; paused by people; suspended because its source no longer fits.
--
-- Capture goes on in all of them. Chunks of a scorer that is not active are held, and none is claimed. A
-- tick, a rescue or a cut that runs beside the change of state may leave a chunk that is held or free by
-- mistake; tidy corrects it. A lock against the ticks would stop all scoring while a transaction that
-- paused a scorer is open.
--
-- Locks are taken in this order: source, scorer, chunks, (1919907685, scorer_id), registry_revision.

create or replace function rowcast.own_scorer(name text) returns rowcast.scorer
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.scorer;
begin
    select s.* into own from rowcast.scorer as s where s.name = own_scorer.name;
    if not found then
        raise exception using errcode = 'RC306',
            message = format('scorer "%s" does not exist', name),
            hint = 'select name from rowcast.scorer_status lists them.';
    end if;
    return own;
end
$$;
comment on function rowcast.own_scorer(text) is 'The scorer of a name, or RC306.';
revoke all on function rowcast.own_scorer(text) from public;

create or replace function rowcast.set_scorer_state(scorer_id int, state text, reason text)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    update rowcast.scorer as s
    set state = set_scorer_state.state, state_reason = reason, revision = s.revision + 1
    where s.scorer_id = set_scorer_state.scorer_id;
    update rowcast.chunk as c
    set held = set_scorer_state.state <> 'active'
    where c.scorer_id = set_scorer_state.scorer_id and c.state = 'available'
      and c.held <> (set_scorer_state.state <> 'active');
    perform rowcast.bump_registry();
    perform pg_notify('rowcast_chunk', '');
end
$$;
comment on function rowcast.set_scorer_state(int, text, text) is
    'Moves a scorer to a state and holds or frees its chunks.';
revoke all on function rowcast.set_scorer_state(int, text, text) from public;

create or replace function rowcast.start_scorer(scorer_id int, backfill boolean) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    problem text;
    sco rowcast.scorer;
begin
    select s.* into sco from rowcast.scorer as s
    where s.scorer_id = start_scorer.scorer_id and s.created_at = now()
      and s.created_by = rowcast.caller();
    if not found then
        raise exception using errcode = 'RC306',
            message = format('scorer %s is not being made in this transaction', scorer_id),
            hint = 'select rowcast.rescore(name) scores all rows of a scorer again.';
    end if;
    problem := rowcast.scorer_problem(scorer_id);
    if problem is not null then
        raise exception using errcode = 'RC305',
            message = format('scorer "%s" cannot start: %s', sco.name, problem);
    end if;
    update rowcast.scorer as s set state = 'active', state_reason = null
    where s.scorer_id = start_scorer.scorer_id;
    update rowcast.source as s
    set relations = array(select r::oid from rowcast.captured_relations(s.relation) as r),
        definition = rowcast.source_definition(s.source_id) || coalesce(s.definition, '{}')
    where s.source_id = sco.source_id;
    perform rowcast.bump_registry();
    if backfill then
        return rowcast.make_job(scorer_id, 'backfill');
    end if;
    return null;
end
$$;
comment on function rowcast.start_scorer(int, boolean) is
    'The end of create_scorer, in its transaction: checks the triggers, starts the backfill.';
revoke all on function rowcast.start_scorer(int, boolean) from public;
grant execute on function rowcast.start_scorer(int, boolean) to rowcast_analyst;

create or replace function rowcast.pause_scorer(name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.scorer := rowcast.own_scorer(name);
begin
    perform rowcast.check_scorer_right(name, 'manage');
    if own.state = 'active' then
        perform rowcast.set_scorer_state(own.scorer_id, 'paused',
                                         format('paused by %s', rowcast.caller()));
    elsif own.state = 'suspended' then
        raise exception using errcode = 'RC306',
            message = format('scorer "%s" is suspended: %s', name, own.state_reason);
    end if;
end
$$;
comment on function rowcast.pause_scorer(text) is
    'Stops scoring; changes are kept and scored after resume_scorer. What lanes hold now is finished.';
revoke all on function rowcast.pause_scorer(text) from public;
grant execute on function rowcast.pause_scorer(text) to rowcast_analyst;

create or replace function rowcast.resume_scorer(name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.scorer := rowcast.own_scorer(name);
    problem text;
begin
    perform rowcast.check_scorer_right(name, 'manage');
    if own.state = 'paused' then
        perform rowcast.set_scorer_state(own.scorer_id, 'active', null);
    elsif own.state = 'suspended' then
        perform rowcast.accept_queries(own.scorer_id);
        problem := rowcast.scorer_problem(own.scorer_id);
        if problem is not null then
            raise exception using errcode = 'RC306',
                message = format('scorer "%s" stays suspended: %s', name, problem);
        end if;
        perform rowcast.mend_scorer(own.scorer_id);
    end if;
end
$$;
comment on function rowcast.resume_scorer(text) is
    'Goes on scoring, beginning with what came while the scorer was paused.';
revoke all on function rowcast.resume_scorer(text) from public;
grant execute on function rowcast.resume_scorer(text) to rowcast_analyst;

create or replace function rowcast.suspend_scorer(
    scorer_id int, reason text, revision bigint default null) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own_source constant int := (
        select s.source_id from rowcast.scorer as s where s.scorer_id = suspend_scorer.scorer_id);
begin
    -- A source that was renamed is read anew, by those too that had read how to before: another lane may
    -- have followed it by now, so the revision is looked at last.
    if rowcast.follow_definition(own_source) or exists (
        select from rowcast.scorer as s
        where s.scorer_id = suspend_scorer.scorer_id and s.revision > suspend_scorer.revision) then
        return false;
    end if;
    perform from rowcast.scorer as s
    where s.scorer_id = suspend_scorer.scorer_id and s.state = 'active' for update;
    if not found then
        return false;
    end if;
    -- Where nothing that can be seen from here is wrong, it is what a query met in the rows, and stays until
    -- somebody resumes the scorer: trying all rows again and again would not mend it.
    update rowcast.scorer as s set query_error = reason
    where s.scorer_id = suspend_scorer.scorer_id and s.features_from is not null
      and rowcast.scorer_problem(s.scorer_id) is null;
    perform rowcast.set_scorer_state(scorer_id, 'suspended', reason);
    return true;
end
$$;
comment on function rowcast.suspend_scorer(int, text, bigint) is
    'Stops an active scorer whose source or model no longer fits; check_suspended resumes it. False '
    'where it was not active, or only has to be read anew: its source was renamed, or the revision given is not its present one.';
revoke all on function rowcast.suspend_scorer(int, text, bigint) from public;
grant execute on function rowcast.suspend_scorer(int, text, bigint) to rowcast_worker;

create or replace function rowcast.suspend_unfit(source_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    own record;
    problem text;
begin
    for own in select s.scorer_id, s.state from rowcast.scorer as s
        where s.state in ('active', 'paused') and (
            s.source_id = suspend_unfit.source_id
            or exists (select from rowcast.watch as w
                       where w.scorer_id = s.scorer_id and w.source_id = suspend_unfit.source_id))
    loop
        if own.state = 'paused' then
            -- It stays so; all its rows are looked at when somebody resumes it.
            perform rowcast.make_job(own.scorer_id, 'rescore');
            perform rowcast.remove_orphans(own.scorer_id);
            continue;
        end if;
        problem := rowcast.scorer_problem(own.scorer_id);
        -- A key was not readable, and it may be mended already; which rows were touched nobody knows,
        -- so check_suspended has to look at all of them.
        perform rowcast.set_scorer_state(own.scorer_id, 'suspended',
            coalesce(problem, 'its key could not be read for a while'));
    end loop;
end
$$;
comment on function rowcast.suspend_unfit(int) is
    'Suspends the scorers of a source whose trigger could not read the key.';
revoke all on function rowcast.suspend_unfit(int) from public;

create or replace function rowcast.held_by(scorer_id int) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select format('expectation "%s": %s', e.name, e.held_reason)
    from rowcast.expectation as e
    where e.scorer_id = held_by.scorer_id and e.held_at is not null
    order by e.held_at limit 1
$$;
comment on function rowcast.held_by(int) is 'The expectation that holds a scorer, with its reason; or null.';
revoke all on function rowcast.held_by(int) from public;

create or replace function rowcast.scorer_problem(scorer_id int) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    problem text;
    sco rowcast.scorer;
    src rowcast.source;
    wrong record;
    kind "char";
    has_row_security boolean;
    namespace oid;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = scorer_problem.scorer_id;
    select s.* into strict src from rowcast.source as s where s.source_id = sco.source_id;
    select c.relkind, c.relrowsecurity, c.relnamespace into kind, has_row_security, namespace
    from pg_class as c where c.oid = src.relation;
    if not found then
        return format('source "%s" was dropped', src.relation_name);
    elsif kind not in ('r', 'p') then
        return format('source "%s" is not a table any more', src.relation);
    elsif has_row_security and rowcast.row_security_problem(sco.scorer_id) is not null then
        return rowcast.row_security_problem(sco.scorer_id);
    elsif kind = 'r' and exists (select from pg_inherits as i where i.inhparent = src.relation) then
        return format('source "%s" has inheriting tables', src.relation);
    end if;

    for wrong in
        select k.name, a.attname, a.attnotnull, k.type,
               rowcast.typed_name(rowcast.base_type(a.atttypid)) as now_type
        from unnest(src.key_columns, src.key_types) with ordinality as k (name, type, place)
        left join pg_attribute as a
          on a.attrelid = src.relation and a.attname = k.name and a.attnum > 0 and not a.attisdropped
        order by k.place
    loop
        if wrong.attname is null then
            return format('key column "%s" of source "%s" is gone', wrong.name, src.relation);
        elsif wrong.now_type <> wrong.type then
            return format('key column "%s" of source "%s" is %s, it was %s when the scorer was made',
                          wrong.name, src.relation, wrong.now_type, wrong.type);
        elsif src.has_unique_key and not wrong.attnotnull then
            return format('key column "%s" of source "%s" may be null now', wrong.name, src.relation);
        end if;
    end loop;
    if src.has_unique_key and not exists (
        select from pg_index as i
        where i.indrelid = src.relation and i.indisunique and i.indisvalid and i.indpred is null
          and i.indexprs is null and i.indnkeyatts = cardinality(src.key_columns)
          and (select array_agg(a.attname::text order by a.attname::text)
               from unnest(i.indkey) with ordinality as c (attnum, place)
               join pg_attribute as a on a.attrelid = src.relation and a.attnum = c.attnum
               where c.place <= i.indnkeyatts)
              = (select array_agg(k.name order by k.name) from unnest(src.key_columns) as k (name)))
    then
        return format('key (%s) of source "%s" is not unique any more',
                      array_to_string(src.key_columns, ', '), src.relation);
    end if;

    for wrong in
        select w.name, w.type, a.attname, t.typcategory, t.typtype, t.oid as base
        from (
            select f.value ->> 'column' as name, f.value ->> 'type' as type, f.place
            from jsonb_array_elements(sco.features) with ordinality as f (value, place)
            union all
            select p.column_name, null, 1e6::int + p.place from rowcast.route_parts(sco.route) as p
            where p.column_name is not null
        ) as w
        left join pg_attribute as a
          on a.attrelid = src.relation and a.attname = w.name and a.attnum > 0 and not a.attisdropped
        left join pg_type as t on t.oid = rowcast.base_type(a.atttypid)
        where sco.features_from is null
        order by w.place
    loop
        if wrong.attname is null then
            return format('column "%s" of source "%s" is gone', wrong.name, src.relation);
        elsif not coalesce(rowcast.type_fits(wrong.type, wrong.base), true) then
            return format('column "%s" of source "%s" is %s, which does not fit the model any more',
                          wrong.name, src.relation, rowcast.typed_name(wrong.base));
        end if;
    end loop;

    if not has_table_privilege('rowcast_worker', src.relation, 'select')
       or not has_schema_privilege('rowcast_worker', namespace, 'usage') then
        return format('workers may not read source "%s" any more', src.relation);
    end if;
    -- Of partitions this is looked after elsewhere, and no reason to stop.
    select case t.state when 'missing' then format('source "%s" lacks a trigger of Rowcast', src.relation)
                when 'disabled' then format('a trigger of Rowcast on source "%s" is disabled', src.relation)
                else format('a trigger of Rowcast on source "%s" fires for replicas only', src.relation) end
    into problem from rowcast.silent_triggers(src.source_id) as t
    where t.relation = src.relation order by t.state = 'missing' desc, t.state limit 1;
    if found then
        return problem;
    end if;
    if sco.features_from is not null then
        problem := rowcast.query_problem(sco);
        if problem is not null then
            return problem;
        end if;
    end if;
    -- Rows are not as expected, and nobody has resolved it.
    return rowcast.held_by(scorer_id);
end
$$;
comment on function rowcast.scorer_problem(int) is
    'What keeps a scorer from reading its source, as one clause; null where nothing does.';
revoke all on function rowcast.scorer_problem(int) from public;

create or replace function rowcast.type_fits(wanted text, base oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select case
        when wanted in ('float32', 'float64') then base in (
            'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'float4'::regtype, 'float8'::regtype,
            'numeric'::regtype, 'bool'::regtype)
        when wanted = 'int64' then base in (
            'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'bool'::regtype)
        when wanted = 'bool' then base = 'bool'::regtype
        when wanted = 'bytes' then base = 'bytea'::regtype
        when wanted = 'string' then (select t.typcategory = 'S' or t.typtype = 'e'
                                     from pg_type as t where t.oid = base) end
$$;
comment on function rowcast.type_fits(text, oid) is
    'Whether a column of a base type can feed a feature of a type.';
revoke all on function rowcast.type_fits(text, oid) from public;

create or replace function rowcast.remove_orphans(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    new_tick bigint;
begin
    insert into rowcast.tick (snapshot) values (null) returning tick_id into new_tick;
    insert into rowcast.chunk (scorer_id, tick_id, key_count, priority, kind, held)
    select s.scorer_id, new_tick, 0, 1, 'truncate', s.state <> 'active'
    from rowcast.scorer as s where s.scorer_id = remove_orphans.scorer_id;
    perform pg_notify('rowcast_chunk', '');
end
$$;
comment on function rowcast.remove_orphans(int) is
    'Makes a chunk that removes predictions whose row is gone, for rows that went unlogged.';
revoke all on function rowcast.remove_orphans(int) from public;

create or replace function rowcast.mend_scorer(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform rowcast.set_scorer_state(scorer_id, 'active', null);
    perform rowcast.note_definition(s.source_id), rowcast.make_capture(s.source_id)
    from rowcast.scorer as s where s.scorer_id = mend_scorer.scorer_id;
    perform rowcast.make_capture(w.source_id) from rowcast.watch as w
    where w.scorer_id = mend_scorer.scorer_id;
    perform rowcast.make_write(scorer_id);
    -- Every row again, and every prediction whose row is gone: neither is known to be logged.
    perform rowcast.make_job(scorer_id, 'rescore');
    perform rowcast.remove_orphans(scorer_id);
end
$$;
comment on function rowcast.mend_scorer(int) is
    'Resumes a suspended scorer: all rows are scored again, and orphans removed.';
revoke all on function rowcast.mend_scorer(int) from public;

create or replace function rowcast.check_suspended() returns setof text
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
    own record;
    problem text;
begin
    for own in
        select s.scorer_id, s.name, s.state_reason from rowcast.scorer as s
        where s.state = 'suspended' order by s.scorer_id for update skip locked
    loop
        problem := rowcast.scorer_problem(own.scorer_id);
        if problem is null then
            begin
                perform rowcast.mend_scorer(own.scorer_id);
                return next own.name;
            exception when lock_not_available then
                null;  -- The next time.
            when others then
                -- One scorer that cannot be mended keeps no other suspended.
                raise warning using errcode = '01000',
                    message = format('scorer "%s" stays suspended: %s', own.name, sqlerrm);
            end;
        elsif problem <> own.state_reason then
            update rowcast.scorer as s set state_reason = problem where s.scorer_id = own.scorer_id;
        end if;
    end loop;
end
$$;
comment on function rowcast.check_suspended() is
    'Looks at suspended scorers again, resumes those that were mended, and returns their names.';
revoke all on function rowcast.check_suspended() from public;
grant execute on function rowcast.check_suspended() to rowcast_worker;

create or replace function rowcast.source_without_triggers(name text) returns int
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select o.source_id from rowcast.source as o
    where o.source_id = (rowcast.own_scorer(name)).source_id
      and exists (select from rowcast.silent_triggers(o.source_id) as t
                  where t.relation = o.relation and t.state = 'missing')
$$;
comment on function rowcast.source_without_triggers(text) is
    'The source of a scorer whose triggers somebody dropped; null where they are there.';
revoke all on function rowcast.source_without_triggers(text) from public;
grant execute on function rowcast.source_without_triggers(text) to rowcast_analyst;

create or replace function rowcast.check_scorer(name text) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- With the caller's rights, so that the owner of a new partition can have it watched.
declare
    result record;
    lacking constant int := rowcast.source_without_triggers(name);
    made int := 0;
begin
    if lacking is not null then
        begin
            made := rowcast.attach_capture(lacking, false);
        exception when insufficient_privilege then
            null;  -- The review tells.
        end;
    end if;
    select * into result from rowcast.review_scorer(name);
    if made > 0 and result.outcome = 'ok' then
        perform rowcast.rescore(name);  -- Which rows changed meanwhile nobody knows.
    end if;
    if result.source_id is not null then
        perform rowcast.attach_capture(result.source_id, false);
        perform rowcast.follow_partitions(result.source_id);
    end if;
    return result.outcome;
end
$$;
comment on function rowcast.check_scorer(text) is
    'Checks a scorer against its source now: suspends or resumes it, has new partitions watched, makes '
    'triggers that were dropped and has all rows scored again, and says what is wrong, or ok.';
revoke all on function rowcast.check_scorer(text) from public;
grant execute on function rowcast.check_scorer(text) to rowcast_analyst;

create or replace function rowcast.review_scorer(name text, out outcome text, out source_id int)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.scorer := rowcast.own_scorer(name);
    problem text := rowcast.scorer_problem(own.scorer_id);
begin
    if problem is not null and own.state = 'active' then
        perform rowcast.set_scorer_state(own.scorer_id, 'suspended', problem);
    elsif problem is null and own.state = 'suspended' then
        perform rowcast.mend_scorer(own.scorer_id);
    end if;
    outcome := coalesce(problem, 'ok');
    source_id := case when problem is null then own.source_id end;
end
$$;
comment on function rowcast.review_scorer(text) is
    'The part of check_scorer that writes the machinery''s own tables; the source where it fits.';
revoke all on function rowcast.review_scorer(text) from public;
grant execute on function rowcast.review_scorer(text) to rowcast_analyst;

create or replace function rowcast.drop_scorer(name text, keep_predictions boolean default false) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- With the caller's rights: dropping a trigger is the right of the table's owner. Where the caller is
-- not, the triggers stay until the owner drops them: their functions are left, and log nothing.
declare
    statement text;
    shadow constant text := rowcast.shadow_name(name);
    refused text[] := '{}';
begin
    if shadow is not null then
        perform rowcast.drop_scorer(shadow, keep_predictions);
    end if;
    for statement in select * from rowcast.remove_scorer(name, keep_predictions) loop
        begin
            execute statement;
        exception when insufficient_privilege then
            refused := refused || statement;
        end;
    end loop;
    perform rowcast.remove_source_functions();
    if cardinality(refused) > 0 then
        raise notice using
            message = format('%s triggers of scorer "%s", which do nothing from now on, stay on its source',
                             cardinality(refused), name),
            hint = format('Workers whose role owns the table remove them; else let its owner run: %s;',
                          array_to_string(refused, '; '));
    end if;
end
$$;
comment on function rowcast.drop_scorer(text, boolean) is
    'Ends a scorer and removes what it made: its predictions and failures too, unless they are kept. Its '
    'shadow goes with it.';
revoke all on function rowcast.drop_scorer(text, boolean) from public;
grant execute on function rowcast.drop_scorer(text, boolean) to rowcast_analyst;

create or replace function rowcast.is_used(source_id int) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select exists (select from rowcast.scorer as s where s.source_id = is_used.source_id)
        or exists (select from rowcast.watch as w where w.source_id = is_used.source_id)
$$;
comment on function rowcast.is_used(int) is 'Whether a scorer reads or watches a source.';
revoke all on function rowcast.is_used(int) from public;

create or replace function rowcast.trigger_drops(source_id int) returns setof text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass)
    from pg_trigger as t
    where t.tgfoid in (
        select p.oid from pg_proc as p
        where p.pronamespace = 'rowcast'::regnamespace
          and p.proname = any (array[
              'capture_insert_' || source_id, 'capture_update_' || source_id,
              'capture_delete_' || source_id, 'capture_truncate_' || source_id,
              'capture_row_' || source_id]))
    order by t.tgrelid, t.tgname
$$;
comment on function rowcast.trigger_drops(int) is 'The statements that drop the triggers of a source.';
revoke all on function rowcast.trigger_drops(int) from public;

create or replace function rowcast.remove_scorer(name text, keep_predictions boolean)
returns setof text
language plpgsql security definer
set search_path = pg_catalog, pg_temp set client_min_messages = warning as $$
declare
    own rowcast.scorer := rowcast.own_scorer(name);
    beside constant int[] := array(
        select w.source_id from rowcast.watch as w where w.scorer_id = own.scorer_id);
    queries constant regprocedure[] := array(
        select p.oid from pg_proc as p
        where p.oid = own.features_from and not exists (
                  select from rowcast.scorer as s
                  where s.features_from = own.features_from and s.scorer_id <> own.scorer_id)
           or p.oid in (select w.maps_with from rowcast.watch as w where w.scorer_id = own.scorer_id)
              and p.oid not in (select w.maps_with from rowcast.watch as w
                                where w.scorer_id <> own.scorer_id));
    query regprocedure;
begin
    -- Whoever makes a scorer of the same source meanwhile would find triggers that are about to go.
    perform from rowcast.source as s where s.source_id = own.source_id for update;
    perform from rowcast.scorer as s where s.scorer_id = own.scorer_id for update;
    if not found then
        own := rowcast.own_scorer(name);  -- Another session was faster; says so.
    end if;
    -- Lanes lock their chunk, then the scorer's writes: the same order here.
    delete from rowcast.chunk as c where c.scorer_id = own.scorer_id;
    perform pg_advisory_xact_lock(1919907685, own.scorer_id);
    perform rowcast.remove_history(own.scorer_id, keep_predictions);
    delete from rowcast.scorer as s where s.scorer_id = own.scorer_id;
    -- Those that were cut or split meanwhile. What a tick still adds is removed by tidy.
    delete from rowcast.chunk as c where c.scorer_id = own.scorer_id;
    perform rowcast.drop_write(own.scorer_id);
    execute format('drop table if exists rowcast.retraction_%s, rowcast.set_%1$s', own.scorer_id);
    foreach query in array queries loop
        execute format('drop function %s', query);
    end loop;
    if rowcast.canary_view(own.scorer_id) is not null then
        execute format('drop view %s', rowcast.canary_view(own.scorer_id));
    end if;
    if not keep_predictions then
        if rowcast.result_view(own.name, rowcast.result_view_kind(own.outputs)) is not null then
            execute format('drop view %s', rowcast.result_view(own.name, rowcast.result_view_kind(own.outputs)));
        end if;
        execute format('drop table if exists predictions.%I, predictions.%I', own.name,
                       own.name || '_failure');
    end if;
    perform rowcast.bump_registry();

    return query
        select rowcast.trigger_drops(o.source_id) from unnest(own.source_id || beside) as o (source_id)
        where not rowcast.is_used(o.source_id);
end
$$;
comment on function rowcast.remove_scorer(text, boolean) is
    'The part of drop_scorer that writes the machinery''s own tables; returns what the caller has to '
    'run: the drops of triggers that no scorer needs.';
revoke all on function rowcast.remove_scorer(text, boolean) from public;
grant execute on function rowcast.remove_scorer(text, boolean) to rowcast_analyst;

create or replace function rowcast.remove_source_functions() returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp set client_min_messages = warning as $$
declare
    src record;
    event text;
begin
    for src in
        select s.source_id from rowcast.source as s
        where not rowcast.is_used(s.source_id)
        for update skip locked
    loop
        foreach event in array array['insert', 'update', 'delete', 'truncate', 'row'] loop
            if exists (
                select from pg_trigger as t
                where t.tgfoid = to_regproc(format('rowcast.capture_%s_%s', event, src.source_id)))
            then
                -- A trigger that its owner has to drop: from now on it does nothing.
                execute format('create or replace function rowcast.capture_%s_%s() returns trigger '
                               'language plpgsql security definer as '
                               '$body$ begin return null; end $body$', event, src.source_id);
            else
                execute format('drop function if exists rowcast.capture_%s_%s()', event, src.source_id);
            end if;
        end loop;
        execute format('drop type if exists rowcast.key_%s', src.source_id);
        delete from rowcast.source as s where s.source_id = src.source_id;
    end loop;
end
$$;
comment on function rowcast.remove_source_functions() is
    'Removes what is left of sources without scorers.';
revoke all on function rowcast.remove_source_functions() from public;
grant execute on function rowcast.remove_source_functions() to rowcast_analyst;
