-- 0028_many_labels: versions with a thousand labels, which are too long for an entry of an index.
set local lock_timeout = '2s';

drop index rowcast.model_version_content_idx;
create unique index model_version_content_idx on rowcast.model_version (
    model_id, sha256, coalesce(hash_array_extended(labels, 0), 0), coalesce(md5(setup::text), ''));
