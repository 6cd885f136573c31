-- Drift: what was scored within an hour beside the reference rows of its scorer.

create or replace view rowcast.drift as
with hourly as (
    select o.scorer_id, o.profile_id, o.kind, o.place, o.hour,
           sum(o.value_count)::bigint as value_count, sum(o.missing_count)::bigint as missing_count,
           sum(o.mean * o.value_count) / nullif(sum(o.value_count), 0) as mean,
           -- Sum of squares about zero, of all model versions.
           sum(o.m2 + o.mean * o.mean * o.value_count) as squares,
           rowcast.sum_bins(o.bins) as bins
    from rowcast.observation as o
    group by o.scorer_id, o.profile_id, o.kind, o.place, o.hour
)
select s.name as scorer, b.column_name, h.kind, h.hour,
       h.value_count + h.missing_count as rows,
       rowcast.psi(b.bins || b.missing_count, h.bins || h.missing_count) as psi,
       case when h.value_count > 0 and b.value_count > 0
            then (h.mean - b.mean) / nullif(sqrt(b.m2 / b.value_count), 0) end as mean_shift,
       case when h.value_count > 0 and b.value_count > 0
            then sqrt(greatest(h.squares / h.value_count - h.mean * h.mean, 0))
                 / nullif(sqrt(b.m2 / b.value_count), 0) end as spread_ratio,
       h.missing_count::float8 / nullif(h.value_count + h.missing_count, 0) as missing_share,
       b.missing_count::float8 / nullif(b.value_count + b.missing_count, 0) as baseline_missing_share,
       p.origin as baseline, p.made_at as baseline_made_at
from hourly as h
join rowcast.scorer as s on s.scorer_id = h.scorer_id
join rowcast.profile as p on p.profile_id = h.profile_id
join rowcast.profile_column as b
  on b.profile_id = h.profile_id and b.kind = h.kind and b.place = h.place;
comment on view rowcast.drift is
    'What was scored within an hour beside the baseline (rowcast.set_baseline), a row a column. Workers '
    'bring it up to date every few seconds.';
comment on column rowcast.drift.scorer is 'Its table is predictions.<scorer>.';
comment on column rowcast.drift.baseline_missing_share is 'Likewise, of the baseline.';
comment on column rowcast.drift.baseline is 'What the baseline was made of: the reference of set_baseline.';
comment on column rowcast.drift.baseline_made_at is 'When the baseline was made.';
comment on column rowcast.drift.column_name is 'A column of the source, or of predictions.<scorer>.';
comment on column rowcast.drift.kind is 'input or output.';
comment on column rowcast.drift.hour is 'When the rows were scored: the beginning of the hour.';
comment on column rowcast.drift.rows is
    'Rows that were looked at; of texts, at most 512 of each chunk.';
comment on column rowcast.drift.psi is
    'Population stability index, missing values a bin of their own: see rowcast.psi. With few rows it is '
    'large by chance: about (bins - 1) * (1 / rows + 1 / rows of the baseline).';
comment on column rowcast.drift.mean_shift is
    'Mean less the baseline''s mean, in standard deviations of the baseline; of texts, of their lengths.';
comment on column rowcast.drift.spread_ratio is
    'Standard deviation over that of the baseline; of texts, of their lengths.';
comment on column rowcast.drift.missing_share is 'Share of rows with NULL, NaN or an infinite number.';
grant select on rowcast.drift to rowcast_reader;

create or replace function rowcast.histogram(
    scorer text, column_name text, since timestamptz default now() - interval '1 day',
    until timestamptz default now())
returns table (bin int, lower_edge double precision, upper_edge double precision, label text,
               baseline_share double precision, share double precision, rows bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    own constant rowcast.scorer := rowcast.own_scorer(histogram.scorer);
    base rowcast.profile_column;
begin
    select c.* into base
    from rowcast.profile as p join rowcast.profile_column as c on c.profile_id = p.profile_id
    where p.scorer_id = own.scorer_id and p.is_current and c.column_name = histogram.column_name
    order by c.kind limit 1;
    if not found then
        raise exception using errcode = 'RC305',
            message = format('scorer "%s" has no baseline of a column "%s"', histogram.scorer,
                             histogram.column_name),
            hint = format('select rowcast.set_baseline(%L);', histogram.scorer);
    elsif base.kind = 'input' and not rowcast.may_read_input(own.scorer_id, base.column_name) then
        -- Its edges and labels are values of the source.
        raise exception using errcode = '42501',
            message = format('permission denied for column "%s" of the source', base.column_name);
    end if;
    return query
    with seen as (
        select rowcast.sum_bins(o.bins || o.missing_count) as bins
        from rowcast.observation as o
        where o.scorer_id = own.scorer_id and o.profile_id = base.profile_id and o.kind = base.kind
          and o.place = base.place and o.hour between date_trunc('hour', since) and until
    )
    select b.place::int, base.edges[b.place - 1], base.edges[b.place],
           case when b.place > cardinality(base.bins) then 'missing'
                when base.labels is null then null
                else coalesce(base.labels[b.place], 'other') end,
           b.baseline / nullif(sum(b.baseline) over (), 0)::float8,
           b.seen / nullif(sum(b.seen) over (), 0)::float8, coalesce(b.seen, 0)
    from seen, unnest(base.bins || base.missing_count, seen.bins)
        with ordinality as b (baseline, seen, place)
    order by b.place;
end
$$;
comment on function rowcast.histogram(text, text, timestamptz, timestamptz) is
    'Histogram of a column of the rows scored within whole hours, beside the baseline''s. Of an input '
    'only for those who may read it. An edge belongs to the bin above it. Errors: RC305 no baseline.';
revoke all on function rowcast.histogram(text, text, timestamptz, timestamptz) from public;
grant execute on function rowcast.histogram(text, text, timestamptz, timestamptz) to rowcast_reader;
