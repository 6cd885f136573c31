-- The audit: proof that every row has its outcome, and repair where one has not.
--
-- An audit goes over the keys in ranges; each is compared in a snapshot of its own, so none is held
-- for long. Repairs go the way of all work: chunks of exactly the found keys, read, scored and written by
-- the lanes under the guard of ticks, so that a live change that comes meanwhile wins. A key whose row is
-- gone is not read, and what it left is removed.

create or replace function rowcast.audit_source(sco rowcast.scorer) returns rowcast.source
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    src rowcast.source;
    problem text;
begin
    select s.* into strict src from rowcast.source as s where s.source_id = sco.source_id;
    -- What was altered since may only be read by functions of whoever altered it. The lock keeps it as
    -- it was checked.
    begin
        execute format('lock table only %s in access share mode', src.relation);
        problem := rowcast.scorer_problem(sco.scorer_id);
    exception when others then
        problem := sqlerrm;
    end;
    -- Triggers that are gone or disabled are what an audit is for.
    if problem not like '%lacks a trigger of Rowcast' and problem not like 'a trigger of Rowcast on source %' then
        raise exception using errcode = 'RC306',
            message = format('scorer "%s" cannot be audited: %s', sco.name, problem),
            hint = format('Mend it, then: select rowcast.check_scorer(%L);', sco.name);
    end if;
    return src;
end
$$;
comment on function rowcast.audit_source(rowcast.scorer) is
    'The source of a scorer, locked against changes of its definition; RC306 where it does not fit.';
revoke all on function rowcast.audit_source(rowcast.scorer) from public;

create or replace function rowcast.audit_step(own rowcast.audit, size int) returns boolean
language plpgsql volatile
-- Texts of keys must read the same in every session: see make_job_chunks.
set search_path = pg_catalog, pg_temp set datestyle = 'ISO, YMD' set intervalstyle = 'iso_8601'
set timezone = 'UTC' set extra_float_digits = 1 set bytea_output = 'hex' set jit = off
set work_mem = '32MB' set row_security = off as $$
declare
    sco rowcast.scorer;
    src rowcast.source;
    upper_key text;
    seen record;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = own.scorer_id;
    src := rowcast.audit_source(sco);
    upper_key := rowcast.audit_bound(sco, src, own.next_key, size);
    select * into seen from rowcast.audit_candidates(sco, src, own.next_key, upper_key);
    if seen.suspects > 0 then
        insert into rowcast.audit_finding (audit_id, kind, key_count, keys, outcomes)
        select own.audit_id, f.kind, f.key_count, f.keys, f.outcomes
        from rowcast.audit_findings(sco, src, own.next_key, upper_key) as f;
    end if;
    update rowcast.audit as a
    set "rows" = a.rows + seen.row_count, scored = a.scored + seen.scored, failed = a.failed + seen.failed,
        next_key = coalesce(upper_key, a.next_key)
    where a.audit_id = own.audit_id;
    return upper_key is not null;
end
$$;
comment on function rowcast.audit_step(rowcast.audit, int) is
    'Compares the next keys of an audit, about so many, and notes what it finds; false at the end.';
revoke all on function rowcast.audit_step(rowcast.audit, int) from public;

