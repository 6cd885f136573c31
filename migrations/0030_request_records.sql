-- What requests to the HTTP server were answered, for the models of which that is wanted.
set local lock_timeout = '2s';

create table rowcast.request_recording (
    model_id int constraint request_recording_pkey primary key
        constraint request_recording_model_id_fkey references rowcast.model on delete cascade,
    share double precision not null,
    with_inputs boolean not null,
    set_at timestamptz not null default clock_timestamp(),
    set_by name not null,
    constraint request_recording_share_above_zero check (share > 0 and share <= 1)
);
comment on table rowcast.request_recording is 'Models of which requests to the HTTP server are recorded.';
comment on column rowcast.request_recording.share is 'Of the requests, drawn at random.';

-- Models are named, not referred to: a record outlives them. One index, which pruning needs and readers of a
-- time too.
create table rowcast.request_record (
    record_id bigint generated always as identity,
    scored_at timestamptz not null,
    model text not null,
    model_version int not null,
    request_id text not null,
    route text not null,
    key_id text,
    role_name text,
    latency interval not null,
    first_row int not null,
    inputs jsonb,
    outputs jsonb not null,
    failures jsonb,
    constraint request_record_pkey primary key (scored_at, record_id),
    constraint request_record_first_row_not_negative check (first_row >= 0),
    constraint request_record_inputs_array check (jsonb_typeof(inputs) = 'array'),
    constraint request_record_outputs_array check (jsonb_typeof(outputs) = 'array'),
    constraint request_record_failures_object check (jsonb_typeof(failures) = 'object')
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000);
comment on table rowcast.request_record is
    'What requests to the HTTP server were answered, some hundred rows a record at most. '
    'rowcast.recorded_predictions has one row a prediction.';
comment on column rowcast.request_record.request_id is 'As the answer''s X-Request-ID and the server''s log have it.';
comment on column rowcast.request_record.key_id is 'The key that was shown; null where none was.';
comment on column rowcast.request_record.role_name is 'The role that the key or the token acts for, if there is one.';
comment on column rowcast.request_record.latency is 'From the request''s head to its predictions.';
comment on column rowcast.request_record.first_row is 'The place of the record''s first row in the request, from 0.';
comment on column rowcast.request_record.inputs is
    'An object of features a row; null where they are not recorded.';
comment on column rowcast.request_record.outputs is 'An object of outputs a row, null for one that was not scored.';
comment on column rowcast.request_record.failures is
    'Why rows were not scored, by their place in the record; null where all were.';

insert into rowcast.retention_policy (kind, keep) values ('request_records', '30 days');
