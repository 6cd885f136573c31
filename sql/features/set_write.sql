-- Several results for a key: generator of rowcast.write_<scorer_id> for scorers with a result key.
--
-- The outcome of a key is a set: the rows that its feature query returned, each a prediction or a failure;
-- the set may be empty, and is so when the key is gone. Of two outcomes of one key that of the later tick
-- stands as a whole, never a row of each. So ticks are compared once a key, in the table
-- rowcast.set_<scorer_id>, which has a row for each key that ever had an outcome:
--
--     insert the chunk's keys with its tick; where there is one, raise its tick if it is not later
--
-- The keys that this returns are won: their rows are locked to commit, so nobody else writes their sets
-- meanwhile, and their old sets are replaced: what the new one lacks is deleted, the rest upserted. Keys that
-- are not returned have a later outcome, and nothing is written. That holds whatever the order of chunks,
-- attempts and lanes is, and needs no lock of the scorer. Every chunk of such a scorer says which keys it has
-- (jobs are cut into lists of keys), so an empty set is seen: the key is in the chunk, and no row is.
--
-- Rows of keys whose set is empty are tombstones: they are needed while something older is open. TRUNCATE
-- leaves one for all keys, as in write.sql (5): what it meets is looked up in the source. A truncation may
-- not run beside other writes of the scorer, or it would miss a key that is being won: it takes the
-- scorer's lock exclusively, the others share it.
--
-- Deadlocks: chunk row, the scorer's lock, then rows of set_<scorer_id> in the order of the key; the rows of
-- the other tables belong to who has won the key.

