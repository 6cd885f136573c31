-- The log of changes, cheaper to append to. With 64 writers on 4 cores a capturing statement took 43 of
-- its CPU microseconds to append to a partitioned table with a B-tree on xid, and 24 so:
--
-- * Two plain tables, and the writer names the one. Routing through a partitioned parent opens both
--   relations and compares keys for every row.
-- * BRIN in place of the B-tree, whose right-most page all writers latched. In a range of pages that has no
--   summary yet, an append writes nothing to the index; ticks summarise the ranges behind the writers.
-- * xid is a bigint, because xid8 has no operator class for BRIN; hence the functions named txid_...

lock table rowcast.change in access exclusive mode;
alter table rowcast.change rename to change_before;
alter table rowcast.change_0 rename to change_before_0;
alter table rowcast.change_1 rename to change_before_1;

create table rowcast.change_0 (
    xid bigint not null default txid_current(),
    at timestamptz not null default clock_timestamp(),
    source_id int not null,
    key_count int not null,
    op "char" not null,
    keys text
    -- Append-only, truncated within minutes, read by an index with a fixed plan: vacuum has nothing to give.
) with (autovacuum_enabled = false, toast.autovacuum_enabled = false);
-- Not compressed: the writer would pay for it, and the text is read once, soon, from memory.
alter table rowcast.change_0 alter column keys set storage external;
create table rowcast.change_1 (like rowcast.change_0 including defaults including storage)
    with (autovacuum_enabled = false, toast.autovacuum_enabled = false);

insert into rowcast.change_0 (xid, at, source_id, key_count, op, keys)
select c.xid::text::bigint, c.at, c.source_id, c.key_count, c.op, c.keys
from rowcast.change_before_0 as c;
insert into rowcast.change_1 (xid, at, source_id, key_count, op, keys)
select c.xid::text::bigint, c.at, c.source_id, c.key_count, c.op, c.keys
from rowcast.change_before_1 as c;
drop table rowcast.change_before;
drop function if exists rowcast.append_sql(int, text, text, text);  -- Generated functions are made anew, with another one.

create index change_0_xid_idx on rowcast.change_0 using brin (xid) with (pages_per_range = 8);
create index change_1_xid_idx on rowcast.change_1 using brin (xid) with (pages_per_range = 8);
-- Building an index summarises all pages, and of an empty table the first range.
select brin_desummarize_range('rowcast.change_0_xid_idx', 0),
       brin_desummarize_range('rowcast.change_1_xid_idx', 0);

create view rowcast.change as
    select 0 as slot, c.* from rowcast.change_0 as c
    union all
    select 1, c.* from rowcast.change_1 as c;

comment on table rowcast.change_0 is
    'Segments of touched keys, one row a statement up to 4,096 keys; append-only. Used in turn with '
    'change_1; see sql/pipeline/tidy.sql.';
comment on table rowcast.change_1 is 'As change_0.';
comment on column rowcast.change_0.op is
    'K: these keys; T: the whole relation was truncated; X: the key could not be read.';
comment on column rowcast.change_0.keys is
    'Text of one array of keys: plain values, or rows of type rowcast.key_<source_id>.';
comment on column rowcast.change_0.xid is 'The writer: ticks read the log by it.';
comment on view rowcast.change is 'The log of changes, both its tables.';
comment on sequence rowcast.change_slot is 'The table of the log that writers append to.';

alter table rowcast.change_child
    alter column closed_at_xid type bigint using closed_at_xid::text::bigint;
alter table rowcast.change_child add column summarised_ranges int not null default 0;
comment on table rowcast.change_child is 'What the rotation knows of each table of the log.';
comment on column rowcast.change_child.closed_at_xid is
    'No transaction from this one on writes to the table; null while it is written to.';
comment on column rowcast.change_child.summarised_ranges is
    'Ranges from the first one on that the index has summaries of.';
