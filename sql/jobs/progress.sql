-- How far jobs are, of both kinds: those of scorers, and those with a source and destination of their own.

create or replace function rowcast.job_rate(
    job_id bigint, begun_at timestamptz, out per_second double precision, out steady double precision)
language sql stable set search_path = pg_catalog, pg_temp as $$
    with span as (
        select clock_timestamp() as now, greatest(0.001, least(30, extract(
            epoch from clock_timestamp() - job_rate.begun_at)))::float8 as seconds
    ), recent as (
        select floor(extract(epoch from s.now - c.finished_at))::int as age,
               sum(case when c.scorer_id is null then c.rows_scored + c.rows_failed
                        else c.key_count end)::float8 as rows
        from span as s join rowcast.chunk as c
          on c.job_id = job_rate.job_id and c.state in ('done', 'failed') and c.kind <> 'step'
         and c.finished_at > s.now - make_interval(secs => s.seconds)
        group by 1
    )
    select coalesce((select sum(r.rows) from recent as r), 0) / s.seconds,
           (select percentile_cont(0.5) within group (order by coalesce(r.rows, 0))
            from generate_series(0, floor(s.seconds)::int - 1) as g (age)
            left join recent as r on r.age = g.age)
    from span as s
$$;
comment on function rowcast.job_rate(bigint, timestamptz) is
    'Rows per second of a job over its last 30 seconds: their mean, and the median of the single seconds, '
    'which a slow start or a short stop does not change; null in its first second.';
revoke all on function rowcast.job_rate(bigint, timestamptz) from public;

