-- Jobs: finite requests. Their chunks are cut lazily, by ranges of the key, a bounded number ahead.
--
-- A job has a tick of its own, drawn when it is made, so that live changes from then on always win.
-- Rows that appear after its last key, or in a gap between two ranges, come by capture.
--
-- The last key is read by the first cut, which sees the committed job, and not where the job is made:
-- rows that came between its snapshot and its commit may be beyond that key, and in a tick that did not
-- see a new scorer. Making a job takes no lock of the ticks either, or a transaction left open after
-- rescore would stop all scoring; the number of a job needs none. Say a row's last change has tick T
-- and the job J. If T < J, then T's snapshot was taken before J was drawn, and the job, which reads
-- later, reads that change too. Else T wins.

create or replace function rowcast.make_job(
    scorer_id int, kind text, relation regclass default null) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    new_tick bigint;
    new_job bigint;
begin
    if not has_table_privilege(relation, 'select') then
        relation := null;
    end if;
    insert into rowcast.tick (snapshot) values (null) returning tick_id into new_tick;
    insert into rowcast.job (scorer_id, kind, relation, tick_id, rows_total)
    select s.scorer_id, make_job.kind, make_job.relation, new_tick, greatest(c.reltuples, 0)
    from rowcast.scorer as s
    join rowcast.source as o on o.source_id = s.source_id
    left join pg_class as c on c.oid = coalesce(make_job.relation, o.relation)
    where s.scorer_id = make_job.scorer_id
    returning job_id into strict new_job;
    perform pg_notify('rowcast_control', 'job');
    return new_job;
end
$$;
comment on function rowcast.make_job(int, text, regclass) is
    'Makes a job over the rows of a scorer''s source, or over those whose keys another relation has.';
revoke all on function rowcast.make_job(int, text, regclass) from public;

create or replace function rowcast.key_of(src rowcast.source) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select case when src.composite then 'row(' || string_agg(format('t.%I', k.name), ', '
                                                             order by k.place)
                                        || ')::rowcast.key_' || src.source_id
                else min(format('t.%I', k.name)) end
    from unnest(src.key_columns) with ordinality as k (name, place)
$$;
comment on function rowcast.key_of(rowcast.source) is 'An expression for the key of t.';
revoke all on function rowcast.key_of(rowcast.source) from public;

create or replace function rowcast.key_order(src rowcast.source, backwards boolean) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select string_agg(format('t.%I', k.name) || case when backwards then ' desc' else '' end, ', '
                      order by k.place)
    from unnest(src.key_columns) with ordinality as k (name, place)
$$;
comment on function rowcast.key_order(rowcast.source, boolean) is 'The order by list of the key of t.';
revoke all on function rowcast.key_order(rowcast.source, boolean) from public;

