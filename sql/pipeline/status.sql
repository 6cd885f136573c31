-- Views for people and dashboards.
--
-- The backlog is exact without counting rows: keys of open chunks, and of changes past the cursor of
-- the ticks, both by index. The function reads private tables with the rights of its owner; the views
-- over it are what readers see.

drop function if exists rowcast.failure_count(text);

create or replace function rowcast.failure_count(scorer text, most bigint) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    failures bigint := 0;
begin
    -- Most scorers never had any, which the size of the file tells for nothing.
    if pg_relation_size(to_regclass(format('predictions.%I', scorer || '_failure'))) > 0 then
        execute format('select count(*) from (select from predictions.%I limit $1) as f', scorer || '_failure')
            into failures using most;
    end if;
    return failures;
end
$$;
comment on function rowcast.failure_count(text, bigint) is
    'Rows that a scorer could not score; no more are counted than most, null for all.';
revoke all on function rowcast.failure_count(text, bigint) from public;

drop function if exists rowcast.bounded_status(bigint);
create or replace function rowcast.bounded_status(most_failures bigint)
returns table (
    name text, source text, model text, state text, state_reason text, backlog_rows bigint,
    oldest_age interval, rows_per_second double precision, failures bigint, last_error text,
    backfill_done double precision, job_id bigint, job_kind text, chunk_rows int, scorer_id int,
    running_rows bigint, available_chunks bigint, running_chunks bigint, change_rows bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
    cursor_snapshot txid_snapshot;
    has_gpu constant boolean := not exists (select from rowcast.model as m where m.device = 'gpu')
                                or rowcast.has_device('gpu');
begin
    select t.snapshot::text::txid_snapshot into strict cursor_snapshot
    from rowcast.tick as t where t.snapshot is not null order by t.tick_id desc limit 1;

    -- Each table once, whatever the number of scorers: a dashboard asks for all of them.
    return query
    with work as (
        select c.scorer_id, sum(c.key_count) as keys, min(c.changed_at) as oldest,
               coalesce(sum(c.key_count) filter (where c.state = 'running'), 0) as running_keys,
               count(*) filter (where c.state = 'available') as available,
               count(*) filter (where c.state = 'running') as running
        from rowcast.open_chunks() as c
        group by c.scorer_id
    ), past as (
        select o.scorer_id, sum(c.key_count) as keys, min(c.at) as oldest
        from rowcast.changes_between(cursor_snapshot, txid_current_snapshot()) as c
        join (select s.source_id, s.scorer_id from rowcast.scorer as s
              union all select w.source_id, w.scorer_id from rowcast.watch as w) as o
          on o.source_id = c.source_id
        group by o.scorer_id
    ), silent as (
        select o.source_id, rowcast.capture_problem(o.source_id) as problem from rowcast.source as o
    ), rate as (
        select c.scorer_id, sum(c.rows_scored + c.rows_failed) / 10.0 as per_second
        from rowcast.chunk as c
        where c.finished_at > statement_timestamp() - interval '10 seconds' and c.state = 'done'
        group by c.scorer_id
    ), failed as (
        select distinct on (c.scorer_id) c.scorer_id, c.error
        from rowcast.chunk as c
        where c.finished_at is not null and c.state = 'failed'
        order by c.scorer_id, c.finished_at desc
    ), job as (
        select distinct on (j.scorer_id) j.scorer_id, j.job_id, j.kind, j.rows_made, j.rows_total,
               (select coalesce(sum(c.key_count), 0) from rowcast.chunk as c
                where c.job_id = j.job_id and c.state in ('available', 'running')) as open_keys
        from rowcast.job as j
        where j.state = 'running'
        order by j.scorer_id, j.job_id desc
    )
    select s.name, src.relation_name, coalesce(m.name, s.route), s.state,
           coalesce(s.state_reason, case when src.unwatched is not null then format(
               'writes to %s itself are not watched; let its owner run: select rowcast.check_scorer(%L)',
               src.unwatched, s.name) end, 'changes are not seen: ' || silent.problem,
               case when m.device = 'gpu' and not has_gpu then 'waits: no worker has a GPU' end),
           (coalesce(work.keys, 0) + coalesce(past.keys, 0))::bigint,
           greatest(clock_timestamp() - least(work.oldest, past.oldest), interval '0'),
           coalesce(rate.per_second, 0)::float8, rowcast.failure_count(s.name, most_failures),
           failed.error,
           -- Of the rows that the planner believes in; exact only at the end.
           case when job.job_id is null then 1
                when coalesce(job.rows_total, 0) = 0 then 0
                else least(0.999, (job.rows_made - job.open_keys)::float8 / job.rows_total) end,
           job.job_id, job.kind, s.chunk_rows, s.scorer_id, coalesce(work.running_keys, 0)::bigint,
           coalesce(work.available, 0), coalesce(work.running, 0), coalesce(past.keys, 0)::bigint
    from rowcast.scorer as s
    join rowcast.source as src on src.source_id = s.source_id
    left join rowcast.model as m on m.model_id = s.model_id
    left join silent on silent.source_id = s.source_id
    left join work on work.scorer_id = s.scorer_id
    left join past on past.scorer_id = s.scorer_id
    left join rate on rate.scorer_id = s.scorer_id
    left join failed on failed.scorer_id = s.scorer_id
    left join job on job.scorer_id = s.scorer_id
    order by s.name;
end
$$;
comment on function rowcast.bounded_status(bigint) is
    'The rows of rowcast.scorer_status, of whose failures no more are counted than most_failures, null for all; and '
    'what backlog_rows is made of: change_rows, which no tick has collected, and rows of chunks.';
revoke all on function rowcast.bounded_status(bigint) from public;

create or replace function rowcast.status_rows()
returns table (
    name text, source text, model text, state text, state_reason text, backlog_rows bigint,
    oldest_age interval, rows_per_second double precision, failures bigint, last_error text,
    backfill_done double precision, job_id bigint, job_kind text, chunk_rows int)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.name, s.source, s.model, s.state, s.state_reason, s.backlog_rows, s.oldest_age, s.rows_per_second,
           s.failures, s.last_error, s.backfill_done, s.job_id, s.job_kind, s.chunk_rows
    from rowcast.bounded_status(null) as s
$$;
comment on function rowcast.status_rows() is 'The rows of rowcast.scorer_status.';
revoke all on function rowcast.status_rows() from public;
grant execute on function rowcast.status_rows() to rowcast_reader, rowcast_worker;

create or replace view rowcast.scorer_status as
select s.*, k.max_lag, s.oldest_age <= k.max_lag as max_lag_kept
from rowcast.status_rows() as s
left join (rowcast.lag_contract as k join rowcast.scorer as r on r.scorer_id = k.scorer_id) on r.name = s.name;
comment on view rowcast.scorer_status is
    'Each scorer: what it does, what it has to do, what went wrong. Cost: an index entry an open chunk '
    'and a failure; never a scan of a source.';
comment on column rowcast.scorer_status.backlog_rows is
    'Exact: rows in open chunks and changes that no tick has collected yet.';
comment on column rowcast.scorer_status.oldest_age is 'Age of the oldest change that is not scored.';
comment on column rowcast.scorer_status.max_lag is
    'How old a change may be that is not scored (rowcast.set_max_lag); null where nobody said.';
comment on column rowcast.scorer_status.max_lag_kept is 'Whether oldest_age is within it; null where there is none.';
comment on column rowcast.scorer_status.rows_per_second is 'Over the last ten seconds.';
comment on column rowcast.scorer_status.last_error is
    'Of the last chunk that was given up in the last ten minutes.';
comment on column rowcast.scorer_status.backfill_done is
    'Share of the running job that is done, by the planner''s estimate; 1 where none runs.';
grant select on rowcast.scorer_status to rowcast_reader, rowcast_worker;

create or replace view rowcast.workers as
select w.worker_id, w.name, w.host, w.pid, w.release, w.lanes, w.dispatcher, w.started_at, w.seen_at,
       clock_timestamp() - w.seen_at as last_seen,
       (select count(*) from rowcast.lane as l join rowcast.chunk as c
            on c.claimed_by = l.lane_id and c.state = 'running'
        where l.worker_id = w.worker_id) as chunks_running,
       w.connections_used, w.connections, w.connections_wanted, w.bulk_lanes, w.pressure, w.pressure_since,
       w.devices, w.resident_bytes, w.model_bytes
from rowcast.worker as w
order by w.worker_id;
comment on view rowcast.workers is 'Processes that score, or did within the last hour.';
comment on column rowcast.workers.connections is
    'Sessions that it may have of the budget (rowcast.limits); connections_wanted is what it would have.';
comment on column rowcast.workers.bulk_lanes is
    'Lanes that take chunks of jobs; fewer than lanes while the server is under pressure.';
comment on column rowcast.workers.devices is 'What it runs models on: cpu, gpu.';
comment on column rowcast.workers.resident_bytes is
    'Memory of its process; model_bytes is what its loaded models take of it.';
comment on column rowcast.workers.pressure is 'Why it holds back with jobs; null where it does not.';
grant select on rowcast.workers to rowcast_reader, rowcast_worker;

create or replace function rowcast.failure_queries() returns table (scorer text, query text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.name, format(
        'select %L::text, %s, f.%I, f.%I, f.%I, f.%I, f.%I, f.%I from predictions.%I as f', s.name,
        rowcast.key_json('f', o.key_columns || s.result_key, o.key_types || s.result_types),
        a.names[1], a.names[2], a.names[3], a.names[4], a.names[5], a.names[6], s.name || '_failure')
    from rowcast.scorer as s
    join rowcast.source as o on o.source_id = s.source_id
    cross join lateral (select rowcast.audit_names(o.key_columns || s.result_key, true)) as a (names)
    order by s.name
$$;
comment on function rowcast.failure_queries() is 'The queries of the failures of each scorer.';
revoke all on function rowcast.failure_queries() from public;
grant execute on function rowcast.failure_queries() to rowcast_reader;

create or replace function rowcast.failure_rows()
returns table (scorer text, key jsonb, code text, reason text, model_name text, model_version int,
               tick bigint, failed_at timestamptz)
-- With the reader's rights: failures may be protected as their rows are.
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    own record;
begin
    for own in select q.query from rowcast.failure_queries() as q loop
        begin
            return query execute own.query;
        exception when insufficient_privilege then
            null;  -- He may not read the source at all.
        end;
    end loop;
end
$$;
comment on function rowcast.failure_rows() is 'The rows of rowcast.failures.';
revoke all on function rowcast.failure_rows() from public;
grant execute on function rowcast.failure_rows() to rowcast_reader;

create or replace view rowcast.failures as select * from rowcast.failure_rows();
comment on view rowcast.failures is
    'Rows that could not be scored, of all scorers, as far as the reader may see them; each scorer has its own '
    'in predictions.<name>_failure.';
grant select on rowcast.failures to rowcast_reader;

create or replace function rowcast.seconds_of_work(
    state text, backlog_rows bigint, rows_per_second double precision, oldest_age interval)
returns double precision
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select case
        when state <> 'active' or backlog_rows = 0 then 0
        when rows_per_second > 0 then backlog_rows / rows_per_second
        -- Nobody works on it: it takes at least as long as it waits already.
        else greatest(1, extract(epoch from coalesce(oldest_age, interval '1 second'))) end::float8
$$;
comment on function rowcast.seconds_of_work(text, bigint, double precision, interval) is
    'How long the work that waits for a scorer would take at its present rate.';
revoke all on function rowcast.seconds_of_work(text, bigint, double precision, interval) from public;

create or replace function rowcast.job_backlog_seconds() returns double precision
language sql stable set search_path = pg_catalog, pg_temp as $$
    select max(greatest(1, extract(epoch from coalesce(j.eta, clock_timestamp() - j.created_at))))::float8
    from rowcast.job_page(null, null, null, true) as j where j.state = 'running' and j.scorer is null
$$;
comment on function rowcast.job_backlog_seconds() is
    'How long the longest of the jobs that belong to no scorer would take at its present rate; null where none runs.';
revoke all on function rowcast.job_backlog_seconds() from public;

create or replace function rowcast.backlog_seconds() returns double precision
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select greatest(
        coalesce(max(rowcast.seconds_of_work(s.state, s.backlog_rows, s.rows_per_second, s.oldest_age)), 0),
        rowcast.job_backlog_seconds())
    from rowcast.bounded_status(0) as s
$$;
comment on function rowcast.backlog_seconds() is
    'How long the work that waits would take at the present rate; for scaling workers from zero.';
revoke all on function rowcast.backlog_seconds() from public;
grant execute on function rowcast.backlog_seconds() to rowcast_reader, rowcast_worker;
