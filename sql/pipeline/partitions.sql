-- Partitions that come and go. Rows of an attached partition appear without an insert, rows of a
-- detached or dropped one vanish without a delete, and a new one has no triggers: writes through the
-- parent are logged all the same, writes to the partition itself are not. The dispatcher looks every
-- few seconds: it creates the triggers if its role may, has the new rows scored in any case, and
-- removes the predictions of the lost ones.

create or replace function rowcast.sources_to_follow() returns setof int
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.source_id from rowcast.source as s
    join pg_class as c on c.oid = s.relation
    where s.unwatched is not null
       -- A plain table is all there is to look at; trees are walked only where there is one.
       or s.relations <> case
           when c.relkind = 'r' and not c.relispartition then array[c.oid]
           else array(select r::oid from rowcast.captured_relations(s.relation) as r) end
$$;
comment on function rowcast.sources_to_follow() is
    'Sources whose partitions are not those that were last seen, or not all watched.';
revoke all on function rowcast.sources_to_follow() from public;
grant execute on function rowcast.sources_to_follow() to rowcast_worker;

create or replace function rowcast.watch_partitions() returns int
-- Creating a trigger waits for the partition's writers, and others wait behind it: not for long.
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
    source_id int;
    made int := 0;
begin
    for source_id in select * from rowcast.sources_to_follow() loop
        begin
            made := made + rowcast.attach_capture(source_id, false);
        exception
            when lock_not_available then
                continue;  -- The next time.
            when insufficient_privilege or undefined_table then
                null;  -- What is not watched is noted, what is gone is seen below.
        end;
        begin
            perform rowcast.follow_partitions(source_id);
        exception when lock_not_available then
            null;  -- The next time.
        end;
    end loop;
    return made;
end
$$;
comment on function rowcast.watch_partitions() is
    'Follows the partitions of all sources, with the caller''s rights; counts the triggers made.';
revoke all on function rowcast.watch_partitions() from public;
grant execute on function rowcast.watch_partitions() to rowcast_worker;

create or replace function rowcast.follow_partitions(source_id int) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    src rowcast.source;
    present oid[];
    scorer_id int;
    added oid;
begin
    select s.* into strict src from rowcast.source as s
    where s.source_id = follow_partitions.source_id for update;
    present := array(select r::oid from rowcast.captured_relations(src.relation) as r);

    for scorer_id in select s.scorer_id from rowcast.scorer as s
        where s.source_id = src.source_id order by s.scorer_id
    loop
        for added in
            select p.oid from unnest(present) as p (oid)
            join pg_class as c on c.oid = p.oid and c.relkind = 'r'
            where not p.oid = any (src.relations)
              -- Below the source, and not above it.
              and p.oid in (select b::oid from rowcast.partitions_below(src.relation) as b)
        loop
            perform rowcast.make_job(scorer_id, 'rescore', added);
        end loop;
        if not src.relations <@ present then
            perform rowcast.remove_orphans(scorer_id);
        end if;
    end loop;

    -- Which keys of theirs the rows of such partitions map to is for scorers that watch it not known.
    if not (src.relations <@ present and present <@ src.relations) then
        perform rowcast.make_job(w.scorer_id, 'rescore')
        from (select distinct w.scorer_id from rowcast.watch as w where w.source_id = src.source_id) as w;
    end if;

    update rowcast.source as s
    set relations = present,
        unwatched = (select substr(t, strpos(t, ' on ') + 4) from (
                         select split_part(c, case when c like '% referencing %' then ' referencing '
                                                   else ' for each ' end, 1) as t
                         from rowcast.capture_statements(src.source_id, false) as c limit 1) as c)
    where s.source_id = src.source_id;
end
$$;
comment on function rowcast.follow_partitions(int) is
    'Has rows of new partitions scored and predictions of lost ones removed, and notes what is not '
    'watched.';
revoke all on function rowcast.follow_partitions(int) from public;
grant execute on function rowcast.follow_partitions(int) to rowcast_worker, rowcast_analyst;
