-- Questions: named values that a worker scores while the caller waits.
--
-- A question is a row of an unlogged table, committed before the caller waits for its answer, because no
-- other session sees it earlier. So asking is a procedure: a function cannot commit. Its name goes to the
-- workers with a notification; whichever locks the row first answers it. Nothing of a question reaches the
-- log of the database: three commits without a flush, one notification and looks a millisecond apart are
-- what it costs.

create or replace procedure rowcast.score(
    model text, given jsonb, inout result jsonb default null, alias text default 'champion',
    version int default null, explain int default 0, timeout interval default '5 seconds')
-- With the caller's rights, and without settings of its own: otherwise it could not commit. So each name
-- is written with its schema.
language plpgsql as $$
declare
    question pg_catalog.uuid;
    reply pg_catalog.record;
    give_up_at constant pg_catalog.timestamptz :=
        pg_catalog.clock_timestamp() operator(pg_catalog.+) timeout;
    ring_at pg_catalog.timestamptz :=
        pg_catalog.clock_timestamp() operator(pg_catalog.+) interval '200 milliseconds';
    pause pg_catalog.float8 := 0.0005;
begin
    call rowcast.outside_of_a_transaction_block();
    question := rowcast.ask(model, given, alias, version, explain, timeout);
    commit;
    loop
        select a.answer, a.code, a.message, a.hint into reply from rowcast.take_answer(question) as a;
        exit when found;
        -- Each look sees what is committed by then, whatever the isolation; and holds nothing meanwhile.
        commit;
        if pg_catalog.clock_timestamp() operator(pg_catalog.>=) give_up_at then
            select a.answer, a.code, a.message, a.hint into reply
            from rowcast.give_up_question(question, model, timeout) as a;
            exit;
        elsif pg_catalog.clock_timestamp() operator(pg_catalog.>=) ring_at then
            perform rowcast.ring_question(question);
            ring_at := ring_at operator(pg_catalog.+) interval '200 milliseconds';
        end if;
        perform pg_catalog.pg_sleep(pause);
        pause := least(pause operator(pg_catalog.*) 1.25, 0.02);
    end loop;
    commit;
    if reply.code is not null and reply.hint is not null then
        raise exception using errcode = reply.code, message = reply.message, hint = reply.hint;
    elsif reply.code is not null then
        raise exception using errcode = reply.code, message = reply.message;
    end if;
    result := reply.answer;
end
$$;
comment on procedure rowcast.score(text, jsonb, jsonb, text, int, int, interval) is
    'Scores named values with a model while the caller waits: an object of the model''s features gives an '
    'object of its outputs, an array of objects an array, in which rows that cannot be scored have '
    'failure and reason. With explain, the largest contributions too. Commits: call it outside of a '
    'transaction block, and not from a function. Errors: RC101 to RC103 no such model, or not ready; RC330 '
    'the values do not fit the model; RC331 no answer in time; RC332 the row cannot be scored.';
revoke all on procedure rowcast.score(text, jsonb, jsonb, text, int, int, interval) from public;
grant execute on procedure rowcast.score(text, jsonb, jsonb, text, int, int, interval)
    to rowcast_analyst;

create or replace procedure rowcast.outside_of_a_transaction_block()
language plpgsql as $$
-- Where the transaction is the caller's, PostgreSQL only says "invalid transaction termination". Inside a
-- block that catches errors a commit is always refused, but with another message where it would be allowed
-- outside; a server of another language says it by the commit that follows.
declare
    refusal text;
begin
    begin
        commit;
    exception when invalid_transaction_termination then
        refusal := sqlerrm;
    end;
    if refusal operator(pg_catalog.=) 'invalid transaction termination' then
        raise exception using errcode = '2D000',
            message = 'rowcast.score commits, and is called inside a transaction block or a function',
            hint = 'Call it outside: after "commit", with autocommit, as a statement of its own.';
    end if;
    commit;
