-- What is expected of a scorer's rows: said, loaded by lanes, held, resolved.
--
-- Kinds judge single rows (null without a tolerated share, range, allowed), or many rows at once (null with
-- a share, mean, spread, drift): a lane puts chunks together until there are minimum_rows of them. The
-- check in SQL, check_expectations, judges a relation in the same way.

create or replace function rowcast.expect(
    scorer text, name text, kind text, column_name text default null, action text default 'gate',
    minimum double precision default null, maximum double precision default null,
    allowed text[] default null, tolerance double precision default null,
    minimum_rows int default null)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    found_column record;
    column_kind text;
    column_place smallint;
    problem text;
begin
    if name is null or name !~ '^[^[:cntrl:]]{1,63}$' then
        problem := 'the name is empty or too long';
    elsif kind is null
          or kind not in ('columns', 'null', 'range', 'allowed', 'mean', 'spread', 'drift') then
        problem := format('kind is "%s"', kind);
    elsif action is null or action not in ('gate', 'warn', 'record') then
        problem := format('action is "%s"', action);
    elsif (kind = 'columns') <> (column_name is null) then
        problem := case when column_name is null then format('kind "%s" needs a column', kind)
                        else 'kind "columns" is about all columns' end;
    elsif (kind = 'range') <> (minimum is not null or maximum is not null) and kind <> 'null' then
        problem := case kind when 'range' then 'a range has a minimum or a maximum'
                             else format('kind "%s" has no minimum or maximum', kind) end;
    elsif minimum > maximum or minimum = 'NaN' or maximum = 'NaN' then
        problem := format('no number is from %s to %s', minimum, maximum);
    elsif kind = 'null' and (minimum is not null or maximum not between 0 and 1) then
        problem := 'of missing values a maximum share is given, from 0 to 1';
    elsif (kind = 'allowed') <> (allowed is not null) or cardinality(allowed) = 0
          or array_position(allowed, null) is not null then
        problem := 'kind "allowed", and no other, has a list of allowed values';
    elsif tolerance is not null and kind not in ('mean', 'spread', 'drift')
          or not tolerance > 0 or tolerance = 'NaN' then
        problem := 'a tolerance is a positive number, for kind mean, spread or drift';
    elsif minimum_rows is not null and (minimum_rows < 2 or kind not in ('null', 'mean', 'spread', 'drift')) then
        problem := 'minimum_rows is at least 2, for kinds that judge many rows at once';
    end if;
    if problem is null and column_name is not null then
        select c.* into found_column from rowcast.profile_columns(own.scorer_id) as c
        where c.column_name = expect.column_name order by c.kind limit 1;
        if not found then
            raise exception using errcode = 'RC341',
                message = format('scorer "%s" neither reads nor writes a column "%s"', scorer, column_name),
                detail = format('It has %s.', (select string_agg(c.column_name, ', ' order by c.kind, c.place)
                                               from rowcast.profile_columns(own.scorer_id) as c));
        elsif found_column.kind = 'input'
              and not rowcast.may_read_input(own.scorer_id, column_name) then
            -- How many rows meet an expectation tells of their values.
            raise exception using errcode = '42501',
                message = format('permission denied for column "%s" of the source', column_name);
        elsif found_column.is_text and kind = 'range' then
            problem := format('column "%s" is text, and has no range', column_name);
        elsif kind = 'allowed' and not found_column.is_text then
            begin
                perform allowed::float8[];
            exception when others then
                problem := format('column "%s" is a number, not all allowed values are', column_name);
            end;
        end if;
    end if;
    if problem is not null then
        raise exception using errcode = 'RC341', message = problem,
            hint = case when problem like 'kind is %'
                        then 'Kinds are columns, null, range, allowed, mean, spread and drift.'
                        when problem like 'action is %' then 'Actions are gate, warn and record.'
                        else 'For example: select rowcast.expect(''churn'', ''ages'', ''range'', ''age'', '
                             'minimum => 18).' end;
    end if;
    if column_name is not null then
        column_kind := found_column.kind;
        column_place := found_column.place;
    end if;
    begin
        insert into rowcast.expectation (
            scorer_id, name, kind, column_kind, place, column_name, action, minimum, maximum, allowed,
            tolerance, minimum_rows, created_by)
        values (own.scorer_id, name, kind, column_kind, column_place, column_name, action, minimum,
                case kind when 'null' then coalesce(maximum, 0) else maximum end, allowed,
                case when kind in ('mean', 'spread', 'drift') then coalesce(tolerance, 0.25) end,
                case when kind in ('mean', 'spread', 'drift') or kind = 'null' and maximum > 0
                     then coalesce(minimum_rows, 500) else 1 end, rowcast.caller());
    exception when unique_violation then
        raise exception using errcode = 'RC340',
            message = format('expectation "%s" of scorer "%s" exists', name, scorer),
            hint = format('select rowcast.drop_expectation(%L, %L) removes it.', scorer, name);
    end;
    -- Lanes load the scorer anew.
    update rowcast.scorer as s set revision = s.revision + 1 where s.scorer_id = own.scorer_id;
