-- 0002_pipeline: sources and scorers, the log of changes, ticks, chunks, jobs, workers.
set local lock_timeout = '2s';

create table rowcast.source (
    source_id int generated always as identity,
    relation regclass not null,
    relation_name text not null,
    key_columns text[] not null,
    key_types text[] not null,
    key_operators jsonb not null,
    watched_columns text[] not null,
    composite boolean not null,
    relations oid[] not null default '{}',
    unwatched text,
    created_at timestamptz not null default now(),
    constraint source_pkey primary key (source_id),
    constraint source_relation_key unique (relation, key_columns),
    constraint source_key_columns_match
        check (cardinality(key_columns) > 0 and cardinality(key_columns) = cardinality(key_types))
);
comment on table rowcast.source is
    'A relation whose changes are captured, once for each key that its scorers use.';
comment on column rowcast.source.relation_name is
    'The relation''s name when it was last seen: what messages say after it was dropped.';
comment on column rowcast.source.key_types is
    'Types of the key columns, domains followed down to their base.';
comment on column rowcast.source.key_operators is
    'For each key column the operators =, <, >, <= and >= of its index, fully qualified.';
comment on column rowcast.source.watched_columns is
    'Columns that any scorer of the source reads: an update that changes none of them is not logged.';
comment on column rowcast.source.composite is
    'Whether a key is a row of type rowcast.key_<source_id> and not a plain value.';
comment on column rowcast.source.relations is
    'The relation and its partitions as they were last seen: tidy looks for new ones and lost ones.';
comment on column rowcast.source.unwatched is
    'A partition that has no triggers because nobody with the right to create them came by.';

create table rowcast.scorer (
    scorer_id int generated always as identity,
    name text not null,
    source_id int not null,
    model_id int,
    alias text not null default 'champion',
    pinned_version int,
    route text,
    features jsonb not null,
    outputs jsonb not null,
    top_k int,
    state text not null default 'active',
    state_reason text,
    chunk_rows int not null default 1024,
    revision bigint not null default 1,
    created_tick bigint not null,
    created_at timestamptz not null default now(),
    created_by text not null,
    constraint scorer_pkey primary key (scorer_id),
    constraint scorer_name_key unique (name),
    constraint scorer_source_id_fkey foreign key (source_id) references rowcast.source (source_id),
    constraint scorer_model_id_fkey foreign key (model_id) references rowcast.model (model_id),
    constraint scorer_name_fit_for_a_table check (name ~ '^[a-z_][a-z0-9_]{0,53}$'),
    constraint scorer_model_or_route check ((model_id is null) = (route is not null)),
    constraint scorer_pinned_without_route check (pinned_version is null or route is null),
    constraint scorer_state_known check (state in ('active', 'paused', 'suspended')),
    constraint scorer_reason_while_suspended
        check (state <> 'suspended' or state_reason is not null),
    constraint scorer_chunk_rows_in_bounds check (chunk_rows between 1 and 16384),
    constraint scorer_top_k_positive check (top_k > 0)
);
create index scorer_source_idx on rowcast.scorer (source_id);
comment on table rowcast.scorer is
    'A standing order: source, key, features, model, and where the predictions go.';
comment on column rowcast.scorer.route is
    'Template of the model''s name, {column} standing for a value of the row; null with one model.';
comment on column rowcast.scorer.features is
    'Ordered as in the model: {"input", "column", "type", "missing"}.';
comment on column rowcast.scorer.outputs is
    'Ordered as the write function takes them: {"output", "column", "type"}, type being the '
    'column''s; top-k columns have "rank" and "of" ("class" or "probability") for "output".';
comment on column rowcast.scorer.chunk_rows is
    'Rows of a chunk, adapted so that one takes about 100 ms.';
comment on column rowcast.scorer.revision is
    'Grows with every change that a lane must know of; a claimed chunk carries it.';
comment on column rowcast.scorer.created_tick is 'The last tick when the scorer was made.';

-- The log of changes. It has no check constraints: they would be half the price of an append (13 of
-- 26 microseconds measured), and only generated functions write here. Writers append to the child that change_slot tells; the other one is truncated
-- when all of it was collected. A sequence tells the slot because reading it follows no snapshot: a
-- repeatable-read writer whose snapshot is an hour old still sees the switch (argument: tidy.sql).
create sequence rowcast.change_slot as bigint minvalue 0 maxvalue 1 start 0 cycle;
select setval('rowcast.change_slot', 0);  -- Called once: pg_sequence_last_value tells nothing before.
comment on sequence rowcast.change_slot is 'The child of rowcast.change that writers append to.';

