-- Retention: what is over is pruned by policy, a bounded number at a time, each kind once a minute.
--
-- A kind is a row of retention_policy and a function rowcast.prune_<kind>(older_than, max_rows) that
-- deletes at most so many records and counts them. A kind that fails keeps no other from being pruned, and
-- the view shows its error. What an alias, a scorer or a prediction needs is never pruned, nor the history
-- of aliases, which is append-only. Chunks that are over are deleted after ten minutes in any case.

create or replace function rowcast.note_freed(kind text, freed bigint) returns void
language sql volatile set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.retention_day as d (kind, day, freed)
    select note_freed.kind, (clock_timestamp() at time zone 'UTC')::date, note_freed.freed
    where note_freed.freed > 0
    on conflict on constraint retention_day_pkey do update
    set freed = d.freed + excluded.freed, last_at = excluded.last_at
$$;
comment on function rowcast.note_freed(text, bigint) is 'Records that records of a kind were pruned.';
revoke all on function rowcast.note_freed(text, bigint) from public;

create or replace function rowcast.prune_ticks(older_than timestamptz, max_rows int) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    with old as (
        select t.tick_id from rowcast.tick as t
        where t.at < older_than
          and t.tick_id < (select max(m.tick_id) from rowcast.tick as m where m.snapshot is not null)
        order by t.tick_id limit max_rows
    ), gone as (
        delete from rowcast.tick as t using old where t.tick_id = old.tick_id returning 1
    ) select count(*) from gone
$$;
comment on function rowcast.prune_ticks(timestamptz, int) is 'Prunes ticks, never the last one.';
revoke all on function rowcast.prune_ticks(timestamptz, int) from public;

create or replace function rowcast.prune_jobs(older_than timestamptz, max_rows int) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    with old as (
        select j.job_id from rowcast.job as j
        where j.finished_at < older_than
          and not exists (select from rowcast.chunk as c where c.job_id = j.job_id)
          -- What it has in rowcast_run would be nobody's.
          and not exists (select from rowcast.model_job as m where m.job_id = j.job_id and not m.is_cleared)
        order by j.job_id limit max_rows for update skip locked
    ), gone as (
        delete from rowcast.job as j using old where j.job_id = old.job_id returning 1
    ) select count(*) from gone
$$;
comment on function rowcast.prune_jobs(timestamptz, int) is 'Prunes jobs that are over.';
revoke all on function rowcast.prune_jobs(timestamptz, int) from public;

create or replace function rowcast.prune_schedule_runs(older_than timestamptz, max_rows int) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    with old as (
        select r.schedule_id, r.due_at from rowcast.schedule_run as r
        where r.decided_at < older_than and r.outcome <> 'queued'
          and r.due_at < (select max(n.due_at) from rowcast.schedule_run as n
                          where n.schedule_id = r.schedule_id)
        limit max_rows
    ), gone as (
        delete from rowcast.schedule_run as r using old
        where r.schedule_id = old.schedule_id and r.due_at = old.due_at returning 1
    ) select count(*) from gone
$$;
comment on function rowcast.prune_schedule_runs(timestamptz, int) is
    'Prunes what became of the times of schedules, never the last one.';
revoke all on function rowcast.prune_schedule_runs(timestamptz, int) from public;

create or replace function rowcast.prune_audits(older_than timestamptz, max_rows int) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    with old as (
        select a.audit_id from rowcast.audit as a
        where a.finished_at < older_than
          and exists (select from rowcast.audit as n
                      where n.scorer_id = a.scorer_id and n.background = a.background
                        and n.started_at > a.started_at)
        order by a.audit_id limit max_rows
    ), gone as (
        delete from rowcast.audit as a using old where a.audit_id = old.audit_id returning 1
    ) select count(*) from gone
$$;
comment on function rowcast.prune_audits(timestamptz, int) is 'Prunes audits, never a scorer''s last one.';
revoke all on function rowcast.prune_audits(timestamptz, int) from public;

