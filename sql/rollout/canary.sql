-- Canaries: a share of a scorer's rows is scored by another version, into the same table.
--
--   start_canary -> running --(stop_canary, failures, latency)--> stopping -> stopped
--                      |                                            rows are scored again
--                      +--(the scorer's alias moves to it)--> promoted
--
-- Which rows. A key is in the share when its hash lies below it, salted with the number of the scorer: so
-- the same keys are in it each time, a larger share keeps those of a smaller one, and the shares of two
-- scorers have nothing to do with one another. The hash is that of PostgreSQL's hash joins
-- (hash_record_extended), which depends on no setting of the session.
--
-- Who knows. The canary is part of what a lane knows of a scorer: each change raises the scorer's
-- revision, which each claimed chunk carries. Chunks that were claimed before may still be scored by the
-- old rule; so rows are scored again (stopping, or a smaller share) only when these are over.
--
-- Who judges. Lanes count rows, failures and time of both versions in memory; each worker writes its
-- counts once a second, and that write judges. Counts of a worker that dies are lost, nothing else.

create or replace function rowcast.canary_view(scorer_id int) returns regclass
language sql stable set search_path = pg_catalog, pg_temp as $$
    select to_regclass(format('rowcast.canary_row_%s', scorer_id))
$$;
comment on function rowcast.canary_view(int) is 'The view of the keys that a scorer''s canary wrote.';
revoke all on function rowcast.canary_view(int) from public;

create or replace function rowcast.make_canary_view(scorer_id int, version int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sco rowcast.scorer;
    src rowcast.source;
    keys text;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = make_canary_view.scorer_id;
    select o.* into strict src from rowcast.source as o where o.source_id = sco.source_id;
    select string_agg(quote_ident(k.name), ', ' order by k.place) into keys
    from unnest(src.key_columns) with ordinality as k (name, place);
    execute format(
        'create or replace view rowcast.canary_row_%s as '
        'select %s from predictions.%I where %I = %s union all '
        'select %2$s from predictions.%6$I where %7$I = %5$s',
        sco.scorer_id, keys, sco.name, (rowcast.row_audit(sco.scorer_id, false))[2], version,
        sco.name || '_failure', (rowcast.row_audit(sco.scorer_id, true))[4]);
    execute format('comment on view rowcast.canary_row_%s is %L', sco.scorer_id,
                   format('Keys of the rows that the canary of scorer %s scored, or failed at.', sco.name));
end
$$;
comment on function rowcast.make_canary_view(int, int) is
    'Makes the view of a canary''s rows, from which they are scored again.';
revoke all on function rowcast.make_canary_view(int, int) from public;

create or replace function rowcast.tell_lanes(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    update rowcast.scorer as s set revision = s.revision + 1 where s.scorer_id = tell_lanes.scorer_id;
    perform rowcast.bump_registry();
end
$$;
comment on function rowcast.tell_lanes(int) is 'Has lanes load anew what they know of a scorer.';
revoke all on function rowcast.tell_lanes(int) from public;

create or replace function rowcast.start_canary(
    scorer text, alias text default 'challenger', share double precision default 0.05,
    version int default null, max_failure_increase double precision default 0.02,
    max_latency_ratio double precision default 3, min_rows bigint default 200,
    rescore boolean default false)
returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    src rowcast.source;
    model text;
    wanted int := version;
    present int;
    open rowcast.canary;
begin
    if own.shadow_of is not null or own.route is not null then
        raise exception using errcode = 'RC320',
            message = case when own.route is null then format('scorer "%s" is a shadow', scorer)
                           else format('scorer "%s" routes its rows to many models', scorer) end,
            hint = 'A canary stands beside one model. Of a routed scorer, move one model''s alias.';
    elsif share is null or not (share > 0 and share <= 1) then
        raise exception using errcode = 'RC320',
            message = format('share %s is not between 0 and 1', coalesce(share::text, 'null')),
            hint = 'Give the share of the keys: 0.05 is a twentieth.';
    elsif not coalesce(max_failure_increase >= 0 and max_latency_ratio >= 1 and min_rows > 0, false) then
        raise exception using errcode = 'RC320',
            message = 'a bound of the canary has no meaning',
            detail = format('max_failure_increase %s, max_latency_ratio %s, min_rows %s.',
                            max_failure_increase, max_latency_ratio, min_rows),
            hint = 'At least 0, at least 1, and at least 1.';
    end if;
    if own.pinned_version is null then
        perform rowcast.check_may_set(own.alias);  -- It stands in for that alias, in the same table.
    end if;
    select m.name into strict model from rowcast.model as m where m.model_id = own.model_id;
    wanted := coalesce(wanted, (
        select a.version from rowcast.alias as a
        where a.model_id = own.model_id and a.alias = start_canary.alias));
    if wanted is null then
        raise exception using errcode = 'RC101',
            message = format('model "%s" has no alias "%s"', model, alias),
            hint = format('select rowcast.set_alias(%L, %L, <version>);', model, alias);
    end if;
    perform rowcast.ready_signature(model, wanted);
    perform rowcast.check_scorer_fits(own.scorer_id, wanted);
    present := coalesce(own.pinned_version, rowcast.version_of(own.model_id, own.alias));
    if wanted = present then
        raise exception using errcode = 'RC320',
            message = format('scorer "%s" scores with version %s already', scorer, wanted);
    end if;
    select o.* into strict src from rowcast.source as o where o.source_id = own.source_id;
    begin
        execute format('select hash_record_extended(row(%s), 0)', (
            select string_agg(format('null::%s', k), ', ') from unnest(src.key_types) as k));
    exception when undefined_function then
        raise exception using errcode = 'RC320',
            message = format('the key of scorer "%s" cannot be hashed', scorer), detail = sqlerrm,
            hint = 'Run a shadow instead: rowcast.start_shadow.';
    end;

    perform from rowcast.scorer as s where s.scorer_id = own.scorer_id for update;
    select c.* into open from rowcast.canary as c
    where c.scorer_id = own.scorer_id and c.state in ('running', 'stopping') for update;
    if found and (open.version <> wanted or open.state <> 'running') then
        raise exception using errcode = 'RC320',
            message = format('the canary of scorer "%s" with version %s is %s', scorer, open.version,
                             open.state),
            hint = case open.state when 'running' then format('select rowcast.stop_canary(%L) ends it.', scorer)
                else 'Its rows are being scored again; rowcast.rollouts tells when that is done.' end;
    elsif found then
        update rowcast.canary as c
        set share = start_canary.share, max_failure_increase = start_canary.max_failure_increase,
            max_latency_ratio = start_canary.max_latency_ratio, min_rows = start_canary.min_rows,
            needs_rescore = c.needs_rescore or start_canary.share < c.share,
            changed_at = clock_timestamp()
        where c.canary_id = open.canary_id;
    else
        insert into rowcast.canary (scorer_id, version, alias, share, max_failure_increase,
                                    max_latency_ratio, min_rows, started_by)
        values (own.scorer_id, wanted, case when version is null then alias end, share,
                max_failure_increase, max_latency_ratio, min_rows, rowcast.caller());
        perform rowcast.make_canary_view(own.scorer_id, wanted);
    end if;
    perform rowcast.tell_lanes(own.scorer_id);
    if rescore then
        perform rowcast.make_job(own.scorer_id, 'rescore');
    end if;
    return wanted;
end
$$;
comment on function rowcast.start_canary(
    text, text, double precision, int, double precision, double precision, bigint, boolean) is
    'Has a share of a scorer''s rows scored by another version from now on: the one that an alias points '
    'at now, or the version given; returns it. Rows come by the hash of their key, so the same ones each '
    'time, and raising the share (by another call) keeps those that were in it. Stops by itself when, over '
    'at least min_rows rows, its share of failed rows is more than max_failure_increase above the '
    'scorer''s own, or its time a row more than max_latency_ratio times as long (and 50 microseconds '
    'longer); its rows are then scored again. rescore: scores the rows that are there, too.';
revoke all on function rowcast.start_canary(
    text, text, double precision, int, double precision, double precision, bigint, boolean) from public;
grant execute on function rowcast.start_canary(
    text, text, double precision, int, double precision, double precision, bigint, boolean)
    to rowcast_analyst;

create or replace function rowcast.halt_canary(canary_id bigint, reason text) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.canary;
begin
    update rowcast.canary as c
    set state = 'stopping', reason = halt_canary.reason, ended_at = clock_timestamp(),
        changed_at = clock_timestamp(), needs_rescore = true, rescores = 0
    where c.canary_id = halt_canary.canary_id and c.state = 'running'
    returning c.* into own;
    if not found then
        return false;
    end if;
    perform rowcast.tell_lanes(own.scorer_id);
    return true;
end
$$;
comment on function rowcast.halt_canary(bigint, text) is
    'Ends a running canary: its rows are scored again. False where it was not running.';
revoke all on function rowcast.halt_canary(bigint, text) from public;

create or replace function rowcast.stop_canary(scorer text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    running bigint;
begin
    perform from rowcast.scorer as s where s.scorer_id = own.scorer_id for update;
    select c.canary_id into running from rowcast.canary as c
    where c.scorer_id = own.scorer_id and c.state = 'running';
    if not found then
        raise exception using errcode = 'RC320',
            message = format('scorer "%s" has no canary', scorer),
            hint = 'select * from rowcast.rollouts lists them.';
    end if;
    perform rowcast.halt_canary(running, format('stopped by %s', rowcast.caller()));
end
$$;
comment on function rowcast.stop_canary(text) is
    'Ends the canary of a scorer, and has its rows scored again by the scorer''s own version.';
revoke all on function rowcast.stop_canary(text) from public;
grant execute on function rowcast.stop_canary(text) to rowcast_analyst;

create or replace function rowcast.load_canary(scorer_id int)
returns table (canary_id bigint, model_id int, version int, arm_sql text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select c.canary_id, s.model_id, c.version,
           -- Of the 53 lowest bits, so that a share has an exact bound.
           format('(pg_catalog.hash_record_extended(row(%s), %s) operator(pg_catalog.&) %s::pg_catalog.int8) '
                  'operator(pg_catalog.<) %s::pg_catalog.int8',
                  (select string_agg('c' || k, ', ' order by k)
                   from generate_series(0, cardinality(o.key_columns) - 1) as k),
                  s.scorer_id, (1::bigint << 53) - 1, (c.share * (1::bigint << 53))::bigint)
    from rowcast.canary as c
    join rowcast.scorer as s on s.scorer_id = c.scorer_id
    join rowcast.source as o on o.source_id = s.source_id
    where c.scorer_id = load_canary.scorer_id and c.state = 'running'
$$;
comment on function rowcast.load_canary(int) is
    'The canary of a scorer, if one runs: its version, and whether a row is its, as an expression over '
    'key columns c0, c1, ...';
revoke all on function rowcast.load_canary(int) from public;
grant execute on function rowcast.load_canary(int) to rowcast_worker;

create or replace function rowcast.fail_canary(canary_id bigint, reason text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    return rowcast.halt_canary(canary_id, reason);
end
$$;
comment on function rowcast.fail_canary(bigint, text) is
    'Ends a canary whose version a lane cannot score with.';
revoke all on function rowcast.fail_canary(bigint, text) from public;
grant execute on function rowcast.fail_canary(bigint, text) to rowcast_worker;

create or replace function rowcast.count_canary(
    canary_id bigint, row_count bigint, failed_count bigint, seconds double precision,
    champion_row_count bigint, champion_failed_count bigint, champion_seconds double precision)
returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.canary;
    problem text;
begin
    update rowcast.canary as c
    set row_count = c.row_count + count_canary.row_count,
        failed_count = c.failed_count + count_canary.failed_count,
        seconds = c.seconds + count_canary.seconds,
        champion_row_count = c.champion_row_count + count_canary.champion_row_count,
        champion_failed_count = c.champion_failed_count + count_canary.champion_failed_count,
        champion_seconds = c.champion_seconds + count_canary.champion_seconds
    where c.canary_id = count_canary.canary_id
    returning c.* into own;
    if not found or own.state <> 'running' or own.row_count < own.min_rows then
        return null;
    end if;
    problem := case
        when own.failed_count::float8 / own.row_count
             > own.max_failure_increase
               + coalesce(own.champion_failed_count::float8 / nullif(own.champion_row_count, 0), 0)
        then format('%s of %s rows failed (%s %%), of the scorer''s own version %s of %s (%s %%)',
                    own.failed_count, own.row_count,
                    round(100.0 * own.failed_count / own.row_count, 2), own.champion_failed_count,
                    own.champion_row_count,
                    round(coalesce(100.0 * own.champion_failed_count
                                   / nullif(own.champion_row_count, 0), 0), 2))
        when own.champion_row_count >= own.min_rows
             and own.seconds / own.row_count
                 > own.max_latency_ratio * own.champion_seconds / own.champion_row_count + 5e-5
        then format('a row takes %s us, with the scorer''s own version %s us',
                    round((1e6 * own.seconds / own.row_count)::numeric, 1),
                    round((1e6 * own.champion_seconds / own.champion_row_count)::numeric, 1)) end;
    if problem is not null and rowcast.halt_canary(own.canary_id, problem) then
        return problem;
    end if;
    return null;
end
$$;
comment on function rowcast.count_canary(
    bigint, bigint, bigint, double precision, bigint, bigint, double precision) is
    'Adds what a worker counted of a canary and of its scorer''s own version; stops the canary where it '
    'does worse than its bounds allow, and then returns why.';
revoke all on function rowcast.count_canary(
    bigint, bigint, bigint, double precision, bigint, bigint, double precision) from public;
grant execute on function rowcast.count_canary(
    bigint, bigint, bigint, double precision, bigint, bigint, double precision) to rowcast_worker;

create or replace function rowcast.settle_canaries(model_id int, alias text, version int) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    own record;
begin
    for own in
        update rowcast.canary as c
        set state = 'promoted', ended_at = coalesce(c.ended_at, clock_timestamp()), needs_rescore = false,
            reason = case c.state when 'running' then 'it became the scorer''s own version' else c.reason end
        from rowcast.scorer as s
        where s.scorer_id = c.scorer_id and s.model_id = settle_canaries.model_id
          and s.alias = settle_canaries.alias and s.pinned_version is null
          and c.version = settle_canaries.version and c.state in ('running', 'stopping')
        returning c.scorer_id
    loop
        perform rowcast.tell_lanes(own.scorer_id);
    end loop;
end
$$;
comment on function rowcast.settle_canaries(int, text, int) is
    'Ends the canaries of a version that an alias was moved to: their rows are the scorers'' own now.';
revoke all on function rowcast.settle_canaries(int, text, int) from public;

create or replace function rowcast.tidy_canaries() returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
    own record;
    rows_left boolean;
begin
    for own in
        select c.canary_id, c.scorer_id, c.state, c.rescores, c.needs_rescore,
               exists (select from rowcast.job as j
                       where j.job_id = c.job_id and j.state in ('running', 'paused')) as is_rescoring
        from rowcast.canary as c
        where (c.state = 'stopping' or c.needs_rescore)
          -- Whatever was claimed before lanes were told; a second for the claim that was under way.
          and c.changed_at < clock_timestamp() - interval '1 second'
          and not exists (select from rowcast.chunk as k
                          where k.scorer_id = c.scorer_id and k.state = 'running'
                            and k.claimed_at < c.changed_at + interval '1 second')
        for update of c skip locked
    loop
        continue when own.is_rescoring;
        begin
            execute format('select exists (select from %s)', rowcast.canary_view(own.scorer_id))
            into rows_left;
            if rows_left and own.needs_rescore then
                update rowcast.canary as c
                set job_id = rowcast.make_job(own.scorer_id, 'rescore', rowcast.canary_view(own.scorer_id)),
                    rescores = c.rescores + 1,
                    -- Three times: rows that are left then are not scored for another reason.
                    needs_rescore = c.state = 'stopping' and c.rescores < 2
                where c.canary_id = own.canary_id;
            else
                update rowcast.canary as c
                set needs_rescore = false,
                    state = case c.state when 'stopping' then 'stopped' else c.state end
                where c.canary_id = own.canary_id;
            end if;
        exception when lock_not_available then
            null;  -- The next time.
        end;
    end loop;
end
$$;
comment on function rowcast.tidy_canaries() is
    'Has rows of canaries that end, or whose share became smaller, scored again.';
revoke all on function rowcast.tidy_canaries() from public;
grant execute on function rowcast.tidy_canaries() to rowcast_worker;