create table rowcast.change (
    slot smallint not null,
    op "char" not null,
    source_id int not null,
    key_count int not null,
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null default clock_timestamp(),
    keys text
) partition by list (slot);
create table rowcast.change_0 partition of rowcast.change for values in (0);
create table rowcast.change_1 partition of rowcast.change for values in (1);
create index change_xid_idx on rowcast.change (xid);
-- Not compressed: the writer would pay for it, and the text is read once, soon, from memory.
alter table rowcast.change alter column keys set storage external;
alter table rowcast.change_0 alter column keys set storage external;
alter table rowcast.change_1 alter column keys set storage external;
-- Append-only, truncated within minutes, read by an index with a fixed plan: vacuum has nothing to give.
alter table rowcast.change_0 set (autovacuum_enabled = false, toast.autovacuum_enabled = false);
alter table rowcast.change_1 set (autovacuum_enabled = false, toast.autovacuum_enabled = false);
comment on table rowcast.change is
    'Segments of touched keys, one row a statement up to 4,096 keys; append-only.';
comment on column rowcast.change.op is
    'K: these keys; T: the whole relation was truncated; X: the key could not be read.';
comment on column rowcast.change.keys is
    'Text of one array of keys: plain values, or rows of type rowcast.key_<source_id>.';
comment on column rowcast.change.xid is 'The writer: ticks read the log by it.';

create table rowcast.change_child (
    slot smallint not null,
    closed_at_xid xid8,
    constraint change_child_pkey primary key (slot),
    constraint change_child_slot_known check (slot in (0, 1))
);
comment on table rowcast.change_child is 'What the rotation knows of each child of rowcast.change.';
comment on column rowcast.change_child.closed_at_xid is
    'No transaction from this one on writes to the child; null while it is written to.';
insert into rowcast.change_child (slot) values (0), (1);

create table rowcast.tick (
    tick_id bigint generated always as identity,
    snapshot pg_snapshot,
    at timestamptz not null default clock_timestamp(),
    constraint tick_pkey primary key (tick_id)
);
create index tick_cursor_idx on rowcast.tick (tick_id) where snapshot is not null;
comment on table rowcast.tick is
    'Moments that changes were collected at; their order decides between results.';
comment on column rowcast.tick.snapshot is
    'Changes visible in it were collected; null where the tick only gives a job its place in time.';
insert into rowcast.tick (snapshot) values (pg_current_snapshot());

create table rowcast.job (
    job_id bigint generated always as identity,
    scorer_id int not null,
    kind text not null,
    relation regclass,
    tick_id bigint not null,
    state text not null default 'running',
    next_key text,
    last_key text,
    bounded boolean not null default false,
    rows_made bigint not null default 0,
    rows_total bigint,
    created_at timestamptz not null default clock_timestamp(),
    created_by text not null default session_user,
    finished_at timestamptz,
    constraint job_pkey primary key (job_id),
    constraint job_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint job_kind_known check (kind in ('backfill', 'rescore')),
    constraint job_state_known check (state in ('running', 'done', 'cancelled', 'failed')),
    constraint job_finished_unless_running check ((state = 'running') = (finished_at is null))
);
create index job_running_idx on rowcast.job (scorer_id, tick_id) where state = 'running';
comment on table rowcast.job is 'A finite request to score the rows that a source has.';
comment on column rowcast.job.relation is
    'Where the keys are read from: a partition, or the table of failures; null for the whole source.';
comment on column rowcast.job.next_key is
    'Last key that chunks were cut up to, as text; null before the first.';
comment on column rowcast.job.last_key is
    'Last key when the first chunk was cut: later rows come by capture. Null once all are cut.';
comment on column rowcast.job.bounded is 'Whether last_key was read: null means nothing before.';
comment on column rowcast.job.rows_total is 'The planner''s estimate when the job was made.';

