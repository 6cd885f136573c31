-- What the console shows, a function a page: one document of JSON, bounded, from the views that people read.
--
-- models are those that the looker's key is for, null for all; who may see some sees neither scorers that are
-- routed among many nor jobs of others. Moments are seconds since 1970. A server asks each of them once a
-- second at most, however many look.

create or replace function rowcast.console_scorers(models text[]) returns setof rowcast.scorer
language sql stable set search_path = pg_catalog, pg_temp as $$
    select s.* from rowcast.scorer as s
    left join rowcast.model as m on m.model_id = s.model_id
    where s.shadow_of is null and (models is null or m.name = any (models))
$$;
comment on function rowcast.console_scorers(text[]) is 'The scorers that the console shows of some models, shadows left out.';
revoke all on function rowcast.console_scorers(text[]) from public;

create or replace function rowcast.console_alerts(models text[], most int)
returns table (level text, kind text, scorer text, subject text, reason text, since double precision)
language sql stable set search_path = pg_catalog, pg_temp as $$
    with own as (
        select s.name, s.scorer_id from rowcast.console_scorers(models) as s
    ), found as (
        select 'bad' as level, 'lag' as kind, l.scorer, null::text as subject,
               null as reason,
               coalesce(l.broken_at, clock_timestamp()) as since
        from rowcast.lag_status() as l where not l.kept
        union all
        select 'bad', 'held', e.scorer, e.name, e.held_reason, e.held_at
        from rowcast.expectations as e where e.held_at is not null
        union all
        select 'warn', 'expectation', r.scorer, r.name, r.last_reason, r.last_failed_at
        from rowcast.expectation_results as r
        where r.hour >= date_trunc('hour', clock_timestamp()) - interval '1 hour' and r.action <> 'record'
          and not r.is_held and r.last_failed_at > clock_timestamp() - interval '1 hour'
        union all
        -- A quarter is what practitioners call a shift; small samples have one by chance.
        select 'warn', 'drift', d.scorer, d.column_name,
               format('index %s over %s rows', round(d.psi::numeric, 2), to_char(d.rows, 'FM999,999,999,999,999')), d.hour
        from rowcast.drift as d
        where d.hour = (select max(o.hour) from rowcast.observation as o
                        where o.hour >= date_trunc('hour', clock_timestamp()) - interval '1 hour')
          and d.psi > 0.25 and d.rows >= 500
        union all
        select 'warn', 'rollout', r.scorer, format('%s %s', r.kind, r.version), r.reason, coalesce(r.ended_at, r.started_at)
        from rowcast.rollout_rows() as r
        where r.state = 'stopped' and r.ended_at > clock_timestamp() - interval '1 day'
    )
    select distinct on (f.level, f.kind, f.scorer, f.subject)
           f.level, f.kind, f.scorer, f.subject, left(f.reason, 500), extract(epoch from f.since)::float8
    from found as f join own on own.name = f.scorer
    order by f.level, f.kind, f.scorer, f.subject, f.since desc
    limit most
$$;
comment on function rowcast.console_alerts(text[], int) is
    'What is amiss with scorers of some models: broken contracts of lag, expectations that hold or fail, drift, '
    'canaries that were stopped.';
revoke all on function rowcast.console_alerts(text[], int) from public;

create or replace function rowcast.console_job_list(before bigint, most int, models text[], only_running boolean)
returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(jsonb_agg(jsonb_build_object(
               'id', j.job_id, 'scorer', j.scorer, 'page', coalesce(p.name, j.scorer), 'kind', j.kind, 'state', j.state, 'rowsDone', j.rows_done,
               'rowsFailed', j.rows_failed, 'rowsTotal', j.rows_total, 'done', j.done, 'rate', j.rows_per_second,
               'eta', extract(epoch from j.eta), 'elapsed', extract(epoch from j.elapsed), 'createdBy', j.created_by,
               'createdAt', extract(epoch from j.created_at), 'model', j.model, 'version', j.model_version,
               'source', left(j.source, 300), 'destination', left(j.destination, 300), 'phase', j.phase,
               'error', left(j.error, 500)) order by j.job_id desc), '[]')
    from rowcast.job_page(before, most, models, only_running) as j
    left join rowcast.scorer as s on s.name = j.scorer
    left join rowcast.scorer as p on p.scorer_id = s.shadow_of
