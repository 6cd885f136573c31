-- What workers do with questions.

create or replace function rowcast.open_questions() returns setof uuid
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select q.question_id from rowcast.question as q
    where q.answer is null and q.error_code is null and q.expires_at > clock_timestamp()
$$;
comment on function rowcast.open_questions() is
    'Questions that wait for an answer: for a worker that was not there to hear of them.';
revoke all on function rowcast.open_questions() from public;
grant execute on function rowcast.open_questions() to rowcast_worker;

create or replace function rowcast.take_questions(questions uuid[])
returns table (
    question_id uuid, model_id int, version int, reasons int, lines text, line_count int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    mine uuid[];
begin
    select array_agg(o.question_id) into mine
    from (select u.question_id from unnest(questions) as u (question_id) offset 0) as o
    where pg_try_advisory_lock(1919907689, hashtext(o.question_id::text));
    -- A statement of its own: it sees what whoever had the lock before has answered.
    perform pg_advisory_unlock(1919907689, hashtext(m.question_id::text))
    from unnest(mine) as m (question_id)
    where not exists (select from rowcast.question as q
                      where q.question_id = m.question_id and q.answer is null and q.error_code is null);
    return query
        select q.question_id, q.model_id, q.version, q.reasons, q.lines, q.line_count
        from rowcast.question as q
        where q.question_id = any (mine) and q.answer is null and q.error_code is null
          and q.expires_at > clock_timestamp();
end
$$;
comment on function rowcast.take_questions(uuid[]) is
    'Those of the questions that nobody answers yet, locked by the session with (1919907689, hash): who dies '
    'with them leaves them to others. The caller lets go of all its locks when they are answered.';
revoke all on function rowcast.take_questions(uuid[]) from public;
grant execute on function rowcast.take_questions(uuid[]) to rowcast_worker;

create or replace function rowcast.answer_questions(
    questions uuid[], answers text[], codes text[], errors text[], hints text[]) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    answered int;
begin
    update rowcast.question as q
    set answer = a.answer::jsonb, error_code = a.code, error = a.error, error_hint = a.hint
    from unnest(questions, answers, codes, errors, hints)
        as a (question_id, answer, code, error, hint)
    where q.question_id = a.question_id and q.answer is null and q.error_code is null;
    get diagnostics answered = row_count;
    return answered;
end
$$;
comment on function rowcast.answer_questions(uuid[], text[], text[], text[], text[]) is
    'Gives each question an answer, or a code and an error. Returns how many were still waited for.';
revoke all on function rowcast.answer_questions(uuid[], text[], text[], text[], text[]) from public;
grant execute on function rowcast.answer_questions(uuid[], text[], text[], text[], text[])
    to rowcast_worker;

create or replace function rowcast.tidy_questions() returns int
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    with gone as (
        delete from rowcast.question as q
        where q.question_id in (
            select o.question_id from rowcast.question as o
            where o.expires_at < clock_timestamp() - interval '10 seconds' for update skip locked)
        returning 1
    ) select count(*)::int from gone
$$;
comment on function rowcast.tidy_questions() is
    'Removes questions whose callers are gone; counts them.';
revoke all on function rowcast.tidy_questions() from public;
grant execute on function rowcast.tidy_questions() to rowcast_worker;
