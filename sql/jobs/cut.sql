-- What moves a job: its steps and its chunks, made a bounded number ahead by the dispatcher.
--
--   before -> collect -> score -> deliver -> over
--             scan    ->
--
-- A phase other than score is one chunk of kind step; who finishes it moves the job on (steps.sql). All
-- chunks of a job are made here, under a lock on the job, so none is made twice.
--
-- A table is cut by ctid, from its first page to the last one that it had when scoring began. Each range is
-- read once, as it is at that moment: a row that is not changed meanwhile is scored once. One that is
-- updated moves, and may be read at both places or at neither; a row inserted meanwhile may be read or not.
-- With snapshot => true the rows are collected first, and all of this is as of one moment.
--
-- Locks are taken in this order: job, model_job, chunk.

create or replace function rowcast.make_step(job_id bigint, step text, priority smallint, files boolean)
returns void
language sql set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.chunk (job_id, tick_id, key_count, priority, kind, keys, needs_files)
    select j.job_id, j.tick_id, 0, make_step.priority, 'step', make_step.step, files
    from rowcast.job as j where j.job_id = make_step.job_id
$$;
comment on function rowcast.make_step(bigint, text, smallint, boolean) is 'Makes the chunk of a step.';
revoke all on function rowcast.make_step(bigint, text, smallint, boolean) from public;

create or replace function rowcast.next_phase(own rowcast.model_job) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select case own.phase
        when 'before' then case own.source_kind when 'query' then 'collect' when 'file' then 'scan'
                                                when 'none' then 'over' else 'score' end
        when 'collect' then 'score'
        when 'scan' then 'score'
        when 'score' then case when own.is_ours or own.destination_kind = 'file' then 'deliver'
                               else 'over' end
        else 'over' end
$$;
comment on function rowcast.next_phase(rowcast.model_job) is 'What a job does next.';
revoke all on function rowcast.next_phase(rowcast.model_job) from public;

