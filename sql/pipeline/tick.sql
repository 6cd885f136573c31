-- The tick: collects what became visible since the last one, and makes chunks of it.
--
-- A change is collected when its transaction is complete in the new snapshot and was not in the last
-- one. Transactions complete in any order, so the log is never read "from the last id on":
--
--   xid >= xmax of the last snapshot       began to be known after it
--   xid in the last snapshot's list        was in progress then
--
-- and both only where xid is complete now; see changes_between. Everything below xmax and not in the
-- list was complete in the last snapshot, so it was collected by an earlier tick. Transactions with
-- savepoints are one: changes carry the id of the top level, and PostgreSQL hides what was rolled back.
--
-- Ticks, whoever makes them, are in one order: an advisory lock held to commit. A tick commits
-- asynchronously: a crash may lose it, and with it the cursor and the chunks, never one without the
-- others; the next tick finds the same changes. An idle tick writes nothing and takes no xid.

create or replace function rowcast.heed(source_id int, op "char") returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '10ms' as $$
begin
    if op = 'X' then
        perform rowcast.suspend_unfit(source_id);
    else
        -- Which keys a row mapped to that is gone by TRUNCATE nobody knows.
        perform rowcast.make_job(w.scorer_id, 'rescore')
        from (select distinct w.scorer_id from rowcast.watch as w where w.source_id = heed.source_id) as w;
    end if;
end
$$;
comment on function rowcast.heed(int, "char") is
    'What a change without keys comes to: X, a key that was not readable; W, a watched relation that was '
    'emptied. Waits for nobody: 55P03.';
revoke all on function rowcast.heed(int, "char") from public;

create or replace function rowcast.tick(lanes int[], lane_count int)
returns table (
    tick_id bigint, change_count int, chunk_count int,
    chunk_id bigint, attempt int, lane_id int, scorer_id int, scorer_revision bigint, kind text,
    keys text, key_count int, lower_key text, upper_key text, job_id bigint,
    priority smallint, model_id int, model_version int, registry_revision bigint,
    changed_at timestamptz)
language plpgsql security definer
-- Plans are fixed: the log is truncated again and again, so statistics of it mislead, and a scan of
-- all of it is never right.
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    last_snapshot txid_snapshot;
    this_snapshot txid_snapshot;
    this_tick bigint;
    few record;
    few_keys text;
    few_count int;
    counts record;
    heard record;
