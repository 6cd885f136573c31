-- Chunks: claimed, given back, finished, failed.
--
--                    make_job_chunks, tick
--                             |
--                             v      release, rescue
--        pause, suspend  available <----------------+
--          held = true        |                     |
--                             | claim: attempt + 1  |
--   tick hands out            v                     |
--   (attempt 1) --------->  running ----------------+
--                             |   \
--              write, finish  |    \ fail_chunk, rescue (fourth death of one key)
--                             v     v
--                           done   failed          drop_scorer, cancel: cancelled
--
-- A chunk whose lanes died twice is a suspect. It may kill whatever runs beside it in the same process,
-- whose deaths would then be counted to them; so a suspect is only claimed by a worker that runs nothing
-- else, and meanwhile its other lanes get nothing. Its neighbours in a crash are never given up for it.
--
-- Whoever holds a chunk proves it by its attempt: only claims raise it, so the result of a lane that
-- was thought dead is refused (RC201) as soon as another has claimed.

-- The floor. No chunk below rowcast.chunk_floor is open, so claims begin there, and their cost does not
-- grow with what an old snapshot keeps. It is raised to the lowest open chunk that tidy sees. Chunks
-- that became open are not missed: a chunk that runs is open, so it may go back; one that is over
-- never does; and one that is inserted, but not committed, cannot be there, because inserting holds
-- (1919907683, 5) shared to commit, numbers are drawn after that, and the floor is raised with that
-- lock held exclusively, from a snapshot taken then.
--
-- While an old snapshot is held no index forgets the chunks that were open once: the partial indexes of open
-- chunks, which should hold a few entries, hold one for each chunk since. PostgreSQL takes them for empty
-- (no row of the table is in them), and would rather read one of them whole than look a chunk up by its number. So
-- who wants one chunk does not name its state: claimed_by is not null while it runs, by a constraint, and no
-- index is bound to that. And who wants those that are open takes them from the floor on: open_chunks. The
-- floor is read as it is, not as a snapshot saw it: what these leave out was over, and committed, when they
-- were asked; a statement that compares it with predictions of its own snapshot must not ask them.

create or replace function rowcast.open_chunks() returns setof rowcast.chunk
language sql stable
begin atomic
    -- Between, since a range that is open at one end is taken for a third of the table.
    select c.* from rowcast.chunk as c
    where c.chunk_id between (select pg_sequence_last_value('rowcast.chunk_floor'::regclass))
                         and 9223372036854775807
      and c.finished_at is null;
end;
comment on function rowcast.open_chunks() is
    'Chunks that are available or run. Becomes part of the query that calls it. Cost: an index entry a chunk '
    'from the floor on, whatever an old snapshot keeps.';
revoke all on function rowcast.open_chunks() from public;

create or replace function rowcast.open_chunks_of(scorer_id int) returns setof rowcast.chunk
language sql stable
begin atomic
    select c.* from rowcast.chunk as c
    where c.scorer_id = open_chunks_of.scorer_id and c.state in ('available', 'running')
      and c.chunk_id >= (select pg_sequence_last_value('rowcast.chunk_floor'::regclass));
end;
comment on function rowcast.open_chunks_of(int) is
    'Chunks of a scorer that are available or run. Becomes part of the query that calls it. Cost: an index entry a '
    'chunk of the scorer from the floor on.';
revoke all on function rowcast.open_chunks_of(int) from public;

create or replace function rowcast.announce_chunks() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock_shared(1919907683, 5);
    return null;
end
$$;
comment on function rowcast.announce_chunks() is 'Keeps the floor down while chunks are inserted.';
revoke all on function rowcast.announce_chunks() from public;

create or replace trigger chunk_announce before insert on rowcast.chunk
    for each statement execute function rowcast.announce_chunks();

create or replace function rowcast.raise_floor() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
    old_floor bigint := pg_sequence_last_value('rowcast.chunk_floor'::regclass);
    new_floor bigint;
