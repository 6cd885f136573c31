-- Reading the log of changes. What is written to it: capture.sql; how it is emptied: tidy.sql.
--
-- Its index is a BRIN on the writer's xid. In ranges of pages without a summary appending leaves the index
-- alone, and readers take all rows there; so ticks summarise the ranges that writers have left, and
-- look at a few hundred rows too many. An append to a page of a summarised range, by a writer that comes
-- back to an old page, widens the summary: nothing is ever missed.

create or replace function rowcast.changes_between(last txid_snapshot, this txid_snapshot)
returns setof rowcast.change
language sql stable
begin atomic
    -- Transactions that were in progress in the last snapshot end in any order. The recent ones are
    -- read with those that began later; one that has been open for long is a probe of its own, not a
    -- rescan of all since.
    select c.* from rowcast.change as c
    where c.xid >= (select coalesce(min(x.xid), txid_snapshot_xmax(last))
                    from txid_snapshot_xip(last) as x (xid)
                    where x.xid >= txid_snapshot_xmax(last) - 1024)
      and txid_visible_in_snapshot(c.xid, this) and not txid_visible_in_snapshot(c.xid, last)
    union all
    select c.* from rowcast.change as c
    where c.xid = any (array(select x.xid from txid_snapshot_xip(last) as x (xid)
                             where x.xid < txid_snapshot_xmax(last) - 1024))
      and txid_visible_in_snapshot(c.xid, this);
end;
comment on function rowcast.changes_between(txid_snapshot, txid_snapshot) is
    'Changes of transactions that are complete in the second snapshot and were not in the first. Becomes '
    'part of the query that calls it.';
revoke all on function rowcast.changes_between(txid_snapshot, txid_snapshot) from public;

create or replace function rowcast.summarise_log() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own record;
begin
    for own in
        select l.slot, l.summarised_ranges as done,
               -- The last whole range may still be written to, for the most part.
               (pg_relation_size(l.relation) / (8 * current_setting('block_size')::int))::int - 1 as left_behind,
               l.index
        from (
            select c.slot, c.summarised_ranges, format('rowcast.change_%s', c.slot)::regclass as relation,
                   format('rowcast.change_%s_xid_idx', c.slot)::regclass as index
            from rowcast.change_child as c
        ) as l
    loop
        if own.left_behind > own.done then
            perform brin_summarize_range(own.index, g * 8)
            from generate_series(own.done::bigint, own.left_behind - 1) as g;
            update rowcast.change_child as c set summarised_ranges = own.left_behind
            where c.slot = own.slot;
        end if;
    end loop;
end
$$;
comment on function rowcast.summarise_log() is
    'Summarises ranges of the log that writers have left, so that ticks pass over them.';
revoke all on function rowcast.summarise_log() from public;
