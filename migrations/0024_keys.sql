-- Keys of the HTTP server's callers.
set local lock_timeout = '2s';

-- A handful a client, and few clients: no index beside the key's.
create table rowcast.api_key (
    key_id text constraint api_key_pkey primary key,
    client text not null,
    digest bytea not null,
    models text[],
    actions text[] not null,
    created_at timestamptz not null default clock_timestamp(),
    created_by name not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_by name,
    constraint api_key_id_twelve_digits check (key_id ~ '^[0-9a-f]{12}$'),
    constraint api_key_digest_sha256 check (octet_length(digest) = 32),
    constraint api_key_client_named check (btrim(client) <> '' and char_length(client) <= 200),
    constraint api_key_actions_known
        check (cardinality(actions) > 0 and actions <@ array['read', 'score', 'metrics']),
    constraint api_key_revoked_by_somebody check ((revoked_at is null) = (revoked_by is null))
);
comment on table rowcast.api_key is
    'Keys that callers of the HTTP server show. Revoked ones stay, to say who had what when.';
comment on column rowcast.api_key.client is 'Whose key it is. A client has two live keys at most.';
comment on column rowcast.api_key.digest is
    'The SHA-256 of the secret part, which nobody keeps: it is 32 random bytes, that cannot be guessed from '
    'their hash however fast it is computed.';
comment on column rowcast.api_key.models is 'Names of models that it is for; null for all, also later ones.';
