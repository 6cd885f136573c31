-- What is being tried beside the champions.

create or replace function rowcast.rollout_rows()
returns table (
    scorer text, kind text, model text, alias text, version int, share double precision, state text,
    reason text, rows_scored bigint, rows_failed bigint, champion_rows bigint, champion_failed bigint,
    seconds_per_row double precision, champion_seconds_per_row double precision,
    started_at timestamptz, started_by text, ended_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select o.name, 'shadow', m.name, s.alias, coalesce(s.pinned_version, a.version),
           null::float8, s.state, s.state_reason, null::bigint, null::bigint, null::bigint, null::bigint,
           null::float8, null::float8, s.created_at, s.created_by, null::timestamptz
    from rowcast.scorer as s
    join rowcast.scorer as o on o.scorer_id = s.shadow_of
    left join rowcast.model as m on m.model_id = s.model_id
    left join rowcast.alias as a on a.model_id = s.model_id and a.alias = s.alias
    union all
    select s.name, 'canary', m.name, c.alias, c.version, c.share, c.state, c.reason,
           c.row_count - c.failed_count, c.failed_count, c.champion_row_count - c.champion_failed_count,
           c.champion_failed_count, c.seconds / nullif(c.row_count, 0),
           c.champion_seconds / nullif(c.champion_row_count, 0), c.started_at, c.started_by, c.ended_at
    from rowcast.canary as c
    join rowcast.scorer as s on s.scorer_id = c.scorer_id
    join rowcast.model as m on m.model_id = s.model_id
    order by 1, 2, 15
$$;
comment on function rowcast.rollout_rows() is 'The rows of rowcast.rollouts.';
revoke all on function rowcast.rollout_rows() from public;
grant execute on function rowcast.rollout_rows() to rowcast_reader;

create or replace view rowcast.rollouts as select * from rowcast.rollout_rows();
comment on view rowcast.rollouts is
    'Shadows and canaries: which version runs beside a scorer''s own, and how it fares. A shadow''s rows '
    'are in predictions.<scorer>_shadow.';
grant select on rowcast.rollouts to rowcast_reader;
