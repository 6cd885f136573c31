-- What a server tells monitoring of the database: two documents of JSON, bounded. Lengths of time are seconds.
--
-- The first scorers by age have entries of their own; all later ones are one, "other". So an entry that only
-- grows never shrinks because another scorer moved into it, except where an earlier scorer is dropped.

create or replace function rowcast.figure_label(name text, place bigint, most int) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select case when place <= most then name else 'other' end
$$;
comment on function rowcast.figure_label(text, bigint, int) is 'The entry of figures that something is counted in.';
revoke all on function rowcast.figure_label(text, bigint, int) from public;

create or replace function rowcast.server_figures(most int) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp set jit = off as $$
    with status as materialized (
        select b.*, rowcast.figure_label(b.name, row_number() over (order by b.scorer_id), most) as label
        from rowcast.bounded_status(1000) as b
    ), held as (
        select e.scorer, count(*) as rules
        from rowcast.expectations as e where e.held_at is not null group by e.scorer
    ), scorers as (
        select jsonb_build_object(
                   'name', s.label, 'active', count(*) filter (where s.state = 'active'),
                   'paused', count(*) filter (where s.state = 'paused'),
                   'suspended', count(*) filter (where s.state = 'suspended'),
                   'changeRows', sum(s.change_rows),
                   'availableRows', sum(s.backlog_rows - s.change_rows - s.running_rows),
                   'runningRows', sum(s.running_rows), 'availableChunks', sum(s.available_chunks),
                   'runningChunks', sum(s.running_chunks),
                   'oldest', coalesce(extract(epoch from max(s.oldest_age)), 0),
                   'workSeconds', max(rowcast.seconds_of_work(
                       s.state, s.backlog_rows, s.rows_per_second, s.oldest_age)),
                   'maxLag', extract(epoch from min(k.max_lag)), 'breaches', coalesce(sum(k.breach_count), 0),
                   'failures', sum(s.failures), 'heldRules', coalesce(sum(h.rules), 0),
                   'rowsScored', coalesce(sum(t.rows_scored), 0), 'rowsFailed', coalesce(sum(t.rows_failed), 0),
                   'chunks', coalesce(sum(t.chunk_count), 0), 'readSeconds', coalesce(sum(t.read_seconds), 0),
                   'predictSeconds', coalesce(sum(t.predict_seconds), 0),
                   'writeSeconds', coalesce(sum(t.write_seconds), 0),
                   'latencySeconds', coalesce(sum(t.latency_seconds), 0),
                   'latencyCounts', coalesce(rowcast.sum_bins(t.latency_counts), '{}')) as entry,
               min(s.scorer_id) as place
        from status as s
        left join rowcast.scorer_total as t on t.scorer_id = s.scorer_id
        left join rowcast.lag_contract as k on k.scorer_id = s.scorer_id
        left join held as h on h.scorer = s.name
        group by s.label
    ), worker as materialized (
        select w.*, w.seen_at > clock_timestamp() - interval '30 seconds' as is_live,
               rowcast.figure_label(w.name, row_number() over (order by w.worker_id), most) as label
        from rowcast.worker as w
    ), running as (
        -- A step is one statement of somebody's, which may take its time.
        select greatest(j.created_at, c.finished_at) as moved_at
        from rowcast.job as j
        cross join lateral (
            select max(c.finished_at) as finished_at, coalesce(bool_or(c.kind = 'step' and c.state = 'running'), false) as is_in_step
            from rowcast.chunk as c where c.job_id = j.job_id) as c
        where j.state = 'running' and not c.is_in_step
    )
    select jsonb_build_object(
        'schema', (select max(m.version) from rowcast.schema_migration as m),
        'database', current_setting('server_version'),
        'scorers', coalesce((select jsonb_agg(s.entry order by s.place) from scorers as s), '[]'),
        'jobSeconds', rowcast.job_backlog_seconds(),
        'jobs', coalesce((
            select jsonb_object_agg(j.state, j.jobs)
            from (select n.state, count(*) as jobs from rowcast.job as n group by n.state) as j), '{}'),
        'idleJob', coalesce((
            select extract(epoch from clock_timestamp() - min(r.moved_at)) from running as r), 0),
        'liveWorkers', (select count(*) from worker as w where w.is_live),
        'silentWorkers', (select count(*) from worker as w where not w.is_live),
        'dispatchers', (select count(*) from worker as w where w.is_live and w.dispatcher),
        'pressedWorkers', (select count(*) from worker as w where w.is_live and w.pressure is not null),
        'connections', (select coalesce(sum(w.connections_used), 0) from worker as w where w.is_live),
        'connectionBudget', rowcast.connection_budget(),
        'workers', coalesce((
            select jsonb_agg(l.entry order by l.place)
            from (
                select jsonb_build_object(
                           'name', w.label, 'lanes', sum(w.lanes), 'resident', sum(w.resident_bytes),
                           'models', sum(w.model_bytes), 'modelCount', sum(w.model_count)) as entry,
                       min(w.worker_id) as place
                from worker as w where w.is_live group by w.label
            ) as l), '[]'),
        'events', coalesce((select jsonb_object_agg(e.name, e.value) from rowcast.event_total as e), '{}'),
        'notificationQueue', pg_notification_queue_usage())
$$;
comment on function rowcast.server_figures(int) is
    'What monitoring is told of scorers, jobs and workers; entries of their own have as many as most, the rest is '
    '"other". Cost: that of rowcast.scorer_status, with 1,000 failures of a scorer counted at most.';
revoke all on function rowcast.server_figures(int) from public;
grant execute on function rowcast.server_figures(int) to rowcast_worker;

create or replace function rowcast.drift_figures(most int) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp set jit = off as $$
    -- Apart, because a join by name is planned for a few rows; and by the statement's time, which an index can
    -- be asked for.
    with named as materialized (
        select s.name, rowcast.figure_label(s.name, row_number() over (order by s.scorer_id), most) as label
        from rowcast.scorer as s
    ), largest as materialized (
        select d.scorer, d.kind, max(d.psi) as psi
        from rowcast.drift as d
        -- Small samples have a large index by chance.
        where d.hour >= date_trunc('hour', statement_timestamp()) - interval '1 hour' and d.rows >= 500
        group by d.scorer, d.kind
    ), drifted as (
        select n.label, l.kind, max(l.psi) as psi
        from largest as l join named as n on n.name = l.scorer
        where l.psi is not null
        group by n.label, l.kind
    )
    select coalesce(jsonb_agg(jsonb_build_object('scorer', d.label, 'kind', d.kind, 'index', d.psi)
                              order by d.label, d.kind), '[]')
    from drifted as d
$$;
comment on function rowcast.drift_figures(int) is
    'The largest stability index of each scorer''s inputs and outputs, of this hour and the last. Cost: that of '
    'rowcast.drift for two hours.';
revoke all on function rowcast.drift_figures(int) from public;
grant execute on function rowcast.drift_figures(int) to rowcast_worker;
