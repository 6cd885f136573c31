-- Housekeeping, by the dispatcher, every few seconds.
--
-- Rotation of the log. Writers append to the child that the sequence change_slot tells. To empty a
-- child without ever making a writer wait, or losing a change:
--
-- (1) close it: setval moves writers to the other child. A sequence is read as it is, not as a
--     snapshot saw it, so every append that begins from now on goes there.
-- (2) note an xid: that of a later transaction. A writer that had read the old slot before (1) has an
--     xid below it, because its statement has already written the rows whose keys it logs. The xid
--     must be drawn after (1): that of the closing transaction may be older than (1), and the xmax
--     of a snapshot is only the latest completed one's, which a writer in flight may be beyond. Nor
--     may somebody else have done (1) while this transaction, which had its xid by then, did other
--     work: so whoever tidies takes the lock of the ticks before he has an xid.
-- (3) truncate when the cursor of the ticks has everything below that xid complete: then all writers
--     of (2) are over and their changes were collected. Nobody else appends to the child any more,
--     so the lock is free; readers hold it for the length of a tick. The attempt gives up after 50 ms.
-- (4) a child is closed only while the other one is empty and open again, so there is always one.
--
-- If (1) survives a crash that (2) does not, the note is made later, with a larger xid: still right.
-- A child that is written to has no note.

create or replace function rowcast.rotate_log(least_bytes bigint) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' set enable_seqscan = off set jit = off as $$
declare
    current_slot smallint;
    old_slot smallint;
    closed bigint;
    last_snapshot txid_snapshot;
    this_snapshot txid_snapshot;
begin
    if not pg_try_advisory_xact_lock(1919907683, 4) then
        return 'busy';
    end if;
    select s.last_value into current_slot from rowcast.change_slot as s;
    old_slot := 1 - current_slot;

    if pg_relation_size(format('rowcast.change_%s', old_slot)::regclass) = 0 then
        -- The other child is empty: it is this one's turn, once it is worth it.
        if pg_relation_size(format('rowcast.change_%s', current_slot)::regclass) = 0
           or pg_table_size(format('rowcast.change_%s', current_slot)::regclass) < least_bytes then
            return 'idle';
        end if;
        -- A note that is older than the writers of now would truncate what they append.
        update rowcast.change_child as c set closed_at_xid = null
        where c.slot = current_slot and c.closed_at_xid is not null;
        if found then
            return 'note removed';
        end if;
        perform setval('rowcast.change_slot', old_slot);
        return 'closed';
    end if;

    select c.closed_at_xid into closed from rowcast.change_child as c where c.slot = old_slot;
    if closed is null then
        update rowcast.change_child as c
        set closed_at_xid = txid_current() where c.slot = old_slot;
        return 'noted';
    end if;

    this_snapshot := txid_current_snapshot();
    if txid_snapshot_xmin(this_snapshot) < closed then
        return 'waiting for a transaction';
    end if;
    select t.snapshot::text::txid_snapshot into strict last_snapshot
    from rowcast.tick as t where t.snapshot is not null order by t.tick_id desc limit 1;
    if txid_snapshot_xmin(last_snapshot) < closed then
        -- Ticks that found nothing left the cursor behind. It moves if there is nothing between.
        if exists (select from rowcast.changes_between(last_snapshot, this_snapshot)) then
            return 'waiting for a tick';
        end if;
        insert into rowcast.tick (snapshot) values (this_snapshot::text::pg_snapshot);
    end if;
    begin
        execute format('truncate rowcast.change_%s', old_slot);
    exception when lock_not_available then
        return 'waiting for a reader';
    end;
    -- An index that is built on nothing has a summary of the first range.
    perform brin_desummarize_range(format('rowcast.change_%s_xid_idx', old_slot)::regclass, 0);
    -- With the truncation, so that the next note of this child is always made anew.
    update rowcast.change_child as c set closed_at_xid = null, summarised_ranges = 0
    where c.slot = old_slot;
    return 'truncated';
end
$$;
comment on function rowcast.rotate_log(bigint) is
    'One step of the rotation of the log of changes: says which. Truncates only what was collected.';
revoke all on function rowcast.rotate_log(bigint) from public;

