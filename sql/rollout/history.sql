-- Histories: what a prediction was at a time.
--
-- predictions.<scorer>_history has each prediction that was replaced or removed, with the moment when
-- that was. So a row was what a prediction showed from scored_at up to, and not including, ended_at; and
-- the present ones, which are in predictions.<scorer>, since their scored_at. Nothing is copied that is not
-- replaced: new keys cost nothing, whether they come by COPY or not, and a history that begins today knows
-- of all rows that are there. It is partitioned by ended_at: what ended before the retention is dropped with its
-- partition, and no read within the retention misses it.
--
-- Written by triggers on the predictions, in the transaction of the write. Moments are those of the
-- write, a little before its commit.

drop function if exists rowcast.history_columns(int);
create function rowcast.history_columns(
    scorer_id int, out name text, out history text, out columns text, out old_columns text, out added text,
    out ended text, out scored text, out matches text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    select s.name into strict name from rowcast.scorer as s
    where s.scorer_id = history_columns.scorer_id;
    history := name || '_history';
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum),
           string_agg(format('o.%I', a.attname), ', ' order by a.attnum),
           rowcast.fit_name('ended_at', array_agg(a.attname::text)),
           string_agg(format('add column %I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', '
                      order by a.attnum) filter (where not exists (
               select from pg_attribute as h
               where h.attrelid = to_regclass(format('predictions.%I', name || '_history'))
                 and h.attname = a.attname and not h.attisdropped))
    into columns, old_columns, ended, added
    from pg_attribute as a
    where a.attrelid = format('predictions.%I', name)::regclass and a.attnum > 0 and not a.attisdropped;
    scored := (rowcast.row_audit(scorer_id, false))[4];
    select string_agg(format('o.%I %s n.%1$I', k.name, k.equals), ' and ' order by k.place)
    into matches from rowcast.row_key(scorer_id) as k;
end
$$;
comment on function rowcast.history_columns(int) is
    'Names that the SQL of a scorer''s history needs; columns that it lacks, to be added.';
revoke all on function rowcast.history_columns(int) from public;

create or replace function rowcast.make_history(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $make$
declare
    n constant record := rowcast.history_columns(scorer_id);
    key_list text;
begin
    if to_regclass(format('predictions.%I', n.history)) is null then
        select string_agg(quote_ident(k.name), ', ' order by k.place) into key_list
        from rowcast.row_key(scorer_id) as k;
        execute format('create table predictions.%I (like predictions.%I, %I timestamptz not null) '
                       'partition by range (%3$I)', n.history, n.name, n.ended);
        execute format('create index on predictions.%I (%s)', n.history, key_list);
        -- Where the partition of a moment is not there: a write must never fail for that.
        execute format('create table rowcast.history_%s_rest partition of predictions.%I default',
                       scorer_id, n.history);
        execute format('comment on table predictions.%I is %L', n.history, format(
            'Predictions of scorer %s that were replaced or removed. Read with predictions.%I(moment).',
            n.name, n.name || '_as_of'));
        execute format('comment on column predictions.%I.%I is %L', n.history, n.ended,
                       'When it was replaced or removed: it held from its scored_at until before.');
        execute format('revoke all on predictions.%I from public', n.history);
        execute format('grant select on predictions.%I to rowcast_reader', n.history);
        if (select c.relrowsecurity from pg_class as c
            where c.oid = format('predictions.%I', n.name)::regclass) then
            perform rowcast.set_protection(scorer_id, true);  -- As the predictions themselves are.
        end if;
    elsif n.added is not null then
        execute format('alter table predictions.%I %s', n.history, n.added);
    end if;

    -- As a literal, whatever dollars and quotes are in the names of columns.
    execute format('create or replace function rowcast.keep_history_%s() returns trigger language plpgsql '
                   'security definer set search_path = pg_catalog, pg_temp as %L', scorer_id, format($sql$
        begin
            if tg_op = 'UPDATE' then
                insert into predictions.%1$I (%2$s, %3$I)
                select %4$s, n.%5$I from old_rows as o join new_rows as n on %6$s;
            else
                insert into predictions.%1$I (%2$s, %3$I)
                select %4$s, clock_timestamp() from old_rows as o;
            end if;
            return null;
        end
        $sql$, n.history, n.columns, n.ended, n.old_columns, n.scored, n.matches));
    execute format('comment on function rowcast.keep_history_%s() is %L', scorer_id,
                   format('Keeps replaced predictions of scorer %s.', n.name));
    execute format('revoke all on function rowcast.keep_history_%s() from public', scorer_id);
    execute format('create or replace trigger rowcast_history_update after update on predictions.%I '
                   'referencing old table as old_rows new table as new_rows '
                   'for each statement execute function rowcast.keep_history_%s()', n.name, scorer_id);
    execute format('create or replace trigger rowcast_history_delete after delete on predictions.%I '
                   'referencing old table as old_rows '
                   'for each statement execute function rowcast.keep_history_%s()', n.name, scorer_id);

    -- Without settings of its own, so that it is inlined and conditions reach the indexes.
    execute format(
        'create or replace function predictions.%1$I(moment timestamptz) returns setof predictions.%2$I '
        'language sql stable as %3$L', n.name || '_as_of', n.name, format(
        'select %1$s from predictions.%2$I as p where p.%3$I operator(pg_catalog.<=) moment '
        'union all select %1$s from predictions.%4$I as h '
        'where h.%3$I operator(pg_catalog.<=) moment and h.%5$I operator(pg_catalog.>) moment',
        n.columns, n.name, n.scored, n.history, n.ended));
    execute format('comment on function predictions.%I(timestamptz) is %L', n.name || '_as_of', format(
        'The predictions of scorer %s as they were at a moment, as far back as the history goes.', n.name));
    execute format('revoke all on function predictions.%I(timestamptz) from public', n.name || '_as_of');
    execute format('grant execute on function predictions.%I(timestamptz) to rowcast_reader',
                   n.name || '_as_of');
end
$make$;
comment on function rowcast.make_history(int) is
    'Makes the table, triggers and function of a scorer''s history, or brings them up to date.';
revoke all on function rowcast.make_history(int) from public;

create or replace function rowcast.history_partitions(scorer_id int, ahead int) returns int
language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, YMD' as $$
-- Two steps ahead, because a reader may keep the table locked for a while.
declare
    own rowcast.history;
    lower_bound timestamptz;
    part text;
    made int := 0;
begin
    select h.* into strict own from rowcast.history as h
    where h.scorer_id = history_partitions.scorer_id;
    for step_number in 0..ahead loop
        lower_bound := date_trunc(own.step, now()) + step_number * ('1 ' || own.step)::interval;
        part := format('history_%s_%s', own.scorer_id, to_char(lower_bound, 'YYYYMMDDHH24'));
        continue when to_regclass('rowcast.' || part) is not null;
        execute format('create table rowcast.%I partition of predictions.%I for values from (%L) to (%L)',
                       part, (select s.name from rowcast.scorer as s where s.scorer_id = own.scorer_id)
                             || '_history',
                       lower_bound, lower_bound + ('1 ' || own.step)::interval);
        made := made + 1;
    end loop;
    return made;
end
$$;
comment on function rowcast.history_partitions(int, int) is
    'Makes the partitions of a history for now and some steps ahead; counts the new ones.';
revoke all on function rowcast.history_partitions(int, int) from public;

create or replace function rowcast.keep_history(scorer text, retention interval default '30 days')
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    taken text;
begin
    if retention is null or retention < interval '1 hour' then
        raise exception using errcode = 'RC320',
            message = format('a history of %s is too short', coalesce(retention::text, 'null')),
            hint = 'Keep it for an hour at least: ''30 days''.';
    end if;
    perform from rowcast.scorer as s where s.scorer_id = own.scorer_id for update;
    if not exists (select from rowcast.history as h where h.scorer_id = own.scorer_id) then
        taken := coalesce(
            to_regclass(format('predictions.%I', own.name || '_history'))::text,
            to_regprocedure(format('predictions.%I(timestamptz)', own.name || '_as_of'))::text);
        if taken is not null then
            raise exception using errcode = 'RC320', message = format('%s exists already', taken),
                hint = 'It was kept when its scorer was dropped; rename or drop it.';
        end if;
    end if;
    insert into rowcast.history as h (scorer_id, retention, step, started_by)
    values (own.scorer_id, retention, case when retention <= interval '2 days' then 'hour'
                                           when retention <= interval '62 days' then 'day'
                                           else 'month' end, rowcast.caller())
    on conflict on constraint history_pkey do update set retention = excluded.retention;
    perform rowcast.make_history(own.scorer_id);
    perform rowcast.history_partitions(own.scorer_id, 2);
end
$$;
comment on function rowcast.keep_history(text, interval) is
    'From now on keeps what a scorer''s predictions were before they are replaced or removed, in '
    'predictions.<scorer>_history, for that long at least; predictions.<scorer>_as_of(moment) gives all '
    'predictions as they were. A second call changes the retention. Cost: an insert for each prediction '
    'that is replaced or removed, none for new ones.';
revoke all on function rowcast.keep_history(text, interval) from public;
grant execute on function rowcast.keep_history(text, interval) to rowcast_analyst;

create or replace function rowcast.remove_history(scorer_id int, keep_rows boolean) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    own_name constant text := (select s.name from rowcast.scorer as s
                               where s.scorer_id = remove_history.scorer_id);
begin
    if not exists (select from rowcast.history as h where h.scorer_id = remove_history.scorer_id) then
        return;
    end if;
    execute format('drop trigger rowcast_history_update on predictions.%I', own_name);
    execute format('drop trigger rowcast_history_delete on predictions.%I', own_name);
    execute format('drop function rowcast.keep_history_%s()', scorer_id);
    if not keep_rows then
        execute format('drop function predictions.%I(timestamptz)', own_name || '_as_of');
        execute format('drop table predictions.%I', own_name || '_history');
    end if;
    delete from rowcast.history as h where h.scorer_id = remove_history.scorer_id;
end
$$;
comment on function rowcast.remove_history(int, boolean) is
    'Ends the history of a scorer, where it has one, and drops it unless it is kept.';
revoke all on function rowcast.remove_history(int, boolean) from public;

create or replace function rowcast.drop_history(scorer text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
begin
    perform from rowcast.scorer as s where s.scorer_id = own.scorer_id for update;
    if not exists (select from rowcast.history as h where h.scorer_id = own.scorer_id) then
        raise exception using errcode = 'RC320',
            message = format('scorer "%s" has no history', scorer),
            hint = 'select rowcast.keep_history(...) begins one.';
    end if;
    perform rowcast.remove_history(own.scorer_id, false);
end
$$;
comment on function rowcast.drop_history(text) is 'Drops the history of a scorer, and keeps none from now on.';
revoke all on function rowcast.drop_history(text) from public;
grant execute on function rowcast.drop_history(text) to rowcast_analyst;

create or replace function rowcast.tidy_history(scorer_id int) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp set timezone = 'UTC'
set lock_timeout = '50ms' as $$
declare
    own rowcast.history;
    part record;
    ended text;
begin
    select h.* into strict own from rowcast.history as h where h.scorer_id = tidy_history.scorer_id;
    perform rowcast.history_partitions(own.scorer_id, 2);
    for part in
        select c.oid::regclass as relation,
               to_timestamp(substring(c.relname from '\d{10}$'), 'YYYYMMDDHH24') as lower_bound
        from pg_class as c
        where c.relnamespace = 'rowcast'::regnamespace
          and c.relname ~ format('^history_%s_\d{10}$', own.scorer_id)
    loop
        if part.lower_bound + ('1 ' || own.step)::interval < now() - own.retention then
            execute format('drop table %s', part.relation);
        end if;
    end loop;
    if pg_relation_size(format('rowcast.history_%s_rest', own.scorer_id)::regclass) > 0 then
        ended := (rowcast.history_columns(own.scorer_id)).ended;
        execute format('delete from rowcast.history_%s_rest as r where r.%I < now() - $1',
                       own.scorer_id, ended) using own.retention;
    end if;
end
$$;
comment on function rowcast.tidy_history(int) is
    'Makes the next partitions of a history, and drops those whose time is over.';
revoke all on function rowcast.tidy_history(int) from public;

create or replace function rowcast.tidy_histories() returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own record;
begin
    for own in select h.scorer_id, s.name from rowcast.history as h
        join rowcast.scorer as s on s.scorer_id = h.scorer_id order by h.scorer_id
    loop
        begin
            perform rowcast.tidy_history(own.scorer_id);
        exception when lock_not_available then
            null;  -- The next time: there are partitions ahead.
        when others then
            raise warning using errcode = '01000',
                message = format('the history of scorer "%s" is not tidied: %s', own.name, sqlerrm);
        end;
    end loop;
end
$$;
comment on function rowcast.tidy_histories() is 'Tidies each history; blocks writers for at most 50 ms.';
revoke all on function rowcast.tidy_histories() from public;
grant execute on function rowcast.tidy_histories() to rowcast_worker;

create or replace view rowcast.histories as
select s.name as scorer, format('predictions.%I', s.name || '_history') as history, h.retention,
       h.step as partition_length, h.started_at, h.started_by
from rowcast.history as h join rowcast.scorer as s on s.scorer_id = h.scorer_id;
comment on view rowcast.histories is 'Scorers whose former predictions are kept, and for how long.';
grant select on rowcast.histories to rowcast_reader;