$$;
comment on function rowcast.console_job_list(bigint, int, text[], boolean) is 'Jobs as the console shows them, the latest first.';
revoke all on function rowcast.console_job_list(bigint, int, text[], boolean) from public;

create or replace function rowcast.console_overview(models text[]) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with own as (
        select s.scorer_id, s.name, s.alias, s.pinned_version, s.route, k.max_lag
        from rowcast.console_scorers(models) as s
        left join rowcast.lag_contract as k on k.scorer_id = s.scorer_id
    ), minutes as (
        select t.scorer,
               jsonb_agg(jsonb_build_array(
                   round(extract(epoch from date_trunc('minute', clock_timestamp()) - t.minute) / 60)::int,
                   t.rows_per_second) order by t.minute) as rates,
               -- Of the last minutes that had any.
               (array_agg(t.mean_latency_seconds order by t.minute desc)
                    filter (where t.mean_latency_seconds is not null))[1] as mean_latency,
               (array_agg(t.longest_latency_seconds order by t.minute desc)
                    filter (where t.longest_latency_seconds is not null))[1] as longest_latency
        from rowcast.throughput as t
        where t.minute > clock_timestamp() - interval '30 minutes'
        group by t.scorer
    ), status as (
        select jsonb_build_object(
                   'name', s.name, 'source', s.source, 'model', s.model, 'alias', o.alias,
                   'pinnedVersion', o.pinned_version, 'isRouted', o.route is not null, 'state', s.state,
                   'reason', left(s.state_reason, 500), 'backlog', s.backlog_rows,
                   'oldest', extract(epoch from s.oldest_age), 'maxLag', extract(epoch from o.max_lag),
                   'isLate', s.oldest_age > o.max_lag, 'rate', s.rows_per_second, 'failures', s.failures,
                   'lastError', left(s.last_error, 500), 'meanLatency', n.mean_latency,
                   'longestLatency', n.longest_latency, 'rates', coalesce(n.rates, '[]')) as entry,
               s.name
        from rowcast.bounded_status(10000) as s
        join own as o on o.name = s.name
        left join minutes as n on n.scorer = s.name
    )
    select jsonb_build_object(
        'scorers', coalesce((select jsonb_agg(s.entry order by s.name) from status as s), '[]'),
        'alerts', coalesce((select jsonb_agg(jsonb_build_object(
                'level', a.level, 'kind', a.kind, 'scorer', a.scorer, 'subject', a.subject, 'reason', a.reason,
                'since', a.since)) from rowcast.console_alerts(models, 50) as a), '[]'),
        'workers', (select count(*) from rowcast.workers as w where w.last_seen < interval '30 seconds'),
        'lanes', (select coalesce(sum(w.lanes), 0) from rowcast.workers as w where w.last_seen < interval '30 seconds'),
        'jobs', rowcast.console_job_list(null, 10, models, true))
$$;
comment on function rowcast.console_overview(text[]) is
    'The console''s first page: scorers, what is amiss with them, workers, and jobs that run. Cost: that of '
    'rowcast.scorer_status, with 10,000 failures counted at most.';
revoke all on function rowcast.console_overview(text[]) from public;
grant execute on function rowcast.console_overview(text[]) to rowcast_worker;

create or replace function rowcast.console_jobs(models text[], before bigint) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select rowcast.console_job_list(before, 51, models, false)
$$;
comment on function rowcast.console_jobs(text[], bigint) is
    'The latest 51 jobs of some models, older than before where that is given: a page, and whether another follows.';
revoke all on function rowcast.console_jobs(text[], bigint) from public;
grant execute on function rowcast.console_jobs(text[], bigint) to rowcast_worker;

