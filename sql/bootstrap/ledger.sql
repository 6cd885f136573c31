-- The migrator's own tables, and the rights that every later object starts with.
--
-- Runs as rowcast_admin, before the first migration of a new installation.
comment on schema rowcast is
    'Rowcast''s machinery: public functions and views over private tables.';
comment on schema predictions is
    'What people read: one table of predictions a scorer, and one of failures.';
grant usage on schema rowcast, predictions to rowcast_reader, rowcast_analyst, rowcast_worker;

-- PostgreSQL opens each new function to everybody; ours are opened role by role.
alter default privileges for role rowcast_admin revoke execute on functions from public;
alter default privileges for role rowcast_admin in schema predictions
    grant select on tables to rowcast_reader;
alter default privileges for role rowcast_admin in schema predictions
    grant select, insert, update, delete on tables to rowcast_worker;

create table rowcast.schema_migration (
    version int not null,
    name text not null,
    sha256 bytea not null,
    applied_at timestamptz not null default clock_timestamp(),
    applied_by text not null default session_user,
    release text not null,
    constraint schema_migration_pkey primary key (version),
    constraint schema_migration_version_positive check (version > 0),
    constraint schema_migration_sha256_length check (octet_length(sha256) = 32)
);
comment on table rowcast.schema_migration is
    'One row a migration that ran in this database; they are numbered without gaps.';
comment on column rowcast.schema_migration.sha256 is
    'Hash of the text that ran. A release whose text differs refuses this database.';
comment on column rowcast.schema_migration.release is 'The release of Rowcast that applied it.';

create table rowcast.schema_object (
    path text not null,
    sha256 bytea not null,
    applied_at timestamptz not null default clock_timestamp(),
    applied_by text not null default session_user,
    release text not null,
    constraint schema_object_pkey primary key (path),
    constraint schema_object_sha256_length check (octet_length(sha256) = 32)
);
comment on table rowcast.schema_object is
    'One row a file of functions, views and grants, as it was last applied to this database.';

-- Workers and people may see which schema they work with.
grant select on rowcast.schema_migration, rowcast.schema_object
    to rowcast_reader, rowcast_analyst, rowcast_worker;