create or replace function rowcast.job_page(before bigint, most int, models text[], only_running boolean)
returns table (
    job_id bigint, scorer text, kind text, state text, rows_done bigint, rows_failed bigint,
    rows_total bigint, done double precision, rows_per_second double precision, eta interval,
    elapsed interval, created_by text, created_at timestamptz, finished_at timestamptz, model text,
    model_version int, source text, destination text, phase text, error text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    viewer constant name := rowcast.caller();
begin
    return query
    select j.job_id, s.name, j.kind, j.state, p.rows_done, p.rows_failed, p.rows_total,
           case when j.state = 'done' then 1
                when p.rows_total > 0 then least(0.999, p.rows_done::float8 / p.rows_total)
                else 0 end,
           p.per_second,
           case when j.state = 'running' and p.per_second > 0
                then make_interval(secs => (p.rows_total - p.rows_done)
                                           / greatest(p.per_second, r.steady)) end,
           coalesce(j.finished_at, clock_timestamp()) - j.created_at,
           j.created_by, j.created_at, j.finished_at, m.name, d.version,
           -- A query may hold values, and an error may: they are for who made the job.
           case when d.source_kind = 'query' and not p.is_mine then 'query'
                else coalesce(d.source_text, o.relation_name) end,
           coalesce(d.destination_text, 'predictions.' || s.name), d.phase,
           case when j.state = 'running' and (d.source_kind = 'file' and d.phase in ('scan', 'score')
                     or d.destination_kind = 'file' and d.phase = 'deliver') and not rowcast.has_files()
                then 'waits: no worker has a directory for files'
                when j.state = 'running' and m.device = 'gpu' and not rowcast.has_device('gpu')
                then 'waits: no worker has a GPU'
                when p.is_mine then j.error end
    from (
        select own.*
        from rowcast.job as own
        left join rowcast.scorer as f on f.scorer_id = own.scorer_id
        left join rowcast.model_job as e on e.job_id = own.job_id
        where (before is null or own.job_id < before) and (own.state = 'running' or not only_running)
          and (models is null or exists (
              select from rowcast.model as w
              where w.model_id = coalesce(e.model_id, f.model_id) and w.name = any (models)))
        order by own.job_id desc limit most
    ) as j
    left join rowcast.scorer as s on s.scorer_id = j.scorer_id
    left join rowcast.source as o on o.source_id = s.source_id
    left join rowcast.model_job as d on d.job_id = j.job_id
    left join rowcast.model as m on m.model_id = coalesce(d.model_id, s.model_id)
    left join pg_roles as u on u.rolname = j.created_by
    cross join lateral (
        select coalesce(sum(c.key_count) filter (where c.state in ('available', 'running')), 0) as open,
               coalesce(sum(c.rows_failed), 0) as failed
        from rowcast.chunk as c where c.job_id = j.job_id and d.job_id is null
    ) as c
    left join lateral rowcast.job_counts(j.job_id) as n on d.job_id is not null
    left join lateral rowcast.job_rate(j.job_id, coalesce(d.begun_at, j.created_at)) as r
      on j.finished_at is null
    cross join lateral (
        select case when d.job_id is null then j.rows_made - c.open else n.rows_done end::bigint
                   as rows_done,
               case when d.job_id is null then j.rows_failed + c.failed else n.rows_failed end::bigint
                   as rows_failed,
               case when d.job_id is null then
                    -- Cut to the end: known, and no estimate.
                    case when j.bounded and j.last_key is null then j.rows_made
                         else greatest(j.rows_total, j.rows_made) end
                    when j.state = 'done' then n.rows_done
                    when d.source_kind = 'table' and n.pages_done > 0 then greatest(n.rows_done, (
                         -- What was read tells how many rows a page has.
                         select round(n.rows_done::float8 / n.pages_done * sum(q.size))
                         from rowcast.job_part as q where q.job_id = j.job_id))::bigint
                    else greatest(j.rows_total, n.rows_done) end as rows_total,
               case when j.finished_at is not null then
                    case when d.job_id is null then j.rows_made - c.open else n.rows_done end / greatest(
                        0.001, extract(epoch from j.finished_at - coalesce(d.begun_at, j.created_at)))
                    else r.per_second
               end::float8 as per_second,
               coalesce(pg_has_role(viewer, u.oid, 'member'), false)
                   or pg_has_role(viewer, 'rowcast_admin', 'member') as is_mine
    ) as p
    order by j.job_id;
end
$$;
comment on function rowcast.job_page(bigint, int, text[], boolean) is
    'The rows of rowcast.job_progress: the latest ones, as many as most, older than before, of some models; null '
    'for all. Or those of them alone that run.';
revoke all on function rowcast.job_page(bigint, int, text[], boolean) from public;

create or replace function rowcast.job_rows()
returns table (
    job_id bigint, scorer text, kind text, state text, rows_done bigint, rows_failed bigint,
    rows_total bigint, done double precision, rows_per_second double precision, eta interval,
    elapsed interval, created_by text, created_at timestamptz, finished_at timestamptz, model text,
    model_version int, source text, destination text, phase text, error text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select * from rowcast.job_page(null, null, null, false)
$$;
comment on function rowcast.job_rows() is 'The rows of rowcast.job_progress.';
revoke all on function rowcast.job_rows() from public;
grant execute on function rowcast.job_rows() to rowcast_reader;

create or replace view rowcast.job_progress as select * from rowcast.job_rows();
comment on view rowcast.job_progress is
    'All jobs and how far they are, as of the last chunk. Cost: an index entry a chunk of the last ten '
    'minutes.';
comment on column rowcast.job_progress.kind is
    'backfill and rescore are of a scorer; model is what submit_job made, command what a schedule runs.';
comment on column rowcast.job_progress.rows_total is
    'The planner''s estimate at first; then by the rows that the pages read so far had; exact at the end.';
comment on column rowcast.job_progress.rows_failed is 'Of rows_done.';
comment on column rowcast.job_progress.rows_per_second is
    'Over the last 30 seconds; of jobs that are over, over all their time.';
comment on column rowcast.job_progress.eta is 'Time to the end at the rate of the last 30 seconds without their short stops; null while nothing moves.';
comment on column rowcast.job_progress.phase is
    'Of submitted jobs: before (the SQL step), collect (a query''s rows), scan (a file), score, deliver, over.';
comment on column rowcast.job_progress.error is 'Why it failed, for who made the job; while it runs, that it waits for a worker with --files.';
grant select on rowcast.job_progress to rowcast_reader;
