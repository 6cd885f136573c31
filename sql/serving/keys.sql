-- Keys of the HTTP server's callers: made, shown once, revoked.

drop function if exists rowcast.create_key(text, text[], text[], interval);
create or replace function rowcast.create_key(
    client text, models text[] default null, actions text[] default '{read,score}',
    expires_in interval default null, role name default null)
returns table (key_id text, key text, expires_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    stranger text;
    live int;
    secret text;
begin
    if btrim(coalesce(create_key.client, '')) = '' or char_length(create_key.client) > 200 then
        raise exception 'the key has no client of 1 to 200 characters' using errcode = 'RC350',
            hint = 'Name who will use it: client => ''web shop''.';
    end if;
    select w.action into stranger from unnest(create_key.actions) as w (action)
    where w.action is null or w.action not in ('read', 'score', 'metrics', 'jobs', 'push') limit 1;
    if found or coalesce(cardinality(create_key.actions), 0) = 0 then
        raise exception 'actions of the key are %', coalesce(create_key.actions::text, 'null')
            using errcode = 'RC350', hint = 'Give some of read, score, metrics, jobs and push.';
    end if;
    if create_key.role is null and create_key.actions && array['jobs', 'push'] then
        raise exception 'a key that makes jobs or models is for no role' using errcode = 'RC350',
            hint = 'Give the role whose they are: role => ''night_jobs''. It has to say so as well, by rowcast.lend_rights().';
    elsif create_key.role is not null then
        if to_regrole(quote_ident(create_key.role)) is null then
            raise exception 'there is no role "%"', create_key.role using errcode = 'RC350';
        elsif not pg_has_role(rowcast.caller(), create_key.role, 'member') then
            -- What he could not read himself he cannot hand on.
            raise exception 'role "%" is not yours to give a key for', create_key.role using errcode = '42501',
                hint = 'Be a member of it.';
        end if;
    end if;
    select w.model into stranger from unnest(create_key.models) as w (model)
    where not exists (select from rowcast.model as m where m.name = w.model) limit 1;
    if found then
        raise exception 'there is no model "%"', coalesce(stranger, 'null') using errcode = 'RC101',
            hint = 'The view rowcast.models lists them.';
    elsif cardinality(create_key.models) = 0 then
        raise exception 'the key is for no model' using errcode = 'RC350', hint = 'Give null for all of them.';
    elsif create_key.expires_in <= interval '0' then
        raise exception 'the key would expire before it is made' using errcode = 'RC350',
            hint = 'Give expires_in => interval ''90 days'', or null for never.';
    end if;

    -- Keys are made seldom; two at once must not both be the second.
    lock table rowcast.api_key in share row exclusive mode;
    select count(*) into live from rowcast.api_key as k
    where k.client = create_key.client and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > clock_timestamp());
    if live >= 2 then
        raise exception 'client "%" has two live keys', create_key.client using errcode = 'RC351',
            hint = 'Two let it change from one to the other. Revoke the older first: the view rowcast.keys lists '
                   'them.';
    end if;

    key_id := encode(substring(uuid_send(gen_random_uuid()) for 6), 'hex');
    -- The server's strong random numbers come as uuids, 122 bits each.
    secret := translate(encode(
        sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
        'base64'), '+/=', '-_');
    key := format('rck_%s_%s', key_id, secret);
    expires_at := clock_timestamp() + create_key.expires_in;
    insert into rowcast.api_key as k (key_id, client, digest, models, actions, created_by, expires_at, role)
    values (key_id, create_key.client, sha256(convert_to(secret, 'UTF8')), create_key.models,
            create_key.actions, rowcast.caller(), expires_at, create_key.role);
    perform pg_notify('rowcast_control', 'key');
    return next;
end
$$;
comment on function rowcast.create_key(text, text[], text[], interval, name) is
    'Makes a key for callers of the HTTP server and shows it, this once: for some models or all, to read, score, '
    'read metrics, and, with the rights of a role that lends them, to have jobs made and to push models. A client has '
    'two live keys at most, so that it can change from one to the other.';
revoke all on function rowcast.create_key(text, text[], text[], interval, name) from public;

create or replace function rowcast.revoke_key(key_id text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    update rowcast.api_key as k set revoked_at = clock_timestamp(), revoked_by = rowcast.caller()
    where k.key_id = revoke_key.key_id and k.revoked_at is null;
    if found then
        perform pg_notify('rowcast_control', 'key');
        return true;
    elsif not exists (select from rowcast.api_key as k where k.key_id = revoke_key.key_id) then
        raise exception 'there is no key "%"', coalesce(revoke_key.key_id, 'null') using errcode = 'RC352',
            hint = 'Give the digits between the underscores; the view rowcast.keys lists them.';
    end if;
    return false;
end
$$;
comment on function rowcast.revoke_key(text) is
    'Makes a key useless, within two seconds on all servers; false where it was revoked before.';
revoke all on function rowcast.revoke_key(text) from public;

create or replace view rowcast.keys as
select k.key_id, k.client, k.models, k.actions,
       case when k.revoked_at is not null then 'revoked'
            when k.expires_at <= clock_timestamp() then 'expired' else 'live' end as state,
       k.created_at, k.created_by, k.expires_at, k.revoked_at, k.revoked_by, k.role
from rowcast.api_key as k;
comment on view rowcast.keys is 'One row a key of the HTTP server, live or not, without its secret.';

drop function if exists rowcast.live_keys();
create or replace function rowcast.live_keys()
returns table (key_id text, digest bytea, models text[], actions text[], expires_at timestamptz, role name)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select k.key_id, k.digest, k.models, k.actions, k.expires_at, k.role
    from rowcast.api_key as k
    where k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp())
$$;
comment on function rowcast.live_keys() is
    'What servers need to know keys by: hashes of their secrets, from which no key can be had.';
revoke all on function rowcast.live_keys() from public;
grant execute on function rowcast.live_keys() to rowcast_worker;
