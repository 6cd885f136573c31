-- Since when a worker has the session that its backend_pid names. Where that session is older than a claim
-- and still there, neither the worker nor the server ended since, whatever became of the lane's session.
set local lock_timeout = '2s';
alter table rowcast.worker add column session_since timestamptz not null default clock_timestamp();
comment on column rowcast.worker.session_since is 'Since when backend_pid has been what it is.';