create or replace function rowcast.console_scorer(scorer text) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with own as (
        select s.* from rowcast.scorer as s where s.name = console_scorer.scorer and s.shadow_of is null
    )
    select jsonb_build_object(
        'createdAt', extract(epoch from own.created_at), 'createdBy', own.created_by,
        'isQuery', own.feature_query is not null, 'chunkRows', own.chunk_rows,
        'features', coalesce((
            select jsonb_agg(jsonb_build_object('input', f.entry ->> 'input', 'column', f.entry ->> 'column',
                                                'type', f.entry ->> 'type') order by f.place)
            from jsonb_array_elements(own.features) with ordinality as f (entry, place) where f.place <= 100), '[]'),
        'featureCount', jsonb_array_length(own.features),
        'outputs', coalesce((
            select jsonb_agg(jsonb_build_object('input', coalesce(o.entry ->> 'output', o.entry ->> 'of'),
                                                'column', o.entry ->> 'column', 'type', o.entry ->> 'type')
                             order by o.place)
            from jsonb_array_elements(own.outputs) with ordinality as o (entry, place) where o.place <= 100), '[]'),
        'minutes', coalesce((
            select jsonb_agg(jsonb_build_object(
                       'ago', round(extract(epoch from date_trunc('minute', clock_timestamp()) - t.minute) / 60)::int,
                       'rows', t.rows_scored, 'failed', t.rows_failed, 'mean', t.mean_latency_seconds,
                       'longest', t.longest_latency_seconds) order by t.minute)
            from rowcast.throughput as t
            where t.scorer = own.name and t.minute > clock_timestamp() - interval '60 minutes'), '[]'),
        'lag', (select jsonb_build_object(
                    'maxLag', extract(epoch from l.max_lag), 'lag', extract(epoch from l.lag), 'isKept', l.kept,
                    'breaches', l.breach_count, 'longest', extract(epoch from l.longest_lag))
                from rowcast.lag_status() as l where l.scorer = own.name),
        'rules', coalesce((
            select jsonb_agg(jsonb_build_object(
                       'name', e.name, 'kind', e.kind, 'column', e.column_name, 'action', e.action,
                       'minimum', e.minimum, 'maximum', e.maximum, 'tolerance', e.tolerance,
                       'isHeld', e.held_at is not null, 'reason', left(coalesce(e.held_reason, r.last_reason), 500),
                       'checked', r.checked, 'failed', r.failed) order by e.name)
            from (select n.* from rowcast.expectations as n where n.scorer = own.name order by n.name limit 100) as e
            left join lateral (
                select sum(h.checked) as checked, sum(h.failed) as failed,
                       (array_agg(h.last_reason order by h.last_failed_at desc nulls last))[1] as last_reason
                from rowcast.expectation_results as h
                where h.scorer = own.name and h.name = e.name
                  and h.hour >= date_trunc('hour', clock_timestamp()) - interval '23 hours') as r on true), '[]'),
        'rollouts', coalesce((
            select jsonb_agg(jsonb_build_object(
                       'kind', r.kind, 'alias', r.alias, 'version', r.version, 'share', r.share, 'state', r.state,
                       'reason', left(r.reason, 500), 'rows', r.rows_scored, 'failed', r.rows_failed,
                       'championRows', r.champion_rows, 'championFailed', r.champion_failed,
                       'startedAt', extract(epoch from r.started_at), 'endedAt', extract(epoch from r.ended_at))
                       order by r.started_at desc)
            from (select n.* from rowcast.rollout_rows() as n where n.scorer = own.name
                  order by n.started_at desc limit 10) as r), '[]'))
    from own
$$;
comment on function rowcast.console_scorer(text) is
    'What the console shows of one scorer beside its status: what it reads and writes, an hour by the minute, its '
    'rules and rollouts. Null where there is none.';
revoke all on function rowcast.console_scorer(text) from public;
grant execute on function rowcast.console_scorer(text) to rowcast_worker;

create or replace function rowcast.console_failures(scorers text[], skip int) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    pages constant int := 256;
    own record;
    part jsonb;
    found jsonb := '[]';
    groups jsonb := '[]';
    is_part boolean := false;
    first_page int;
