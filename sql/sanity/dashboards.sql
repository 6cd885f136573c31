-- Views for dashboards. Their columns keep name, type and place: new ones are appended.

create or replace view rowcast.freshness as
select s.name as scorer, s.source, s.model, s.state, s.state_reason, s.backlog_rows,
       coalesce(extract(epoch from s.oldest_age), 0)::double precision as oldest_seconds,
       m.last_scored_at,
       extract(epoch from clock_timestamp() - m.last_scored_at)::double precision
           as seconds_since_last_scored,
       s.failures, extract(epoch from s.max_lag)::double precision as max_lag_seconds, s.max_lag_kept
from rowcast.scorer_status as s
left join lateral (
    select n.last_scored_at
    from rowcast.scorer as r join rowcast.scorer_minute as n on n.scorer_id = r.scorer_id
    where r.name = s.name order by n.minute desc limit 1
) as m on true;
comment on view rowcast.freshness is 'How far each scorer is behind its source.';
comment on column rowcast.freshness.scorer is 'Its table is predictions.<scorer>.';
comment on column rowcast.freshness.source is 'The table that it watches.';
comment on column rowcast.freshness.model is 'Its model, or the route to its models.';
comment on column rowcast.freshness.state is 'active, paused or suspended.';
comment on column rowcast.freshness.state_reason is 'Why it is not active, or what is amiss; else null.';
comment on column rowcast.freshness.seconds_since_last_scored is 'Of last_scored_at.';
comment on column rowcast.freshness.backlog_rows is 'Changed rows that are not scored yet; exact.';
comment on column rowcast.freshness.oldest_seconds is
    'Age of the oldest change that is not scored; 0 where there is none.';
comment on column rowcast.freshness.last_scored_at is
    'When rows were last scored, within a few seconds; null where that is too long ago to be known.';
comment on column rowcast.freshness.max_lag_seconds is
    'How old a change may be that is not scored (rowcast.set_max_lag); null where nobody said.';
comment on column rowcast.freshness.max_lag_kept is
    'Whether oldest_seconds is within max_lag_seconds; null where there is none.';
comment on column rowcast.freshness.failures is 'Rows that could not be scored, as of now.';
grant select on rowcast.freshness to rowcast_reader;

create or replace view rowcast.throughput as
select s.name as scorer, m.minute, m.rows_scored, m.rows_failed, m.chunk_count,
       -- The minute that is not over has as many seconds as went by.
       (m.rows_scored + m.rows_failed)
           / greatest(1, extract(epoch from least(interval '1 minute', clock_timestamp() - m.minute)))
             ::double precision as rows_per_second,
       m.latency_seconds / nullif(m.latency_count, 0) as mean_latency_seconds,
       case when m.latency_count > 0 then m.longest_latency end as longest_latency_seconds
from rowcast.scorer_minute as m
join rowcast.scorer as s on s.scorer_id = m.scorer_id;
comment on view rowcast.throughput is
    'What each scorer got done, by the minute; minutes without work have no row. Kept for eight days.';
comment on column rowcast.throughput.scorer is 'Its table is predictions.<scorer>.';
comment on column rowcast.throughput.minute is 'The beginning of the minute.';
comment on column rowcast.throughput.rows_scored is 'Predictions written, rescored rows too.';
comment on column rowcast.throughput.rows_failed is 'Rows that became failures.';
comment on column rowcast.throughput.chunk_count is 'Chunks that the rows came in.';
comment on column rowcast.throughput.rows_per_second is 'Scored and failed rows, over the minute.';
comment on column rowcast.throughput.longest_latency_seconds is 'Likewise, of the slowest chunk.';
comment on column rowcast.throughput.mean_latency_seconds is
    'From the oldest change of a chunk to the commit of its predictions; null where only jobs ran.';
grant select on rowcast.throughput to rowcast_reader;

create or replace view rowcast.cost as
select u.hour, nullif(u.scorer, '') as scorer, u.model_name, u.model_version, nullif(u.job_id, 0) as job_id, u.rows_scored,
       u.cpu_seconds, u.predict_cpu_seconds,
       (u.cpu_seconds / 3600)::numeric * p.cpu_hour as cost, p.currency
from rowcast.usage_hour as u left join rowcast.price as p on true;
comment on view rowcast.cost is
    'Processor time of workers by the hour, model and job, and what it costs by the present price '
    '(rowcast.set_price). PostgreSQL''s own time is not in it. Kept for 400 days, dropped scorers too.';
comment on column rowcast.cost.hour is 'The beginning of the hour.';
comment on column rowcast.cost.scorer is 'For which the model scored; null for a job of a model alone.';
comment on column rowcast.cost.model_name is 'The model that scored.';
comment on column rowcast.cost.model_version is 'Its version.';
comment on column rowcast.cost.rows_scored is 'Rows given to the model.';
comment on column rowcast.cost.currency is 'Of cost; null until a price was set.';
comment on column rowcast.cost.job_id is 'Null for rows that came by changes.';
comment on column rowcast.cost.cpu_seconds is
    'Of lanes'' threads: reading, predicting and writing. Of a chunk with several models, reading and '
    'writing are shared by rows.';
comment on column rowcast.cost.predict_cpu_seconds is 'Of these, in the model alone.';
comment on column rowcast.cost.cost is 'Null until a price was set.';
grant select on rowcast.cost to rowcast_reader;

create or replace function rowcast.set_price(cpu_hour numeric, currency text default 'EUR')
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
    if cpu_hour is null then
        delete from rowcast.price;
        return;
    elsif cpu_hour < 0 or cpu_hour = 'NaN' then
        raise exception using errcode = 'RC305', message = format('a core cannot cost %s an hour', cpu_hour);
    elsif currency is null or currency !~ '^[^[:cntrl:]]{1,16}$' then
        raise exception using errcode = 'RC305', message = 'the currency is empty or too long',
            hint = 'For example: EUR.';
    end if;
    insert into rowcast.price as p (cpu_hour, currency, set_by)
    values (cpu_hour, currency, rowcast.caller())
    on conflict on constraint price_pkey do update
    set cpu_hour = excluded.cpu_hour, currency = excluded.currency,
        set_at = excluded.set_at, set_by = excluded.set_by;
end
$$;
comment on function rowcast.set_price(numeric, text) is
    'Says what an hour of one processor core costs, for the view rowcast.cost; null: nobody knows. '
    'Errors: RC305 for what is no price.';
revoke all on function rowcast.set_price(numeric, text) from public;
grant execute on function rowcast.set_price(numeric, text) to rowcast_analyst;
