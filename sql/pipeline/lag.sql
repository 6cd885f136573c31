-- Contracts of lag: how old a change may be that a scorer has not scored.
--
-- Whether a contract is kept is seen by whoever looks, at the moment he looks. The dispatcher looks each
-- second, says so when that changes (a notification on rowcast_lag and a line in the log), and counts.
-- While no worker runs nobody says anything: ask rowcast.lag from outside, too.

create or replace function rowcast.lag_rows()
returns table (scorer_id int, lag interval)
language plpgsql stable security definer
-- As in ticks: statistics of a log that is truncated again and again mislead.
set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
    cursor_snapshot txid_snapshot;
begin
    select t.snapshot::text::txid_snapshot into strict cursor_snapshot
    from rowcast.tick as t where t.snapshot is not null order by t.tick_id desc limit 1;
    return query
    with own as (
        select s.scorer_id, s.source_id from rowcast.lag_contract as k
        join rowcast.scorer as s on s.scorer_id = k.scorer_id
    ), past as (
        select c.source_id, min(c.at) as oldest
        from rowcast.changes_between(cursor_snapshot, txid_current_snapshot()) as c
        group by c.source_id
    ), work as (
        select c.scorer_id, min(c.changed_at) as oldest from rowcast.open_chunks() as c group by c.scorer_id
    )
    select own.scorer_id,
           greatest(clock_timestamp() - least(work.oldest, (
               select min(past.oldest) from past
               where past.source_id = own.source_id or past.source_id in (
                   select w.source_id from rowcast.watch as w where w.scorer_id = own.scorer_id)
               )), interval '0')
    from own left join work on work.scorer_id = own.scorer_id;
end
$$;
comment on function rowcast.lag_rows() is
    'The age of the oldest change that is not scored, of each scorer with a contract; 0 where there is none. '
    'Cost: an index entry an open chunk of theirs, and the changes that no tick has collected.';
revoke all on function rowcast.lag_rows() from public;

create or replace function rowcast.lag_status()
returns table (scorer text, max_lag interval, lag interval, kept boolean, broken_at timestamptz,
               breach_count bigint, longest_lag interval, set_at timestamptz, set_by text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.name, k.max_lag, l.lag, l.lag <= k.max_lag, k.broken_at, k.breach_count,
           k.longest_lag, k.set_at, k.set_by
    from rowcast.lag_contract as k
    join rowcast.scorer as s on s.scorer_id = k.scorer_id
    join rowcast.lag_rows() as l on l.scorer_id = k.scorer_id
$$;
comment on function rowcast.lag_status() is 'The rows of rowcast.lag.';
revoke all on function rowcast.lag_status() from public;
grant execute on function rowcast.lag_status() to rowcast_reader, rowcast_worker;

create or replace view rowcast.lag as
select l.scorer, l.max_lag, l.lag, l.kept, l.broken_at, l.breach_count, l.longest_lag, l.set_at, l.set_by
from rowcast.lag_status() as l order by l.scorer;
comment on view rowcast.lag is
    'Scorers with a contract of lag (rowcast.set_max_lag), and whether they keep it, as of now.';
comment on column rowcast.lag.scorer is 'Its table is predictions.<scorer>.';
comment on column rowcast.lag.max_lag is 'How old a change may be that is not scored.';
comment on column rowcast.lag.lag is 'How old the oldest one is; 0 where everything is scored.';
comment on column rowcast.lag.kept is 'Whether that is within max_lag.';
comment on column rowcast.lag.broken_at is 'When workers saw that it is not; null while it is.';
comment on column rowcast.lag.breach_count is 'How often it was broken since it was set.';
comment on column rowcast.lag.longest_lag is 'Of the present breach, or of the last one.';
comment on column rowcast.lag.set_at is 'When the contract was made.';
comment on column rowcast.lag.set_by is 'And by whom.';
grant select on rowcast.lag to rowcast_reader, rowcast_worker;

create or replace function rowcast.set_max_lag(scorer text, max_lag interval) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
begin
    perform rowcast.check_scorer_right(scorer, 'manage');
    if max_lag is null then
        delete from rowcast.lag_contract as k where k.scorer_id = own.scorer_id;
        return;
    elsif max_lag <= interval '0' then
        raise exception using errcode = 'RC303', message = format('max_lag is %s', max_lag),
            hint = 'Give the age that a change may have before it is scored, or null for no contract.';
    end if;
    insert into rowcast.lag_contract as k (scorer_id, max_lag, set_by)
    values (own.scorer_id, set_max_lag.max_lag, rowcast.caller())
    on conflict on constraint lag_contract_pkey do update
    set max_lag = excluded.max_lag, set_at = excluded.set_at, set_by = excluded.set_by,
        broken_at = null, breach_count = 0, longest_lag = null;
end
$$;
comment on function rowcast.set_max_lag(text, interval) is
    'Sets how old a change may be that a scorer has not scored; null takes that back. rowcast.lag tells '
    'whether it is kept, and NOTIFY rowcast_lag when that changes. Errors: RC303, RC306.';
revoke all on function rowcast.set_max_lag(text, interval) from public;
grant execute on function rowcast.set_max_lag(text, interval) to rowcast_analyst;

create or replace function rowcast.check_lags()
returns table (scorer text, kept boolean, lag_seconds double precision, max_lag_seconds double precision)
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
#variable_conflict use_column
declare
    own record;
begin
    for own in
        select k.scorer_id, s.name, k.max_lag, l.lag, k.broken_at, k.longest_lag,
               l.lag <= k.max_lag as is_kept
        from rowcast.lag_contract as k
        join rowcast.scorer as s on s.scorer_id = k.scorer_id
        join rowcast.lag_rows() as l on l.scorer_id = k.scorer_id
    loop
        continue when own.is_kept and own.broken_at is null;
        perform set_config('synchronous_commit', 'off', true);
        update rowcast.lag_contract as k
        set broken_at = case when own.is_kept then null else coalesce(k.broken_at, clock_timestamp()) end,
            breach_count = k.breach_count + case when own.is_kept or k.broken_at is not null then 0 else 1 end,
            longest_lag = case when own.is_kept then k.longest_lag
                               when k.broken_at is null then own.lag
                               else greatest(k.longest_lag, own.lag) end
        where k.scorer_id = own.scorer_id and k.max_lag = own.max_lag;
        continue when not found or own.is_kept = (own.broken_at is null);
        scorer := own.name;
        kept := own.is_kept;
        lag_seconds := extract(epoch from own.lag);
        max_lag_seconds := extract(epoch from own.max_lag);
        perform pg_notify('rowcast_lag', json_build_object(
            'scorer', own.name, 'kept', own.is_kept, 'lag_seconds', round(lag_seconds::numeric, 3),
            'max_lag_seconds', max_lag_seconds)::text);
        return next;
    end loop;
end
$$;
comment on function rowcast.check_lags() is
    'Notes which contracts of lag are broken or kept again since the last call, tells whoever listens to '
    'rowcast_lag, and returns them.';
revoke all on function rowcast.check_lags() from public;
grant execute on function rowcast.check_lags() to rowcast_worker;
