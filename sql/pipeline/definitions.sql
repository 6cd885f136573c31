-- Changes of a source's definition. PostgreSQL tells nobody of them but superusers' event triggers, so the
-- dispatcher compares: some sources every two seconds, in turn, for some milliseconds each time, whether or
-- not anything was written.
--
--   goes on            another name or schema, other columns, another owner, grants to others
--   all rows again     a column that is read has another type that fits, or was dropped and made again:
--                      its values may be others, and no trigger fired
--   suspended          what scorer_problem tells: a column or the key is gone or has a type that does not fit,
--                      the key is not unique any more or may be null, row security, triggers that do not
--                      fire, rights that workers lost, the table was dropped
--
-- Lanes that meet a change first, in an error, end up at suspend_scorer, which looks here too.

create or replace function rowcast.source_definition(source_id int) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp set quote_all_identifiers = off as $$
    select jsonb_object_agg(a.attname, format('%s %s', a.attnum, format_type(a.atttypid, a.atttypmod)))
    from rowcast.source as s
    join pg_attribute as a on a.attrelid = s.relation and a.attnum > 0 and not a.attisdropped
     and a.attname = any (s.key_columns || s.watched_columns)
    where s.source_id = source_definition.source_id
$$;
comment on function rowcast.source_definition(int) is
    'Number and type of each column of a source that its scorers read.';
revoke all on function rowcast.source_definition(int) from public;

create or replace function rowcast.note_definition(source_id int) returns void
language sql volatile set search_path = pg_catalog, pg_temp set quote_all_identifiers = off as $$
    update rowcast.source as s
    set relation_name = s.relation::text, definition = rowcast.source_definition(s.source_id)
    where s.source_id = note_definition.source_id
      and exists (select from pg_class as c where c.oid = s.relation)
$$;
comment on function rowcast.note_definition(int) is 'Takes the present definition of a source for known.';
revoke all on function rowcast.note_definition(int) from public;

create or replace function rowcast.definition_change(
    source_id int, out renamed boolean, out altered boolean)
language plpgsql stable set search_path = pg_catalog, pg_temp set quote_all_identifiers = off as $$
declare
    src rowcast.source;
    present jsonb;
begin
    select s.* into src from rowcast.source as s
    where s.source_id = definition_change.source_id
      and exists (select from pg_class as c where c.oid = s.relation);
    present := rowcast.source_definition(src.source_id);
    renamed := coalesce(src.relation_name <> src.relation::text, false);
    -- Columns that a later scorer reads too are no change.
    altered := exists (select from jsonb_each(src.definition) as d (name, was)
                       where present -> d.name is distinct from d.was);
end
$$;
comment on function rowcast.definition_change(int) is
    'Whether a source has another name, or a column that is read another definition, than last seen.';
revoke all on function rowcast.definition_change(int) from public;

create or replace function rowcast.follow_definition(source_id int) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    change record;
    own record;
begin
    select * into change from rowcast.definition_change(source_id);
    if not change.renamed and not change.altered then
        return false;
    elsif not exists (select from rowcast.scorer as s where s.source_id = follow_definition.source_id) then
        -- A relation that is only watched beside a source: its mapping is looked after by query_problem.
        perform rowcast.note_definition(source_id);
        return false;
    -- Scorers that are suspended are made anew when they are mended; who has a problem is, first.
    elsif not exists (select from rowcast.scorer as s
                      where s.source_id = follow_definition.source_id and s.state <> 'suspended') then
        return false;
    end if;
    perform from rowcast.source as s where s.source_id = follow_definition.source_id for update;
    if exists (select from rowcast.scorer as s
               where s.source_id = follow_definition.source_id and s.state <> 'suspended'
                 and rowcast.scorer_problem(s.scorer_id) is not null) then
        return false;
    end if;
    perform rowcast.note_definition(source_id);
    if change.altered then
        perform rowcast.make_capture(source_id);
    end if;
    for own in
        select s.scorer_id from rowcast.scorer as s
        where s.source_id = follow_definition.source_id and s.state <> 'suspended'
        order by s.scorer_id for update
    loop
        perform rowcast.make_write(own.scorer_id);
        update rowcast.scorer as s set revision = s.revision + 1 where s.scorer_id = own.scorer_id;
        if change.altered then
            perform rowcast.make_job(own.scorer_id, 'rescore');
        end if;
    end loop;
    perform rowcast.bump_registry();
    return true;
end
$$;
comment on function rowcast.follow_definition(int) is
    'Goes along with a change of a source that its scorers can bear; whether there was one.';
revoke all on function rowcast.follow_definition(int) from public;

drop function if exists rowcast.watch_definitions(int);

