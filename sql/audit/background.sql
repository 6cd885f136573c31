-- Audits in the background: a range of keys now and then, of one scorer at a time.
--
-- A scorer's audit begins when `every` has passed since the last one began, and reads no more rows a second
-- than its budget. Each step is a transaction of its own, so what it finds is on its way to the lanes
-- when the next one begins, and a worker that dies loses one step. An advisory lock, (1919907683, 6), lets one
-- session at a time do it.

create or replace function rowcast.audit_plan_rows()
returns table (scorer_id int, scorer text, every interval, rows_per_second int, repair boolean,
               running_audit bigint, last_started_at timestamptz, next_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.scorer_id, s.name, p.every, p.rows_per_second, p.repair, r.audit_id, l.started_at,
           coalesce(l.started_at, greatest(s.created_at, a.set_at)) + p.every
    from rowcast.scorer as s
    left join rowcast.audit_setting as a on a.scorer_id = s.scorer_id
    cross join lateral (
        select case when a.scorer_id is null then interval '1 day' else a.every end as every,
               coalesce(a.rows_per_second, 50000) as rows_per_second,
               coalesce(a.repair, true) as repair) as p
    left join rowcast.audit as r
        on r.scorer_id = s.scorer_id and r.state = 'running' and r.background
    left join lateral (
        select b.started_at from rowcast.audit as b
        where b.scorer_id = s.scorer_id and b.background
        order by b.started_at desc limit 1) as l on true
$$;
comment on function rowcast.audit_plan_rows() is
    'How each scorer is audited in the background, and when next: each day, where nobody set it.';
revoke all on function rowcast.audit_plan_rows() from public;
grant execute on function rowcast.audit_plan_rows() to rowcast_reader;

create or replace view rowcast.audit_plan as
select p.scorer, p.every, p.rows_per_second, p.repair, p.last_started_at, p.next_at
from rowcast.audit_plan_rows() as p order by p.scorer;
comment on view rowcast.audit_plan is
    'How each scorer is audited in the background, and when next; rowcast.set_audit changes it.';
grant select on rowcast.audit_plan to rowcast_reader;

create or replace function rowcast.set_audit(
    scorer text, every interval default interval '1 day', rows_per_second int default 50000,
    repair boolean default true) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
begin
    perform rowcast.check_scorer_right(scorer, 'manage');
    if every <= interval '0' then
        raise exception using errcode = 'RC303', message = format('every is %s', every),
            hint = 'Give the time from one audit to the next, or null for none in the background.';
    elsif rows_per_second is null or rows_per_second < 1 then
        raise exception using errcode = 'RC303',
            message = format('rows_per_second is %s', coalesce(rows_per_second::text, 'null')),
            hint = 'Give how many rows may be compared each second, such as 50000.';
    elsif repair is null then
        raise exception using errcode = 'RC303', message = 'repair is null', hint = 'Give true or false.';
    end if;
    insert into rowcast.audit_setting as a (scorer_id, every, rows_per_second, repair, set_by)
    values (own.scorer_id, set_audit.every, set_audit.rows_per_second, set_audit.repair, rowcast.caller())
    on conflict on constraint audit_setting_pkey do update
    set every = excluded.every, rows_per_second = excluded.rows_per_second, repair = excluded.repair,
        set_at = now(), set_by = excluded.set_by;
end
$$;
comment on function rowcast.set_audit(text, interval, int, boolean) is
    'Sets how a scorer is audited in the background: how often (null: never), how many rows a second it may '
    'compare, and whether what it finds is scored again. An audit that runs goes on. Errors: RC303, RC306.';
revoke all on function rowcast.set_audit(text, interval, int, boolean) from public;
grant execute on function rowcast.set_audit(text, interval, int, boolean) to rowcast_analyst;

create or replace function rowcast.audits_due() returns boolean
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select exists (
        select from rowcast.audit_plan_rows() as p join rowcast.scorer as s on s.scorer_id = p.scorer_id
        where p.running_audit is not null or s.state = 'active' and p.next_at <= clock_timestamp())
        or exists (select from rowcast.audit_finding)
$$;
comment on function rowcast.audits_due() is 'Whether audits have a step to take.';
revoke all on function rowcast.audits_due() from public;
grant execute on function rowcast.audits_due() to rowcast_worker;

create or replace function rowcast.take_audit_step(out scorer text, out findings bigint, out pause interval)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    started constant timestamptz := clock_timestamp();
    due record;
    own rowcast.audit;
    size int;
    more boolean := false;
begin
    if not pg_try_advisory_xact_lock(1919907683, 6) then
        return;
    end if;
    perform set_config('synchronous_commit', 'off', true);
    perform rowcast.conclude_audits();
    select p.* into due
    from rowcast.audit_plan_rows() as p join rowcast.scorer as s on s.scorer_id = p.scorer_id
    where p.running_audit is not null or s.state = 'active' and p.next_at <= clock_timestamp()
    order by p.running_audit, p.next_at limit 1;
    if not found then
        return;
    end if;
    scorer := due.scorer;
    if due.running_audit is null then
        insert into rowcast.audit (scorer_id, background, repair, created_by)
        values (due.scorer_id, true, due.repair, 'rowcast')
        returning * into own;
    else
        select a.* into strict own from rowcast.audit as a
        where a.audit_id = due.running_audit for update;
    end if;
    -- A tenth of a second's rows, so that a step is short and its load even.
    size := least(20000, greatest(100, due.rows_per_second / 10));
    begin
        more := rowcast.audit_step(own, size);
        select coalesce(sum(f.key_count), 0) into findings
        from rowcast.audit_finding as f where f.audit_id = own.audit_id and f.tick_id is null;
        if own.repair then
            perform rowcast.audit_repair(own.audit_id);
        end if;
        if not more then
            perform rowcast.audit_close(own.audit_id);
        end if;
    exception when others then
        findings := null;
        update rowcast.audit as a
        set state = 'failed', finished_at = clock_timestamp(), error = sqlerrm
        where a.audit_id = own.audit_id;
    end;
    if not own.repair and not more then
        delete from rowcast.audit_finding as f where f.audit_id = own.audit_id;
    end if;
    pause := greatest(interval '1 millisecond', make_interval(secs => size::float8 / due.rows_per_second)
                                                - (clock_timestamp() - started));
end
$$;
comment on function rowcast.take_audit_step() is
    'Compares the next keys of the audit that is due, and has repaired what it finds: the scorer, the '
    'findings (null where it failed), and how long to pause by its budget. Nothing where none is due.';
revoke all on function rowcast.take_audit_step() from public;
grant execute on function rowcast.take_audit_step() to rowcast_worker;