create or replace function rowcast.prune_failures(older_than timestamptz, max_rows int) returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    own record;
    gone bigint;
    freed bigint := 0;
begin
    for own in
        select s.name, s.scorer_id, (rowcast.audit_names(o.key_columns || s.result_key, true))[6] as failed_at
        from rowcast.scorer as s join rowcast.source as o on o.source_id = s.source_id
        where pg_relation_size(to_regclass(format('predictions.%I', s.name || '_failure'))) > 0
        order by s.name
    loop
        exit when freed >= max_rows;
        -- Not beside a write that has looked at the failures: see write.sql.
        continue when not pg_try_advisory_xact_lock(1919907685, own.scorer_id);
        execute format('delete from predictions.%I as f where f.ctid = any (array('
                       'select o.ctid from predictions.%1$I as o where o.%2$I < $1 limit $2))',
                       own.name || '_failure', own.failed_at) using older_than, max_rows - freed;
        get diagnostics gone = row_count;
        freed := freed + gone;
    end loop;
    return freed;
end
$$;
comment on function rowcast.prune_failures(timestamptz, int) is
    'Prunes failures of all scorers. Their rows have no outcome then, so the next audit that repairs has them '
    'tried again.';
revoke all on function rowcast.prune_failures(timestamptz, int) from public;

create or replace function rowcast.version_is_used(own_id int, own_version int) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    own_name constant text := (select m.name from rowcast.model as m where m.model_id = own_id);
    target record;
    used boolean;
begin
    for target in
        select t.relation, a.names
        from rowcast.scorer as s
        join rowcast.source as o on o.source_id = s.source_id
        cross join lateral (
            select p as relation from rowcast.scorer_tables(s.name) as p) as t
        cross join lateral (
            select rowcast.audit_names(o.key_columns || s.result_key,
                                       t.relation::text like '%\_failure') as names) as a
        -- One that never names this model cannot hold its predictions.
        where s.model_id = own_id or s.route is not null and own_name ~ rowcast.route_pattern(s.route)
    loop
        begin
            execute format('select exists (select from %s as t where t.%I = $1 and t.%I = $2)', target.relation,
                           case when cardinality(target.names) = 6 then target.names[3] else target.names[1] end,
                           case when cardinality(target.names) = 6 then target.names[4] else target.names[2] end)
            into used using own_name, own_version;
        exception when undefined_column then
            used := true;  -- Not known: kept.
        end;
        if used then
            return true;
        end if;
    end loop;
    return false;
end
$$;
comment on function rowcast.version_is_used(int, int) is
    'Whether a prediction or a failure names a version. Cost: a scan of the tables of the model''s scorers.';
revoke all on function rowcast.version_is_used(int, int) from public;

create or replace function rowcast.prune_model_versions(older_than timestamptz, max_rows int) returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    old record;
    freed bigint := 0;
begin
    for old in
        select v.model_id, v.version, m.name
        from rowcast.model_version as v
        join rowcast.model as m on m.model_id = v.model_id
        where v.created_at < older_than and v.state <> 'registered'
          and v.version < (select max(n.version) from rowcast.model_version as n where n.model_id = v.model_id)
          and not exists (select from rowcast.alias as a
                          where a.model_id = v.model_id and a.version = v.version)
          and not exists (select from rowcast.scorer as s
                          where s.model_id = v.model_id and s.pinned_version = v.version)
          -- Where an alias was not long ago, it may have to go back to.
          and not exists (select from rowcast.alias_change as c
                          where c.model = m.name and c.changed_at >= older_than
                            and v.version in (c.old_version, c.new_version))
        order by v.created_at limit least(max_rows, 100)
    loop
        continue when rowcast.version_is_used(old.model_id, old.version);
        begin
            perform rowcast.drop_model_version(old.name, old.version);
            freed := freed + 1;
        exception when sqlstate 'RC105' then
            null;  -- In use by something that only drop_model_version knows of.
        end;
    end loop;
    return freed;
