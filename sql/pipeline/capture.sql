-- Capture: statement triggers that append the touched keys to rowcast.change.
--
-- The functions are generated for each source, because static SQL over typed columns is what makes
-- them cheap. They run inside the writer's statement with the rights of rowcast_admin, so:
--
-- * No function has `set search_path`, which every statement of every writer would pay for. In its place
--   every function, type and operator is written with its schema, the writer's search_path decides
--   nothing, and comparisons that look operators up by bare name (IS DISTINCT FROM, IN) do not occur.
--   Nor is a value of the table cast: who owns a type owns its casts, and these would run with our
--   rights. Output functions belong to superusers.
--   Text of dates, intervals and floats depends on settings of the writer's session: only functions
--   for keys of such types pin these settings.
-- * Statements that touch one row have a path of their own. Measured in one session, CPU microseconds
--   a statement over an unwatched insert: 60 with one aggregate query for any number of rows, a slot
--   from a scan of the sequence and check constraints on the log; 22 so. `into strict` reads at most
--   two rows, and raises when there are two.
-- * Reading the keys may fail when somebody has changed the table since (a dropped column). That is
--   caught in a block that writes nothing, so its subtransaction has no xid; the appends are outside.
--   The writer's statement goes on: an update whose watched columns are gone logs all its keys, and
--   a lost key column logs operation X, upon which the tick looks at the scorers.
-- * The slot is read from a sequence, which no snapshot hides; see tidy.sql.
-- * Up to 4,096 keys are one row. Reading stops there, and larger statements are cut in slices.
-- * The doorbell rings only when the dispatcher sleeps, that is when it holds (1919907683, 1).

