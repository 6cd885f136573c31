-- Services: a model with what it is asked about, for callers that know neither.
set local lock_timeout = '2s';

create table rowcast.service (
    service_id int generated always as identity constraint service_pkey primary key,
    name text not null constraint service_name_key unique,
    model_id int not null constraint service_model_id_fkey references rowcast.model on delete cascade,
    alias text not null,
    input text,
    ids text[] not null,
    created_at timestamptz not null default clock_timestamp(),
    created_by name not null,
    refreshed_at timestamptz,
    constraint service_named check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$')
);
create index service_model_id_idx on rowcast.service (model_id);
comment on table rowcast.service is
    'What POST /api/v1/service/NAME/score asks: a model, and the candidates that an input is matched with.';
comment on column rowcast.service.input is
    'The feature that a request''s input is; null where the model has one text or image alone.';
comment on column rowcast.service.ids is
    'Columns of candidates that answers name them by; empty where there are none.';

-- As they were when the service was made or refreshed, read with the rights of who did that.
create table rowcast.service_candidate (
    service_id int not null
        constraint service_candidate_service_id_fkey references rowcast.service on delete cascade,
    place int not null,
    ids jsonb not null,
    features jsonb not null,
    constraint service_candidate_pkey primary key (service_id, place),
    constraint service_candidate_ids_array check (jsonb_typeof(ids) = 'array'),
    constraint service_candidate_features_object check (jsonb_typeof(features) = 'object')
);
comment on table rowcast.service_candidate is
    'What a service matches inputs with: each beside the input is a row for the model.';