end
$$;
comment on procedure rowcast.outside_of_a_transaction_block() is
    'Fails inside a transaction block or a function, by 2D000.';
revoke all on procedure rowcast.outside_of_a_transaction_block() from public;
grant execute on procedure rowcast.outside_of_a_transaction_block() to rowcast_analyst;

create or replace function rowcast.ask(
    model text, given jsonb, alias text, version int, explain int, timeout interval) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    own_model_id int;
    own_version int;
    signature jsonb;
    lines text;
    line_count int;
    stranger text;
    asked uuid := gen_random_uuid();
begin
    select m.model_id, m.own_version, m.signature into own_model_id, own_version, signature
    from rowcast.job_model(model, alias, version) as m;

    if timeout is null or timeout <= interval '0' or timeout > interval '1 hour' then
        raise exception using errcode = 'RC330',
            message = format('timeout is %s', coalesce(timeout::text, 'null')),
            hint = 'Give more than nothing, and up to an hour.';
    elsif explain is null or explain not between 0 and 20 then
        raise exception using errcode = 'RC330',
            message = format('explain is %s, it goes from 0 to 20', coalesce(explain::text, 'null'));
    elsif explain > 0 and not rowcast.is_explained(own_model_id, own_version) then
        raise exception using errcode = 'RC110',
            message = format('predictions of model "%s" %s cannot be explained', model, own_version),
            hint = 'Those of trees of LightGBM and XGBoost with one margin a prediction can, and of linear '
                   'models.';
    end if;

    -- Workers hold it in memory, and answer other questions meanwhile.
    if pg_column_size(given) > 16 << 20 then
        raise exception using errcode = 'RC330',
            message = format('the values take %s, up to 16 MB can be asked at once',
                             pg_size_pretty(pg_column_size(given)::bigint)),
            hint = 'Larger sets are for a scorer, or a job.';
    end if;
    case jsonb_typeof(given)
        when 'object' then
            lines := given::text;
            line_count := 1;
        when 'array' then
            line_count := jsonb_array_length(given);
            if line_count not between 1 and 10000 then
                raise exception using errcode = 'RC330',
                    message = format('%s rows are given, 1 to 10000 can be asked at once', line_count),
                    hint = 'Larger sets are for a scorer, or a job.';
            elsif exists (select from jsonb_array_elements(given) as r (value)
                          where jsonb_typeof(r.value) <> 'object') then
                raise exception using errcode = 'RC330',
                    message = 'the array holds something else than objects',
                    hint = 'Give [{"age": 42}, {"age": 17}].';
            end if;
            select string_agg(r.value::text, chr(10) order by r.place) into lines
            from jsonb_array_elements(given) with ordinality as r (value, place);
        else
            raise exception using errcode = 'RC330',
                message = format('the values are %s, an object is wanted, or an array of objects',
                                 coalesce(jsonb_typeof(given), 'null')),
                hint = 'Give {"age": 42}.';
    end case;

    -- What is misspelt would be taken for missing, and be scored.
    select k.name into stranger
    from jsonb_array_elements(
        case jsonb_typeof(given) when 'object' then jsonb_build_array(given) else given end) as r (value)
    cross join lateral jsonb_object_keys(r.value) as k (name)
    where not exists (select from jsonb_array_elements(signature -> 'features') as f
                      where f ->> 'name' = k.name) limit 1;
    if found then
        raise exception using errcode = 'RC330',
            message = format('model "%s" %s has no feature "%s"', model, own_version, stranger),
            hint = 'Its features: ' || coalesce((
                select string_agg(f.value ->> 'name', ', ' order by f.place)
                from jsonb_array_elements(signature -> 'features') with ordinality as f (value, place)
                where f.place <= 40), 'none')
                || case when jsonb_array_length(signature -> 'features') > 40 then ', …' else '' end;
    end if;

    insert into rowcast.question as q (
        question_id, model_id, version, reasons, lines, line_count, is_single, asked_by, expires_at)
    values (asked, own_model_id, own_version, explain, lines, line_count,
            jsonb_typeof(given) = 'object', rowcast.caller(), clock_timestamp() + timeout);
    perform pg_notify('rowcast_question', asked::text);
    return asked;