create or replace function rowcast.make_set_table(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sco rowcast.scorer;
    src rowcast.source;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = make_set_table.scorer_id;
    select s.* into strict src from rowcast.source as s where s.source_id = sco.source_id;
    execute format(
        'create table rowcast.set_%s (%s, tick bigint not null, is_empty boolean not null, primary key (%s)) '
        'with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)', sco.scorer_id,
        (select string_agg(format('key_%s %s', k.place, src.key_types[k.place]
                    || case when a.attcollation not in (0, y.typcollation)
                            then ' collate ' || a.attcollation::regcollation else '' end), ', '
                    order by k.place)
         from unnest(src.key_columns) with ordinality as k (name, place)
         join pg_attribute as a on a.attrelid = src.relation and a.attname = k.name
         join pg_type as y on y.oid = rowcast.base_type(a.atttypid)),
        (select string_agg('key_' || k, ', ' order by k)
         from generate_series(1, cardinality(src.key_columns)) as k));
    execute format('create index set_%s_empty_idx on rowcast.set_%1$s (tick) where is_empty', sco.scorer_id);
    execute format('comment on table rowcast.set_%s is %L', sco.scorer_id, format(
        'The tick of the latest outcome of each key of scorer %s.', sco.name));
end
$$;
comment on function rowcast.make_set_table(int) is
    'Creates the table of ticks of a scorer with a result key.';
revoke all on function rowcast.make_set_table(int) from public;

create or replace function rowcast.make_set_write(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $make$
declare
    sco rowcast.scorer;
    src rowcast.source;
    keys int;                -- columns of the source's key
    width int;               -- of the key and the result key
    outs int;
    tail int;                -- place of model_name among the arguments
    names text[];            -- columns of the key and the result key
    types text[];
    audit text[];
    code_audit text[];
    arguments text;
    body text;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = make_set_write.scorer_id;
    select s.* into strict src from rowcast.source as s where s.source_id = sco.source_id;
    keys := cardinality(src.key_columns);
    names := src.key_columns || sco.result_key;
    types := src.key_types || sco.result_types;
    width := cardinality(names);
    outs := jsonb_array_length(sco.outputs);
    tail := 2 + width + outs + 1;
    audit := rowcast.audit_names(names, false);
    code_audit := rowcast.audit_names(names, true);

    select 'chunk_id bigint, attempt int, ' || string_agg(a.argument, ', ' order by a.place) into arguments
    from (
        select k.place, format('key_%s %s[]', k.place, k.type) as argument
        from unnest(types) with ordinality as k (type, place)
        union all
        select 1000 + o.place, format('output_%s %s[]', o.place, rowcast.written_type(o.value ->> 'type'))
        from jsonb_array_elements(sco.outputs) with ordinality as o (value, place)
        union all values (2000, 'model_name text[]'), (2001, 'model_version int[]')
        union all
        select 3000 + k.place, format('failed_key_%s %s[]', k.place, k.type)
        from unnest(types) with ordinality as k (type, place)
        union all values (4000, 'failure_code text[], failure_reason text[], failure_model text[], '
                                'failure_version int[], read_count int')
    ) as a (place, argument);

    body := $body$
#variable_conflict use_column
<<outcome>>
declare
    own record;
    one_model text := case when cardinality({names at}) = 1 then ({names at})[1] end;
    one_version int := case when cardinality({versions at}) = 1 then ({versions at})[1] end;
    now_is timestamptz := clock_timestamp();
    emptied boolean;
    older boolean;
    {won lists}
begin
    update rowcast.chunk as c
    set state = 'done', claimed_by = null, finished_at = now_is,
        rows_scored = coalesce(cardinality($3), 0), rows_failed = coalesce(cardinality({codes at}), 0)
    where c.chunk_id = $1 and c.attempt = $2 and c.claimed_by is not null
    returning c.tick_id, c.kind, c.keys into own;
    if not found then
        perform rowcast.refuse_stale($1, $2);
    end if;
    older := exists (select from rowcast.open_chunks_of({scorer}) as c where c.tick_id < own.tick_id)
          or exists (select from rowcast.job as j
                     where j.scorer_id = {scorer} and j.state in ('running', 'paused')
                       and j.tick_id < own.tick_id);

    if own.kind = 'truncate' then
        perform pg_advisory_xact_lock(1919907685, {scorer});
        with gone as (
            update rowcast.set_{scorer} as s set tick = own.tick_id, is_empty = true
            where s.tick <= own.tick_id
              and not exists (select from {source} as o where {source is set})
            returning {set keys}
        ) select {gathered} into {won} from gone as g;
        if older then
            insert into rowcast.retraction_{scorer} (tick) values (own.tick_id);
        end if;
    else
        perform pg_advisory_xact_lock_shared(1919907685, {scorer});
        emptied := exists (select from rowcast.retraction_{scorer} as d
                           where d.key_1 is null and d.tick > own.tick_id);
        with mine as (
            insert into rowcast.set_{scorer} as s ({plain keys}, tick, is_empty)
            select {chunk keys}, own.tick_id,
                   not exists (select from unnest({given keys}) as r ({plain keys}) where {r is m})
                   and not exists (select from unnest({failed keys}) as r ({plain keys}) where {r is m})
            from ({chunk}) as m
            where not emptied or exists (select from {source} as o where {source is m})
            order by {chunk keys}
            on conflict ({plain keys}) do update set tick = excluded.tick, is_empty = excluded.is_empty
            where excluded.tick >= s.tick
            returning {set keys}
        ) select {gathered} into {won} from mine as g;
    end if;
    if outcome.won_1 is null then
        return;
    end if;

    delete from {predictions} as t using unnest({won}) as g ({plain keys})
    where {t is g}
      and not exists (select from unnest({given all}) as r ({all keys}) where {t is r});
    delete from {failures} as t using unnest({won}) as g ({plain keys}) where {t is g};
    if own.kind = 'truncate' then
        return;
    end if;
    insert into {predictions} as t ({names}, {outputs}{audit})
    select {r keys}, {r outputs}coalesce(one_model, r.model_name), coalesce(one_version, r.model_version),
           own.tick_id, now_is
    from unnest({given outputs}) with ordinality as r ({all keys}{output names}, model_name, model_version, place)
    where exists (select from unnest({won}) as g ({plain keys}) where {r is g})
    order by r.place
    on conflict ({names}) do update set {sets};
    if cardinality({codes at}) > 0 then
        insert into {failures} as t ({names}, {code audit})
        select {r keys}, r.code, r.reason, r.model_name, r.model_version, own.tick_id, now_is
        from unnest({failed all}, {codes at}, {reasons at}, {failed models at}, {failed versions at}) with ordinality
            as r ({all keys}, code, reason, model_name, model_version, place)
        where exists (select from unnest({won}) as g ({plain keys}) where {r is g})
        order by r.place;
    end if;
end
$body$;
    body := rowcast.fill(body, (
        select jsonb_build_object(
            'scorer', sco.scorer_id,
            'source', src.relation::text,
            'predictions', format('predictions.%I', sco.name),
            'failures', format('predictions.%I', sco.name || '_failure'),
            'won lists', string_agg(format('won_%s %s[];', k.place, types[k.place]), ' ' order by k.place),
            'won', string_agg('outcome.won_' || k.place, ', ' order by k.place),
            'gathered', string_agg(format('array_agg(g.key_%s)', k.place), ', ' order by k.place),
            'plain keys', string_agg('key_' || k.place, ', ' order by k.place),
            'set keys', string_agg('s.key_' || k.place, ', ' order by k.place),
            'chunk keys', string_agg('m.key_' || k.place, ', ' order by k.place),
            'given keys', string_agg('$' || (2 + k.place), ', ' order by k.place),
            'failed keys', string_agg('$' || (tail + 1 + k.place), ', ' order by k.place),
            'source is set', string_agg(format('o.%I %s s.key_%s', k.name, k.equals, k.place), ' and '
                                        order by k.place),
            'source is m', string_agg(format('o.%I %s m.key_%s', k.name, k.equals, k.place), ' and '
                                      order by k.place),
            'r is m', string_agg(format('r.key_%s %s m.key_%1$s', k.place, k.equals), ' and '
                                 order by k.place),
            'r is g', string_agg(format('r.key_%s %s g.key_%1$s', k.place, k.equals), ' and '
                                 order by k.place),
            't is g', string_agg(format('t.%I %s g.key_%s', k.name, k.equals, k.place), ' and '
                                 order by k.place))
        from (select k.name, k.place, src.key_operators -> (k.place::int - 1) ->> '=' as equals
              from unnest(src.key_columns) with ordinality as k (name, place)) as k)
      || (
        select jsonb_build_object(
            'names', string_agg(quote_ident(k.name), ', ' order by k.place),
            'all keys', string_agg('key_' || k.place, ', ' order by k.place),
            'r keys', string_agg('r.key_' || k.place, ', ' order by k.place),
            'given all', string_agg('$' || (2 + k.place), ', ' order by k.place),
            'failed all', string_agg('$' || (tail + 1 + k.place), ', ' order by k.place),
            -- Of the result key by the default operator, which its type has.
            't is r', string_agg(format('t.%I %s r.key_%s', k.name, coalesce(
                src.key_operators -> (k.place::int - 1) ->> '=', rowcast.equality(types[k.place])), k.place),
                ' and ' order by k.place))
        from unnest(names) with ordinality as k (name, place))
      || (
        select jsonb_build_object(
            'outputs', coalesce(string_agg(format('%I, ', o.value ->> 'column'), '' order by o.place), ''),
            'r outputs', coalesce(string_agg(format('r.output_%s%s, ', o.place, rowcast.written_cast(o.value ->> 'type')), ''
                                    order by o.place), ''),
            'output names', coalesce(string_agg(', output_' || o.place, '' order by o.place), ''),
            'sets', coalesce(string_agg(format('%I = excluded.%1$I, ', o.value ->> 'column'), ''
                                        order by o.place), '')
                    || format('%I = excluded.%1$I, %I = excluded.%2$I, %I = excluded.%3$I, '
                              '%I = excluded.%4$I', audit[1], audit[2], audit[3], audit[4]))
        from jsonb_array_elements(sco.outputs) with ordinality as o (value, place))
      || jsonb_build_object(
            'given outputs', (select string_agg('$' || p, ', ' order by p) from generate_series(3, tail + 1) as p),
            'audit', format('%I, %I, %I, %I', audit[1], audit[2], audit[3], audit[4]),
            'code audit', format('%I, %I, %I, %I, %I, %I', code_audit[1], code_audit[2], code_audit[3],
                                 code_audit[4], code_audit[5], code_audit[6]),
            'names at', '$' || (tail), 'versions at', '$' || (tail + 1), 'codes at', '$' || (tail + width + 2),
            'reasons at', '$' || (tail + width + 3), 'failed models at', '$' || (tail + width + 4),
            'failed versions at', '$' || (tail + width + 5),
            'chunk', case when src.composite then format(
                'select distinct %s from unnest(own.keys::rowcast.key_%s[]) as u',
                (select string_agg(format('(u).%I as key_%s', k.name, k.place), ', ' order by k.place)
                 from unnest(src.key_columns) with ordinality as k (name, place)), src.source_id)
                else format('select distinct u.key as key_1 from unnest(own.keys::%s[]) as u (key)',
                            src.key_types[1]) end));

    execute format('create or replace function rowcast.write_%s(%s) returns void language plpgsql '
                   'security definer set search_path = pg_catalog, pg_temp set row_security = off '
                   -- How many rows the arrays have decides the plans.
                   'set plan_cache_mode = force_custom_plan set jit = off as %L',
                   sco.scorer_id, arguments, body);
    select string_agg(a.type, ', ' order by a.place) into arguments
    from unnest(rowcast.write_arguments(sco.scorer_id)) with ordinality as a (type, place);
    execute format('comment on function rowcast.write_%s(%s) is %L', sco.scorer_id, arguments, format(
        'Writes the outcome of a chunk of scorer %s, a set of results a key, and finishes it; raises RC201 for '
        'a stale attempt. Generated; see sql/features/set_write.sql.', sco.name));
    execute format('revoke all on function rowcast.write_%s(%s) from public', sco.scorer_id, arguments);
    execute format('grant execute on function rowcast.write_%s(%s) to rowcast_worker', sco.scorer_id,
                   arguments);
end
$make$;
comment on function rowcast.make_set_write(int) is
    'Writes the write function of a scorer with a result key.';
revoke all on function rowcast.make_set_write(int) from public;

create or replace function rowcast.fill(template text, parts jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    filled text := '';
    piece record;
begin
    -- In one pass, so that the name of a column is never taken for a part.
    for piece in
        select m.part[1] as before, m.part[2] as name
        from regexp_matches(template, '([^{}]*)(?:\{([a-z ]+)\}|$)', 'g') with ordinality as m (part, place)
        order by m.place
    loop
        if not coalesce(parts ? piece.name, true) then
            raise exception using errcode = 'RC901',
                message = format('part "%s" of a template is not given', piece.name);
        end if;
        filled := filled || piece.before || coalesce(parts ->> piece.name, '');
    end loop;
    return filled;
end
$$;
comment on function rowcast.fill(text, jsonb) is
    'A template with its {parts} in place.';
revoke all on function rowcast.fill(text, jsonb) from public;

create or replace function rowcast.equality(type_name text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select format('operator(%I.%s)', n.nspname, o.oprname)
    from pg_type as t
    join pg_opclass as c on c.opcdefault
        and c.opcmethod = (select m.oid from pg_am as m where m.amname = 'btree')
        and (c.opcintype = t.oid or t.typtype = 'e' and c.opcintype = 'anyenum'::regtype
             or t.oid = 'varchar'::regtype and c.opcintype = 'text'::regtype)
    join pg_amop as a on a.amopfamily = c.opcfamily and a.amoplefttype = c.opcintype
                     and a.amoprighttype = c.opcintype and a.amopstrategy = 3
    join pg_operator as o on o.oid = a.amopopr
    join pg_namespace as n on n.oid = o.oprnamespace
    where t.oid = to_regtype(equality.type_name)
    order by c.opcintype = t.oid desc limit 1
$$;
comment on function rowcast.equality(text) is 'The operator that a type is sorted and made unique by.';
revoke all on function rowcast.equality(text) from public;
grant execute on function rowcast.equality(text) to rowcast_analyst;