begin
    if skip not between 0 and 1000 then
        raise exception using errcode = 'RC356', message = format('skip is %s, it goes from 0 to 1000', skip);
    end if;
    for own in
        select q.scorer, q.query, c.relrowsecurity as is_protected,
               (pg_relation_size(c.oid) / current_setting('block_size')::int)::int as page_count
        from rowcast.failure_queries() as q
        join pg_class as c on c.oid = to_regclass(format('predictions.%I', q.scorer || '_failure'))
        where q.scorer = any (scorers) and pg_relation_size(c.oid) > 0
        order by q.scorer limit 50
    loop
        -- No index has the time. What was written last mostly lies at the end.
        first_page := greatest(0, own.page_count - pages);
        is_part := is_part or first_page > 0;
        execute format($q$
            with looked as materialized (
                select f.* from (%s where f.ctid >= $1) as f (scorer, key, code, reason, model, version, tick, failed_at)
            )
            select jsonb_build_object(
                'rows', (select coalesce(jsonb_agg(jsonb_build_object(
                            'scorer', n.scorer, 'key', case when $3 then null else (
                                select left(string_agg(format('%%s %%s', k.key, k.value), ', '), 300)
                                from jsonb_each_text(n.key) as k) end,
                            'code', n.code, 'reason', case when $3 then null else left(n.reason, 500) end,
                            'model', n.model, 'version', n.version, 'at', extract(epoch from n.failed_at))), '[]')
                         from (select * from looked as l order by l.failed_at desc limit $2) as n),
                'groups', (select coalesce(jsonb_agg(g.entry), '[]') from (
                            select jsonb_build_object(
                                'scorer', l.scorer, 'code', l.code, 'count', count(*),
                                'example', case when $3 then null else left(max(l.reason), 300) end,
                                'at', extract(epoch from max(l.failed_at))) as entry
                            from looked as l group by l.scorer, l.code order by count(*) desc limit 20) as g))
            $q$, own.query)
        into part using format('(%s,0)', first_page)::tid, skip + 51, own.is_protected;
        found := found || (part -> 'rows');
        groups := groups || (part -> 'groups');
    end loop;
    return jsonb_build_object(
        'rows', (select coalesce(jsonb_agg(n.entry order by n.at desc), '[]') from (
                    select r.entry, (r.entry ->> 'at')::float8 as at from jsonb_array_elements(found) as r (entry)
                    order by 2 desc offset skip limit 51) as n),
        'groups', groups, 'isPart', is_part);
end
$$;
comment on function rowcast.console_failures(text[], int) is
    'The latest 51 failures of some scorers after so many (1000 at most), and how many there are of each code; of '
    'more than 2 MB of them, those in the last 2 MB. Without keys and reasons where predictions are protected.';
revoke all on function rowcast.console_failures(text[], int) from public;
grant execute on function rowcast.console_failures(text[], int) to rowcast_worker;

create or replace function rowcast.console_models(models text[], after text) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select coalesce(jsonb_agg(jsonb_build_object(
               'name', m.model, 'description', left(m.description, 300), 'newest', m.newest_version,
               'versions', m.versions, 'aliases', coalesce(m.aliases, '{}'), 'state', m.newest_state,
               'format', m.format, 'createdAt', extract(epoch from m.created_at), 'runsOn', m.runs_on) order by m.model),
               '[]')
    from (
        select v.* from rowcast.models as v
        where (models is null or v.model = any (models)) and (after is null or v.model > after)
        order by v.model limit 51
    ) as m
$$;
comment on function rowcast.console_models(text[], text) is 'The first 51 of some models by name, after one where that is given.';
revoke all on function rowcast.console_models(text[], text) from public;
grant execute on function rowcast.console_models(text[], text) to rowcast_worker;