create or replace function rowcast.end_job(job_id bigint, state text, error text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from rowcast.job as j where j.job_id = end_job.job_id and j.finished_at is null for update;
    if not found then
        return;
    end if;
    -- Lanes that hold a chunk are refused when they write.
    update rowcast.chunk as c
    set state = 'cancelled', claimed_by = null, finished_at = clock_timestamp()
    where c.job_id = end_job.job_id and c.state in ('available', 'running');
    update rowcast.job as j
    set state = end_job.state, error = end_job.error, finished_at = clock_timestamp()
    where j.job_id = end_job.job_id;
    update rowcast.model_job as m set phase = 'over'
    where m.job_id = end_job.job_id and end_job.state = 'done';
    perform rowcast.commit_durably();
    perform pg_notify('rowcast_control', 'job');
end
$$;
comment on function rowcast.end_job(bigint, text, text) is
    'Ends a job of a model: no chunk of it is open afterwards. Nothing where it is over.';
revoke all on function rowcast.end_job(bigint, text, text) from public;

create or replace function rowcast.fail_job(job_id bigint, error text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform rowcast.end_job(job_id, 'failed', error);
end
$$;
comment on function rowcast.fail_job(bigint, text) is
    'Ends a job of a model that cannot go on: its source, destination or model no longer fits.';
revoke all on function rowcast.fail_job(bigint, text) from public;
grant execute on function rowcast.fail_job(bigint, text) to rowcast_worker;

create or replace function rowcast.open_parts(own rowcast.model_job) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    estimate json;
    expected bigint := 0;
    leaf record;
begin
    if own.source_kind <> 'file' then
        delete from rowcast.job_part as p where p.job_id = own.job_id;
        for leaf in
            select t.relation, row_number() over (order by t.relation::oid) as part
            from (
                -- With partitions and inheriting tables, as a query reads them.
                select p.relation
                from (select own.source union all select h.relation from rowcast.heirs(own.source) as h)
                    as p (relation)
                join pg_class as c on c.oid = p.relation and c.relkind in ('r', 'm')
            ) as t
        loop
            insert into rowcast.job_part (job_id, part, relation, size)
            values (own.job_id, leaf.part, leaf.relation, pg_relation_size(leaf.relation)
                    / current_setting('block_size')::int);
            -- The planner knows the size of now, also of a table that was never analysed. A table that its
            -- owner made a view of meanwhile has no ctid, so no function in it is looked at.
            execute format('explain (format json) select t.ctid from only %s as t', leaf.relation)
            into estimate;
            expected := expected + (estimate -> 0 -> 'Plan' ->> 'Plan Rows')::bigint;
        end loop;
        update rowcast.job as j
        set rows_total = case when own.source_kind = 'query' then j.rows_total
                              when exists (select from rowcast.job_part as p
                                           where p.job_id = own.job_id and p.size > 0) then expected
                              else 0 end
        where j.job_id = own.job_id;
    end if;
    update rowcast.model_job as m
    set begun_at = clock_timestamp(), rows_per_page = (
        select j.rows_total / nullif(sum(p.size), 0) from rowcast.job_part as p
        join rowcast.job as j on j.job_id = p.job_id where p.job_id = own.job_id group by j.rows_total)
    where m.job_id = own.job_id;
end
$$;
comment on function rowcast.open_parts(rowcast.model_job) is
    'Notes how large the tables are that a job reads: pages that come later are not part of it.';
revoke all on function rowcast.open_parts(rowcast.model_job) from public;

create or replace function rowcast.job_counts(
    job_id bigint, out rows_done bigint, out rows_failed bigint, out pages_done bigint,
    out chunks_failed bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select (j.rows_scored + j.rows_failed + coalesce(sum(c.rows_scored + c.rows_failed), 0))::bigint,
           (j.rows_failed + coalesce(sum(c.rows_failed), 0))::bigint,
           (j.pages_done + coalesce(sum(c.pages), 0))::bigint,
           count(c.chunk_id) filter (where c.state = 'failed')
    from rowcast.job as j
    left join rowcast.chunk as c
      on c.job_id = j.job_id and c.state in ('done', 'failed') and c.kind <> 'step'
    where j.job_id = job_counts.job_id
    group by j.job_id
$$;
comment on function rowcast.job_counts(bigint) is
    'What the finished chunks of a job came to. Cost: an index entry a chunk of the last ten minutes.';
revoke all on function rowcast.job_counts(bigint) from public;

create or replace function rowcast.check_model_job(own rowcast.model_job) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- Twice a second, at first more often: whether too much failed, and how large chunks should be.
declare
    counts record;
    seconds double precision;
    better int;
begin
    if own.source_kind in ('table', 'query')
       and not exists (select from pg_class as c where c.oid = own.source) then
        perform rowcast.fail_job(own.job_id, format('source "%s" was dropped', own.source_text));
        return false;
    elsif own.destination_kind = 'table'
       and not exists (select from pg_class as c where c.oid = own.destination) then
        perform rowcast.fail_job(own.job_id, format('destination "%s" was dropped', own.destination_text));
        return false;
    end if;
    counts := rowcast.job_counts(own.job_id);
    if own.error_threshold >= 0 and counts.rows_failed > own.error_threshold
       or own.error_threshold is null and counts.rows_failed > 1000
          and counts.rows_failed * 2 > counts.rows_done then
        perform rowcast.fail_job(own.job_id, format(
            '%s of %s rows failed, %s', counts.rows_failed, counts.rows_done,
            coalesce('the threshold is ' || own.error_threshold, 'which is most of them')));
        return false;
    end if;
    -- Full chunks towards 200 ms: long enough that the round trips and the commit do not count. They begin
    -- small, so that a slow model shows progress too.
    select percentile_cont(0.5) within group (order by extract(epoch from d.finished_at - d.claimed_at))
    into seconds
    from (select c.finished_at, c.claimed_at from rowcast.chunk as c
          where c.job_id = own.job_id and c.state = 'done' and c.kind in ('tid', 'file')
            and c.rows_scored + c.rows_failed >= own.chunk_rows / 2
          order by c.finished_at desc limit 20) as d
    having count(*) >= 4;
    better := case when seconds is null then own.chunk_rows
                   else least(32768, greatest(1, own.chunk_rows * least(16.0, greatest(
                       0.25, 0.2 / greatest(seconds, 0.001))))) end::int;
    better := rowcast.rows_at_once(own.source, own.features, better);
    update rowcast.model_job as m
    set checked_at = clock_timestamp(),
        chunk_rows = case when better not between own.chunk_rows * 0.8 and own.chunk_rows * 1.25
                          then better else m.chunk_rows end,
        rows_per_page = case when counts.pages_done > 0
                             then counts.rows_done::float8 / counts.pages_done else m.rows_per_page end
    where m.job_id = own.job_id;
    return true;
end
$$;
comment on function rowcast.check_model_job(rowcast.model_job) is
    'Ends a job of which too much failed, or whose tables are gone; else adapts its chunks, and is true.';
revoke all on function rowcast.check_model_job(rowcast.model_job) from public;

create or replace function rowcast.cut_parts(own rowcast.model_job, room int, lane_count int)
returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    part rowcast.job_part;
    job_tick constant bigint := (select j.tick_id from rowcast.job as j where j.job_id = own.job_id);
    pages_left bigint := (select coalesce(sum(p.size - p.cut), 0) from rowcast.job_part as p
                          where p.job_id = own.job_id and p.path is null);
    pages bigint;
    made int := 0;
begin
    for part in
        select p.* from rowcast.job_part as p where p.job_id = own.job_id and p.cut < p.size
        order by p.part limit room
    loop
        if part.path is not null then
            insert into rowcast.chunk (job_id, tick_id, key_count, priority, kind, keys, lower_key,
                                       upper_key, pages, needs_files)
            values (own.job_id, job_tick, coalesce(part.row_count, 0), own.priority, 'file', part.path,
                    part.first::text, format('%s %s', part.first + part.size, part.line), part.size, true);
            part.cut := part.size;
            made := made + 1;
        end if;
        while part.cut < part.size and made < room loop
            -- Small ones at the end, so that all lanes come to it together.
            pages := least(part.size - part.cut, greatest(1, least(
                own.chunk_rows / greatest(own.rows_per_page, 0.01), greatest(
                    greatest(512, own.chunk_rows / 8) / greatest(own.rows_per_page, 0.01),
                    ceil(pages_left::float8 / greatest(2 * lane_count, 1)))))::bigint);
            insert into rowcast.chunk (job_id, tick_id, key_count, priority, kind, keys, lower_key,
                                       upper_key, pages)
            values (own.job_id, job_tick, round(pages * coalesce(own.rows_per_page, 1)), own.priority,
                    'tid', part.relation::text, format('(%s,0)', part.cut),
                    format('(%s,0)', part.cut + pages), pages);
            part.cut := part.cut + pages;
            pages_left := pages_left - pages;
            made := made + 1;
        end loop;
        update rowcast.job_part as p set cut = part.cut
        where p.job_id = part.job_id and p.part = part.part;
        exit when made >= room;
    end loop;
    return made;
end
$$;
comment on function rowcast.cut_parts(rowcast.model_job, int, int) is
    'Makes up to so many chunks of what is not cut yet, and counts them.';
revoke all on function rowcast.cut_parts(rowcast.model_job, int, int) from public;

drop function if exists rowcast.cut_model_jobs(int, int);

create or replace function rowcast.cut_model_jobs(max_open int, lane_count int, size_share double precision)
returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    number bigint;
    own rowcast.model_job;
    open int;
    allowed int;
    is_young boolean;
    is_due boolean;
    made int;
    total int := 0;
    -- Of all workers, not of the dispatcher's own alone.
    lanes constant int := rowcast.bulk_lane_count(lane_count);
    most constant int := greatest(max_open, max_open / greatest(lane_count, 1) * lanes);
    started constant timestamptz := clock_timestamp();
begin
    for number in
        select j.job_id from rowcast.job as j join rowcast.model_job as m on m.job_id = j.job_id
        where j.state = 'running' and j.scorer_id is null order by m.checked_at nulls first, j.job_id
    loop
        -- Ticks wait for this. Those that were not looked at come first the next time.
        exit when clock_timestamp() > started + interval '100 milliseconds';
        select m.* into own from rowcast.model_job as m where m.job_id = number;
        select count(*) into open from rowcast.chunk as c
        where c.job_id = number and c.state in ('available', 'running');
        -- Of a million rows a fast model would have scored a half before chunks were large enough. Few are
        -- cut until it is known how large they should be.
        is_young := coalesce(own.begun_at > clock_timestamp() - interval '2 seconds', true);
        is_due := own.checked_at is null or own.checked_at < clock_timestamp() - (
            case when is_young and own.chunk_rows < 16384 then 0.02 else 0.5 end) * interval '1 second';
        allowed := least(most, own.max_concurrency, case when is_young and own.chunk_rows < 4096
                                                         then 2 * lanes end);
        -- What is cut lasts for a while.
        continue when own.phase = 'score' and own.begun_at is not null and not is_due and open > allowed / 2;
        perform from rowcast.job as j where j.job_id = number and j.state = 'running'
        for update skip locked;
        continue when not found;
        -- A statement of its own: it sees what was committed before the lock was granted.
        select m.* into own from rowcast.model_job as m where m.job_id = number;
        continue when own.phase = 'new';
        if is_due then
            continue when not rowcast.check_model_job(own);
            select m.* into own from rowcast.model_job as m where m.job_id = number;
        end if;
        select count(*) into open from rowcast.chunk as c
        where c.job_id = number and c.state in ('available', 'running');
        if own.phase = 'score' then
            if own.begun_at is null then
                begin
                    perform rowcast.open_parts(own);
                exception when lock_not_available then
                    continue;  -- Somebody holds the source; the next round.
                when others then
                    perform rowcast.fail_job(number, sqlerrm);
                    continue;
                end;
                select m.* into own from rowcast.model_job as m where m.job_id = number;
            end if;
            own.chunk_rows := greatest(1, round(own.chunk_rows * size_share));
            made := case when open < allowed then rowcast.cut_parts(own, allowed - open, lanes) else 0 end;
            total := total + made;
            if made = 0 and open = 0 and not exists (
                select from rowcast.job_part as p where p.job_id = number and p.cut < p.size) then
                perform rowcast.end_scoring(own);
            end if;
        elsif open = 0 then
            perform rowcast.make_step(number, own.phase, own.priority,
                own.phase = 'scan' or own.phase = 'deliver' and own.destination_kind = 'file');
            total := total + 1;
        end if;
    end loop;
    return total;
end
$$;
comment on function rowcast.cut_model_jobs(int, int, double precision) is
    'Moves the jobs of models on, and counts the chunks that it made.';
revoke all on function rowcast.cut_model_jobs(int, int, double precision) from public;

create or replace function rowcast.end_scoring(own rowcast.model_job) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    counts record;
    reason text;
begin
    if not rowcast.check_model_job(own) then
        return;
    end if;
    counts := rowcast.job_counts(own.job_id);
    update rowcast.job as j set rows_total = counts.rows_done where j.job_id = own.job_id;
    select c.error into reason from rowcast.chunk as c
    where c.job_id = own.job_id and c.state = 'failed' order by c.finished_at limit 1;
    if found then
        perform rowcast.fail_job(own.job_id, format('%s chunks could not be scored: %s',
                                                    counts.chunks_failed, reason));
    elsif rowcast.next_phase(own) = 'over' then
        perform rowcast.end_job(own.job_id, 'done', null);
    else
        update rowcast.model_job as m set phase = rowcast.next_phase(own) where m.job_id = own.job_id;
    end if;
end
$$;
comment on function rowcast.end_scoring(rowcast.model_job) is
    'What becomes of a job all of whose chunks are over.';
revoke all on function rowcast.end_scoring(rowcast.model_job) from public;
