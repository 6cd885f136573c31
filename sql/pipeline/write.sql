-- Generator of rowcast.write_<scorer_id>: one call writes the outcome of one chunk.
--
-- Claim: whatever the order in which chunks are read, written, repeated and overtaken, when no chunk
-- is open each row of the source has exactly one outcome (a prediction or a failure), computed from
-- its latest state, and no other key has one. Argument:
--
-- (1) Every committed change of a row is collected by one tick T, whose chunk reads the row after T's
--     snapshot. So the chunk of the row's last change reads its final state, and all chunks of earlier
--     ticks are older. It is enough that the outcome of the highest tick stands at the end. Equal ticks
--     need no order: if two of them read different states, a change lies between, and a later tick
--     has it.
-- (2) An outcome is a prediction, a failure, or an absence (the row is gone). Three tables hold them:
--     predictions, failures, and absences as tombstones. Each outcome of tick T beats what is older
--     or as old in the other two tables, and is dropped where one of them has something newer:
--       prediction  upserts where no newer prediction, failure, tombstone; deletes failures <= T
--       failure     upserts where no newer prediction, failure, tombstone; deletes predictions <= T
--       absence     deletes predictions and failures <= T; leaves a tombstone T
-- (3) "Where no newer" is a check and an act in two statements, so outcomes of one scorer are kept
--     apart: writes that leave failures or absences hold (1919907685, scorer_id) exclusively, plain
--     upserts hold it shared, both to commit. Plain upserts may meet each other: the upsert itself
--     compares ticks, under the row's lock. Every statement of these functions has a snapshot of its
--     own (read committed), taken after the lock was granted, and a lock is released after its
--     holder's commit is visible: so the check sees all outcomes that were there before, and none
--     can come in between. An upsert under the shared lock needs no look at failures and tombstones
--     beyond (2), because none can appear until it commits.
-- (4) Tombstones matter to older chunks only. A chunk is older if it is open now with a lower tick, or
--     will be cut from a running job of a lower tick. Where there is none, none is left: ticks come
--     in order, so none can appear later with a lower tick, except of a job that was not yet
--     committed; and that job's reads begin after this absence was read, so they do not see the row.
-- (5) TRUNCATE leaves a tombstone for all keys (null key). It may concern one partition only, and rows
--     may have come in the same transaction. So what it meets is not dropped but looked up in the
--     source: what is not there now was deleted by a change that is collected at its time.
--
-- Deadlocks: every writer locks its chunk row first, then the advisory lock, then rows; under the
-- shared lock rows are taken in the order of the key, which is the order of the arrays.