create or replace function rowcast.console_model(model text, before int) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with own as (
        select m.* from rowcast.models as m where m.model = console_model.model
    ), shown as (
        select coalesce((own.aliases ->> 'champion')::int, own.newest_version) as version from own
    )
    select jsonb_build_object(
        'name', own.model, 'description', left(own.description, 2000), 'createdAt', extract(epoch from own.created_at),
        'createdBy', own.created_by, 'runsOn', own.runs_on,
        'versions', coalesce((
            select jsonb_agg(jsonb_build_object(
                       'version', v.version, 'state', v.state, 'refusal', left(v.refusal, 500), 'format', v.format,
                       'aliases', coalesce(to_jsonb(v.aliases), '[]'), 'byteCount', v.byte_count, 'sha256', v.sha256,
                       'goldenRows', v.golden_rows, 'metrics', left(v.metrics::text, 300),
                       'createdAt', extract(epoch from v.created_at), 'createdBy', v.created_by)
                   order by v.version desc)
            from (select n.* from rowcast.model_versions as n
                  where n.model = own.model and (before is null or n.version < before)
                  order by n.version desc limit 51) as v), '[]'),
        'moves', coalesce((
            select jsonb_agg(jsonb_build_object(
                       'alias', h.alias, 'old', h.old_version, 'new', h.new_version,
                       'at', extract(epoch from h.changed_at), 'by', h.changed_by) order by h.changed_at desc)
            from (select n.* from rowcast.alias_history as n where n.model = own.model
                  order by n.changed_at desc limit 20) as h), '[]'),
        'signatureVersion', shown.version,
        'signature', coalesce((
            select jsonb_agg(jsonb_build_object(
                       'part', g.part, 'position', g.position, 'name', g.name, 'type', g.type, 'missing', g.missing,
                       'role', g.role, 'class', g.class_name, 'isImage', g.image is not null)
                   order by g.part, g.position)
            from rowcast.signatures as g
            where g.model = own.model and g.version = shown.version and g.position <= 200), '[]'))
    from own, shown
$$;
comment on function rowcast.console_model(text, int) is
    'A model with its latest 51 versions, before one where that is given, the last moves of its aliases, and the '
    'signature of its champion, else of its newest version. Null where there is none.';
revoke all on function rowcast.console_model(text, int) from public;
grant execute on function rowcast.console_model(text, int) to rowcast_worker;

create or replace function rowcast.console_workers() returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select coalesce(jsonb_agg(jsonb_build_object(
               'id', w.worker_id, 'name', w.name, 'host', w.host, 'pid', w.pid, 'release', w.release, 'lanes', w.lanes,
               'bulkLanes', w.bulk_lanes, 'isDispatcher', w.dispatcher, 'startedAt', extract(epoch from w.started_at),
               'lastSeen', extract(epoch from w.last_seen), 'chunks', w.chunks_running, 'used', w.connections_used,
               'connections', w.connections, 'wanted', w.connections_wanted, 'pressure', w.pressure,
               'devices', to_jsonb(w.devices)) order by w.worker_id), '[]')
    from (select n.* from rowcast.workers as n order by n.worker_id limit 200) as w
$$;
comment on function rowcast.console_workers() is 'The view rowcast.workers, its first 200 rows.';
revoke all on function rowcast.console_workers() from public;
grant execute on function rowcast.console_workers() to rowcast_worker;

create or replace function rowcast.console_drift(scorer text) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with day as (
        select d.* from rowcast.drift as d
        where d.scorer = console_drift.scorer
          and d.hour >= date_trunc('hour', clock_timestamp()) - interval '23 hours'
    ), latest as (
        select distinct on (d.kind, d.column_name) d.* from day as d order by d.kind, d.column_name, d.hour desc
    )
    select coalesce(jsonb_agg(jsonb_build_object(
               'column', n.column_name, 'kind', n.kind, 'hour', extract(epoch from n.hour), 'rows', n.rows, 'psi', n.psi,
               'shift', n.mean_shift, 'spread', n.spread_ratio, 'missing', n.missing_share,
               'baselineMissing', n.baseline_missing_share, 'baseline', n.baseline,
               'hours', (select jsonb_agg(jsonb_build_array(
                             round(extract(epoch from date_trunc('hour', clock_timestamp()) - d.hour) / 3600)::int,
                             d.psi) order by d.hour)
                         from day as d where d.kind = n.kind and d.column_name = n.column_name))
               order by n.psi desc nulls last, n.kind, n.column_name), '[]')
    from (select l.* from latest as l order by l.psi desc nulls last, l.kind, l.column_name limit 100) as n
$$;
comment on function rowcast.console_drift(text) is
    'The 100 columns of a scorer that drifted most in their latest hour of the last day, with their hours.';
revoke all on function rowcast.console_drift(text) from public;
grant execute on function rowcast.console_drift(text) to rowcast_worker;
