-- 0001_registry: models, their versions and bytes, aliases and who moved them when.
set local lock_timeout = '2s';

create table rowcast.model (
    model_id int generated always as identity,
    name text not null,
    description text,
    last_version int not null default 0,
    created_at timestamptz not null default now(),
    created_by text not null default session_user,
    constraint model_pkey primary key (model_id),
    constraint model_name_key unique (name),
    constraint model_name_printable check (name ~ '^[^[:cntrl:]]+$' and name = btrim(name)),
    constraint model_name_short check (char_length(name) <= 200),
    constraint model_last_version_not_negative check (last_version >= 0)
);
comment on table rowcast.model is 'A trained artifact under one name, with all its versions.';
comment on column rowcast.model.last_version is
    'The newest number given to a version; a dropped version''s number is never used again.';

create table rowcast.model_version (
    model_id int not null,
    version int not null,
    format text,
    sha256 bytea not null,
    byte_count bigint not null,
    signature jsonb,
    state text not null default 'registered',
    refusal text,
    labels text[],
    metrics jsonb,
    wanted_alias text,
    alias_refusal text,
    created_at timestamptz not null default now(),
    created_by text not null default session_user,
    constraint model_version_pkey primary key (model_id, version),
    constraint model_version_model_id_fkey foreign key (model_id)
        references rowcast.model (model_id),
    constraint model_version_positive check (version > 0),
    constraint model_version_format_known check (format in ('onnx', 'lightgbm', 'xgboost')),
    constraint model_version_sha256_length check (octet_length(sha256) = 32),
    constraint model_version_not_empty check (byte_count > 0),
    constraint model_version_state_known check (state in ('registered', 'ready', 'refused')),
    constraint model_version_ready_with_signature
        check ((state = 'ready') = (signature is not null)),
    constraint model_version_refused_with_reason
        check ((state = 'refused') = (refusal is not null)),
    constraint model_version_labels_whole
        check (array_position(labels, null) is null and array_length(labels, 1) > 0)
);
create unique index model_version_content_idx
    on rowcast.model_version (model_id, sha256, coalesce(labels, '{}'));
create index model_version_registered_idx on rowcast.model_version (model_id, version)
    where state = 'registered';
comment on table rowcast.model_version is
    'One immutable set of model bytes and class labels. A worker inspects what is registered, and '
    'makes it ready or refuses it.';
comment on column rowcast.model_version.sha256 is 'Hash of the file as it was registered.';
comment on column rowcast.model_version.signature is
    'Features and outputs, as the engine read them from the bytes; null until ready.';
comment on column rowcast.model_version.refusal is 'Why the engine cannot score with these bytes.';
comment on column rowcast.model_version.labels is
    'Names of the classes, in the model''s order; null where the bytes'' own names are kept.';
comment on column rowcast.model_version.wanted_alias is
    'The alias to be set as soon as the version is ready.';
comment on column rowcast.model_version.alias_refusal is
    'Why the wanted alias was not set, though the version is ready.';

create table rowcast.model_part (
    model_id int not null,
    version int not null,
    part int not null,
    bytes bytea not null,
    constraint model_part_pkey primary key (model_id, version, part),
    constraint model_part_version_fkey foreign key (model_id, version)
        references rowcast.model_version (model_id, version) on delete cascade,
    constraint model_part_not_negative check (part >= 0),
    constraint model_part_size check (octet_length(bytes) between 1 and 1048576)
);
-- A lane waits for the bytes when it first meets a model; decompression would be most of that wait.
alter table rowcast.model_part alter column bytes set storage external;
comment on table rowcast.model_part is
    'The bytes of a version: parts 0, 1, ... of 1 MiB, the last one shorter.';

create table rowcast.golden_row (
    model_id int not null,
    version int not null,
    row_number int not null,
    inputs jsonb not null,
    outputs jsonb not null,
    constraint golden_row_pkey primary key (model_id, version, row_number),
    constraint golden_row_version_fkey foreign key (model_id, version)
        references rowcast.model_version (model_id, version) on delete cascade,
    constraint golden_row_number_positive check (row_number > 0),
    constraint golden_row_inputs_object check (jsonb_typeof(inputs) = 'object'),
    constraint golden_row_outputs_object check (jsonb_typeof(outputs) = 'object')
);
comment on table rowcast.golden_row is
    'Rows that the trainer scored. The engine must score them alike, or it refuses the version.';
comment on column rowcast.golden_row.inputs is 'Feature name to value; null is a missing value.';
comment on column rowcast.golden_row.outputs is 'Output name to the value that the trainer got.';

create table rowcast.alias (
    model_id int not null,
    alias text not null,
    version int not null,
    set_at timestamptz not null default now(),
    set_by text not null default session_user,
    constraint alias_pkey primary key (model_id, alias),
    constraint alias_version_fkey foreign key (model_id, version)
        references rowcast.model_version (model_id, version),
    constraint alias_printable check (alias ~ '^[^[:cntrl:][:space:]]+$'),
    constraint alias_short check (char_length(alias) <= 63)
);
create index alias_version_idx on rowcast.alias (model_id, version);
comment on table rowcast.alias is
    'A movable name for one version of a model: champion, challenger, any.';

create table rowcast.alias_change (
    change_id bigint generated always as identity,
    model text not null,
    alias text not null,
    old_version int,
    new_version int,
    changed_at timestamptz not null default clock_timestamp(),
    changed_by text not null default session_user,
    constraint alias_change_pkey primary key (change_id),
    constraint alias_change_moves check (old_version is distinct from new_version)
);
create index alias_change_model_idx on rowcast.alias_change (model, alias, change_id);
comment on table rowcast.alias_change is
    'Every move of every alias, for ever: it outlives the model, which it therefore names by name.';
comment on column rowcast.alias_change.old_version is 'Null where the alias was new.';
comment on column rowcast.alias_change.new_version is 'Null where the alias was dropped.';

-- A table and not a sequence: a sequence shows its step before the change that it announces is
-- visible, and a lane would then keep the old alias under the new revision.
create table rowcast.registry_revision (
    is_only_row boolean not null default true,
    last_value bigint not null,
    constraint registry_revision_pkey primary key (is_only_row),
    constraint registry_revision_only_row check (is_only_row)
);
comment on table rowcast.registry_revision is
    'One row, whose last_value grows with every change of aliases and models, in its transaction.';
insert into rowcast.registry_revision (last_value) values (1);
