-- What workers did since ever, added in bulk beside what they counted by the minute (record.sql).
--
-- A row is updated for as long as there is a scorer, and while somebody holds a snapshot no version of it can be
-- pruned: an update walks all of them. So a worker adds every five seconds, 720 versions an hour.

create or replace function rowcast.record_totals(
    scorer_ids int[], rows_scored bigint[], rows_failed bigint[], chunk_counts bigint[],
    read_seconds double precision[], predict_seconds double precision[], write_seconds double precision[],
    latency_seconds double precision[], latency_counts text[])
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.scorer_total as t (
        scorer_id, rows_scored, rows_failed, chunk_count, read_seconds, predict_seconds, write_seconds,
        latency_seconds, latency_counts)
    select n.scorer_id, n.rows_scored, n.rows_failed, n.chunk_count, n.read_seconds, n.predict_seconds,
           n.write_seconds, n.latency_seconds, n.latency_counts::bigint[]
    from unnest(scorer_ids, rows_scored, rows_failed, chunk_counts, read_seconds, predict_seconds,
                write_seconds, latency_seconds, latency_counts)
        as n (scorer_id, rows_scored, rows_failed, chunk_count, read_seconds, predict_seconds, write_seconds,
              latency_seconds, latency_counts)
    where exists (select from rowcast.scorer as s where s.scorer_id = n.scorer_id)
    order by n.scorer_id
    on conflict on constraint scorer_total_pkey do update
    set rows_scored = t.rows_scored + excluded.rows_scored,
        rows_failed = t.rows_failed + excluded.rows_failed,
        chunk_count = t.chunk_count + excluded.chunk_count,
        read_seconds = t.read_seconds + excluded.read_seconds,
        predict_seconds = t.predict_seconds + excluded.predict_seconds,
        write_seconds = t.write_seconds + excluded.write_seconds,
        latency_seconds = t.latency_seconds + excluded.latency_seconds,
        latency_counts = rowcast.add_bins(t.latency_counts, excluded.latency_counts)
$$;
comment on function rowcast.record_totals(
    int[], bigint[], bigint[], bigint[], double precision[], double precision[], double precision[],
    double precision[], text[]) is 'Adds what scorers got done to their totals: one element a scorer.';
revoke all on function rowcast.record_totals(
    int[], bigint[], bigint[], bigint[], double precision[], double precision[], double precision[],
    double precision[], text[]) from public;
grant execute on function rowcast.record_totals(
    int[], bigint[], bigint[], bigint[], double precision[], double precision[], double precision[],
    double precision[], text[]) to rowcast_worker;

create or replace function rowcast.record_events(names text[], counts double precision[]) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.event_total as t (name, value)
    select n.name, n.value from unnest(names, counts) as n (name, value)
    order by n.name
    on conflict on constraint event_total_pkey do update set value = t.value + excluded.value
$$;
comment on function rowcast.record_events(text[], double precision[]) is
    'Adds how often workers met events, or for how many seconds: one element a kind of event.';
revoke all on function rowcast.record_events(text[], double precision[]) from public;
grant execute on function rowcast.record_events(text[], double precision[]) to rowcast_worker;

create or replace function rowcast.record_memory(
    worker_id int, resident_bytes bigint, model_bytes bigint, model_count int)
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    update rowcast.worker as w
    set resident_bytes = record_memory.resident_bytes, model_bytes = record_memory.model_bytes,
        model_count = record_memory.model_count
    where w.worker_id = record_memory.worker_id
$$;
comment on function rowcast.record_memory(int, bigint, bigint, int) is
    'Says how much memory a worker has, and how much of it models are.';
revoke all on function rowcast.record_memory(int, bigint, bigint, int) from public;
grant execute on function rowcast.record_memory(int, bigint, bigint, int) to rowcast_worker;