create or replace function rowcast.audit_repair(own_id bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sco rowcast.scorer;
    new_tick bigint;
    new_job bigint;
    total bigint;
begin
    select sum(f.key_count) into total
    from rowcast.audit_finding as f where f.audit_id = own_id and f.tick_id is null;
    if total is null then
        return null;
    end if;
    select s.* into strict sco
    from rowcast.audit as a join rowcast.scorer as s on s.scorer_id = a.scorer_id
    where a.audit_id = own_id;
    -- Drawn now, after the rows were compared: as in make_job.
    insert into rowcast.tick (snapshot) values (null) returning tick_id into new_tick;
    insert into rowcast.job (scorer_id, kind, tick_id, bounded, rows_made, rows_total)
    values (sco.scorer_id, 'rescore', new_tick, true, total, total)
    returning job_id into strict new_job;
    insert into rowcast.chunk (scorer_id, tick_id, job_id, key_count, priority, kind, keys, held)
    select sco.scorer_id, new_tick, new_job, f.key_count, 1, 'keys', f.keys, sco.state <> 'active'
    from rowcast.audit_finding as f
    where f.audit_id = own_id and f.tick_id is null
    order by f.finding_id;
    update rowcast.audit_finding as f set tick_id = new_tick
    where f.audit_id = own_id and f.tick_id is null;
    update rowcast.audit as a set repaired = a.repaired + total where a.audit_id = own_id;
    perform pg_notify('rowcast_control', 'job');
    perform pg_notify('rowcast_chunk', '');
    return new_job;
end
$$;
comment on function rowcast.audit_repair(bigint) is
    'Gives the findings of an audit that were not yet repaired to the lanes, and returns the job.';
revoke all on function rowcast.audit_repair(bigint) from public;

create or replace function rowcast.audit_close(own_id bigint) returns void
language sql volatile set search_path = pg_catalog, pg_temp as $$
    update rowcast.audit as a
    set state = 'done', finished_at = clock_timestamp(), next_key = null,
        missing = f.missing, orphaned = f.orphaned, stale = f.stale,
        stale_changed = case when f.stale = 0 then 0 end
    from (
        select coalesce(sum(f.key_count) filter (where f.kind = 'missing'), 0) as missing,
               coalesce(sum(f.key_count) filter (where f.kind = 'orphaned'), 0) as orphaned,
               coalesce(sum(f.key_count) filter (where f.kind = 'stale'), 0) as stale
        from rowcast.audit_finding as f where f.audit_id = own_id
    ) as f
    where a.audit_id = own_id
$$;
comment on function rowcast.audit_close(bigint) is 'Ends an audit: counts what it found.';
revoke all on function rowcast.audit_close(bigint) from public;

create or replace function rowcast.audit_examples(own_id bigint, visible_missing boolean) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- As text: who owns a type owns its casts, to json too. Whole numbers alone stay numbers.
    select coalesce(jsonb_object_agg(f.kind, (
               select jsonb_agg(case when f.type in ('smallint', 'integer', 'bigint')
                                     then to_jsonb(u.key::bigint) else to_jsonb(u.key) end order by u.place)
               from unnest((f.keys::text[])[1:10]) with ordinality as u (key, place))), '{}')
    from (
        select distinct on (f.kind) f.kind, f.keys, rowcast.key_cast(src) as type
        from rowcast.audit_finding as f
        join rowcast.audit as a on a.audit_id = f.audit_id
        join rowcast.scorer as s on s.scorer_id = a.scorer_id
        join rowcast.source as src on src.source_id = s.source_id
        where f.audit_id = own_id and (f.kind <> 'missing' or visible_missing)
        order by f.kind, f.finding_id
    ) as f
$$;
comment on function rowcast.audit_examples(bigint, boolean) is
    'Up to ten keys of each kind of finding. Keys of missing rows only for who may read them.';
revoke all on function rowcast.audit_examples(bigint, boolean) from public;

create or replace function rowcast.audit(scorer text, repair boolean default false)
returns table (
    audit_id bigint, "rows" bigint, scored bigint, failed bigint, missing bigint, orphaned bigint,
    stale bigint, consistent boolean, examples jsonb, job_id bigint, took interval)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, YMD' set timezone = 'UTC' as $$
#variable_conflict use_column
declare
    sco constant rowcast.scorer := rowcast.own_scorer(scorer);
    src rowcast.source;
    own rowcast.audit;
    repaired_by bigint;
begin
    perform rowcast.check_scorer_right(scorer, 'manage');
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using errcode = 'RC308',
            message = format('a scorer cannot be audited in a transaction that is %s',
                             current_setting('transaction_isolation')),
            hint = 'It would not see what was scored since. Call it outside of a transaction.';
    elsif repair is null then
        raise exception using errcode = 'RC303', message = 'repair is null', hint = 'Give true or false.';
    end if;
    src := rowcast.audit_source(sco);
    insert into rowcast.audit (scorer_id, background, repair, created_by)
    values (sco.scorer_id, false, repair, rowcast.caller())
    returning * into own;
    while rowcast.audit_step(own, 100000) loop
        select a.* into own from rowcast.audit as a where a.audit_id = own.audit_id;
    end loop;
    if repair then
        repaired_by := rowcast.audit_repair(own.audit_id);
    end if;
    perform rowcast.audit_close(own.audit_id);
    return query
        select a.audit_id, a.rows, a.scored, a.failed, a.missing, a.orphaned, a.stale,
               a.orphaned + a.stale + case when sco.features_from is null then a.missing else 0 end = 0,
               rowcast.audit_examples(a.audit_id, (
                   select bool_and(has_column_privilege(rowcast.caller(), src.relation, k, 'select'))
                   from unnest(src.key_columns) as k)),
               repaired_by, a.finished_at - a.started_at
        from rowcast.audit as a where a.audit_id = own.audit_id;
    if not repair then
        delete from rowcast.audit_finding as f where f.audit_id = own.audit_id;
    end if;
end
$$;
comment on function rowcast.audit(text, boolean) is
    'Compares a source with its predictions and failures. missing: rows without an outcome; orphaned: '
    'outcomes without a row; stale: rows written after they were scored. Rows whose change waits to be '
    'scored are none of these. An update of columns that no scorer watches, made where triggers do not '
    'see it or not, looks stale too: repair => true scores all that was found again, and the view '
    'rowcast.audits tells how many stale rows got another outcome. Cost: an index scan of source and '
    'predictions, 1,000,000 rows in about two seconds. Errors: RC306 no such scorer, or its source does '
    'not fit; RC308 not read committed.';
revoke all on function rowcast.audit(text, boolean) from public;
grant execute on function rowcast.audit(text, boolean) to rowcast_analyst;

create or replace function rowcast.conclude_audits() returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, YMD' set intervalstyle = 'iso_8601' set timezone = 'UTC'
set extra_float_digits = 1 set bytea_output = 'hex' as $$
declare
    own record;
    concluded int := 0;
    changed bigint;
begin
    for own in
        select a.audit_id, a.scorer_id from rowcast.audit as a
        where a.state = 'done' and a.repair
          and exists (select from rowcast.audit_finding as f where f.audit_id = a.audit_id)
          and not exists (
            select from rowcast.open_chunks_of(a.scorer_id) as c
            where c.tick_id in (select f.tick_id from rowcast.audit_finding as f
                                where f.audit_id = a.audit_id))
        order by a.audit_id for update of a skip locked
    loop
        changed := rowcast.stale_changed(own.audit_id);
        update rowcast.audit as a set stale_changed = changed where a.audit_id = own.audit_id;
        delete from rowcast.audit_finding as f where f.audit_id = own.audit_id;
        concluded := concluded + 1;
    end loop;
    return concluded;
end
$$;
comment on function rowcast.conclude_audits() is
    'Counts, for audits whose repair is over, the stale rows that got another outcome.';
revoke all on function rowcast.conclude_audits() from public;
grant execute on function rowcast.conclude_audits() to rowcast_worker;

create or replace function rowcast.stale_changed(own_id bigint) returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    sco rowcast.scorer;
    src rowcast.source;
    changed bigint;
    on_key text;
begin
    select s.* into strict sco
    from rowcast.audit as a join rowcast.scorer as s on s.scorer_id = a.scorer_id
    where a.audit_id = own_id;
    select s.* into strict src from rowcast.source as s where s.source_id = sco.source_id;
    select string_agg(format('t.%I %s %s', k.name, src.key_operators -> (k.place::int - 1) ->> '=',
                             case when src.composite then format('(u.key).%I', k.name) else 'u.key' end),
                      ' and ' order by k.place)
    into on_key from unnest(src.key_columns) with ordinality as k (name, place);
    execute format(
        'select count(*) from rowcast.audit_finding as f '
        'cross join lateral (select unnest(f.keys::%1$s[]) as key, unnest(f.outcomes) as outcome) as u '
        'where f.audit_id = $1 and f.kind = ''stale'' and u.outcome is distinct from concat('
        '(select %2$s from predictions.%3$I as t where %4$s), '
        '(select %5$s from predictions.%6$I as t where %4$s))',
        rowcast.key_cast(src), rowcast.outcome_hash(sco, src, false), sco.name, on_key,
        rowcast.outcome_hash(sco, src, true), sco.name || '_failure')
    into changed using own_id;
    return changed;
end
$$;
comment on function rowcast.stale_changed(bigint) is
    'How many stale keys of an audit have another outcome now.';
revoke all on function rowcast.stale_changed(bigint) from public;

create or replace function rowcast.audit_rows()
returns table (
    audit_id bigint, scorer text, background boolean, state text, "rows" bigint, scored bigint,
    failed bigint, missing bigint, orphaned bigint, stale bigint, stale_changed bigint, repaired bigint,
    error text, started_at timestamptz, finished_at timestamptz, created_by text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select a.audit_id, s.name, a.background, a.state, a.rows, a.scored, a.failed,
           coalesce(f.missing, a.missing), coalesce(f.orphaned, a.orphaned), coalesce(f.stale, a.stale),
           a.stale_changed, a.repaired, a.error, a.started_at, a.finished_at, a.created_by
    from rowcast.audit as a
    join rowcast.scorer as s on s.scorer_id = a.scorer_id
    left join lateral (
        select sum(f.key_count) filter (where f.kind = 'missing')::bigint as missing,
               sum(f.key_count) filter (where f.kind = 'orphaned')::bigint as orphaned,
               sum(f.key_count) filter (where f.kind = 'stale')::bigint as stale
        from rowcast.audit_finding as f
        where a.state = 'running' and f.audit_id = a.audit_id
    ) as f on true
    order by a.audit_id
$$;
comment on function rowcast.audit_rows() is 'The rows of rowcast.audits.';
revoke all on function rowcast.audit_rows() from public;
grant execute on function rowcast.audit_rows() to rowcast_reader;

create or replace view rowcast.audits as select * from rowcast.audit_rows();
comment on view rowcast.audits is
    'Audits, those that people asked for and those in the background: what they found and repaired.';
comment on column rowcast.audits.stale_changed is
    'Of the stale rows, those that got another outcome when they were scored again; null until then, '
    'and where nothing was repaired. The others were changed in columns that no scorer watches.';
grant select on rowcast.audits to rowcast_reader;