end
$$;
comment on function rowcast.ask(text, jsonb, text, int, int, interval) is
    'The first step of rowcast.score: checks the values against the model''s signature, and lays them '
    'down as a question that workers see when it is committed.';
revoke all on function rowcast.ask(text, jsonb, text, int, int, interval) from public;
grant execute on function rowcast.ask(text, jsonb, text, int, int, interval) to rowcast_analyst;

create or replace function rowcast.question_reason(reason text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    -- Workers speak of columns and of types of models, as in files.
    select case when m.parts is null then reason
                else format('feature %s is not what the model wants: %s', m.parts[1], case
                    when m.parts[2] like 'float%' then 'a number' when m.parts[2] like 'int%' then 'an integer'
                    when m.parts[2] = 'string' then 'a text'
                    when m.parts[2] = 'bytes' then 'an image in base64' else 'true or false' end) end
    from (select regexp_match(reason, '^column (".*") is not (float32|float64|int64|string|bool|bytes)$')) as m (parts)
$$;
comment on function rowcast.question_reason(text) is
    'Why a row cannot be scored, in the words of who asked.';
revoke all on function rowcast.question_reason(text) from public;

create or replace function rowcast.take_answer(question uuid)
returns table (answer jsonb, code text, message text, hint text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    own rowcast.question;
begin
    delete from rowcast.question as q
    where q.question_id = question and (q.answer is not null or q.error_code is not null)
    returning q.* into own;
    if not found then
        return;
    end if;
    code := own.error_code;
    message := own.error;
    hint := own.error_hint;
    if not own.is_single then
        answer := (
            select jsonb_agg(case jsonb_typeof(r.value)
                when 'array' then jsonb_build_object('failure', r.value -> 0,
                                                         'reason', rowcast.question_reason(r.value ->> 1))
                else r.value end order by r.place)
            from jsonb_array_elements(own.answer) with ordinality as r (value, place));
    elsif jsonb_typeof(own.answer -> 0) = 'array' then
        code := 'RC332';
        message := rowcast.question_reason(own.answer -> 0 ->> 1);
    else
        answer := own.answer -> 0;
    end if;
    return next;
end
$$;
comment on function rowcast.take_answer(uuid) is
    'The answer to a question, which is gone then; no row while there is none. Who knows the question''s '
    'number asked it.';
revoke all on function rowcast.take_answer(uuid) from public;
grant execute on function rowcast.take_answer(uuid) to rowcast_analyst;

create or replace function rowcast.ring_question(question uuid) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select pg_notify('rowcast_question', question::text)
$$;
comment on function rowcast.ring_question(uuid) is
    'Tells workers of a question again: the one that had it may be gone.';
revoke all on function rowcast.ring_question(uuid) from public;
grant execute on function rowcast.ring_question(uuid) to rowcast_analyst;

create or replace function rowcast.give_up_question(question uuid, model text, timeout interval)
returns table (answer jsonb, code text, message text, hint text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    return query select * from rowcast.take_answer(question);
    if found then
        return;
    end if;
    delete from rowcast.question as q where q.question_id = question;
    return query select null::jsonb, 'RC331',
        format('model "%s" gave no answer within %s', model, timeout),
        case when exists (select from rowcast.lane)
             then 'The model may be loading, or workers be busy; give a longer timeout.'
             else 'Start a worker with "rowcast worker" or "rowcast up".' end;
end
$$;
comment on function rowcast.give_up_question(uuid, text, interval) is
    'The last look for an answer: withdraws the question where there is none, and says so.';
revoke all on function rowcast.give_up_question(uuid, text, interval) from public;
grant execute on function rowcast.give_up_question(uuid, text, interval) to rowcast_analyst;