begin
    -- An old snapshot does not see what was committed since.
    if current_setting('transaction_isolation') <> 'read committed'
       or not pg_try_advisory_xact_lock(1919907683, 5) then
        return old_floor;
    end if;
    select c.chunk_id into new_floor from rowcast.open_chunks() as c order by c.chunk_id limit 1;
    if not found then
        new_floor := coalesce(pg_sequence_last_value(
            pg_get_serial_sequence('rowcast.chunk', 'chunk_id')::regclass), 0);
    end if;
    if new_floor > old_floor then
        perform setval('rowcast.chunk_floor', new_floor);
    end if;
    return new_floor;
end
$$;
comment on function rowcast.raise_floor() is
    'Raises the floor to the lowest open chunk, unless one is being inserted. Cost: an index entry a '
    'chunk that was finished since the last time.';
revoke all on function rowcast.raise_floor() from public;
grant execute on function rowcast.raise_floor() to rowcast_worker;

create or replace function rowcast.commit_durably() returns void
language sql volatile set search_path = pg_catalog, pg_temp as $$
    select set_config('synchronous_commit', s.reset_val, true)
    from pg_settings as s where s.name = 'synchronous_commit'
$$;
comment on function rowcast.commit_durably() is
    'Has this transaction committed as the server or the role says, whatever the session does: with it all '
    'that was committed before is on disk, results of lanes among it.';
revoke all on function rowcast.commit_durably() from public;

create or replace function rowcast.claimed(chunks bigint[])
returns table (
    chunk_id bigint, attempt int, lane_id int, scorer_id int, scorer_revision bigint, kind text,
    keys text, key_count int, lower_key text, upper_key text, tick_id bigint, job_id bigint,
    priority smallint, model_id int, model_version int, registry_revision bigint,
    changed_at timestamptz)
-- Not in SQL: that would be planned anew in each call, which costs more than all else here.
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    return query
    select c.chunk_id, c.attempt, c.claimed_by, c.scorer_id, coalesce(s.revision, 0), c.kind, c.keys,
           c.key_count, c.lower_key, c.upper_key, c.tick_id, c.job_id, c.priority,
           coalesce(s.model_id, m.model_id), coalesce(s.pinned_version, a.version, m.version),
           r.last_value, c.changed_at
    from rowcast.chunk as c
    left join rowcast.scorer as s on s.scorer_id = c.scorer_id
    left join rowcast.model_job as m on m.job_id = c.job_id and c.scorer_id is null
    left join rowcast.alias as a on a.model_id = s.model_id and a.alias = s.alias
    cross join rowcast.registry_revision as r
    where c.chunk_id = any (chunks)
    order by c.chunk_id;
end
$$;
comment on function rowcast.claimed(bigint[]) is 'What a lane must know of the chunks that it was given.';
revoke all on function rowcast.claimed(bigint[]) from public;

drop function if exists rowcast.claim_chunks(int, int);

