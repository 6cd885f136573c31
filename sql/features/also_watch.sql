-- Relations beside the source: changes in a joined table reach the keys that they affect.
--
-- A watched relation is a source of its own: the same triggers log it and the same ticks collect it. Its key is
-- what the mapping needs of a changed row, the primary key with the columns that are named; an update that
-- changes one of them logs the row before and the row after, and a delete the row before, so a mapping sees
-- where a row came from and where it went. A tick makes chunks of kind `map` of these keys. A lane that
-- claims one runs the mapping, outside of any writer's statement, and makes chunks of the keys that it
-- returns, with the tick of the mapped chunk, in the transaction that finishes it.
--
-- Nothing is lost: a chunk of tick T is mapped after T's snapshot was taken, so it sees the change, and so
-- do the chunks made of it. What the mapping reads besides may have changed since, but then that change has
-- a later tick, and maps on its own if it is watched. The order of ticks holds as ever: chunks of tick T may be
-- overtaken by a later tick, whose chunks read a state that has T's changes too. For what waits or keeps
-- tombstones a chunk to be mapped is an open chunk of the scorer.
--
-- A TRUNCATE of a watched relation has all keys of the scorer scored again, and so has a partition that is
-- attached or detached.

create or replace function rowcast.scorer_key(
    scorer text, out scorer_id int, out key_columns text[], out key_types text[], out of_query boolean)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
begin
    select own.scorer_id, s.key_columns, s.key_types, own.features_from is not null
    into scorer_id, key_columns, key_types, of_query
    from rowcast.source as s where s.source_id = own.source_id;
end
$$;
comment on function rowcast.scorer_key(text) is 'The key of a scorer.';
revoke all on function rowcast.scorer_key(text) from public;
grant execute on function rowcast.scorer_key(text) to rowcast_analyst;

create or replace function rowcast.log_key(
    relation regclass, wanted text[], out columns text[], out types text[], out operators jsonb,
    out is_unique boolean)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    wrong record;
    own_key text[];
begin
    select array_agg(a.attname::text order by k.place) into own_key
    from pg_index as i
    cross join lateral unnest(i.indkey) with ordinality as k (attnum, place)
    join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = relation and i.indisprimary and k.place <= i.indnkeyatts;
    is_unique := own_key is not null;
    columns := own_key || array(select w.name from unnest(wanted) with ordinality as w (name, place)
                                where own_key is null or not w.name = any (own_key) order by w.place);
    if coalesce(cardinality(columns), 0) = 0 then
        raise exception using errcode = 'RC302',
            message = format('watched relation "%s" has no primary key', relation),
            hint = 'Name the columns that the mapping needs of a changed row: key => array[''customer_id''].';
    end if;
    for wrong in
        select k.name, a.attname, b.typcategory, b.typarray, b.oid
        from unnest(columns) as k (name)
        left join pg_attribute as a on a.attrelid = relation and a.attname = k.name and a.attnum > 0
            and not a.attisdropped
        left join pg_type as b on b.oid = rowcast.base_type(a.atttypid)
    loop
        if wrong.attname is null then
            raise exception using errcode = 'RC302',
                message = format('column "%s" does not exist in watched relation "%s"', wrong.name, relation);
        elsif wrong.typcategory in ('A', 'C') or wrong.typarray = 0
              or rowcast.equality(rowcast.typed_name(wrong.oid)) is null then
            raise exception using errcode = 'RC302',
                message = format('column "%s" of watched relation "%s" is %s, by which nothing can be mapped',
                                 wrong.name, relation, rowcast.typed_name(wrong.oid));
        end if;
    end loop;
    select array_agg(rowcast.typed_name(t.type_id) order by k.place),
           jsonb_agg((
               select jsonb_object_agg(
                          case o.amopstrategy when 1 then '<' when 2 then '<=' when 3 then '='
                               when 4 then '>=' else '>' end,
                          format('operator(%I.%s)', n.nspname, p.oprname))
               from (select c.opcfamily, c.opcintype from pg_opclass as c join pg_type as y on y.oid = t.type_id
                     where c.opcdefault and c.opcmethod = (select m.oid from pg_am as m where m.amname = 'btree')
                       and (c.opcintype = y.oid or y.typtype = 'e' and c.opcintype = 'anyenum'::regtype
                            or y.oid = 'varchar'::regtype and c.opcintype = 'text'::regtype)
                     order by c.opcintype = y.oid desc limit 1) as c
               join pg_amop as o on o.amopfamily = c.opcfamily and o.amoplefttype = c.opcintype
                                and o.amoprighttype = c.opcintype and o.amopstrategy between 1 and 5
               join pg_operator as p on p.oid = o.amopopr
               join pg_namespace as n on n.oid = p.oprnamespace) order by k.place)
    into types, operators
    from unnest(columns) with ordinality as k (name, place)
    join pg_attribute as a on a.attrelid = relation and a.attname = k.name
    cross join lateral (select rowcast.base_type(a.atttypid)) as t (type_id);