create or replace function rowcast.append_sql(source_id int, op text, rest text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $outer$
    select format($sql$if pg_catalog.pg_sequence_last_value(
               'rowcast.change_slot'::pg_catalog.regclass) operator(pg_catalog.=) 0 then
            insert into rowcast.change_0 (op, source_id, key_count, keys) select %1$L, %2$s, %3$s;
        else
            insert into rowcast.change_1 (op, source_id, key_count, keys) select %1$L, %2$s, %3$s;
        end if;$sql$, op, source_id, rest)
$outer$;
comment on function rowcast.append_sql(int, text, text) is
    'The statements of a trigger function that append to the log: operation, source, and the rest '
    'of a query for count and keys.';
revoke all on function rowcast.append_sql(int, text, text) from public;

drop function if exists rowcast.several_sql(int, text, text, text);

create or replace function rowcast.several_sql(
    source_id int, selection text, otherwise text, guard text, at_most int)
returns text
language sql immutable set search_path = pg_catalog, pg_temp as $outer$
    select format($sql$
    declare
        slices pg_catalog.text[];
        readable pg_catalog.bool := true;
    begin
        begin
            %5$sselect array(select pg_catalog.textin(pg_catalog.array_out(
                             a.keys[s.before operator(pg_catalog.+) 1 : s.before operator(pg_catalog.+) 4096]))
                         from pg_catalog.generate_series(
                             0, a.key_count operator(pg_catalog.-) 1, 4096) as s (before)),
                   a.key_count
            into slices, touched_count
            from (select pg_catalog.array_agg(i.k) as keys, pg_catalog.count(*)::pg_catalog.int4 as key_count
                  from (%2$s limit %7$s) as i) as a;
        exception
            when internal_error or program_limit_exceeded or out_of_memory then
                touched_count := %7$s;  -- Keys too long for one array.
            when others then
                readable := false;
        end;
        if not readable then
            %3$s
        elsif touched_count operator(pg_catalog.=) 0 then
            return null;
        elsif touched_count operator(pg_catalog.<=) %6$s then
            %4$s
        else
            %1$s
        end if;
    end;$sql$,
        rowcast.append_sql(source_id, 'K', format($sql$pg_catalog.count(*),
                   pg_catalog.textin(pg_catalog.array_out(pg_catalog.array_agg(i.k)))
            from (select u.k, (pg_catalog.row_number() over () operator(pg_catalog.-) 1)
                         operator(pg_catalog./) 4096 as slice
                  from (%s) as u) as i
            group by i.slice$sql$, selection)),
        selection, otherwise,
        rowcast.append_sql(source_id, 'K', $sql$case
                   when u.place operator(pg_catalog.<) pg_catalog.cardinality(slices) then 4096
                   else (touched_count operator(pg_catalog.-) 1) operator(pg_catalog.%) 4096
                        operator(pg_catalog.+) 1 end, u.slice
            from pg_catalog.unnest(slices) with ordinality as u (slice, place)$sql$), guard, at_most,
        at_most + 1)
$outer$;
comment on function rowcast.several_sql(int, text, text, text, int) is
    'The block of a trigger function that logs any number of keys, up to at_most of them by reading the rows '
    'once, or does otherwise where they are not readable or the guard raises.';
revoke all on function rowcast.several_sql(int, text, text, text, int) from public;

create or replace function rowcast.make_capture(source_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $make$
declare
    src rowcast.source;
    pins text;
    differs text;            -- whether a row is to be scored again
    read_columns text;       -- of an updated row
    same_key text;
    same_image text;         -- the same by image: no operator that depends on types
    guard text;              -- raises where a key column's type is not what same_key was made for
    key_of_new text;
    key_of_old text;
    event text;
    single text;             -- key text and count of a statement that touched one row
    several text;            -- keys of a statement that touched any number
    every text;              -- the same, whatever columns changed
    at_most int;             -- keys that are read at once: 16 MB of them, by and large
    body text;
begin
    select s.* into strict src from rowcast.source as s where s.source_id = make_capture.source_id;

    select string_agg(format('n.%I', k.name), ', ' order by k.place),
           string_agg(format('o.%I', k.name), ', ' order by k.place),
           string_agg(format('n.%I %s o.%1$I', k.name, src.key_operators -> (k.place::int - 1) ->> '='),
                      ' and ' order by k.place),
           string_agg(format('pg_catalog.pg_typeof(n.%I) operator(pg_catalog.<>) %L::pg_catalog.regtype',
                             k.name, format('%I.%I', s.nspname, t.typname)), ' or ' order by k.place)
    into key_of_new, key_of_old, same_key, guard
    from unnest(src.key_columns, src.key_types) with ordinality as k (name, type_name, place)
    left join pg_attribute as a on a.attrelid = src.relation and a.attname = k.name
    join pg_type as t on t.oid = coalesce(nullif(a.atttypid, 0), to_regtype(k.type_name))
    join pg_namespace as s on s.oid = t.typnamespace;
    at_most := case when src.composite or exists (
            select from unnest(src.key_types) as k (name)
            join pg_type as t on t.oid = to_regtype(k.name) where t.typlen < 0)
        then 131072 else 1048576 end;
    guard := format('if (select %s from new_rows as n limit 1) then
                raise exception using errcode = ''RC302'';
            end if;
            ', guard);
    same_image := format('(row(%s)::record) operator(pg_catalog.*=) (row(%s)::record)',
                         key_of_new, key_of_old);
    if src.composite then
        -- As an anonymous row: a cast to the key's type would cast its columns, if their types were
        -- changed since, by functions of whoever changed them.
        key_of_new := format('row(%s)::pg_catalog.text', key_of_new);
        key_of_old := format('row(%s)::pg_catalog.text', key_of_old);
    end if;

    -- Images of rows are compared and not values: that needs no operator of the columns' types,
    -- takes null as a value, and at worst scores a row again whose 1.0 became 1.00.
    select format('(row(%s)::record) operator(pg_catalog.*<>) (row(%s)::record)',
                  string_agg(format('n.%I', w.name), ', ' order by w.name),
                  string_agg(format('o.%I', w.name), ', ' order by w.name)),
           string_agg(format('r.%I', w.name), ', ' order by w.name)
    into differs, read_columns
    from (select unnest(src.watched_columns) union select unnest(src.key_columns)) as w (name);

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

    foreach event in array array['insert', 'update', 'delete', 'truncate']
                           || case when src.each_row then array['row'] end
    loop
        case event
        when 'insert' then
            single := format('select pg_catalog.textin(pg_catalog.array_out(array[%s])), 1', key_of_new)
                      || ' into strict touched, touched_count from new_rows as n';
            several := format('select %s as k from new_rows as n', key_of_new);
            every := several;
        when 'delete' then
            single := format('select pg_catalog.textin(pg_catalog.array_out(array[%s])), 1', key_of_old)
                      || ' into strict touched, touched_count from old_rows as o';
            several := format('select %s as k from old_rows as o', key_of_old);
            every := several;
        when 'update' then
            -- As two rows of plpgsql, whose expressions are made ready once a transaction. Those of a query
            -- are with each statement, which takes longer for 28 features than all else together.
            single := format($sql$select %5$s into strict o from old_rows as r;
        select %5$s into n from new_rows as r;
        if not found then  -- Moved to a partition whose trigger did not take it.
            touched := pg_catalog.textin(pg_catalog.array_out(array[%2$s]));
            touched_count := 1;
        elsif not (%3$s) then
            touched := pg_catalog.textin(pg_catalog.array_out(array[%2$s, %1$s]));
            touched_count := 2;
        elsif %4$s then
            touched := pg_catalog.textin(pg_catalog.array_out(array[%1$s]));
            touched_count := 1;
        end if$sql$,
                key_of_new, key_of_old, same_image, differs, read_columns);
            -- A full join, because the plan outlives the statement it was made for: it cannot be a
            -- nested loop, which a plan made for two rows would be, and which 300,000 rows would wait
            -- for all day. A changed key is its old and its new one.
            every := format('select %s as k from new_rows as n union all select %s from old_rows as o',
                            key_of_new, key_of_old);
            -- Rows that may share a key cannot be told to be the same before and after.
            several := case when not src.has_unique_key then every
                else format($sql$select case when n.%1$I is null then %3$s else %2$s end as k
              from new_rows as n full join old_rows as o on %4$s
              where n.%1$I is null or o.%1$I is null or %5$s$sql$,
                src.key_columns[1], key_of_new, key_of_old, same_key, differs) end;
        else
            null;
        end case;

        if event = 'truncate' then
            body := format(E'\nbegin\n    %s', rowcast.append_sql(src.source_id, 'T', '0, null'));
        elsif event = 'row' then
            -- What its trigger's condition lets through: see capture_each_row.sql.
            body := format($sql$
declare
    n alias for new;
    o alias for old;
    touched pg_catalog.text;
    touched_count pg_catalog.int4 := 1;
begin
    begin
        if %3$s then
            touched := pg_catalog.textin(pg_catalog.array_out(array[%1$s]));
        else
            touched := pg_catalog.textin(pg_catalog.array_out(array[%2$s, %1$s]));
            touched_count := 2;
        end if;
    exception when others then
        touched := null;
    end;
    if touched is null then
        %4$s
    else
        %5$s
    end if;$sql$,
                key_of_new, key_of_old, same_image, rowcast.append_sql(src.source_id, 'X', '0, null'),
                rowcast.append_sql(src.source_id, 'K', 'touched_count, touched'));
        else
            body := rowcast.append_sql(src.source_id, 'X', '0, null');
            if event = 'update' then
                body := rowcast.several_sql(src.source_id, every, body, '', at_most);
            end if;
            body := format($sql$
declare
    touched pg_catalog.text;
    touched_count pg_catalog.int4;
    single pg_catalog.bool := true;
begin
    %4$sbegin
        %1$s;
    exception
        when no_data_found then
            return null;
        when others then
            single := false;  -- More rows than one, or not readable.
    end;

    if single then
        if touched is null then
            return null;
        end if;
        %2$s
    else%3$s
    end if;$sql$,
                single, rowcast.append_sql(src.source_id, 'K', 'touched_count, touched'),
                rowcast.several_sql(src.source_id, several, body,
                                    case event when 'update' then guard else '' end, at_most),
                -- Nowhere else: "n" of a query would mean either.
                case event when 'update' then E'declare\n        n record;\n        o record;\n    ' else '' end);
        end if;

        execute format($sql$create or replace function rowcast.capture_%s_%s() returns trigger
language plpgsql security definer %s as %L$sql$, event, src.source_id, coalesce(pins, ''),
            -- As a literal, whatever dollars and quotes are in the names of columns.
            body || $sql$
    if not pg_catalog.pg_try_advisory_xact_lock_shared(1919907683, 1) then
        perform pg_catalog.pg_notify('rowcast_change', '');
    end if;
    return null;
end
$sql$);
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

create or replace function rowcast.partitions_below(relation regclass) returns setof regclass
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- By the catalog alone: pg_partition_tree locks each partition, and would wait for a truncation.
    with recursive below (relid) as (
        select i.inhrelid from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
        where i.inhparent = partitions_below.relation and c.relispartition
        union all
        select i.inhrelid from below as b join pg_inherits as i on i.inhparent = b.relid
    ) select b.relid::regclass from below as b
$$;
comment on function rowcast.partitions_below(regclass) is
    'All partitions of a relation, at any depth. Takes no lock.';
revoke all on function rowcast.partitions_below(regclass) from public;

create or replace function rowcast.captured_relations(relation regclass) returns setof regclass
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Statement triggers fire for the relation that a statement names. So all that rows can come
    -- through: the partitions below, and where the source is itself a partition, those above.
    select c.oid::regclass
    from (
        select captured_relations.relation as relid
        union select b from rowcast.partitions_below(captured_relations.relation) as b
        union select a.relid from pg_partition_ancestors(captured_relations.relation) as a
    ) as r
    join pg_class as c on c.oid = r.relid
    where c.relkind in ('r', 'p')
    order by c.relispartition, c.oid
$$;
comment on function rowcast.captured_relations(regclass) is
    'Relations that need triggers, parents first. Foreign partitions cannot have them.';
revoke all on function rowcast.captured_relations(regclass) from public;

create or replace function rowcast.row_condition(source_id int) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select format('(row(%s)::record) operator(pg_catalog.*<>) (row(%s)::record)',
                  string_agg(format('new.%I', a.attname), ', ' order by a.attnum),
                  string_agg(format('old.%I', a.attname), ', ' order by a.attnum))
    from rowcast.source as s
    join pg_class as c on c.oid = s.relation and c.relkind = 'r' and not c.relispartition
    join pg_attribute as a on a.attrelid = s.relation and a.attnum > 0 and not a.attisdropped
                          and a.attname = any (s.key_columns || s.watched_columns)
    where s.source_id = row_condition.source_id and s.each_row
      -- Updates of it reach rows of tables that inherit from it, and no trigger of its own sees these.
      and not exists (select from pg_inherits as i where i.inhparent = s.relation)
    having count(*) > 0
$$;
comment on function rowcast.row_condition(int) is
    'When the update trigger of a source that is captured row by row fires; null where statements are.';
revoke all on function rowcast.row_condition(int) from public;

create or replace function rowcast.update_trigger_looks(source_id int, trigger_id oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- A condition means columns by their numbers: one that was renamed and made again is another one.
    select t.tgtype & 1 = 0 or t.tgrelid = s.relation and rowcast.row_condition(s.source_id) is not null
       and not exists (
        select from pg_attribute as a
        where a.attrelid = t.tgrelid and a.attnum > 0 and not a.attisdropped
          and a.attname = any (s.key_columns || s.watched_columns)
          and not exists (
            select from pg_depend as d
            where d.classid = 'pg_trigger'::regclass and d.objid = t.oid
              and d.refclassid = 'pg_class'::regclass and d.refobjid = t.tgrelid
              and d.refobjsubid = a.attnum))
    from pg_trigger as t cross join rowcast.source as s
    where t.oid = update_trigger_looks.trigger_id and s.source_id = update_trigger_looks.source_id
$$;
comment on function rowcast.update_trigger_looks(int, oid) is
    'Whether a trigger sees each update of what its source watches: true for statement triggers.';
revoke all on function rowcast.update_trigger_looks(int, oid) from public;

create or replace function rowcast.capture_statements(source_id int, again boolean)
returns setof text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select case
        when e.event = 'update' and r.relation = s.relation and c.condition is not null then format(
            'create or replace trigger rowcast_update_%1$s after update on %2$s for each row when (%3$s) '
            'execute function rowcast.capture_row_%1$s()', s.source_id, r.relation, c.condition)
        else format(
            'create or replace trigger rowcast_%1$s_%2$s after %1$s on %3$s %4$sfor each statement '
            'execute function rowcast.capture_%1$s_%2$s()', e.event, s.source_id, r.relation, e.tables) end
    from rowcast.source as s
    cross join rowcast.captured_relations(s.relation) as r (relation)
    cross join (values
        (1, 'insert', 'referencing new table as new_rows '),
        (2, 'update', 'referencing old table as old_rows new table as new_rows '),
        (3, 'delete', 'referencing old table as old_rows '),
        (4, 'truncate', '')) as e (place, event, tables)
    cross join rowcast.row_condition(s.source_id) as c (condition)
    where s.source_id = capture_statements.source_id
      and (capture_statements.again and e.event = 'update' or not exists (
        select from pg_trigger as t
        where t.tgrelid = r.relation
          and t.tgname = format('rowcast_%s_%s', e.event, s.source_id)
          and (e.event <> 'update' or rowcast.update_trigger_looks(s.source_id, t.oid))))
    order by e.place
$$;
comment on function rowcast.capture_statements(int, boolean) is
    'The statements that create what triggers a source lacks; again: those for update in any case.';
revoke all on function rowcast.capture_statements(int, boolean) from public;
grant execute on function rowcast.capture_statements(int, boolean)
    to rowcast_analyst, rowcast_worker;

create or replace function rowcast.silent_triggers(source_id int)
returns table (relation regclass, name text, state text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select r.relation, e.name, case when t.tgenabled is null or t.blind then 'missing'
                                    when t.tgenabled = 'D' then 'disabled'
                                    else 'for replicas only' end
    from rowcast.source as s
    cross join rowcast.captured_relations(s.relation) as r (relation)
    cross join lateral (
        select format('rowcast_%s_%s', v.event, s.source_id) as name
        from (values ('insert'), ('update'), ('delete'), ('truncate')) as v (event)) as e
    left join lateral (
        select g.tgenabled, g.tgtype & 1 = 1 and not rowcast.update_trigger_looks(s.source_id, g.oid) as blind
        from pg_trigger as g where g.tgrelid = r.relation and g.tgname = e.name) as t on true
    where s.source_id = silent_triggers.source_id
      and (coalesce(t.tgenabled, 'D') not in ('O', 'A') or t.blind)
$$;
comment on function rowcast.silent_triggers(int) is
    'Triggers of a source that do not fire, and why: one that looks at other columns than the source has now '
    'counts as missing. Cost: four index probes a relation.';
revoke all on function rowcast.silent_triggers(int) from public;

create or replace function rowcast.capture_problem(source_id int) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select format('trigger %s of %s is %s', t.name, t.relation, t.state)
    from rowcast.silent_triggers(source_id) as t limit 1
$$;
comment on function rowcast.capture_problem(int) is
    'Which trigger of a source does not fire; null where all do.';
revoke all on function rowcast.capture_problem(int) from public;

create or replace function rowcast.grant_statements(source_id int) returns setof text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select format('grant select on %s to rowcast_worker', b.relid)
    from rowcast.source as s
    cross join rowcast.partitions_below(s.relation) as b (relid)
    join pg_class as c on c.oid = b.relid and c.relkind = 'r'
    where s.source_id = grant_statements.source_id
      and not has_table_privilege('rowcast_worker', b.relid, 'select')
$$;
comment on function rowcast.grant_statements(int) is
    'The statements that let workers read the partitions of a source by themselves.';
revoke all on function rowcast.grant_statements(int) from public;
grant execute on function rowcast.grant_statements(int) to rowcast_analyst, rowcast_worker;

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
    -- Partitions are read through the source; only a job over a new one reads the partition itself,
    -- and it takes the whole source where it may not.
    for statement in select * from rowcast.grant_statements(attach_capture.source_id) loop
        begin
            execute statement;
        exception when insufficient_privilege then
            null;
        end;
    end loop;
    return made;
end
$$;
comment on function rowcast.attach_capture(int, boolean) is
    'Creates the triggers that a source lacks and counts them.';
revoke all on function rowcast.attach_capture(int, boolean) from public;
grant execute on function rowcast.attach_capture(int, boolean) to rowcast_analyst, rowcast_worker;