create or replace function rowcast.make_write(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $make$
declare
    sco rowcast.scorer;
    src rowcast.source;
    keys int;
    outs int;
    tail int;                -- place of model_name among the arguments
    audit text[];
    code_audit text[];
    arguments text;
    target text;
    failure text;
    key_list text;
    key_from_rows text;
    out_list text;
    out_from_rows text;
    set_list text;
    row_names text;
    given text;
    failed_given text;
    match_failure text;
    match_prediction text;
    match_tombstone text;
    match_source text;
    match_missing text;
    missing_lists text;
    missing_aggregates text;
    missing_given text;
    upsert text;
    update_list text;
    plain_update text;
    fail_insert text;
    chunk_keys text;
    body text;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = make_write.scorer_id;
    select s.* into strict src from rowcast.source as s where s.source_id = sco.source_id;
    if sco.result_key is not null then
        perform rowcast.make_set_write(scorer_id);
        return;
    end if;
    keys := cardinality(src.key_columns);
    outs := jsonb_array_length(sco.outputs);
    tail := 2 + keys + outs + 1;
    audit := rowcast.audit_names(src.key_columns, false);
    code_audit := rowcast.audit_names(src.key_columns, true);
    target := format('predictions.%I', sco.name);
    failure := format('predictions.%I', sco.name || '_failure');

    select 'chunk_id bigint, attempt int, '
           || string_agg(format('key_%s %s[]', k.place, k.type), ', ' order by k.place)
    into arguments from unnest(src.key_types) with ordinality as k (type, place);
    select arguments || coalesce(', ' || string_agg(
               format('output_%s %s[]', o.place, rowcast.written_type(o.value ->> 'type')), ', ' order by o.place), '')
    into arguments from jsonb_array_elements(sco.outputs) with ordinality as o (value, place);
    select arguments || ', model_name text[], model_version int[], '
           || string_agg(format('failed_key_%s %s[]', k.place, k.type), ', ' order by k.place)
           || ', failure_code text[], failure_reason text[], failure_model text[], '
              'failure_version int[], read_count int'
    into arguments from unnest(src.key_types) with ordinality as k (type, place);

    select string_agg(quote_ident(k.name), ', ' order by k.place),
           string_agg('r.key_' || k.place, ', ' order by k.place),
           string_agg(format('t.%I %s r.key_%s', k.name, op.equals, k.place), ' and ' order by k.place),
           string_agg(format('s.%I %s r.key_%s', k.name, op.equals, k.place), ' and ' order by k.place),
           string_agg(format('m.key_%s %s r.key_%1$s', k.place, op.equals), ' and ' order by k.place),
           string_agg(format('    missing_%s %s[];', k.place, src.key_types[k.place]), E'\n'
                      order by k.place),
           string_agg('array_agg(m.key_' || k.place || ')', ', ' order by k.place),
           string_agg('outcome.missing_' || k.place, ', ' order by k.place),
           string_agg('key_' || k.place, ', ' order by k.place),
           string_agg('$' || (2 + k.place), ', ' order by k.place),
           string_agg('$' || (tail + 1 + k.place), ', ' order by k.place)
    into key_list, key_from_rows, match_failure, match_source, match_missing, missing_lists,
         missing_aggregates, missing_given, row_names, given, failed_given
    from unnest(src.key_columns) with ordinality as k (name, place)
    cross join lateral (select src.key_operators -> (k.place::int - 1) ->> '=') as op (equals);
    match_prediction := match_failure;
    match_tombstone := (
        select string_agg(format('d.key_%s %s r.key_%1$s', k.place, src.key_operators
                                 -> (k.place::int - 1) ->> '='), ' and ' order by k.place)
        from generate_series(1, keys) as k (place));

    select coalesce(string_agg(format('%I, ', o.value ->> 'column'), '' order by o.place), ''),
           coalesce(string_agg(format('r.output_%s%s, ', o.place, rowcast.written_cast(o.value ->> 'type')), ''
                               order by o.place), ''),
           coalesce(string_agg(format('%I = excluded.%1$I, ', o.value ->> 'column'), ''
                               order by o.place), ''),
           coalesce(string_agg(format('%I = r.output_%s%s, ', o.value ->> 'column', o.place,
                                      rowcast.written_cast(o.value ->> 'type')), ''
                               order by o.place), '')
    into out_list, out_from_rows, set_list, update_list
    from jsonb_array_elements(sco.outputs) with ordinality as o (value, place);

    -- The upsert, to be completed by conditions and an order.
    upsert := format($sql$insert into %1$s as t (%2$s, %3$s%4$I, %5$I, %6$I, %7$I)
        select %8$s, %9$scoalesce(one_model, r.model_name), coalesce(one_version, r.model_version),
               own.tick_id, now_is
        from unnest(%10$s, $%11$s, $%12$s) with ordinality
            as r (%13$s, model_name, model_version, place)<where>
        on conflict (%2$s) do update
        set %14$s%4$I = excluded.%4$I, %5$I = excluded.%5$I, %6$I = excluded.%6$I, %7$I = excluded.%7$I
        where excluded.%6$I >= t.%6$I;$sql$,
        target, key_list, out_list, audit[1], audit[2], audit[3], audit[4], key_from_rows,
        out_from_rows,
        (select string_agg('$' || p, ', ' order by p) from generate_series(3, tail - 1) as p),
        tail, tail + 1,
        row_names || (select coalesce(string_agg(', output_' || p, '' order by p), '')
                      from generate_series(1, outs) as p),
        set_list);

    -- The same where all rows are there: a fifth less time and a seventh less WAL, because rows are not
    -- locked before they are updated. From row to row by the index, in the order of the keys.
    plain_update := format($sql$perform set_config('enable_hashjoin', 'off', true),
                        set_config('enable_mergejoin', 'off', true);
                update %1$s as t
                set %2$s%3$I = coalesce(one_model, r.model_name),
                    %4$I = coalesce(one_version, r.model_version), %5$I = own.tick_id, %6$I = now_is
                from unnest(%7$s, $%8$s, $%9$s) as r (%10$s, model_name, model_version)
                where %11$s and t.%5$I <= own.tick_id;
                get diagnostics updated = row_count;
                perform set_config('enable_hashjoin', 'on', true),
                        set_config('enable_mergejoin', 'on', true);$sql$,
        target, update_list, audit[1], audit[2], audit[3], audit[4],
        (select string_agg('$' || p, ', ' order by p) from generate_series(3, tail - 1) as p),
        tail, tail + 1,
        row_names || (select coalesce(string_agg(', output_' || p, '' order by p), '')
                      from generate_series(1, outs) as p),
        match_prediction);

    fail_insert := format($sql$insert into %1$s as t (%2$s, %3$I, %4$I, %5$I, %6$I, %7$I, %8$I)
        select %9$s, r.code, r.reason, r.model_name, r.model_version, own.tick_id, now_is
        from unnest(%10$s, $%11$s, $%12$s, $%13$s, $%14$s) with ordinality
            as r (%15$s, code, reason, model_name, model_version, place)
        where not exists (select from %16$s as t where %17$s and t.%18$I > own.tick_id)
          and not exists (select from rowcast.retraction_%19$s as d
                          where %20$s and d.tick > own.tick_id)<where>
        order by r.place
        on conflict (%2$s) do update
        set %3$I = excluded.%3$I, %4$I = excluded.%4$I, %5$I = excluded.%5$I, %6$I = excluded.%6$I,
            %7$I = excluded.%7$I, %8$I = excluded.%8$I
        where excluded.%7$I >= t.%7$I;$sql$,
        failure, key_list, code_audit[1], code_audit[2], code_audit[3], code_audit[4], code_audit[5],
        code_audit[6], key_from_rows, failed_given, tail + keys + 2, tail + keys + 3, tail + keys + 4,
        tail + keys + 5, row_names, target, match_prediction, audit[3], sco.scorer_id,
        match_tombstone);

    chunk_keys := case when src.composite then format(
            'select distinct %s from unnest(own.keys::rowcast.key_%s[]) as u',
            (select string_agg(format('(u).%I as key_%s', k.name, k.place), ', ' order by k.place)
             from unnest(src.key_columns) with ordinality as k (name, place)), src.source_id)
        else format('select distinct u.key as key_1 from unnest(own.keys::%s[]) as u (key)',
                    src.key_types[1]) end;

    body := format($sql$
#variable_conflict use_column
<<outcome>>
declare
    own record;
    one_model text := case when cardinality($%1$s) = 1 then $%1$s[1] end;
    one_version int := case when cardinality($%2$s) = 1 then $%2$s[1] end;
    failed_count int := coalesce(cardinality($%3$s), 0);
    got int := $%4$s;
    now_is timestamptz := clock_timestamp();
    guarded boolean;
    emptied boolean := false;
    older boolean;
    updated int := 0;
%5$s
begin
    -- Fence and finish at once: the row is locked from here, and who comes later finds it done.
    update rowcast.chunk as c
    set state = 'done', claimed_by = null, finished_at = now_is,
        rows_scored = coalesce(cardinality($3), 0), rows_failed = failed_count
    where c.chunk_id = $1 and c.attempt = $2 and c.claimed_by is not null
    returning c.tick_id, c.kind, c.key_count, c.keys, c.priority into own;
    if not found then
        perform rowcast.refuse_stale($1, $2);
    end if;

    if failed_count > 0 or own.kind = 'truncate' or own.kind = 'keys' and got < own.key_count then
        perform pg_advisory_xact_lock(1919907685, %6$s);
    else
        perform pg_advisory_xact_lock_shared(1919907685, %6$s);
    end if;

    -- Two probes of tables that are empty most of the time decide whether anything else is to do.
    guarded := exists (select from %7$s) or exists (select from rowcast.retraction_%6$s);

    if cardinality($3) > 0 then
        if not guarded then
            -- Of a job that scores again. Where some are not there, or newer, the upsert sorts it out.
            if own.kind = 'range' and own.priority = 1 then
                %27$s
            end if;
            if updated < cardinality($3) then
                %8$s
            end if;
        else
            emptied := exists (select from rowcast.retraction_%6$s as d
                               where d.key_1 is null and d.tick > own.tick_id);
            if not emptied then
                %9$s
            else
                %10$s
            end if;
            delete from %7$s as t using unnest(%11$s) as r (%12$s)
            where %13$s and t.%14$I <= own.tick_id;
        end if;
    end if;

    if failed_count > 0 then
        emptied := exists (select from rowcast.retraction_%6$s as d
                           where d.key_1 is null and d.tick > own.tick_id);
        if not emptied then
            %15$s
        else
            %16$s
        end if;
        delete from %17$s as t using unnest(%18$s) as r (%12$s)
        where %13$s and t.%19$I <= own.tick_id;
    end if;

    if own.kind = 'truncate' or own.kind = 'keys' and got < own.key_count then
        older := exists (select from rowcast.open_chunks_of(%6$s) as c where c.tick_id < own.tick_id)
              or exists (select from rowcast.job as j
                         where j.scorer_id = %6$s and j.state in ('running', 'paused')
                           and j.tick_id < own.tick_id);
        if own.kind = 'keys' then
            select %20$s into %21$s
            from (%22$s) as m
            where not exists (select from unnest(%11$s) as r (%12$s) where %23$s)
              and not exists (select from unnest(%18$s) as r (%12$s) where %23$s);
            if outcome.missing_1 is not null then
                delete from %17$s as t using unnest(%21$s) as r (%12$s)
                where %13$s and t.%19$I <= own.tick_id;
                delete from %7$s as t using unnest(%21$s) as r (%12$s)
                where %13$s and t.%14$I <= own.tick_id;
                if older then
                    insert into rowcast.retraction_%6$s (%12$s, tick)
                    select %24$s, own.tick_id from unnest(%21$s) as r (%12$s);
                end if;
            end if;
        else
            delete from %17$s as r
            where r.%19$I <= own.tick_id
              and not exists (select from %25$s as s where %26$s);
            delete from %7$s as r
            where r.%14$I <= own.tick_id
              and not exists (select from %25$s as s where %26$s);
            if older then
                insert into rowcast.retraction_%6$s (tick) values (own.tick_id);
            end if;
        end if;
    end if;
end
$sql$,
        tail, tail + 1, tail + 2, tail + keys + 6, missing_lists, sco.scorer_id, failure,
        replace(upsert, '<where>', ''),
        replace(upsert, '<where>', format($sql$
                where not exists (select from %s as t where %s and t.%I > own.tick_id)
                  and not exists (select from rowcast.retraction_%s as d
                                  where %s and d.tick > own.tick_id)
                order by r.place$sql$, failure, match_failure, code_audit[5], sco.scorer_id,
                match_tombstone)),
        replace(upsert, '<where>', format($sql$
                where not exists (select from %s as t where %s and t.%I > own.tick_id)
                  and not exists (select from rowcast.retraction_%s as d
                                  where %s and d.tick > own.tick_id)
                  and exists (select from %s as s where %s)
                order by r.place$sql$, failure, match_failure, code_audit[5], sco.scorer_id,
                match_tombstone, src.relation, match_source)),
        given, row_names, match_failure, code_audit[5],
        replace(fail_insert, '<where>', ''),
        replace(fail_insert, '<where>', format(' and exists (select from %s as s where %s)', src.relation,
                                   match_source)),
        target, failed_given, audit[3],
        missing_aggregates, missing_given, chunk_keys, match_missing, key_from_rows,
        src.relation,
        (select string_agg(format('s.%I %s r.%1$I', k.name, src.key_operators
                                  -> (k.place::int - 1) ->> '='), ' and ' order by k.place)
         from unnest(src.key_columns) with ordinality as k (name, place)),
        plain_update);

    execute format('create or replace function rowcast.write_%s(%s) returns void language plpgsql '
                   'security definer set search_path = pg_catalog, pg_temp set row_security = off as %L',
                   sco.scorer_id, arguments, body);
    select string_agg(a.type, ', ' order by a.place) into arguments
    from unnest(rowcast.write_arguments(sco.scorer_id)) with ordinality as a (type, place);
    execute format('comment on function rowcast.write_%s(%s) is %L', sco.scorer_id, arguments, format(
        'Writes the outcome of a chunk of scorer %s and finishes it; raises RC201 for a stale attempt. '
        'Generated; see sql/pipeline/write.sql.', sco.name));
    execute format('revoke all on function rowcast.write_%s(%s) from public', sco.scorer_id, arguments);
    execute format('grant execute on function rowcast.write_%s(%s) to rowcast_worker', sco.scorer_id,
                   arguments);
end
$make$;
comment on function rowcast.make_write(int) is 'Writes the write function of a scorer.';
revoke all on function rowcast.make_write(int) from public;

create or replace function rowcast.write_arguments(scorer_id int) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
    select array['bigint', 'int']
        || array(select t || '[]' from unnest(src.key_types || s.result_types) with ordinality as k (t, n)
                 order by n)
        || array(select rowcast.written_type(o.value ->> 'type') || '[]'
                 from jsonb_array_elements(s.outputs) with ordinality as o (value, n) order by n)
        || array['text[]', 'int[]']
        || array(select t || '[]' from unnest(src.key_types || s.result_types) with ordinality as k (t, n)
                 order by n)
        || array['text[]', 'text[]', 'text[]', 'int[]', 'int']
    from rowcast.scorer as s join rowcast.source as src on src.source_id = s.source_id
    where s.scorer_id = write_arguments.scorer_id
$$;
comment on function rowcast.write_arguments(int) is 'Types of the write function''s arguments, in order.';
revoke all on function rowcast.write_arguments(int) from public;