create or replace function rowcast.shun_job(job_id bigint, scorer_id int, problem text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    reason constant text := rowcast.scorer_problem(scorer_id);
begin
    if reason is not null then
        perform rowcast.suspend_scorer(scorer_id, reason);
    else
        raise warning using errcode = '01000',
            message = format('job %s cuts no chunks now: %s', job_id, problem);
    end if;
end
$$;
comment on function rowcast.shun_job(bigint, int, text) is
    'What becomes of a job whose keys cannot be read: its scorer is suspended, or it is tried again.';
revoke all on function rowcast.shun_job(bigint, int, text) from public;

create or replace function rowcast.cut_ranges(
    src rowcast.source, relation regclass, next_key text, last_key text, size int, most int)
returns table (lower_key text, upper_key text, key_count int, keys text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    selection constant text := format('select %s as k from %s as t where ', rowcast.key_of(src), relation);
    bound constant text[] := array(
        select rowcast.key_between(src, b.sign, '<=', '$1', '$2')
        from unnest(array['', '>']) with ordinality as b (sign, place) order by b.place);
    query text;
begin
    for number in 1..most loop
        query := selection || bound[case when next_key is null then 1 else 2 end]
                 || ' order by ' || rowcast.key_order(src, false);
        -- The keys between are stepped over in the index, and never made into anything.
        execute format('select low.k::text, high.k::text from (%1$s limit 1) as low '
                       'left join lateral (%1$s offset $3 limit 1) as high on true', query)
        into lower_key, upper_key using next_key, last_key, size - 1;
        exit when lower_key is null;
        if upper_key is null then
            execute format('select count(*) from (%s) as k', query) into key_count using next_key, last_key;
            upper_key := last_key;
        else
            key_count := size;
        end if;
        return next;
        exit when key_count < size;
        next_key := upper_key;
    end loop;
end
$$;
comment on function rowcast.cut_ranges(rowcast.source, regclass, text, text, int, int) is
    'Up to most ranges of size keys each, from after one key to another; fewer, or a smaller one, where that '
    'is all. Cost: an entry of the key''s index a row.';
revoke all on function rowcast.cut_ranges(rowcast.source, regclass, text, text, int, int) from public;

create or replace function rowcast.cut_keys(
    src rowcast.source, relation regclass, next_key text, last_key text, size int, most int)
returns table (lower_key text, upper_key text, key_count int, keys text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    bound constant text := rowcast.key_between(
        src, case when next_key is null then '' else '>' end, '<=', '$1', '$2');
begin
    return query execute format(
        'select null::text, s.keys[cardinality(s.keys)]::text, cardinality(s.keys), s.keys::text '
        'from (select array_agg(n.k order by n.place) as keys, min(n.place) as place '
        '      from (select k.k, row_number() over () - 1 as place '
        '            from (select %s as k from %s as t where %s order by %s limit $3) as k) as n '
        '      group by n.place / $4) as s order by s.place',
        rowcast.key_of(src), relation, bound, rowcast.key_order(src, false))
    using next_key, last_key, most * size, size;
end
$$;
comment on function rowcast.cut_keys(rowcast.source, regclass, text, text, int, int) is
    'The same by lists of keys, of a relation where a key may have no row or several.';
revoke all on function rowcast.cut_keys(rowcast.source, regclass, text, text, int, int) from public;

create or replace function rowcast.job_chunk_rows(job_id bigint, chunk_rows int, is_routed boolean)
returns int
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Its last chunks tell how long a row takes. Their round trips and commits are in that, so a size grows
    -- towards its goal in a few steps.
    select coalesce(least(16384, 8 * max(d.key_count), greatest(
               least(256, chunk_rows),
               case when is_routed then 0.5 else 0.1 end / greatest(percentile_cont(0.5) within group (
                   order by extract(epoch from d.finished_at - d.claimed_at) / d.key_count), 1e-6))
           )::int, chunk_rows)
    from (select c.* from rowcast.chunk as c
          where c.finished_at is not null order by c.finished_at desc limit 64) as d
    where d.job_id = job_chunk_rows.job_id and d.state = 'done' and d.key_count > 0
    having count(*) >= 2
    union all select chunk_rows limit 1
$$;
comment on function rowcast.job_chunk_rows(bigint, int, boolean) is
    'Rows that a lane scores in 100 ms, or half a second where rows name their models, as the last chunks of a '
    'job went; until there are some, what is given. Cost: 64 index entries at most.';
revoke all on function rowcast.job_chunk_rows(bigint, int, boolean) from public;

drop function if exists rowcast.make_job_chunks(int, int);

create or replace function rowcast.make_job_chunks(
    max_open int, lane_count int, size_share double precision default 1) returns int
language plpgsql security definer
-- The texts of keys that it writes must read the same in every session.
set search_path = pg_catalog, pg_temp set datestyle = 'ISO, YMD' set intervalstyle = 'iso_8601'
set timezone = 'UTC' set extra_float_digits = 1 set bytea_output = 'hex' set jit = off
-- A source that got row security is refused, rather than its owner's policies run with our rights. And who
-- holds a lock on his table makes no tick wait, which comes after this.
set row_security = off set lock_timeout = '50ms' as $$
declare
    job record;
    src rowcast.source;
    size int;
    room int;
    cut record;
    made int := 0;
    rows_cut bigint;
    upper_key text;
    problem text;
    estimate json;
    -- Lanes of all workers take part, not the dispatcher's own alone.
    most constant int := greatest(max_open, max_open / greatest(lane_count, 1)
                                            * rowcast.bulk_lane_count(lane_count));
    started constant timestamptz := clock_timestamp();
begin
    -- Chunks that a crash takes back are cut again.
    perform set_config('synchronous_commit', 'off', true);
    for job in
        -- The oldest of each scorer: who orders thousands of one stops nobody else's.
        -- Where a key may have no row, or several, a chunk says which keys it has.
        select j.*, s.chunk_rows, s.features, s.features_from, s.route is not null as is_routed, s.source_id, j.relation is not null or s.features_from is not null as by_keys,
               (select count(*) from rowcast.chunk as c
                where c.job_id = j.job_id and c.state in ('available', 'running')) as open
        from rowcast.job as j join rowcast.scorer as s on s.scorer_id = j.scorer_id
        where j.state = 'running' and s.state = 'active'
          and j.job_id in (
              select o.job_id from (
                  select distinct r.scorer_id from rowcast.job as r where r.state = 'running') as a
              cross join lateral (
                  select r.job_id from rowcast.job as r
                  where r.scorer_id = a.scorer_id and r.state = 'running' order by r.tick_id limit 4) as o)
        order by j.job_id
        for update of j skip locked
    loop
        -- Ticks wait for this. The first ones end in time.
        exit when clock_timestamp() > started + interval '100 milliseconds';
        -- Cut many at once: looking at the source takes longer than a chunk's keys.
        continue when job.bounded and job.open > case when job.last_key is null then 0 else most / 2 end;
        if job.relation is not null and not exists (
            select from pg_class as c where c.oid = job.relation) then
            -- A partition that is gone again: nothing is left to cut.
            update rowcast.job as j set last_key = null, bounded = true where j.job_id = job.job_id;
            job.last_key := null;
            job.bounded := true;
        end if;
        select s.* into strict src from rowcast.source as s where s.source_id = job.source_id;
        -- What was altered since may only be read by functions of whoever altered it. The lock keeps it
        -- as it was checked.
        begin
            execute format('lock table only %s in access share mode nowait', src.relation);
            problem := rowcast.scorer_problem(job.scorer_id);
        exception when lock_not_available then
            continue;  -- The next round.
        when others then
            problem := sqlerrm;
        end;
        if problem is not null then
            perform rowcast.shun_job(job.job_id, job.scorer_id, problem);
            continue;
        end if;
        if not job.bounded then
            begin
                execute format('select (%s)::text from %s as t order by %s limit 1',
                               rowcast.key_of(src), coalesce(job.relation, src.relation),
                               rowcast.key_order(src, true)) into job.last_key;
                -- The planner knows the size of now, also of a table that was never analysed.
                execute format('explain (format json) select from %s',
                               coalesce(job.relation, src.relation)) into estimate;
            exception when lock_not_available then
                continue;
            when others then
                perform rowcast.shun_job(job.job_id, job.scorer_id, sqlerrm);
                continue;
            end;
            update rowcast.job as j
            set bounded = true, last_key = job.last_key,
                rows_total = case when job.last_key is null then 0
                                  else (estimate -> 0 -> 'Plan' ->> 'Plan Rows')::bigint end
            where j.job_id = job.job_id;
        end if;
        if job.last_key is null then
            if job.open = 0 then
                update rowcast.job as j set state = 'done', finished_at = clock_timestamp()
                where j.job_id = job.job_id;
                perform rowcast.commit_durably();
            end if;
            continue;
        end if;
        room := most - job.open;
        size := rowcast.rows_at_once(
            case when job.features_from is null then src.relation end, job.features, greatest(1, round(
                rowcast.job_chunk_rows(job.job_id, job.chunk_rows, job.is_routed) * size_share))::int);
        upper_key := null;
        rows_cut := 0;
        begin
            for cut in execute format('select * from rowcast.%s($1, $2, $3, $4, $5, $6)',
                                      case when job.by_keys then 'cut_keys' else 'cut_ranges' end)
                using src, coalesce(job.relation, src.relation), job.next_key, job.last_key, size, room
            loop
                insert into rowcast.chunk (scorer_id, tick_id, job_id, key_count, priority, kind,
                                           lower_key, upper_key, keys)
                values (job.scorer_id, job.tick_id, job.job_id, cut.key_count,
                        case job.kind when 'backfill' then 2 else 1 end,
                        case when cut.keys is null then 'range' else 'keys' end,
                        cut.lower_key, case when cut.keys is null then cut.upper_key end, cut.keys);
                made := made + 1;
                rows_cut := rows_cut + cut.key_count;
                upper_key := cut.upper_key;
            end loop;
        exception when lock_not_available then
            continue;
        when others then
            -- One source that cannot be read stops no other's job.
            perform rowcast.shun_job(job.job_id, job.scorer_id, sqlerrm);
            continue;
        end;
        update rowcast.job as j
        set next_key = coalesce(upper_key, j.next_key), rows_made = j.rows_made + rows_cut,
            last_key = case when rows_cut < room::bigint * size then null else j.last_key end
        where j.job_id = job.job_id;
    end loop;
    return made + rowcast.cut_model_jobs(max_open, lane_count, size_share);
end
$$;
comment on function rowcast.make_job_chunks(int, int, double precision) is
    'Cuts chunks for running jobs that have few open ones until each has max_open, or as many a lane of all '
    'workers, counts them, and ends the jobs that have none left. size_share makes chunks smaller than usual. '
    'Cost: one entry of the key''s index a row.';
revoke all on function rowcast.make_job_chunks(int, int, double precision) from public;
grant execute on function rowcast.make_job_chunks(int, int, double precision) to rowcast_worker;

create or replace function rowcast.rescore(name text, failures_only boolean default false)
returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(name);
    problem constant text := rowcast.scorer_problem(own.scorer_id);
begin
    perform rowcast.check_scorer_right(name, 'manage');
    if problem is not null then
        raise exception using errcode = 'RC306',
            message = format('scorer "%s" cannot score: %s', name, problem),
            hint = format('Mend it, then: select rowcast.check_scorer(%L); it has all rows scored again.', name);
    end if;
    return rowcast.make_job(own.scorer_id, 'rescore', case when failures_only
        then format('predictions.%I', name || '_failure')::regclass end);
end
$$;
comment on function rowcast.rescore(text, boolean) is
    'Has all rows of a scorer, or those that failed, scored again, and returns the job. Errors: RC306 no such '
    'scorer, or its source does not fit or is gone.';
revoke all on function rowcast.rescore(text, boolean) from public;
grant execute on function rowcast.rescore(text, boolean) to rowcast_analyst;