create or replace function rowcast.tidy_up()
returns table (rotation text, chunks_deleted bigint, ticks_deleted bigint, tombstones_deleted bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
    own record;
    deleted bigint;
    -- An index is read from a value to another one, not from what a volatile function may say.
    now_is constant timestamptz := clock_timestamp();
    -- First of all, before this transaction has an xid: see (2).
    rotates constant boolean := pg_try_advisory_xact_lock(1919907683, 4);
    floor constant bigint := pg_sequence_last_value('rowcast.chunk_floor'::regclass);
begin
    perform set_config('synchronous_commit', 'off', true);

    -- Chunk sizes follow the time that chunks took: towards 100 ms, at most by half or double a step.
    -- Below 256 rows only where that takes 700 ms: a chunk of any size takes its round trips, and
    -- with a distant server or a slow disk these alone are 100 ms, which smaller chunks never reach.
    -- The median, so that one slow disk write changes nothing; full chunks only, small ones are all
    -- overhead. Half a second where each row names its model: such a chunk takes as long as there are
    -- models in it, however few rows each has.
    for own in
        select s.scorer_id, s.chunk_rows, s.features,
               case when s.features_from is null then o.relation end as relation,
               least(16384, greatest(
                   1,
                   round(s.chunk_rows * least(2.0, greatest(0.5,
                       case when s.route is null then 0.1 else 0.5 end / greatest(t.seconds, 0.001)))),
                   least(256, round(s.chunk_rows * least(2.0, greatest(0.5, 0.7 / greatest(t.seconds, 0.001)))))
               ))::int as better
        from (
            -- For a row, since chunks of jobs have sizes of their own.
            select d.scorer_id, max(d.chunk_rows) * percentile_cont(0.5) within group (
                       order by extract(epoch from d.finished_at - d.claimed_at) / d.key_count) as seconds
            from (
                select c.scorer_id, c.finished_at, c.claimed_at, c.key_count, s.chunk_rows,
                       row_number() over (partition by c.scorer_id order by c.finished_at desc) as place
                from rowcast.chunk as c
                join rowcast.scorer as s on s.scorer_id = c.scorer_id
                where c.finished_at > now_is - interval '30 seconds' and c.state = 'done'
                  and c.kind <> 'map' and c.claimed_at is not null
                  and c.key_count >= greatest(1, s.chunk_rows / 2)
            ) as d
            where d.place <= 50
            group by d.scorer_id having count(*) >= 4
        ) as t
        join rowcast.scorer as s on s.scorer_id = t.scorer_id
        join rowcast.source as o on o.source_id = s.source_id
    loop
        own.better := rowcast.rows_at_once(own.relation, own.features, own.better);
        if own.better not between own.chunk_rows * 0.8 and own.chunk_rows * 1.25 then
            update rowcast.scorer as s set chunk_rows = own.better where s.scorer_id = own.scorer_id;
        end if;
    end loop;

    -- Chunks that are over are of use for ten minutes: rates, last errors.
    with old as (
        select c.chunk_id, c.job_id from rowcast.chunk as c
        where c.finished_at < now_is - interval '10 minutes'
          -- A chunk that was given up counts until its job is over, and may be retried.
          and not (c.scorer_id is null and c.state = 'failed' and exists (
              select from rowcast.model_job as m where m.job_id = c.job_id and not m.is_cleared))
        order by c.finished_at limit 20000 for update skip locked
    ), free as (
        -- A job that somebody's transaction holds keeps its chunks until that is over.
        select j.job_id from rowcast.job as j
        where j.job_id in (select o.job_id from old as o) for no key update skip locked
    ), gone as (
        delete from rowcast.chunk as c using old
        where c.chunk_id = old.chunk_id
          and (old.job_id is null or old.job_id in (select f.job_id from free as f)
               or not exists (select from rowcast.job as j where j.job_id = old.job_id))
        returning c.job_id, c.state, c.rows_scored, c.rows_failed, c.pages
    ), remembered as (
        update rowcast.job as j
        set rows_failed = j.rows_failed + g.rows_failed, rows_scored = j.rows_scored + g.rows_scored,
            pages_done = j.pages_done + g.pages
        from (select g.job_id, sum(coalesce(g.rows_failed, 0)) as rows_failed,
                     sum(coalesce(g.rows_scored, 0)) as rows_scored, sum(coalesce(g.pages, 0)) as pages
              from gone as g where g.job_id is not null and g.state in ('done', 'failed')
              group by g.job_id) as g
        where j.job_id = g.job_id
    )
    select count(*) into chunks_deleted from gone;

    ticks_deleted := rowcast.prune_ticks(now_is - (
        select r.keep from rowcast.retention_policy as r where r.kind = 'ticks'), 100000);
    perform rowcast.note_freed('ticks', ticks_deleted);

    -- Tombstones matter while something older is open.
    tombstones_deleted := 0;
    for own in
        select s.scorer_id, t.name, t.condition
        from rowcast.scorer as s
        cross join lateral (
            values ('retraction_' || s.scorer_id, ''), ('set_' || s.scorer_id, 'r.is_empty and ')
        ) as t (name, condition)
        where pg_relation_size(to_regclass('rowcast.' || t.name)) > 0
    loop
        execute format(
            'delete from rowcast.%2$s as r where %3$sr.tick <= coalesce(least('
            '(select min(c.tick_id) from rowcast.open_chunks_of(%1$s) as c), '
            '(select min(j.tick_id) from rowcast.job as j where j.scorer_id = %1$s '
            ' and j.state in (''running'', ''paused''))), 9223372036854775807)', own.scorer_id, own.name,
            own.condition);
        get diagnostics deleted = row_count;
        tombstones_deleted := tombstones_deleted + deleted;
    end loop;

    for own in
        select s.scorer_id, src.relation_name
        from rowcast.scorer as s join rowcast.source as src on src.source_id = s.source_id
        where s.state = 'active' and not exists (select from pg_class as c where c.oid = src.relation)
    loop
        begin
            perform rowcast.suspend_scorer(own.scorer_id,
                                           format('source "%s" was dropped', own.relation_name));
        exception when lock_not_available then
            null;  -- The next time.
        end;
    end loop;

    -- Chunks of dropped scorers, and those that a change of state passed by.
    delete from rowcast.chunk as c
    where c.chunk_id between floor and 9223372036854775807 and c.finished_at is null and c.scorer_id is not null
      and not exists (select from rowcast.scorer as s where s.scorer_id = c.scorer_id);
    -- Those that were put off come back, too.
    with wrong as (
        select c.chunk_id from rowcast.chunk as c left join rowcast.scorer as s on s.scorer_id = c.scorer_id
        where c.chunk_id between floor and 9223372036854775807 and c.claimed_by is null and c.finished_at is null
          and c.held <> coalesce(s.state <> 'active', false)
        for update of c skip locked
    )
    update rowcast.chunk as c set held = not c.held from wrong where c.chunk_id = wrong.chunk_id;
    if found then
        perform pg_notify('rowcast_chunk', '');
    end if;

    delete from rowcast.worker as w where w.seen_at < now_is - interval '1 hour'
        and not exists (select from rowcast.lane as l join rowcast.chunk as c
                        on c.claimed_by = l.lane_id where l.worker_id = w.worker_id);
    perform rowcast.clear_jobs();
    perform rowcast.prune_observations();

    rotation := case when rotates then rowcast.rotate_log(1 << 20) else 'busy' end;
    return next;
end
$$;
comment on function rowcast.tidy_up() is
    'The part of tidy that writes the machinery''s own tables.';
revoke all on function rowcast.tidy_up() from public;
grant execute on function rowcast.tidy_up() to rowcast_worker;

create or replace function rowcast.tidy()
returns table (rotation text, chunks_deleted bigint, ticks_deleted bigint, tombstones_deleted bigint,
               triggers_made int)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    return query select t.*, rowcast.watch_partitions() from rowcast.tidy_up() as t;
    perform rowcast.prune();
    perform rowcast.watch_definitions(max_time => interval '20 milliseconds');
    perform rowcast.drop_leftovers();
    perform rowcast.tidy_canaries();
    perform rowcast.tidy_histories();
    -- Last, because new chunks wait for its lock until the end of the transaction.
    perform rowcast.raise_floor();
end
$$;
comment on function rowcast.tidy() is
    'Housekeeping: sizes of chunks, rotation of the log, removal of what is over, new partitions. Never '
    'blocks writers for more than 50 ms.';
revoke all on function rowcast.tidy() from public;
grant execute on function rowcast.tidy() to rowcast_worker;