end
$$;
comment on function rowcast.expect(
    text, text, text, text, text, double precision, double precision, text[], double precision, int) is
    'Says what a scorer''s rows are expected to be. Kinds: columns (all are there, with types that fit); '
    'null (maximum: share of missing values, 0 unless given); range (minimum, maximum); allowed; and '
    'against the baseline mean (tolerance in its standard deviations), spread (standard deviations differ '
    'by a factor of at most 1 + tolerance) and drift (population stability index up to tolerance), each '
    '0.25 unless given, of minimum_rows rows (500). Actions: gate keeps rows that fail from being scored, '
    'or suspends the scorer where many rows together fail; warn shows and logs; record counts. Errors: '
    'RC306 no such scorer, RC340 the name is taken, RC341 it makes no sense.';
revoke all on function rowcast.expect(
    text, text, text, text, text, double precision, double precision, text[], double precision, int)
    from public;
grant execute on function rowcast.expect(
    text, text, text, text, text, double precision, double precision, text[], double precision, int)
    to rowcast_analyst;

create or replace function rowcast.drop_expectation(scorer text, name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
begin
    delete from rowcast.expectation as e
    where e.scorer_id = own.scorer_id and e.name = drop_expectation.name;
    if not found then
        raise exception using errcode = 'RC340',
            message = format('scorer "%s" has no expectation "%s"', scorer, name),
            hint = 'The view rowcast.expectations lists them.';
    end if;
    perform rowcast.go_on(own.scorer_id);
end
$$;
comment on function rowcast.drop_expectation(text, text) is
    'Takes an expectation back; a scorer that only it held goes on. Errors: RC340 there is none.';
revoke all on function rowcast.drop_expectation(text, text) from public;
grant execute on function rowcast.drop_expectation(text, text) to rowcast_analyst;

create or replace function rowcast.go_on(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.scorer;
begin
    select s.* into own from rowcast.scorer as s where s.scorer_id = go_on.scorer_id for update;
    if own.state = 'suspended' and own.state_reason like 'expectation "%'
       and rowcast.scorer_problem(scorer_id) is null then
        -- Changes were logged all the while, so nothing is scored again.
        perform rowcast.make_write(scorer_id);
        perform rowcast.set_scorer_state(scorer_id, 'active', null);
    else
        update rowcast.scorer as s set revision = s.revision + 1 where s.scorer_id = go_on.scorer_id;
    end if;
end
$$;
comment on function rowcast.go_on(int) is
    'Resumes a scorer that an expectation suspended and none holds any more.';
revoke all on function rowcast.go_on(int) from public;

create or replace function rowcast.resolve_expectations(scorer text, accept boolean default true)
returns setof text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    newest constant bigint := (select max(t.tick_id) from rowcast.tick as t);
begin
    return query
        update rowcast.expectation as e
        set held_at = null, held_reason = null,
            accepted_tick = case when accept then newest else e.accepted_tick end
        where e.scorer_id = own.scorer_id and e.held_at is not null
        returning e.name;
    perform rowcast.go_on(own.scorer_id);
end
$$;
comment on function rowcast.resolve_expectations(text, boolean) is
    'Lets a scorer go on that expectations suspended, and names them. accept: rows collected until now '
    'are as they should be, and scored unjudged; false: the rows were mended, and are judged again.';
revoke all on function rowcast.resolve_expectations(text, boolean) from public;
grant execute on function rowcast.resolve_expectations(text, boolean) to rowcast_analyst;

create or replace function rowcast.load_expectations(scorer_id int)
returns table (expectation_id int, name text, kind text, column_kind text, place smallint,
               column_name text, action text, minimum double precision, maximum double precision,
               allowed text[], is_text boolean, tolerance double precision, minimum_rows int,
               accepted_tick bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    return query
    select e.expectation_id, e.name, e.kind, e.column_kind, e.place, e.column_name, e.action,
           e.minimum, e.maximum, e.allowed, c.is_text, e.tolerance, e.minimum_rows, e.accepted_tick
    from rowcast.expectation as e
    join rowcast.profile_columns(load_expectations.scorer_id) as c
      on c.kind = e.column_kind and c.place = e.place
    where e.scorer_id = load_expectations.scorer_id and e.kind <> 'columns'
    order by e.expectation_id;
end
$$;
comment on function rowcast.load_expectations(int) is 'What a lane expects of a scorer''s rows.';
revoke all on function rowcast.load_expectations(int) from public;
grant execute on function rowcast.load_expectations(int) to rowcast_worker;

create or replace function rowcast.hold_scorer(
    scorer_id int, expectation_id int, reason text, observed double precision) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.expectation;
begin
    update rowcast.expectation as e set held_at = clock_timestamp(), held_reason = reason
    where e.expectation_id = hold_scorer.expectation_id and e.scorer_id = hold_scorer.scorer_id
      and e.held_at is null
    returning e.* into own;
    if not found then
        return false;  -- Dropped, or held by another lane already.
    end if;
    perform rowcast.record_expectations(
        array[own.expectation_id], array[date_trunc('hour', own.held_at)], array[1::bigint],
        array[1::bigint], array[observed], array[reason]);
    return rowcast.suspend_scorer(scorer_id, rowcast.held_by(scorer_id));
end
$$;
comment on function rowcast.hold_scorer(int, int, text, double precision) is
    'Suspends a scorer because an expectation is not met, until somebody resolves it.';
revoke all on function rowcast.hold_scorer(int, int, text, double precision) from public;
grant execute on function rowcast.hold_scorer(int, int, text, double precision) to rowcast_worker;

create or replace function rowcast.record_expectations(
    expectation_ids int[], hours timestamptz[], checked bigint[], failed bigint[],
    observed double precision[], reasons text[])
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    -- Whoever drops an expectation is not waited for: what became of it goes with it.
    with kept as materialized (
        select e.expectation_id from rowcast.expectation as e
        where e.expectation_id = any (expectation_ids) order by e.expectation_id for key share skip locked
    )
    insert into rowcast.expectation_hour as h (
        expectation_id, hour, checked, failed, last_observed, last_failed_at, last_reason)
    select n.expectation_id, n.hour, n.checked, n.failed, n.observed,
           case when n.failed > 0 then clock_timestamp() end, n.reason
    from unnest(expectation_ids, hours, checked, failed, observed, reasons)
        as n (expectation_id, hour, checked, failed, observed, reason)
    join kept as k on k.expectation_id = n.expectation_id
    order by n.expectation_id, n.hour
    on conflict on constraint expectation_hour_pkey do update
    set checked = h.checked + excluded.checked, failed = h.failed + excluded.failed,
        last_observed = excluded.last_observed,
        last_failed_at = greatest(h.last_failed_at, excluded.last_failed_at),
        last_reason = coalesce(excluded.last_reason, h.last_reason)
$$;
comment on function rowcast.record_expectations(
    int[], timestamptz[], bigint[], bigint[], double precision[], text[]) is
    'Adds what became of expectations: one element an expectation and hour.';
revoke all on function rowcast.record_expectations(
    int[], timestamptz[], bigint[], bigint[], double precision[], text[]) from public;
grant execute on function rowcast.record_expectations(
    int[], timestamptz[], bigint[], bigint[], double precision[], text[]) to rowcast_worker;

create or replace view rowcast.expectations as
select s.name as scorer, e.name, e.kind, e.column_name, e.action, e.minimum, e.maximum, e.allowed,
       e.tolerance, e.minimum_rows, e.held_at, e.held_reason, e.created_at, e.created_by
from rowcast.expectation as e join rowcast.scorer as s on s.scorer_id = e.scorer_id;
comment on view rowcast.expectations is 'What is expected of scorers'' rows, and which of it holds a scorer.';
comment on column rowcast.expectations.scorer is 'Whose rows are judged.';
comment on column rowcast.expectations.name is 'As it was given.';
comment on column rowcast.expectations.kind is
    'columns, null, range, allowed, mean, spread or drift: see rowcast.expect.';
comment on column rowcast.expectations.column_name is 'A column of the source or of the predictions.';
comment on column rowcast.expectations.action is 'gate, warn or record.';
comment on column rowcast.expectations.minimum is 'Of a range.';
comment on column rowcast.expectations.maximum is 'Of a range; of missing values, their share.';
comment on column rowcast.expectations.allowed is 'The values that are allowed.';
comment on column rowcast.expectations.tolerance is 'How far off the baseline is tolerated.';
comment on column rowcast.expectations.minimum_rows is 'How many rows are judged together; 1 for each alone.';
comment on column rowcast.expectations.held_reason is 'What it found.';
comment on column rowcast.expectations.created_at is 'When it was said.';
comment on column rowcast.expectations.created_by is 'Who said it.';
comment on column rowcast.expectations.held_at is
    'When it suspended its scorer; rowcast.resolve_expectations lets that go on.';
grant select on rowcast.expectations to rowcast_reader;

create or replace view rowcast.expectation_results as
select s.name as scorer, e.name, e.kind, e.column_name, e.action, h.hour, h.checked, h.failed,
       h.last_observed, h.last_failed_at, h.last_reason, e.held_at is not null as is_held
from rowcast.expectation_hour as h
join rowcast.expectation as e on e.expectation_id = h.expectation_id
join rowcast.scorer as s on s.scorer_id = e.scorer_id;
comment on view rowcast.expectation_results is
    'What became of expectations while rows were scored, by the hour.';
comment on column rowcast.expectation_results.scorer is 'Whose rows were judged.';
comment on column rowcast.expectation_results.name is 'Of the expectation.';
comment on column rowcast.expectation_results.kind is 'Of the expectation.';
comment on column rowcast.expectation_results.column_name is 'The column that was judged.';
comment on column rowcast.expectation_results.action is 'gate, warn or record.';
comment on column rowcast.expectation_results.hour is 'The beginning of the hour.';
comment on column rowcast.expectation_results.last_failed_at is 'When it last failed; null for never.';
comment on column rowcast.expectation_results.last_reason is 'What was wrong then.';
comment on column rowcast.expectation_results.is_held is 'Whether it holds its scorer now.';
comment on column rowcast.expectation_results.checked is
    'Rows; of mean, spread, drift and shares of missing values, how often many rows were judged at once.';
comment on column rowcast.expectation_results.failed is 'How many of checked failed.';
comment on column rowcast.expectation_results.last_observed is
    'What was judged last: a share of rows, a distance from the baseline''s mean in its standard '
    'deviations, a ratio of standard deviations, or a stability index.';
grant select on rowcast.expectation_results to rowcast_reader;

create or replace function rowcast.check_gates(
    model_id int, alias text, only_scorer int, is_required boolean)
returns table (passed boolean, detail text)
language sql stable set search_path = pg_catalog, pg_temp as $$
    with gate as (
        select s.name as scorer, e.name, e.held_reason
        from rowcast.scorer as s
        join rowcast.scorer as f on f.scorer_id = coalesce(s.shadow_of, s.scorer_id)
        join rowcast.expectation as e on e.scorer_id = s.scorer_id and e.action = 'gate'
        where f.model_id = check_gates.model_id and f.alias = check_gates.alias
          and f.pinned_version is null
          and (only_scorer is null or f.scorer_id = only_scorer)
    )
    select count(*) > 0 and count(g.held_reason) = 0,
           case when count(*) = 0 then 'nothing is expected of the rows of scorers that follow the alias'
                when count(g.held_reason) = 0 then case count(*) when 1 then '1 gate holds no scorer'
                                                            else format('%s gates hold no scorer', count(*)) end
                else string_agg(format('scorer "%s", expectation "%s": %s', g.scorer, g.name, g.held_reason),
                                '; ') filter (where g.held_reason is not null) end
    from gate as g
    having count(*) > 0 or is_required
$$;
comment on function rowcast.check_gates(int, text, int, boolean) is
    'Whether an expectation holds a scorer that follows an alias, or its shadow; no row where nothing is '
    'expected, unless that is required.';
revoke all on function rowcast.check_gates(int, text, int, boolean) from public;
