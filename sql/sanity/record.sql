-- What workers counted while they scored, added in bulk.
--
-- A worker adds once a second at most a scorer; what it counted since is lost when it is killed. Rows are
-- taken in the order of the primary key, so that workers never wait for one another in a circle. Before it adds
-- anything, in the same transaction, it asks which scorers are busy, and keeps what it counted of those: a foreign
-- key waits for whoever drops a scorer, and the counts of all others would with it.

create or replace function rowcast.busy_scorers(scorer_ids int[]) returns int[]
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    with held as materialized (
        select s.scorer_id from rowcast.scorer as s
        where s.scorer_id = any (scorer_ids) order by s.scorer_id for key share skip locked
    )
    select coalesce(array_agg(s.scorer_id), '{}') from rowcast.scorer as s
    where s.scorer_id = any (scorer_ids) and not exists (select from held as h where h.scorer_id = s.scorer_id)
$$;
comment on function rowcast.busy_scorers(int[]) is
    'Those of the scorers that somebody else holds, to drop or to change them. The others cannot be dropped until the '
    'transaction is over. Waits for nobody.';
revoke all on function rowcast.busy_scorers(int[]) from public;
grant execute on function rowcast.busy_scorers(int[]) to rowcast_worker;

create or replace function rowcast.record_observations(
    scorer_ids int[], profile_ids int[], hours timestamptz[], model_versions int[], kinds text[],
    places int[], value_counts bigint[], missing_counts bigint[], means double precision[],
    m2s double precision[], minima double precision[], maxima double precision[], bins text[])
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.observation as o (
        scorer_id, profile_id, hour, model_version, kind, place, value_count, missing_count, mean, m2,
        minimum, maximum, bins)
    select n.scorer_id, n.profile_id, n.hour, n.model_version, n.kind, n.place, n.value_count,
           n.missing_count, n.mean, n.m2, n.minimum, n.maximum, n.bins::bigint[]
    from unnest(scorer_ids, profile_ids, hours, model_versions, kinds, places, value_counts,
                missing_counts, means, m2s, minima, maxima, bins)
        as n (scorer_id, profile_id, hour, model_version, kind, place, value_count, missing_count,
              mean, m2, minimum, maximum, bins)
    where exists (select from rowcast.scorer as s where s.scorer_id = n.scorer_id)
    order by n.scorer_id, n.hour, n.profile_id, n.model_version, n.kind, n.place
    -- Chan, Golub, LeVeque (1979): means and squared distances of two parts give those of both.
    on conflict on constraint observation_pkey do update
    set value_count = o.value_count + excluded.value_count,
        missing_count = o.missing_count + excluded.missing_count,
        mean = case when o.value_count + excluded.value_count = 0 then 0 else
            o.mean + (excluded.mean - o.mean) * excluded.value_count
                / (o.value_count + excluded.value_count) end,
        m2 = case when o.value_count + excluded.value_count = 0 then 0 else
            o.m2 + excluded.m2 + (excluded.mean - o.mean) * (excluded.mean - o.mean)
                * (o.value_count::float8 * excluded.value_count
                   / (o.value_count + excluded.value_count)) end,
        minimum = least(o.minimum, excluded.minimum), maximum = greatest(o.maximum, excluded.maximum),
        bins = rowcast.add_bins(o.bins, excluded.bins)
$$;
comment on function rowcast.record_observations(
    int[], int[], timestamptz[], int[], text[], int[], bigint[], bigint[], double precision[],
    double precision[], double precision[], double precision[], text[]) is
    'Adds what the columns of scored rows looked like: one element a column, hour and model version.';
revoke all on function rowcast.record_observations(
    int[], int[], timestamptz[], int[], text[], int[], bigint[], bigint[], double precision[],
    double precision[], double precision[], double precision[], text[]) from public;
grant execute on function rowcast.record_observations(
    int[], int[], timestamptz[], int[], text[], int[], bigint[], bigint[], double precision[],
    double precision[], double precision[], double precision[], text[]) to rowcast_worker;