create table rowcast.chunk (
    chunk_id bigint generated always as identity,
    scorer_id int not null,
    tick_id bigint not null,
    job_id bigint,
    changed_at timestamptz,
    claimed_at timestamptz,
    finished_at timestamptz,
    key_count int not null,
    attempt int not null default 0,
    deaths int not null default 0,
    claimed_by int,
    rows_scored int,
    rows_failed int,
    priority smallint not null,
    held boolean not null default false,
    kind text not null,
    state text not null default 'available',
    lower_key text,
    upper_key text,
    error text,
    keys text,
    constraint chunk_pkey primary key (chunk_id),
    constraint chunk_kind_known check (kind in ('keys', 'range', 'truncate')),
    constraint chunk_state_known
        check (state in ('available', 'running', 'done', 'failed', 'cancelled')),
    constraint chunk_claimed_while_running check ((state = 'running') = (claimed_by is not null)),
    constraint chunk_finished_when_over
        check ((state in ('available', 'running')) = (finished_at is null)),
    constraint chunk_says_which_rows check (
        case kind when 'keys' then keys is not null
                  when 'range' then lower_key is not null and upper_key is not null
                  else keys is null end
        or state not in ('available', 'running'))
);
alter table rowcast.chunk alter column keys set storage external;
-- States change in place, and a chunk lives for minutes: vacuum early, by count and not by share.
alter table rowcast.chunk set (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 20000);
create index chunk_available_idx on rowcast.chunk (priority, chunk_id)
    where state = 'available' and not held;
create index chunk_aged_idx on rowcast.chunk (chunk_id) where state = 'available' and not held;
create index chunk_running_idx on rowcast.chunk (claimed_by) where state = 'running';
create index chunk_open_idx on rowcast.chunk (scorer_id, tick_id)
    where state in ('available', 'running');
create index chunk_suspect_idx on rowcast.chunk (chunk_id)
    where deaths >= 2 and state in ('available', 'running') and not held;
create index chunk_open_job_idx on rowcast.chunk (job_id)
    where job_id is not null and state in ('available', 'running');
create index chunk_finished_idx on rowcast.chunk (finished_at) where finished_at is not null;
comment on table rowcast.chunk is 'Rows of one scorer that one lane claims, scores and writes at once.';
comment on column rowcast.chunk.kind is
    'keys: those in keys; range: lower_key to upper_key, both included; truncate: look which '
    'predictions have lost their row.';
comment on column rowcast.chunk.tick_id is
    'Place in time: a result never replaces one of a later tick.';
comment on column rowcast.chunk.priority is '0 live, 1 job, 2 backfill.';
comment on column rowcast.chunk.held is 'Not to be claimed: the scorer is paused or suspended.';
comment on column rowcast.chunk.attempt is
    'Grows with each claim; a write that carries an older attempt is refused.';
comment on column rowcast.chunk.deaths is 'Claims that ended with the lane''s session.';
comment on column rowcast.chunk.changed_at is 'When the oldest change in it was written.';
comment on column rowcast.chunk.key_count is
    'Keys in it; of a range, the rows there were when it was cut.';
comment on column rowcast.chunk.keys is 'As rowcast.change.keys.';

-- Where claims begin to look. While somebody holds an old snapshot, the index entries of chunks that
-- are over cannot be removed, and each claim would walk over all of them. A sequence, because a row
-- that is updated would leave such entries itself (argument: chunks.sql).
create sequence rowcast.chunk_floor as bigint minvalue 0 start 0;
select setval('rowcast.chunk_floor', 0);
comment on sequence rowcast.chunk_floor is 'No chunk below it is open.';

create table rowcast.worker (
    worker_id int generated always as identity,
    name text not null,
    host text not null,
    pid int not null,
    release text not null,
    lanes int not null,
    dispatcher boolean not null default false,
    backend_pid int,
    started_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    constraint worker_pkey primary key (worker_id)
);
comment on table rowcast.worker is 'Processes that score; a row outlives its process by a while.';
comment on column rowcast.worker.backend_pid is 'The session that the dispatcher last beat from.';

create table rowcast.lane (
    lane_id int generated always as identity (cycle),
    worker_id int not null,
    backend_pid int not null,
    started_at timestamptz not null default clock_timestamp(),
    constraint lane_pkey primary key (lane_id),
    constraint lane_worker_id_fkey foreign key (worker_id)
        references rowcast.worker (worker_id) on delete cascade
);
create index lane_worker_idx on rowcast.lane (worker_id);
comment on table rowcast.lane is
    'Sessions that score. A lane lives as long as its session holds the advisory lock '
    '(1919907684, lane_id).';