end
$$;
comment on function rowcast.log_key(regclass, text[]) is
    'What is logged of a changed row of a watched relation: its primary key, and the columns wanted.';
revoke all on function rowcast.log_key(regclass, text[]) from public;
grant execute on function rowcast.log_key(regclass, text[]) to rowcast_analyst;

create or replace function rowcast.also_watch(
    scorer text, relation text, key text[] default null, mapping text default null)
returns void
-- No search_path of its own: relation and mapping are looked up on the caller's.
language plpgsql as $$
#variable_conflict use_variable
declare
    watched constant pg_catalog.regclass := pg_catalog.to_regclass(relation);
    own record;
    log record;
    what text;
    query text;
    column_list text;
    wrong text;
    function_oid oid;
    made record;
begin
    if watched is null then
        raise exception using errcode = 'RC301',
            message = pg_catalog.format('relation "%s" does not exist', relation),
            hint = 'Write it as schema.table, quoted as in SQL.';
    end if;
    select * into own from rowcast.scorer_key(scorer);
    perform rowcast.may_watch(own.scorer_id, watched);
    if key is null and mapping is null then
        key := own.key_columns;
    elsif mapping is null and pg_catalog.cardinality(key) <> pg_catalog.cardinality(own.key_columns) then
        raise exception using errcode = 'RC303',
            message = pg_catalog.format('%s columns are given for the %s of the key of scorer "%s"',
                pg_catalog.cardinality(key), pg_catalog.cardinality(own.key_columns), scorer),
            hint = 'Give the columns that equal the key, in its order, or a mapping: a query over "changed" that '
                   'returns the key.';
    end if;
    select * into log from rowcast.log_key(watched, key);
    what := pg_catalog.format('mapping of "%s"', watched);
    query := coalesce(rowcast.query_text(mapping), (
        select pg_catalog.format('select %s from changed as c', pg_catalog.string_agg(
            pg_catalog.format('c.%I as %I', k.name, k.as_name), ', ' order by k.place))
        from unnest(key, own.key_columns) with ordinality as k (name, as_name, place)));
    column_list := (select pg_catalog.string_agg(pg_catalog.quote_ident(k.name), ', ' order by k.place)
                    from unnest(log.columns) with ordinality as k (name, place));
    select pg_catalog.format('%s returns %s, the key of scorer "%s" has "%s" of type %s', what,
               coalesce(pg_catalog.format('"%s" of type %s', d.name, d.base_type), 'no such column'), scorer,
               k.name, k.type)
    into wrong
    from unnest(own.key_columns, own.key_types) with ordinality as k (name, type, place)
    left join rowcast.describe_query(query, what, pg_catalog.format('with changed (%s) as (select %s)', column_list,
        (select pg_catalog.string_agg('null::' || t.name, ', ' order by t.place)
         from unnest(log.types) with ordinality as t (name, place)))) as d on d.name = k.name
    where d.base_type is distinct from k.type limit 1;
    if found then
        raise exception using errcode = 'RC303', message = wrong,
            hint = 'A mapping is a query over "changed", whose columns are those of the key, that returns the key '
                   'of the scorer: select o.customer_id from changed join orders as o using (order_id).';
    end if;

    function_oid := rowcast.make_query_function(
        pg_catalog.left(scorer, 50) || '_m' || watched::oid::pg_catalog.text,
        (select pg_catalog.string_agg(t.name || '[]', ', ' order by t.place)
         from unnest(log.types) with ordinality as t (name, place)),
        pg_catalog.format('table (%s)', (
            select pg_catalog.string_agg(pg_catalog.format('%I %s', k.name, k.type), ', ' order by k.place)
            from unnest(own.key_columns, own.key_types) with ordinality as k (name, type, place))),
        pg_catalog.format(E'\n#variable_conflict use_column\nbegin\n    return query\n'
            '    with changed (%s) as (select distinct u.* from unnest(%s) as u)\n'
            '    select distinct %s from (\n%s\n    ) as q where %s;\nend\n', column_list,
            (select pg_catalog.string_agg('$' || t.place, ', ' order by t.place)
             from unnest(log.types) with ordinality as t (name, place)),
            (select pg_catalog.string_agg(pg_catalog.format('q.%I::%s', k.name, k.type), ', ' order by k.place)
             from unnest(own.key_columns, own.key_types) with ordinality as k (name, type, place)),
            query,
            (select pg_catalog.string_agg(pg_catalog.format('q.%I is not null', k.name), ' and ' order by k.place)
             from unnest(own.key_columns) with ordinality as k (name, place))));
    select * into made from rowcast.add_watch(own.scorer_id, watched, key, function_oid,
                                              coalesce(mapping, query));
    perform rowcast.attach_capture(made.source_id, made.widened);
    perform rowcast.start_watch(made.watch_id);
