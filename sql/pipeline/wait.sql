-- Waiting: a script inserts, waits, and reads predictions of all that it inserted.
--
-- What the caller sees is fixed by a snapshot at the call. A change in it is scored when a tick has
-- collected it, which the tick's snapshot tells, and the chunks that this tick and earlier ones made for
-- the scorer are over; and a job that was there at the call when it is done. Later work is not waited
-- for, so a stream of changes does not keep the caller.
--
-- Whether a tick has collected a change is asked of the log. So the log must not be truncated between
-- the reading of the last tick and the end of the wait: it would tell that this tick had missed nothing.

create or replace function rowcast.must_see_commits(what text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using errcode = 'RC308',
            message = format('%s cannot be waited for in a transaction that is %s', what,
                             current_setting('transaction_isolation')),
            hint = 'It would not see what others commit. Call it outside of a transaction.';
    end if;
end
$$;
comment on function rowcast.must_see_commits(text) is
    'Raises RC308 in a transaction whose snapshot stays as it is.';
revoke all on function rowcast.must_see_commits(text) from public;

create or replace procedure rowcast.wait(scorer text, timeout interval default '60 seconds')
language plpgsql security definer
-- As in ticks: statistics of a log that is truncated again and again mislead.
set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
    seen constant txid_snapshot := txid_current_snapshot();
    called_at constant timestamptz := clock_timestamp();
    give_up_at constant timestamptz := called_at + timeout;
    pause interval := '1 millisecond';
    target rowcast.scorer := rowcast.own_scorer(scorer);
    jobs bigint[] := array(
        select j.job_id from rowcast.job as j
        where j.scorer_id = target.scorer_id and j.state in ('running', 'paused'));
    sources constant int[] := target.source_id || array(
        select w.source_id from rowcast.watch as w where w.scorer_id = target.scorer_id);
    last_tick bigint;
    collected_by bigint;  -- The first tick that has seen all that the caller saw.
    given_up record;
    waiting bigint;
    paused bigint;
    silent text;
begin
    perform rowcast.check_scorer_right(scorer, 'read');
    perform rowcast.must_see_commits('predictions');
    if exists (select from rowcast.scorer as s
                  where s.scorer_id = target.scorer_id
                    and s.xmin = pg_current_xact_id_if_assigned()::xid)
       or exists (select from rowcast.change as c
                  where c.xid = txid_current_if_assigned() and c.source_id = any (sources)) then
        raise exception using errcode = 'RC308',
            message = format('changes of this transaction to what scorer "%s" scores are not committed',
                             scorer),
            hint = 'Commit first: workers see only what is committed.';
    end if;

    -- Held to the end. What was truncated before is in a tick that is seen now.
    lock table rowcast.change in access share mode;
    select max(t.tick_id) into last_tick from rowcast.tick as t where t.snapshot is not null;

    loop
        target := rowcast.own_scorer(scorer);
        if collected_by is null then
            select t.tick_id into collected_by
            from rowcast.tick as t
            where t.tick_id >= last_tick and t.snapshot is not null
              and not exists (
                  select from rowcast.changes_between(t.snapshot::text::txid_snapshot, seen) as c
                  where c.source_id = any (sources))
            order by t.tick_id limit 1;
            -- A watched relation that was truncated has all rows scored again, by a job of that tick.
            if collected_by is not null and cardinality(sources) > 1 then
                jobs := jobs || array(
                    select j.job_id from rowcast.job as j
                    where j.scorer_id = target.scorer_id and j.state in ('running', 'paused'));
            end if;
        end if;
        exit when collected_by is not null
            and not exists (select from rowcast.open_chunks_of(target.scorer_id) as c
                            where c.tick_id <= collected_by)
            and not exists (select from rowcast.job as j
                            where j.job_id = any (jobs) and j.state in ('running', 'paused'));

        if target.state <> 'active' then
            raise exception using errcode = 'RC306',
                message = format('scorer "%s" is %s, and not up to date', scorer, target.state),
                detail = target.state_reason,
                hint = case target.state when 'paused'
                    then format('select rowcast.resume_scorer(%L);', scorer)
                    else format('Mend it, then: select rowcast.resume_scorer(%L);', scorer) end;
        end if;
        select j.job_id into paused
        from rowcast.job as j where j.job_id = any (jobs) and j.state = 'paused' limit 1;
        if found then
            raise exception using errcode = 'RC310',
                message = format('job %s of scorer "%s" is paused', paused, scorer),
                hint = format('select rowcast.resume_job(%s);', paused);
        elsif clock_timestamp() >= give_up_at then
            select s.backlog_rows into waiting from rowcast.status_rows() as s where s.name = scorer;
            raise exception using errcode = 'RC307',
                message = format('scorer "%s" was not up to date within %s', scorer, timeout),
                detail = format('%s changed rows wait%s.', waiting, (
                    select format(', and job %s is not done', min(j.job_id)) from rowcast.job as j
                    where j.job_id = any (jobs) and j.state = 'running' having count(*) > 0)),
                hint = case when exists (select from rowcast.lane)
                    then 'The view rowcast.scorer_status tells how fast it goes; give a longer timeout.'
                    else 'Start a worker with "rowcast worker" or "rowcast up".' end;
        end if;
        perform pg_sleep(extract(epoch from least(pause, give_up_at - clock_timestamp())));
        pause := least(pause * 1.5, interval '100 milliseconds');
    end loop;

    select rowcast.capture_problem(s.source_id) into silent from unnest(sources) as s (source_id)
    where rowcast.capture_problem(s.source_id) is not null limit 1;
    if silent is not null then
        raise exception using errcode = 'RC311',
            message = format('scorer "%s" may have missed changes: %s', scorer, silent),
            hint = format(case when silent like '%missing'
                then 'Let the owner of the table run: select rowcast.check_scorer(%L);'
                else 'Enable it, then: select rowcast.rescore(%L);' end, scorer);
    end if;
    select count(*) as chunks, sum(c.key_count) as row_count, max(c.error) as error into given_up
    from rowcast.chunk as c
    where c.scorer_id = target.scorer_id and c.finished_at >= called_at and c.state = 'failed'
      and c.tick_id <= collected_by;
    if given_up.chunks > 0 then
        raise exception using errcode = 'RC309',
            message = format('scorer "%s" gave up on %s rows', scorer, given_up.row_count),
            detail = given_up.error,
            hint = format('select rowcast.rescore(%L, failures_only => true) tries again what the view '
                          'rowcast.failures lists; without it, all rows.', scorer);
    end if;
    -- Lanes do not wait for the disk. A record in this transaction's name has its commit do so for all.
    perform pg_logical_emit_message(true, 'rowcast', 'wait');
end
$$;
comment on procedure rowcast.wait(text, interval) is
    'Returns when everything that the caller could see at the call is scored, backfill and rescoring '
    'included. Errors: RC306 no such scorer, or paused or suspended; RC307 not in time; RC308 called in a '
    'transaction with changes of its own; RC309 chunks were given up; RC310 a job is paused; RC311 a trigger of the source does not '
    'fire. Cost: an index probe a look, '
    '1 to 100 ms apart.';
revoke all on procedure rowcast.wait(text, interval) from public;
grant execute on procedure rowcast.wait(text, interval) to rowcast_reader;