create or replace function rowcast.record_minutes(
    scorer_ids int[], minutes timestamptz[], rows_scored bigint[], rows_failed bigint[],
    chunk_counts bigint[], latency_counts bigint[], latency_seconds double precision[],
    longest_latencies double precision[])
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.scorer_minute as m (
        scorer_id, minute, rows_scored, rows_failed, chunk_count, latency_count, latency_seconds,
        longest_latency, last_scored_at)
    select n.scorer_id, n.minute, n.rows_scored, n.rows_failed, n.chunk_count, n.latency_count,
           n.latency_seconds, n.longest_latency, clock_timestamp()
    from unnest(scorer_ids, minutes, rows_scored, rows_failed, chunk_counts, latency_counts,
                latency_seconds, longest_latencies)
        as n (scorer_id, minute, rows_scored, rows_failed, chunk_count, latency_count,
              latency_seconds, longest_latency)
    where exists (select from rowcast.scorer as s where s.scorer_id = n.scorer_id)
    order by n.scorer_id, n.minute
    on conflict on constraint scorer_minute_pkey do update
    set rows_scored = m.rows_scored + excluded.rows_scored,
        rows_failed = m.rows_failed + excluded.rows_failed,
        chunk_count = m.chunk_count + excluded.chunk_count,
        latency_count = m.latency_count + excluded.latency_count,
        latency_seconds = m.latency_seconds + excluded.latency_seconds,
        longest_latency = greatest(m.longest_latency, excluded.longest_latency),
        last_scored_at = greatest(m.last_scored_at, excluded.last_scored_at)
$$;
comment on function rowcast.record_minutes(
    int[], timestamptz[], bigint[], bigint[], bigint[], bigint[], double precision[],
    double precision[]) is 'Adds what scorers got done: one element a scorer and minute.';
revoke all on function rowcast.record_minutes(
    int[], timestamptz[], bigint[], bigint[], bigint[], bigint[], double precision[],
    double precision[]) from public;
grant execute on function rowcast.record_minutes(
    int[], timestamptz[], bigint[], bigint[], bigint[], bigint[], double precision[],
    double precision[]) to rowcast_worker;

create or replace function rowcast.record_usage(
    hours timestamptz[], scorers text[], model_names text[], model_versions int[], job_ids bigint[],
    rows_scored bigint[], cpu_seconds double precision[], predict_cpu_seconds double precision[])
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.usage_hour as u (
        hour, scorer, model_name, model_version, job_id, rows_scored, cpu_seconds,
        predict_cpu_seconds)
    select n.hour, n.scorer, n.model_name, n.model_version, n.job_id, n.rows_scored, n.cpu_seconds,
           n.predict_cpu_seconds
    from unnest(hours, scorers, model_names, model_versions, job_ids, rows_scored, cpu_seconds,
                predict_cpu_seconds)
        as n (hour, scorer, model_name, model_version, job_id, rows_scored, cpu_seconds,
              predict_cpu_seconds)
    order by n.hour, n.scorer, n.model_name, n.model_version, n.job_id
    on conflict on constraint usage_hour_pkey do update
    set rows_scored = u.rows_scored + excluded.rows_scored,
        cpu_seconds = u.cpu_seconds + excluded.cpu_seconds,
        predict_cpu_seconds = u.predict_cpu_seconds + excluded.predict_cpu_seconds
$$;
comment on function rowcast.record_usage(
    timestamptz[], text[], text[], int[], bigint[], bigint[], double precision[],
    double precision[]) is 'Adds processor time: one element a model, job and hour.';
revoke all on function rowcast.record_usage(
    timestamptz[], text[], text[], int[], bigint[], bigint[], double precision[],
    double precision[]) from public;
grant execute on function rowcast.record_usage(
    timestamptz[], text[], text[], int[], bigint[], bigint[], double precision[],
    double precision[]) to rowcast_worker;

create or replace function rowcast.prune_observations(
    minutes_kept interval default '8 days', hours_kept interval default '100 days',
    usage_kept interval default '400 days')
returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    gone bigint;
    step bigint;
begin
    delete from rowcast.scorer_minute as m where m.minute < now() - minutes_kept;
    get diagnostics gone = row_count;
    delete from rowcast.observation as o where o.hour < now() - hours_kept;
    get diagnostics step = row_count;
    gone := gone + step;
    delete from rowcast.usage_hour as u where u.hour < now() - usage_kept;
    get diagnostics step = row_count;
    gone := gone + step;
    delete from rowcast.profile as p
    where not p.is_current and p.made_at < now() - hours_kept;
    get diagnostics step = row_count;
    return gone + step;
end
$$;
comment on function rowcast.prune_observations(interval, interval, interval) is
    'Deletes what is older than it is kept for, and counts it: throughput by the minute, histograms by '
    'the hour with the baselines that they were compared with, and processor time.';
revoke all on function rowcast.prune_observations(interval, interval, interval) from public;
grant execute on function rowcast.prune_observations(interval, interval, interval)
    to rowcast_worker;