end
$$;
comment on function rowcast.also_watch(text, text, text[], text) is
    'Has changes of another relation score the keys of a scorer again that they affect. Columns equal to the '
    'scorer''s key are named by key (default: those of the same names); any other way is a mapping, a query '
    'over "changed", which has the primary key and the columns of key of changed rows, before and after, that '
    'returns the scorer''s key. It runs with the caller''s rights.';
revoke all on function rowcast.also_watch(text, text, text[], text) from public;
grant execute on function rowcast.also_watch(text, text, text[], text) to rowcast_analyst;

create or replace function rowcast.may_watch(scorer_id int, relation regclass) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    sco rowcast.scorer;
    kind "char" := (select c.relkind from pg_class as c where c.oid = relation);
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = may_watch.scorer_id;
    if sco.features_from is null then
        raise exception using errcode = 'RC303',
            message = format('scorer "%s" reads columns of its source only', sco.name),
            hint = 'Scorers with a feature_query depend on other relations.';
    elsif kind not in ('r', 'p') then
        raise exception using errcode = 'RC301',
            message = format('"%s" is no table, so its changes cannot be seen', relation),
            hint = 'Watch the tables that it reads.';
    elsif exists (select from pg_class as c where c.oid = relation and (
                      c.relpersistence = 't' or c.relnamespace in ('pg_catalog'::regnamespace,
                                                                   'rowcast'::regnamespace))) then
        raise exception using errcode = 'RC301',
            message = format('"%s" is temporary, or belongs to the machinery', relation);
    elsif relation = (select s.relation from rowcast.source as s where s.source_id = sco.source_id) then
        null;  -- A row of the source may affect others: its neighbours in time, say.
    end if;
    if not has_table_privilege(rowcast.caller(), relation, 'trigger') then
        raise exception using errcode = '42501',
            message = format('permission denied: creating triggers on "%s"', relation),
            hint = format('Let its owner run: grant trigger on table %s to %I;', relation, rowcast.caller());
    elsif exists (select from rowcast.watch as w join rowcast.source as s on s.source_id = w.source_id
               where w.scorer_id = sco.scorer_id and s.relation = may_watch.relation) then
        raise exception using errcode = 'RC304',
            message = format('scorer "%s" watches "%s" already', sco.name, relation),
            hint = format('select rowcast.stop_watching(%L, %L) ends that.', sco.name, relation::text);
    end if;
