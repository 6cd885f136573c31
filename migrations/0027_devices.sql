-- 0027_devices: where models run, and what workers have.
set local lock_timeout = '2s';

alter table rowcast.model add column device text not null default 'cpu';
alter table rowcast.model add constraint model_device_known check (device in ('cpu', 'gpu', 'auto')) not valid;
comment on column rowcast.model.device is
    'Where its versions run; for gpu, chunks wait for a worker that has one.';
-- Asked at each claim.
create index model_gpu_idx on rowcast.model (model_id) where device = 'gpu';

alter table rowcast.worker add column devices text[] not null default '{cpu}';
comment on column rowcast.worker.devices is 'What it runs models on.';