create or replace function rowcast.claim_chunks(lane int, max_chunks int, max_priority int default 2)
returns table (
    chunk_id bigint, attempt int, lane_id int, scorer_id int, scorer_revision bigint, kind text,
    keys text, key_count int, lower_key text, upper_key text, tick_id bigint, job_id bigint,
    priority smallint, model_id int, model_version int, registry_revision bigint,
    changed_at timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    taken bigint[];
    own_worker int;
    suspect bigint;
    urgency int;
    oldest int;
    floor constant bigint := pg_sequence_last_value('rowcast.chunk_floor'::regclass);
    has_files constant boolean := exists (
        select from rowcast.lane as l join rowcast.worker as w on w.worker_id = l.worker_id
        where l.lane_id = lane and w.has_files);
    lacks_gpu constant boolean := rowcast.lacks_gpu(lane);
begin
    if exists (select from rowcast.chunk as c
               where c.deaths >= 2 and c.finished_at is null and not c.held) then
        select l.worker_id into own_worker from rowcast.lane as l where l.lane_id = lane;
        if exists (select from rowcast.chunk as c join rowcast.lane as l on l.lane_id = c.claimed_by
                   where c.state = 'running' and c.deaths >= 2 and l.worker_id = own_worker) then
            return;
        end if;
        select c.chunk_id into suspect from rowcast.chunk as c
        left join rowcast.scorer as s on s.scorer_id = c.scorer_id
        where c.deaths >= 2 and c.finished_at is null and not c.held and c.claimed_by is null
          and (c.scorer_id is null or s.state = 'active') and (has_files or not c.needs_files)
          and not (lacks_gpu and rowcast.wants_gpu(c.scorer_id, c.job_id))
          and c.priority <= max_priority
        order by c.chunk_id limit 1 for update of c skip locked;
        if suspect is not null then
            if exists (select from rowcast.chunk as c join rowcast.lane as l on l.lane_id = c.claimed_by
                       where c.state = 'running' and l.worker_id = own_worker) then
                return;  -- What runs comes to its end first.
            end if;
            update rowcast.chunk as c
            set state = 'running', attempt = c.attempt + 1, claimed_by = lane,
                claimed_at = clock_timestamp()
            where c.chunk_id = suspect;
            return query select c.* from rowcast.claimed(array[suspect]) as c;
            return;
        end if;
    end if;

    -- Every eighth claim or so goes by age alone, so that a backfill moves however many changes come.
    if max_priority = 2 and random() < 0.125 then
        select p.priority into oldest
        from generate_series(0, 2) as p (priority)
        cross join lateral (
            select c.chunk_id from rowcast.chunk as c
            where c.claimed_by is null and c.finished_at is null and not c.held
              and c.priority = p.priority and c.chunk_id >= floor
            order by c.chunk_id limit 1) as c
        order by c.chunk_id limit 1;
    end if;
    -- One priority after the other: within each, the floor is a place in the index.
    for urgency in
        select p from generate_series(0, max_priority) as p order by p is distinct from oldest, p
    loop
        with picked as (
            select c.chunk_id
            from rowcast.chunk as c
            left join rowcast.scorer as s on s.scorer_id = c.scorer_id
            where c.claimed_by is null and c.finished_at is null and not c.held
              and c.priority = urgency and c.chunk_id >= floor
              and (c.scorer_id is null or s.state = 'active') and (has_files or not c.needs_files)
              and not (lacks_gpu and rowcast.wants_gpu(c.scorer_id, c.job_id))
            order by c.chunk_id limit max_chunks - coalesce(cardinality(taken), 0)
            for update of c skip locked
        ), claimed as (
            update rowcast.chunk as c
            set state = 'running', attempt = c.attempt + 1, claimed_by = lane,
                claimed_at = clock_timestamp()
            from picked where c.chunk_id = picked.chunk_id
            returning c.chunk_id
        ) select taken || array_agg(claimed.chunk_id) into taken from claimed;
        exit when cardinality(taken) >= max_chunks;
    end loop;

    if taken is not null then
        perform set_config('synchronous_commit', 'off', true);
        return query select c.* from rowcast.claimed(taken) as c;
    end if;
end
$$;
comment on function rowcast.claim_chunks(int, int, int) is
    'Gives a lane up to max_chunks available chunks, live ones first: those alone where max_priority is 0. '
    'Commits asynchronously: a claim that a crash undoes was held by a lane that the crash ended.';
revoke all on function rowcast.claim_chunks(int, int, int) from public;
grant execute on function rowcast.claim_chunks(int, int, int) to rowcast_worker;

create or replace function rowcast.lanes_are_behind() returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
    with lanes as (select greatest(count(*), 1) as count from rowcast.lane)
    select count(*) >= (select l.count from lanes as l) from (
        select from rowcast.chunk as c
        where c.claimed_by is null and c.finished_at is null and not c.held and c.priority = 0
          and c.chunk_id >= (select pg_sequence_last_value('rowcast.chunk_floor'::regclass))
        limit (select l.count from lanes as l)) as c
$$;
comment on function rowcast.lanes_are_behind() is
    'Whether a chunk of live changes waits for each lane already: one that is cut later, of what came '
    'meanwhile too, is scored no later. Cost: an index entry a lane.';
revoke all on function rowcast.lanes_are_behind() from public;
grant execute on function rowcast.lanes_are_behind() to rowcast_worker;

create or replace function rowcast.release_chunks(lane_id int) returns int
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    with released as (
        update rowcast.chunk as c
        set state = 'available', claimed_by = null, claimed_at = null
        where c.claimed_by = release_chunks.lane_id and c.state = 'running'
        returning 1
    ), rung as (
        select pg_notify('rowcast_chunk', '') from (select from released limit 1) as any_row
    ) select (select count(*) from released)::int + 0 * (select count(*) from rung)::int
$$;
comment on function rowcast.release_chunks(int) is
    'Makes a lane''s chunks available again and counts them. The attempt stays: the next claim raises '
    'it, and so refuses a late result.';
revoke all on function rowcast.release_chunks(int) from public;
grant execute on function rowcast.release_chunks(int) to rowcast_worker;

create or replace function rowcast.put_off(chunk_id bigint, attempt int) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
declare
    own record;
begin
    update rowcast.chunk as c
    set state = 'available', claimed_by = null, claimed_at = null, held = true
    where c.chunk_id = put_off.chunk_id and c.attempt = put_off.attempt and c.claimed_by is not null
    returning c.scorer_id, c.job_id into own;
    if not found then
        return false;
    end if;
    -- The others would meet the same lock, one lane after the other.
    with others as (
        select c.chunk_id from rowcast.chunk as c
        where c.state = 'available' and not c.held
          and case when own.scorer_id is null then c.scorer_id is null and c.job_id = own.job_id
                   else c.scorer_id = own.scorer_id end
        for update skip locked
    )
    update rowcast.chunk as c set held = true from others where c.chunk_id = others.chunk_id;
    perform pg_notify('rowcast_control', 'chunk');  -- Tidying goes on.
    return true;
end
$$;
comment on function rowcast.put_off(bigint, int) is
    'Gives a chunk back that met somebody''s lock, and holds what else its scorer or job has until the next '
    'tidying: lanes wait for nobody''s transaction. False where the lane has it no more.';
revoke all on function rowcast.put_off(bigint, int) from public;
grant execute on function rowcast.put_off(bigint, int) to rowcast_worker;

create or replace function rowcast.refuse_stale(chunk_id bigint, attempt int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    found_attempt int;
    found_state text;
begin
    select c.attempt, c.state into found_attempt, found_state
    from rowcast.chunk as c where c.chunk_id = refuse_stale.chunk_id;
    raise exception using
        errcode = 'RC201',
        message = case
            when found_state is null then format('chunk %s is gone', chunk_id)
            when found_attempt <> refuse_stale.attempt then
                format('chunk %s is at attempt %s, this lane holds attempt %s',
                       chunk_id, found_attempt, attempt)
            else format('chunk %s is %s, this lane holds attempt %s as running',
                        chunk_id, found_state, attempt) end,
        hint = 'Drop the result.';
end
$$;
comment on function rowcast.refuse_stale(bigint, int) is 'Raises RC201 for a claim that is over.';
revoke all on function rowcast.refuse_stale(bigint, int) from public;

create or replace function rowcast.begin_write(chunk_id bigint, attempt int, exclusive boolean)
returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own record;
    safe boolean;
begin
    select c.scorer_id, c.tick_id, s.name into own
    from rowcast.chunk as c join rowcast.scorer as s on s.scorer_id = c.scorer_id
    where c.chunk_id = begin_write.chunk_id and c.attempt = begin_write.attempt
      and c.claimed_by is not null
    for update of c;
    if not found then
        perform rowcast.refuse_stale(chunk_id, attempt);
    end if;

    if exclusive then
        perform pg_advisory_xact_lock(1919907685, own.scorer_id);
    else
        perform pg_advisory_xact_lock_shared(1919907685, own.scorer_id);
    end if;

    -- Nor into a table with row security, where COPY is its owner's alone.
    execute format(
        'select not exists (select from pg_class as c where c.oid = ''predictions.%3$I''::regclass '
        'and c.relrowsecurity) and not exists (select from predictions.%1$I) '
        'and not exists (select from rowcast.retraction_%2$s as r where r.tick > $1)',
        own.name || '_failure', own.scorer_id, own.name)
    into safe using own.tick_id;
    return safe;
end
$$;
comment on function rowcast.begin_write(bigint, int, boolean) is
    'Starts the write of a chunk inside the caller''s transaction: refuses a stale attempt (RC201), '
    'takes the lock of the scorer''s writes, and tells whether a plain COPY is safe: there is no '
    'failure at all (a success deletes them, COPY cannot) and no later retraction.';
revoke all on function rowcast.begin_write(bigint, int, boolean) from public;
grant execute on function rowcast.begin_write(bigint, int, boolean) to rowcast_worker;

create or replace function rowcast.finish_chunk(
    chunk_id bigint, attempt int, rows int, failed int) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update rowcast.chunk as c
    set state = 'done', claimed_by = null, finished_at = clock_timestamp(),
        rows_scored = finish_chunk.rows, rows_failed = finish_chunk.failed
    where c.chunk_id = finish_chunk.chunk_id and c.attempt = finish_chunk.attempt
      and c.claimed_by is not null;
    if not found then
        perform rowcast.refuse_stale(chunk_id, attempt);
    end if;
end
$$;
comment on function rowcast.finish_chunk(bigint, int, int, int) is
    'Marks a chunk done, or raises RC201. For lanes that write by COPY; the write functions finish '
    'their chunk themselves.';
revoke all on function rowcast.finish_chunk(bigint, int, int, int) from public;
grant execute on function rowcast.finish_chunk(bigint, int, int, int) to rowcast_worker;

create or replace function rowcast.fail_chunk(chunk_id bigint, attempt int, error text)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from rowcast.chunk as c
               where c.chunk_id = fail_chunk.chunk_id and c.scorer_id is null) then
        perform rowcast.fail_job_chunk(chunk_id, attempt, error);
        return;
    end if;
    update rowcast.chunk as c
    set state = 'failed', claimed_by = null, finished_at = clock_timestamp(), rows_scored = 0,
        rows_failed = c.key_count, error = fail_chunk.error
    where c.chunk_id = fail_chunk.chunk_id and c.attempt = fail_chunk.attempt
      and c.claimed_by is not null;
    if not found then
        perform rowcast.refuse_stale(chunk_id, attempt);
    end if;
end
$$;
comment on function rowcast.fail_chunk(bigint, int, text) is
    'Gives a chunk up, or raises RC201. The reason is the scorer''s last error until it is tidied away.';
revoke all on function rowcast.fail_chunk(bigint, int, text) from public;
grant execute on function rowcast.fail_chunk(bigint, int, text) to rowcast_worker;

create or replace function rowcast.open_work()
returns table (available bigint, running bigint, running_jobs bigint, suspended bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select count(*) filter (where c.claimed_by is null and not c.held),
           count(*) filter (where c.claimed_by is not null),
           (select count(*) from rowcast.job as j where j.state = 'running'),
           (select count(*) from rowcast.scorer as s where s.state = 'suspended')
    from rowcast.open_chunks() as c
$$;
comment on function rowcast.open_work() is
    'What there is to do in the whole database. Cost: an index entry an open chunk.';
revoke all on function rowcast.open_work() from public;
grant execute on function rowcast.open_work() to rowcast_worker, rowcast_reader;
