-- 0008_features: features from queries, watched relations beside the source, sets of results.
set local lock_timeout = '2s';

comment on schema rowcast_run is
    'Queries of people, as functions that run with their authors'' rights. Only workers call them.';
grant usage, create on schema rowcast_run to rowcast_analyst;
grant usage on schema rowcast_run to rowcast_worker;

alter table rowcast.scorer add column feature_query text;
alter table rowcast.scorer add column features_from oid;
alter table rowcast.scorer add column features_row xid;
alter table rowcast.scorer add column query_error text;
alter table rowcast.scorer add column result_key text[];
alter table rowcast.scorer add column result_types text[];
alter table rowcast.scorer add constraint scorer_query_has_a_function
    check ((feature_query is null) = (features_from is null));
alter table rowcast.scorer add constraint scorer_result_key_of_a_query
    check (result_key is null
           or features_from is not null and cardinality(result_key) = cardinality(result_types));
comment on column rowcast.scorer.feature_query is
    'The query that gives the features, as its author wrote it; null where the source''s columns do.';
comment on column rowcast.scorer.features_from is
    'The function that runs the query with its author''s rights, for the keys of a chunk.';
comment on column rowcast.scorer.features_row is
    'The transaction that wrote the function as it was checked: whatever is altered since is not called.';
comment on column rowcast.scorer.query_error is
    'What the query or a mapping met in the rows: the scorer is suspended until somebody resumes it.';
comment on column rowcast.scorer.result_key is
    'Columns of the query that tell the results of one key apart; null where each key has one result.';

alter table rowcast.source add column has_unique_key boolean not null default true;
comment on column rowcast.source.has_unique_key is
    'False where rows may share the key: then an update logs the keys of its rows, changed or not.';

create table rowcast.watch (
    watch_id int generated always as identity,
    scorer_id int not null,
    source_id int not null,
    mapping text not null,
    maps_with oid not null,
    maps_row xid not null,
    created_at timestamptz not null default now(),
    created_by text not null,
    constraint watch_pkey primary key (watch_id),
    constraint watch_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint watch_source_id_fkey foreign key (source_id) references rowcast.source (source_id)
);
create index watch_source_idx on rowcast.watch (source_id);
create index watch_scorer_idx on rowcast.watch (scorer_id);
comment on table rowcast.watch is
    'Relations beside a scorer''s source whose changes change its features.';
comment on column rowcast.watch.mapping is 'The query from changed rows to keys of the scorer.';
comment on column rowcast.watch.maps_with is
    'The function that runs the mapping with its author''s rights.';
comment on column rowcast.watch.maps_row is
    'The transaction that wrote the function as it was checked.';

alter table rowcast.chunk add column watch_id int;
alter table rowcast.chunk drop constraint chunk_kind_known;
alter table rowcast.chunk add constraint chunk_kind_known
    check (kind in ('keys', 'range', 'truncate', 'map'));
alter table rowcast.chunk drop constraint chunk_says_which_rows;
alter table rowcast.chunk add constraint chunk_says_which_rows check (
    case when kind in ('keys', 'map') then keys is not null
         when kind = 'range' then lower_key is not null and upper_key is not null
         else keys is null end
    or state not in ('available', 'running'));
alter table rowcast.chunk add constraint chunk_map_has_a_watch
    check ((kind = 'map') = (watch_id is not null));
comment on column rowcast.chunk.kind is
    'keys: those in keys; range: lower_key to upper_key, both included; truncate: look which '
    'predictions have lost their row; map: keys of a watched relation, whose mapping gives the keys of '
    'further chunks.';