end
$$;
comment on function rowcast.may_watch(int, regclass) is
    'Refuses relations that a scorer cannot watch beside its source.';
revoke all on function rowcast.may_watch(int, regclass) from public;
grant execute on function rowcast.may_watch(int, regclass) to rowcast_analyst;

create or replace function rowcast.add_watch(
    scorer_id int, relation regclass, key text[], maps_with oid, mapping text, out watch_id int,
    out source_id int, out widened boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    log record;
    wrong text;
begin
    perform rowcast.may_watch(scorer_id, relation);
    select * into log from rowcast.log_key(relation, key);
    select k into wrong from unnest(log.columns) as k
    where not has_column_privilege(rowcast.caller(), relation, k, 'select') limit 1;
    if found then
        raise exception using errcode = '42501',
            message = format('permission denied for column "%s" of "%s"', wrong, relation);
    end if;
    select * into source_id, widened from rowcast.take_source(
        relation, log.columns, log.types, log.operators, log.is_unique,
        -- Which columns a query reads is not looked into: a function in it may read any.
        array(select c.name from rowcast.input_columns(relation, null) as c order by 1));
    insert into rowcast.watch as w (scorer_id, source_id, mapping, maps_with, maps_row, created_by)
    values (scorer_id, source_id, mapping, maps_with,
            rowcast.run_function_row(maps_with, rowcast.caller()), rowcast.caller())
    returning w.watch_id into watch_id;
end
$$;
comment on function rowcast.add_watch(int, regclass, text[], oid, text) is
    'The part of also_watch that writes the machinery''s own tables, but for its end.';
revoke all on function rowcast.add_watch(int, regclass, text[], oid, text) from public;
grant execute on function rowcast.add_watch(int, regclass, text[], oid, text) to rowcast_analyst;

create or replace function rowcast.start_watch(watch_id int) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own record;
    problem text;
begin
    select w.scorer_id, w.source_id, s.relation into own
    from rowcast.watch as w join rowcast.source as s on s.source_id = w.source_id
    where w.watch_id = start_watch.watch_id and w.created_at = now() and w.created_by = rowcast.caller();
    if not found then
        raise exception using errcode = 'RC306',
            message = format('watch %s is not being made in this transaction', watch_id);
    end if;
    problem := rowcast.capture_problem(own.source_id);
    if problem is not null then
        raise exception using errcode = 'RC305', message = format('"%s" cannot be watched: %s', own.relation,
                                                                  problem);
    end if;
    update rowcast.source as s
    set relations = array(select r::oid from rowcast.captured_relations(s.relation) as r)
    where s.source_id = own.source_id;
    perform rowcast.bump_registry();
    -- Changes from before were not logged, so all keys are scored again; unless a job will do that which no
    -- chunk was cut for yet: its reads begin when the lock on it is gone, and the triggers are there.
    perform from rowcast.job as j
    where j.scorer_id = own.scorer_id and j.state = 'running' and j.relation is null and not j.bounded
    for update;
    if not found then
        perform rowcast.make_job(own.scorer_id, 'rescore');
    end if;
end
$$;
comment on function rowcast.start_watch(int) is
    'The end of also_watch, in its transaction: checks the triggers, has earlier changes scored.';
revoke all on function rowcast.start_watch(int) from public;
grant execute on function rowcast.start_watch(int) to rowcast_analyst;

create or replace function rowcast.stop_watching(scorer text, relation text) returns void
-- With the caller's rights, as drop_scorer.
language plpgsql as $$
declare
    watched constant pg_catalog.regclass := pg_catalog.to_regclass(relation);
    statement text;
begin
    for statement in select * from rowcast.remove_watch(scorer, watched) loop
        begin
            execute statement;
        exception when insufficient_privilege then
            raise warning using errcode = '01000',
                message = 'a trigger of the ended watch stays on its relation',
                hint = pg_catalog.format('Let the owner run: %s;', statement);
        end;
    end loop;
    perform rowcast.remove_source_functions();
end
$$;
comment on function rowcast.stop_watching(text, text) is
    'Ends also_watch: changes of the relation score nothing of the scorer again.';
revoke all on function rowcast.stop_watching(text, text) from public;
grant execute on function rowcast.stop_watching(text, text) to rowcast_analyst;

create or replace function rowcast.share_watches(scorer text, shadow text) returns void
language sql volatile set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.watch (scorer_id, source_id, mapping, maps_with, maps_row, created_by)
    select s.scorer_id, w.source_id, w.mapping, w.maps_with, w.maps_row, w.created_by
    from rowcast.scorer as o
    join rowcast.watch as w on w.scorer_id = o.scorer_id
    cross join rowcast.scorer as s
    where o.name = share_watches.scorer and s.name = share_watches.shadow
$$;
comment on function rowcast.share_watches(text, text) is
    'Has a scorer that is being made watch what another watches.';
revoke all on function rowcast.share_watches(text, text) from public;

create or replace function rowcast.remove_watch(scorer text, relation regclass) returns setof text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    gone record;
begin
    delete from rowcast.watch as w using rowcast.source as s
    where w.scorer_id = own.scorer_id and s.source_id = w.source_id and s.relation = remove_watch.relation
    returning w.watch_id, w.source_id, w.maps_with into gone;
    if not found then
        raise exception using errcode = 'RC306',
            message = format('scorer "%s" does not watch "%s"', scorer, relation);
    end if;
    update rowcast.chunk as c set state = 'cancelled', claimed_by = null, finished_at = clock_timestamp()
    where c.watch_id = gone.watch_id and c.state in ('available', 'running');
    if exists (select from pg_proc as p where p.oid = gone.maps_with)
       and not exists (select from rowcast.watch as w where w.maps_with = gone.maps_with) then
        execute format('drop function %s', gone.maps_with::regprocedure);
    end if;
    perform rowcast.bump_registry();
    if not rowcast.is_used(gone.source_id) then
        return query select rowcast.trigger_drops(gone.source_id);
    end if;
end
$$;
comment on function rowcast.remove_watch(text, regclass) is
    'The part of stop_watching that writes the machinery''s own tables; returns what the caller has to run.';
revoke all on function rowcast.remove_watch(text, regclass) from public;
grant execute on function rowcast.remove_watch(text, regclass) to rowcast_analyst;

create or replace function rowcast.map_order(chunk_id bigint, attempt int, out mapping text, out keys text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    own record;
    src rowcast.source;   -- what is watched
    goal rowcast.source;  -- what is scored
begin
    select c.keys, w.maps_with, w.maps_row, w.source_id, s.source_id as goal_id into own
    from rowcast.chunk as c
    join rowcast.watch as w on w.watch_id = c.watch_id
    join rowcast.scorer as s on s.scorer_id = w.scorer_id
    where c.chunk_id = map_order.chunk_id and c.attempt = map_order.attempt and c.claimed_by is not null;
    if not found then
        perform rowcast.refuse_stale(chunk_id, attempt);
    end if;
    select s.* into strict src from rowcast.source as s where s.source_id = own.source_id;
    select s.* into strict goal from rowcast.source as s where s.source_id = own.goal_id;
    keys := own.keys;
    mapping := format('select pg_catalog.array_agg(%s order by %s)::pg_catalog.text from %s(%s) as t',
        rowcast.key_of(goal), rowcast.key_order(goal, false),
        coalesce(rowcast.run_name(own.maps_with), 'rowcast_run.gone'),
        (select string_agg(format(
             '(select case when rowcast.unaltered(%s::pg_catalog.oid, ''%s''::pg_catalog.xid) '
             'then pg_catalog.array_agg(%s order by u."#") end '
             'from pg_catalog.unnest(($1::pg_catalog.text)::%s[]) with ordinality as u (%s, "#"))',
             own.maps_with, own.maps_row, case when src.composite then format('u.%I', k.name) else 'u.key' end,
             rowcast.key_cast(src),
             case when src.composite then (
                 select string_agg(quote_ident(c.name), ', ' order by c.place)
                 from unnest(src.key_columns) with ordinality as c (name, place)) else 'key' end),
             ', ' order by k.place)
         from unnest(src.key_columns) with ordinality as k (name, place)));
end
$$;
comment on function rowcast.map_order(bigint, int) is
    'The query that a lane runs for a chunk to be mapped, and its argument; raises RC201 for a stale attempt.';
revoke all on function rowcast.map_order(bigint, int) from public;
grant execute on function rowcast.map_order(bigint, int) to rowcast_worker;

create or replace function rowcast.finish_map(chunk_id bigint, attempt int, keys text) returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own record;
    made int;
begin
    update rowcast.chunk as c
    set state = 'done', claimed_by = null, finished_at = clock_timestamp(), rows_scored = 0, rows_failed = 0
    where c.chunk_id = finish_map.chunk_id and c.attempt = finish_map.attempt and c.claimed_by is not null
      and c.kind = 'map'
    returning c.scorer_id, c.tick_id, c.changed_at, c.priority into own;
    if not found then
        perform rowcast.refuse_stale(chunk_id, attempt);
    end if;
    insert into rowcast.chunk (scorer_id, tick_id, changed_at, key_count, priority, held, kind, keys)
    select own.scorer_id, own.tick_id, own.changed_at, count(*), own.priority, s.state <> 'active', 'keys',
           array_agg(k.key order by k.place)::text
    from unnest(keys::text[]) with ordinality as k (key, place)
    join rowcast.scorer as s on s.scorer_id = own.scorer_id
    group by (k.place - 1) / s.chunk_rows, s.state;
    get diagnostics made = row_count;
    if made > 0 then
        perform pg_notify('rowcast_chunk', '');
    end if;
    return made;
end
$$;
comment on function rowcast.finish_map(bigint, int, text) is
    'Makes chunks of the keys that a mapping returned, counts them, and finishes what was mapped.';
revoke all on function rowcast.finish_map(bigint, int, text) from public;
grant execute on function rowcast.finish_map(bigint, int, text) to rowcast_worker;

create or replace function rowcast.map_chunk(chunk_id bigint, attempt int) returns int
-- The texts of keys that it writes must read the same in every session.
language plpgsql set search_path = pg_catalog, pg_temp set datestyle = 'ISO, YMD'
set intervalstyle = 'iso_8601' set timezone = 'UTC' set extra_float_digits = 1 set bytea_output = 'hex'
-- What a mapping reads need not have indexes, which a lane relies on.
set enable_seqscan = on set plan_cache_mode = force_custom_plan as $$
-- With the lane's rights: from here the mapping is called, whose rights are its author's.
declare
    own record;
    keys text;
begin
    select * into own from rowcast.map_order(chunk_id, attempt);
    execute own.mapping into keys using own.keys;
    return rowcast.finish_map(chunk_id, attempt, keys);
end
$$;
comment on function rowcast.map_chunk(bigint, int) is
    'Does a chunk of kind map: runs its mapping and makes chunks of the keys; counts them. Errors: RC201, and '
    'whatever the mapping meets.';
revoke all on function rowcast.map_chunk(bigint, int) from public;
grant execute on function rowcast.map_chunk(bigint, int) to rowcast_worker;

create or replace function rowcast.watch_rows()
returns table (scorer text, relation text, logged_columns text[], mapping text, created_by text,
               created_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select c.name, s.relation_name, s.key_columns, w.mapping, w.created_by, w.created_at
    from rowcast.watch as w
    join rowcast.scorer as c on c.scorer_id = w.scorer_id
    join rowcast.source as s on s.source_id = w.source_id
    order by c.name, w.watch_id
$$;
comment on function rowcast.watch_rows() is 'The rows of rowcast.watches.';
revoke all on function rowcast.watch_rows() from public;
grant execute on function rowcast.watch_rows() to rowcast_analyst;

create or replace view rowcast.watches as select * from rowcast.watch_rows();
comment on view rowcast.watches is 'Relations that scorers watch beside their sources, and how they map.';
grant select on rowcast.watches to rowcast_analyst;
