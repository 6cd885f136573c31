-- Roles that lend their rights to callers of the HTTP server, and keys that act for one.
set local lock_timeout = '2s';

create table rowcast.lender (
    role_name name constraint lender_pkey primary key,
    function oid not null,
    lent_at timestamptz not null default clock_timestamp()
);
comment on table rowcast.lender is
    'Roles with whose rights callers of the HTTP server may have jobs made and models registered. Each said so '
    'itself.';
comment on column rowcast.lender.function is
    'The function in rowcast_run that the role made: it submits a job, with the rights of the role.';

alter table rowcast.api_key add column role name;
comment on column rowcast.api_key.role is
    'The role that the key''s jobs and models are of; null for a key that makes none.';
alter table rowcast.api_key drop constraint api_key_actions_known;
alter table rowcast.api_key add constraint api_key_actions_known
    check (cardinality(actions) > 0 and actions <@ array['read', 'score', 'metrics', 'jobs', 'push']);
alter table rowcast.api_key add constraint api_key_acts_for_a_role
    check (role is not null or not actions && array['jobs', 'push']);
