-- Capture: statement triggers that append the touched keys to rowcast.change.
--
-- The functions are generated for each source, because static SQL over typed columns is what makes
-- them cheap. They run inside the writer's statement with the rights of rowcast_admin, so:
--
-- * No function has `set search_path` (64 writers would pay for it in each statement). In its place
--   every function, type and operator is written with its schema, the writer's search_path decides
--   nothing, and comparisons that look operators up by bare name (IS DISTINCT FROM, IN) do not occur.
--   Text of dates, intervals and floats depends on settings of the writer's session: only functions
--   for keys of such types pin these settings.
-- * Reading the keys may fail when somebody has changed the table since (a dropped column). That is
--   caught in a block that writes nothing, so its subtransaction has no xid; the appends are outside.
--   The writer's statement goes on: an update whose watched columns are gone logs all its keys, and
--   a lost key column logs operation X, upon which the tick looks at the scorers.
-- * The slot is read from a sequence, which no snapshot hides; see tidy.sql.
-- * Up to 4,096 keys are one row. The first query stops reading there, and larger statements are cut
--   in slices by a second one.
-- * The doorbell rings only when the dispatcher sleeps, that is when it holds (1919907683, 1).

create or replace function rowcast.make_capture(source_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $make$
declare
    src rowcast.source;
    pins text;
    watched text;
    joined text;
    key_of_new text;
    key_of_old text;
    inserted text;
    deleted text;
    updated text;
    touched text;
    event text;
    selection text;
    fallback text;
    body text;
begin
    select s.* into strict src from rowcast.source as s where s.source_id = make_capture.source_id;

    select string_agg(format('n.%I', k.name), ', ' order by k.place),
           string_agg(format('o.%I', k.name), ', ' order by k.place),
           string_agg(format('n.%I %s o.%I', k.name, src.key_operators -> (k.place::int - 1) ->> '=',
                             k.name), ' and ' order by k.place)
    into key_of_new, key_of_old, joined
    from unnest(src.key_columns) with ordinality as k (name, place);

    -- Images of rows are compared and not values: that needs no operator of the columns' types,
    -- takes null as a value, and at worst scores a row again whose 1.0 became 1.00.
    select format('(row(%s)::record) operator(pg_catalog.*<>) (row(%s)::record)',
                  string_agg(format('n.%I', w.name), ', ' order by w.name),
                  string_agg(format('o.%I', w.name), ', ' order by w.name))
    into watched
    from (select unnest(src.watched_columns) union select unnest(src.key_columns)) as w (name);

    if src.composite then
        key_of_new := format('row(%s)::rowcast.key_%s', key_of_new, src.source_id);
        key_of_old := format('row(%s)::rowcast.key_%s', key_of_old, src.source_id);
    end if;

    inserted := format('select %s as k from new_rows as n', key_of_new);
    deleted := format('select %s as k from old_rows as o', key_of_old);
    -- A full join, because the plan outlives the statement it was made for: it cannot be a nested
    -- loop, which a plan made for one row would be, and which 300,000 rows would wait for all day.
    updated := format($sql$select case when n.%1$I is null then %3$s else %2$s end as k
            from new_rows as n full join old_rows as o on %4$s
            where n.%1$I is null or o.%1$I is null or %5$s$sql$,
        src.key_columns[1], key_of_new, key_of_old, joined, watched);
    touched := inserted || ' union all ' || deleted;

    select string_agg(distinct p.pin, ' ') into pins
    from unnest(src.key_types) as k (type_name)
    join pg_type as t on t.oid = to_regtype(k.type_name)
    cross join lateral (
        select 'set datestyle = ''ISO, YMD'' set intervalstyle = ''iso_8601'' set timezone = ''UTC'''
        where t.typcategory in ('D', 'T') or t.typtype in ('c', 'r', 'm')
        union all
        select 'set extra_float_digits = 1'
        where t.oid in ('float4'::regtype, 'float8'::regtype) or t.typtype in ('c', 'r', 'm')
        union all
        select 'set bytea_output = ''hex'''
        where t.oid = 'bytea'::regtype or t.typtype in ('c', 'r', 'm')
    ) as p (pin);

    foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
        selection := case event when 'insert' then inserted when 'delete' then deleted else updated end;
        fallback := format($sql$
        insert into rowcast.change (slot, op, source_id, key_count)
        select s.last_value, 'X', %s, 0 from rowcast.change_slot as s;
        touched_count := 0;$sql$, src.source_id);
        if event = 'update' then
            fallback := format($sql$
        begin
            -- A watched column is gone: every row of the statement counts as changed.
            all_keys := true;
            select pg_catalog.array_agg(s.k)::pg_catalog.text, pg_catalog.count(*)
            into touched, touched_count
            from (select k from (%1$s) as u limit 4097) as s;
        exception when others then%2$s
        end;$sql$, touched, replace(fallback, E'\n', E'\n    '));
        end if;

        body := case when event = 'truncate' then format($sql$
begin
    insert into rowcast.change (slot, op, source_id, key_count)
    select s.last_value, 'T', %s, 0 from rowcast.change_slot as s;$sql$, src.source_id)
        else format($sql$
declare
    touched pg_catalog.text;
    touched_count pg_catalog.int8;%5$s
begin
    begin
        select pg_catalog.array_agg(s.k)::pg_catalog.text, pg_catalog.count(*)
        into touched, touched_count
        from (%1$s limit 4097) as s;
    exception when others then%2$s
    end;

    if touched_count operator(pg_catalog.=) 0 then
        return null;
    elsif touched_count operator(pg_catalog.<=) 4096 then
        insert into rowcast.change (slot, op, source_id, key_count, keys)
        select s.last_value, 'K', %3$s, touched_count, touched from rowcast.change_slot as s;%6$s
    else
        insert into rowcast.change (slot, op, source_id, key_count, keys)
        select c.last_value, 'K', %3$s, s.key_count, s.keys
        from rowcast.change_slot as c,
            (select pg_catalog.count(*) as key_count, pg_catalog.array_agg(i.k)::pg_catalog.text as keys
             from (select u.k, (pg_catalog.row_number() over () operator(pg_catalog.-) 1)
                          operator(pg_catalog./) 4096 as slice
                   from (%4$s) as u) as i
             group by i.slice) as s;
    end if;$sql$,
            selection, fallback, src.source_id, selection,
            case event when 'update' then E'\n    all_keys pg_catalog.bool := false;' else '' end,
            case event when 'update' then format($sql$
    elsif all_keys then
        insert into rowcast.change (slot, op, source_id, key_count, keys)
        select c.last_value, 'K', %1$s, s.key_count, s.keys
        from rowcast.change_slot as c,
            (select pg_catalog.count(*) as key_count, pg_catalog.array_agg(i.k)::pg_catalog.text as keys
             from (select u.k, (pg_catalog.row_number() over () operator(pg_catalog.-) 1)
                          operator(pg_catalog./) 4096 as slice
                   from (%2$s) as u) as i
             group by i.slice) as s;$sql$, src.source_id, touched) else '' end)
        end;

        execute format($sql$create or replace function rowcast.capture_%s_%s() returns trigger
language plpgsql security definer %s as $body$%s
    if not pg_catalog.pg_try_advisory_xact_lock_shared(1919907683, 1) then
        perform pg_catalog.pg_notify('rowcast_change', '');
    end if;
    return null;
end
$body$$sql$, event, src.source_id, coalesce(pins, ''), body);
        execute format('comment on function rowcast.capture_%s_%s() is %L', event, src.source_id,
            format('Logs which keys of %s a statement touched. Generated; see sql/pipeline/capture.sql.',
                   src.relation_name));
        -- Who creates or mends the triggers needs it; a trigger fires without.
        execute format('revoke all on function rowcast.capture_%s_%s() from public', event,
                       src.source_id);
        execute format('grant execute on function rowcast.capture_%s_%s() to rowcast_analyst, '
                       'rowcast_worker', event, src.source_id);
    end loop;
end
$make$;
comment on function rowcast.make_capture(int) is
    'Writes the four trigger functions of a source, from its key and watched columns.';
revoke all on function rowcast.make_capture(int) from public;

create or replace function rowcast.captured_relations(relation regclass) returns setof regclass
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Statement triggers fire for the relation that a statement names. So all that rows can come
    -- through: the partitions below, and where the source is itself a partition, those above.
    select c.oid::regclass
    from (
        select captured_relations.relation as relid
        union select t.relid from pg_partition_tree(captured_relations.relation) as t
        union select a.relid from pg_partition_ancestors(captured_relations.relation) as a
    ) as r
    join pg_class as c on c.oid = r.relid
    where c.relkind in ('r', 'p')
    order by c.relispartition, c.oid
$$;
comment on function rowcast.captured_relations(regclass) is
    'Relations that need triggers, parents first. Foreign partitions cannot have them.';
revoke all on function rowcast.captured_relations(regclass) from public;

create or replace function rowcast.capture_statements(source_id int, again boolean)
returns setof text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select format(
        'create or replace trigger rowcast_%1$s_%2$s after %1$s on %3$s %4$sfor each statement '
        'execute function rowcast.capture_%1$s_%2$s()',
        e.event, s.source_id, r.relation, e.tables)
    from rowcast.source as s
    cross join rowcast.captured_relations(s.relation) as r (relation)
    cross join (values
        (1, 'insert', 'referencing new table as new_rows '),
        (2, 'update', 'referencing old table as old_rows new table as new_rows '),
        (3, 'delete', 'referencing old table as old_rows '),
        (4, 'truncate', '')) as e (place, event, tables)
    where s.source_id = capture_statements.source_id
      and (capture_statements.again and e.event = 'update' or not exists (
        select from pg_trigger as t
        where t.tgrelid = r.relation
          and t.tgname = format('rowcast_%s_%s', e.event, s.source_id)))
    order by e.place
$$;
comment on function rowcast.capture_statements(int, boolean) is
    'The statements that create what triggers a source lacks; again: those for update in any case.';
revoke all on function rowcast.capture_statements(int, boolean) from public;
grant execute on function rowcast.capture_statements(int, boolean)
    to rowcast_analyst, rowcast_worker;

create or replace function rowcast.attach_capture(source_id int, again boolean) returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- With the caller's rights: he needs TRIGGER on the source. Creating a trigger waits for the writers
-- of the table and holds new ones until commit, so after it nothing goes uncaptured. That is also
-- why the update trigger is made again when more columns are watched.
declare
    statement text;
    made int := 0;
begin
    for statement in
        select * from rowcast.capture_statements(attach_capture.source_id, attach_capture.again)
    loop
        execute statement;
        made := made + 1;
    end loop;
    return made;
end
$$;
comment on function rowcast.attach_capture(int, boolean) is
    'Creates the triggers that a source lacks and counts them.';
revoke all on function rowcast.attach_capture(int, boolean) from public;
grant execute on function rowcast.attach_capture(int, boolean) to rowcast_analyst, rowcast_worker;