end
$$;
comment on function rowcast.prune_model_versions(timestamptz, int) is
    'Prunes versions of models, with their bytes: none that an alias, a scorer, a prediction or a failure names, '
    'none that an alias named within the time, and never a model''s newest.';
revoke all on function rowcast.prune_model_versions(timestamptz, int) from public;

create or replace function rowcast.prune(kind text default null) returns table (pruned_kind text, freed bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own record;
begin
    if prune.kind is not null and not exists (
        select from rowcast.retention_policy as p where p.kind = prune.kind) then
        raise exception using errcode = 'RC303', message = format('there is no kind "%s" of records', prune.kind),
            hint = 'select kind from rowcast.retention lists them.';
    end if;
    for own in
        select p.kind, p.keep from rowcast.retention_policy as p
        where p.keep is not null
          and (p.kind = prune.kind or prune.kind is null and coalesce(
                  p.last_run_at < clock_timestamp() - case p.kind when 'model_versions' then interval '1 hour'
                                                      else interval '1 minute' end, true))
        order by p.kind for update skip locked
    loop
        pruned_kind := own.kind;
        begin
            execute format('select rowcast.%I($1, 10000)', 'prune_' || own.kind)
            into freed using clock_timestamp() - own.keep;
            perform rowcast.note_freed(own.kind, freed);
            update rowcast.retention_policy as p set last_run_at = clock_timestamp(), error = null
            where p.kind = own.kind;
            if freed > 0 then
                return next;
            end if;
        exception when others then
            update rowcast.retention_policy as p set last_run_at = clock_timestamp(), error = sqlerrm
            where p.kind = own.kind;
        end;
    end loop;
end
$$;
comment on function rowcast.prune(text) is
    'Prunes the kinds whose turn it is, or one at once, at most 10,000 records a kind, and tells what it freed.';
revoke all on function rowcast.prune(text) from public;
grant execute on function rowcast.prune(text) to rowcast_worker;

create or replace function rowcast.set_retention(kind text, keep interval) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    if keep < interval '1 minute' then
        raise exception using errcode = 'RC303', message = format('keep is %s', keep),
            hint = 'Give a minute or more, or null for ever.';
    end if;
    update rowcast.retention_policy as p
    set keep = set_retention.keep, set_at = now(), set_by = rowcast.caller(), last_run_at = null
    where p.kind = set_retention.kind;
    if not found then
        raise exception using errcode = 'RC303', message = format('there is no kind "%s" of records', kind),
            hint = (select format('There are %s.', string_agg(format('"%s"', p.kind), ', ' order by p.kind))
                    from rowcast.retention_policy as p);
    end if;
end
$$;
comment on function rowcast.set_retention(text, interval) is
    'Sets how long records of a kind are kept; null keeps them for ever. For administrators. Errors: RC303.';
revoke all on function rowcast.set_retention(text, interval) from public;
-- Nobody but rowcast_admin, its owner: it decides what is lost.

create or replace view rowcast.retention as
select p.kind, p.keep, d.freed_today, d.freed, d.last_freed_at, p.last_run_at, p.error, p.set_at, p.set_by
from rowcast.retention_policy as p
left join lateral (
    select sum(d.freed)::bigint as freed, max(d.last_at) as last_freed_at,
           sum(d.freed) filter (where d.day = (clock_timestamp() at time zone 'UTC')::date)::bigint as freed_today
    from rowcast.retention_day as d where d.kind = p.kind) as d on true
order by p.kind;
comment on view rowcast.retention is
    'How long each kind of record is kept, and what pruning freed, today and in all; retention_history has '
    'each day.';
create or replace view rowcast.retention_history as
select d.kind, d.day, d.freed, d.last_at from rowcast.retention_day as d order by d.day desc, d.kind;
comment on view rowcast.retention_history is 'Records that were pruned, by kind and day (UTC).';
grant select on rowcast.retention, rowcast.retention_history to rowcast_reader;
