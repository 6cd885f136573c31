-- What keeps the registry true whoever writes to it: immutable versions, full alias history, and a
-- revision that workers compare.

create or replace function rowcast.bump_registry() returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    update rowcast.registry_revision set last_value = last_value + 1;
    select pg_notify('rowcast_control', '');
$$;
comment on function rowcast.bump_registry() is
    'Tells workers, at commit, that what they know of models and scorers is old. Its row lock also '
    'orders everybody who changes the registry, so it comes first, before other locks.';

create or replace function rowcast.on_registry_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform rowcast.bump_registry();
    return null;
end
$$;
comment on function rowcast.on_registry_change() is
    'Statement trigger of the registry''s tables: bumps the revision.';

create or replace function rowcast.keep_version_immutable() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if (new.model_id, new.version, new.sha256, new.byte_count, new.labels, new.created_at,
        new.created_by)
       is distinct from (old.model_id, old.version, old.sha256, old.byte_count, old.labels,
        old.created_at, old.created_by)
       or new.metrics is distinct from old.metrics or new.setup is distinct from old.setup then
        raise exception 'version % of model % is immutable', old.version, old.model_id
            using errcode = 'RC108', hint = 'Register the changed model as a new version.';
    end if;
    -- A refused version may be inspected again: a newer release may know its operators.
    if old.state = 'ready' and (new.state, new.format, new.signature)
       is distinct from (old.state, old.format, old.signature) then
        raise exception 'version % of model % is ready, so its inspection stands',
            old.version, old.model_id
            using errcode = 'RC108', hint = 'Register the changed model as a new version.';
    end if;
    return new;
end
$$;
comment on function rowcast.keep_version_immutable() is
    'Row trigger: only a version that is not ready may change, and only by its inspection.';

create or replace function rowcast.refuse_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'rows of rowcast.% are never changed', tg_table_name using errcode = 'RC108';
end
$$;
comment on function rowcast.refuse_change() is 'Trigger of tables that are written once.';

create or replace function rowcast.record_alias_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    changed rowcast.alias := coalesce(new, old);
begin
    insert into rowcast.alias_change (model, alias, old_version, new_version)
    select m.name, changed.alias, old.version, new.version
    from rowcast.model as m
    where m.model_id = changed.model_id
      and old.version is distinct from new.version;
    return null;
end
$$;
comment on function rowcast.record_alias_change() is
    'Row trigger: writes the history of an alias, whichever way it was moved.';

create or replace trigger model_version_immutable
    before update on rowcast.model_version
    for each row execute function rowcast.keep_version_immutable();
create or replace trigger model_part_immutable
    before update on rowcast.model_part
    for each row execute function rowcast.refuse_change();
create or replace trigger golden_row_immutable
    before update on rowcast.golden_row
    for each row execute function rowcast.refuse_change();
create or replace trigger alias_change_append_only
    before update or delete on rowcast.alias_change
    for each row execute function rowcast.refuse_change();
create or replace trigger alias_change_not_truncated
    before truncate on rowcast.alias_change
    for each statement execute function rowcast.refuse_change();
create or replace trigger alias_history
    after insert or update or delete on rowcast.alias
    for each row execute function rowcast.record_alias_change();
create or replace trigger alias_revision
    before insert or update or delete on rowcast.alias
    for each statement execute function rowcast.on_registry_change();
create or replace trigger model_version_revision
    before insert or update or delete on rowcast.model_version
    for each statement execute function rowcast.on_registry_change();
create or replace trigger model_revision
    before update of name or delete on rowcast.model
    for each statement execute function rowcast.on_registry_change();
