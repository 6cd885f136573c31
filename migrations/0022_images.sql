-- Images: what a model's file does not say, and versions that differ in that alone.
set local lock_timeout = '2s';

alter table rowcast.model_version add column setup jsonb;
alter table rowcast.model_version add constraint model_version_setup_object
    check (jsonb_typeof(setup) = 'object');
comment on column rowcast.model_version.setup is
    'What the bytes do not say: how images become the input, whether a softmax follows the output; null '
    'where nothing is said.';

-- The registry holds as many rows as models were pushed.
drop index rowcast.model_version_content_idx;
create unique index model_version_content_idx
    on rowcast.model_version (model_id, sha256, coalesce(labels, '{}'), coalesce(md5(setup::text), ''));
comment on table rowcast.model_version is
    'One immutable set of model bytes, class labels and setup. A worker inspects what is registered, and '
    'makes it ready or refuses it.';