begin
    perform pg_advisory_xact_lock(1919907683, 4);

    select t.snapshot::text::txid_snapshot into strict last_snapshot
    from rowcast.tick as t where t.snapshot is not null order by t.tick_id desc limit 1;
    this_snapshot := txid_current_snapshot();

    -- A cursor ahead of all transactions is another server's: the database was restored from a dump,
    -- and ids began anew. What the log then holds is collected once more, which does no harm.
    if txid_snapshot_xmax(last_snapshot) > txid_snapshot_xmax(this_snapshot) then
        update rowcast.change_0 as c set xid = 3 where c.xid >= txid_snapshot_xmax(this_snapshot);
        update rowcast.change_1 as c set xid = 3 where c.xid >= txid_snapshot_xmax(this_snapshot);
        update rowcast.change_child as c set closed_at_xid = null where c.closed_at_xid is not null;
        last_snapshot := '3:3:';
    end if;

    if this_snapshot::text = last_snapshot::text then
        tick_id := null; change_count := 0; chunk_count := 0;
        return next;
        return;
    end if;

    select count(*)::int as changes, sum(f.key_count)::int as key_count, min(f.at) as at,
           min(f.source_id) as source_id,
           array_agg(f.keys) filter (where f.key_count <= 64) as segments,
           bool_and(f.op = 'K') and min(f.source_id) = max(f.source_id) as is_plain
    into few
    from (select c.op, c.source_id, c.key_count, c.keys, c.at
          from rowcast.changes_between(last_snapshot, this_snapshot) as c limit 17) as f;
    if few.changes = 0 then
        tick_id := null; change_count := 0; chunk_count := 0;
        return next;
        return;
    end if;

    perform set_config('synchronous_commit', 'off', true);
    if exists (select from rowcast.chunk as c
               where c.deaths >= 2 and c.finished_at is null and not c.held) then
        lanes := '{}';  -- A suspect runs alone: see claim_chunks.
    elsif rowcast.lacks_gpu(lanes[1]) then
        lanes := '{}';  -- Some chunks are for other workers, which claim them.
    end if;
    -- The number is drawn after the snapshot was taken: a later number is a later view.
    insert into rowcast.tick (snapshot) values (this_snapshot::text::pg_snapshot)
    returning tick_id into this_tick;

    -- A few keys of one source, which nobody maps to keys of another, are a chunk a scorer: on an idle
    -- server the query below would take most of the tick's time only to be started.
    if few.changes <= 16 and few.key_count <= 64 and few.is_plain and not exists (
        select from rowcast.watch as w where w.source_id = few.source_id
        union all
        select from rowcast.scorer as s where s.source_id = few.source_id and s.chunk_rows < few.key_count)
    then
        few_keys := few.segments[1];
        few_count := few.key_count;
        if few_count > 1 then
            select array_agg(k.key)::text, count(*)::int into few_keys, few_count
            from (select distinct u.key from unnest(few.segments) as f (keys)
                  cross join lateral unnest(f.keys::text[]) as u (key)) as k;
        end if;
        return query
        with listening as materialized (
            select s.scorer_id, s.revision, s.model_id, coalesce(s.pinned_version, a.version) as version,
                   s.state <> 'active' as held,
                   case when s.state = 'active' then
                       lanes[row_number() over (partition by s.state order by s.scorer_id)] end as lane_id
            from rowcast.scorer as s
            left join rowcast.alias as a on a.model_id = s.model_id and a.alias = s.alias
            where s.source_id = few.source_id
        ), made as (
            insert into rowcast.chunk (
                scorer_id, tick_id, changed_at, key_count, priority, held, kind, keys,
                state, attempt, claimed_by, claimed_at)
            select l.scorer_id, this_tick, few.at, few_count, 0, l.held, 'keys', few_keys,
                   case when l.lane_id is null then 'available' else 'running' end,
                   case when l.lane_id is null then 0 else 1 end,
                   l.lane_id, case when l.lane_id is not null then clock_timestamp() end
            from listening as l
            returning chunk_id, scorer_id
        )
        select this_tick, few.changes, (count(*) over ())::int, case when l.lane_id is not null then m.chunk_id end,
               1, l.lane_id, l.scorer_id, l.revision, 'keys', few_keys, few_count, null::text, null::text,
               null::bigint, 0::smallint, l.model_id, l.version, r.last_value, few.at
        from made as m join listening as l on l.scorer_id = m.scorer_id
        cross join rowcast.registry_revision as r;
        if not found then
            tick_id := this_tick; change_count := few.changes; chunk_count := 0;
            return next;
        end if;
        -- What is not summarised yet is read by each tick: some hundred changes are no matter.
        if this_tick % 16 = 0 then
            perform rowcast.summarise_log();
        end if;
        return;
    end if;

    with fresh as materialized (
        select c.source_id, c.op, c.keys, c.key_count, c.at, row_number() over () - 1 as place
        from rowcast.changes_between(last_snapshot, this_snapshot) as c
    ), listening as materialized (
        -- Scorers of the source, and those that watch it beside theirs: what they get is mapped to keys of
        -- their own first.
        select s.scorer_id, t.source_id, o.watch_id, s.chunk_rows, s.state <> 'active' as held,
               case when o.watch_id is null then 'keys' else 'map' end as kind,
               least(s.chunk_rows, greatest(256, t.key_count / greatest(lane_count, 1) + 1)) as size
        from (select f.source_id, sum(f.key_count) as key_count from fresh as f group by f.source_id)
            as t
        cross join lateral (
            select s.scorer_id, null::int as watch_id from rowcast.scorer as s
            where s.source_id = t.source_id
            union all
            select w.scorer_id, w.watch_id from rowcast.watch as w where w.source_id = t.source_id) as o
        join rowcast.scorer as s on s.scorer_id = o.scorer_id
    ), whole as (
        -- Long segments are chunks as they are, unopened: taking 1,000,000 keys apart to put the same
        -- chunks together again took 6 of 7 seconds. At most four times the rows that a lane likes.
        select l.scorer_id, l.watch_id, l.held, l.kind, f.keys, f.key_count, f.at
        from listening as l join fresh as f on f.source_id = l.source_id
        where f.op = 'K' and f.key_count >= 1024 and f.key_count <= 4 * l.chunk_rows
        union all
        select l.scorer_id, l.watch_id, l.held, l.kind, array_agg(u.key)::text, count(*)::int, f.at
        from listening as l join fresh as f on f.source_id = l.source_id
        cross join lateral unnest(f.keys::text[]) with ordinality as u (key, place)
        where f.op = 'K' and f.key_count >= 1024 and f.key_count > 4 * l.chunk_rows
        group by l.scorer_id, l.watch_id, l.held, l.kind, f.place, f.at, (u.place - 1) / l.chunk_rows
        union all
        select l.scorer_id, null, l.held, 'truncate', null, 0, min(f.at)
        from listening as l join fresh as f on f.source_id = l.source_id
        where f.op = 'T' and l.watch_id is null
        group by l.scorer_id, l.held
    ), block as (
        -- Short segments are joined as text, then read as one array: a fifth of reading each by
        -- itself. Beyond 32 MB 128 at a time, so that even the longest keys that an index takes, 1,023 a
        -- segment, stay below the longest text.
        select f.source_id, f.block, min(f.at) as at,
               ('{' || string_agg(substr(f.keys, 2, length(f.keys) - 2), ',') || '}')::text[] as keys
        from (
            select f.*, case when (select sum(octet_length(a.keys)) from fresh as a) > 33554432
                             then f.place / 128 else 0 end as block
            from fresh as f where f.op = 'K' and f.key_count < 1024
        ) as f
        group by f.source_id, f.block
    ), key as materialized (
        -- Each key once. Its place is that of its first change: rows that arrived together mostly
        -- lie together, and places need not be dense to be cut by.
        select b.source_id, u.key, min(b.block * 131072 + u.place - 1) as place, min(b.at) as at
        from block as b cross join lateral unnest(b.keys) with ordinality as u (key, place)
        group by b.source_id, u.key
    ), cut as (
        select l.scorer_id, l.watch_id, l.held, l.kind, array_agg(k.key)::text as keys,
               count(*)::int as key_count, min(k.at) as at
        from listening as l join key as k on k.source_id = l.source_id
        group by l.scorer_id, l.watch_id, l.held, l.kind, k.place / l.size
    ), ready as materialized (
        select a.*, case when not a.held then
                   lanes[row_number() over (partition by a.held order by a.at)] end as lane_id
        from (select w.* from whole as w union all select c.* from cut as c) as a
    ), made as (
        insert into rowcast.chunk (
            scorer_id, tick_id, changed_at, key_count, priority, held, kind, keys, watch_id,
            state, attempt, claimed_by, claimed_at)
        select r.scorer_id, this_tick, r.at, r.key_count, 0, r.held, r.kind, r.keys, r.watch_id,
               case when r.lane_id is null then 'available' else 'running' end,
               case when r.lane_id is null then 0 else 1 end,
               r.lane_id, case when r.lane_id is not null then clock_timestamp() end
        from ready as r
        order by r.at
        returning chunk_id, state
    )
    select (select count(*)::int from fresh) as changes,
           (select count(*)::int from made) as chunks,
           array(select m.chunk_id from made as m where m.state = 'running' order by 1) as handed,
           array(select distinct f.source_id from fresh as f where f.op = 'X') as unreadable,
           array(select distinct l.source_id from listening as l join fresh as f on f.source_id = l.source_id
                 where f.op in ('T', 'W') and l.watch_id is not null) as emptied
    into counts;

    for heard in
        select 'X'::"char" as op, u as source_id from unnest(counts.unreadable) as u
        union all
        select 'W', e from unnest(counts.emptied) as e
    loop
        begin
            perform rowcast.heed(heard.source_id, heard.op);
        exception when lock_not_available then
            -- Somebody's transaction holds the scorer, or the registry: no reason to let others wait. The next
            -- tick hears of it again.
            if pg_sequence_last_value('rowcast.change_slot'::regclass) = 0 then
                insert into rowcast.change_0 (op, source_id, key_count) values (heard.op, heard.source_id, 0);
            else
                insert into rowcast.change_1 (op, source_id, key_count) values (heard.op, heard.source_id, 0);
            end if;
        end;
    end loop;
    perform rowcast.summarise_log();

    if cardinality(counts.handed) = 0 then
        tick_id := this_tick; change_count := counts.changes; chunk_count := counts.chunks;
        return next;
    else
        return query
        select this_tick, counts.changes, counts.chunks, c.chunk_id, c.attempt, c.lane_id, c.scorer_id, c.scorer_revision,
                c.kind, c.keys, c.key_count, c.lower_key, c.upper_key, c.job_id, c.priority, c.model_id,
                c.model_version, c.registry_revision, c.changed_at
        from rowcast.claimed(counts.handed) as c;
    end if;
end
$$;
comment on function rowcast.tick(int[], int) is
    'Collects the changes that became visible since the last tick and cuts them into chunks, the '
    'first of which are handed to the idle lanes given. At least one row; tick_id is null when there '
    'was nothing, and the columns of the chunk are null when none was handed out.';
revoke all on function rowcast.tick(int[], int) from public;
grant execute on function rowcast.tick(int[], int) to rowcast_worker;