create or replace function rowcast.watch_definitions(
    max_sources int default 20, max_time interval default null) returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
    own_source int;
    own_scorer int;
    problem text;
    noticed int := 0;
    turns constant bigint := greatest(1, ceil((select count(*) from rowcast.source) / max_sources::numeric));
    turn constant bigint := (extract(epoch from clock_timestamp()) / 2)::bigint % turns;
    -- Where time is short, the session goes on behind the source that it looked at last.
    last_source constant int := case when max_time is null then 0 else
        coalesce(nullif(current_setting('rowcast.watched_source', true), ''), '0')::int end;
    started constant timestamptz := clock_timestamp();
begin
    for own_source in
        select s.source_id from (
            select s.source_id, row_number() over (order by s.source_id) as place from rowcast.source as s
        ) as s
        where max_time is not null or s.place % turns = turn
        order by s.source_id <= last_source, s.source_id
        limit case when max_time is not null then max_sources end
    loop
        begin
            for own_scorer in
                select s.scorer_id from rowcast.scorer as s
                where s.source_id = own_source and s.state = 'active' order by s.scorer_id
            loop
                problem := rowcast.scorer_problem(own_scorer);
                -- A definition that changes while it is looked at is seen half old, half new: so twice.
                if problem is not null then
                    problem := rowcast.scorer_problem(own_scorer);
                end if;
                if problem is not null then
                    noticed := noticed + rowcast.suspend_scorer(own_scorer, problem)::int;
                end if;
            end loop;
            noticed := noticed + rowcast.follow_definition(own_source)::int;
        exception when lock_not_available then
            null;  -- Somebody changes the scorer; the next time.
        end;
        if max_time is not null then
            perform set_config('rowcast.watched_source', own_source::text, false);
            exit when clock_timestamp() > started + max_time;
        end if;
    end loop;
    return noticed;
end
$$;
comment on function rowcast.watch_definitions(int, interval) is
    'Looks whether the definitions of sources changed, at most so many at a time (at least one, and no more '
    'after max_time), the others the next time: suspends scorers that do not fit any more, goes along with '
    'harmless changes, and counts both. Cost: some milliseconds a source.';
revoke all on function rowcast.watch_definitions(int, interval) from public;
grant execute on function rowcast.watch_definitions(int, interval) to rowcast_worker;

create or replace function rowcast.leftover_triggers()
returns table (statement text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass)
    from pg_proc as p
    join pg_trigger as t on t.tgfoid = p.oid
    where p.pronamespace = 'rowcast'::regnamespace
      and p.proname ~ '^capture_(insert|update|delete|truncate|row)_[0-9]+$'
      and not exists (select from rowcast.source as s
                      where s.source_id = substring(p.proname from '[0-9]+$')::int)
$$;
comment on function rowcast.leftover_triggers() is
    'The statements that drop triggers of sources without scorers, whose droppers were not their owners.';
revoke all on function rowcast.leftover_triggers() from public;
grant execute on function rowcast.leftover_triggers() to rowcast_worker;

create or replace function rowcast.drop_leftovers() returns int
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
-- With the caller's rights: only the owner of a table may drop a trigger of it.
declare
    statement text;
    dropped int := 0;
begin
    for statement in select * from rowcast.leftover_triggers() loop
        begin
            execute statement;
            dropped := dropped + 1;
        exception when insufficient_privilege or lock_not_available or undefined_object then
            null;
        end;
    end loop;
    if dropped > 0 then
        perform rowcast.drop_leftover_functions();
    end if;
    return dropped;
end
$$;
comment on function rowcast.drop_leftovers() is
    'Drops triggers that dropped scorers left because their dropper did not own the table.';
revoke all on function rowcast.drop_leftovers() from public;
grant execute on function rowcast.drop_leftovers() to rowcast_worker;

create or replace function rowcast.drop_leftover_functions() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    leftover regprocedure;
begin
    for leftover in
        select p.oid from pg_proc as p
        where p.pronamespace = 'rowcast'::regnamespace
          and p.proname ~ '^capture_(insert|update|delete|truncate|row)_[0-9]+$'
          and not exists (select from rowcast.source as s
                          where s.source_id = substring(p.proname from '[0-9]+$')::int)
          and not exists (select from pg_trigger as t where t.tgfoid = p.oid)
    loop
        execute format('drop function %s', leftover);
    end loop;
end
$$;
comment on function rowcast.drop_leftover_functions() is
    'Drops trigger functions of sources without scorers that no trigger calls.';
revoke all on function rowcast.drop_leftover_functions() from public;
grant execute on function rowcast.drop_leftover_functions() to rowcast_worker;
