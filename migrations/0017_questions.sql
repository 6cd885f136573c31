-- Questions: values that a caller waits to have scored.
set local lock_timeout = '2s';

-- A crash of the server ends the callers' sessions, so that nothing need survive it.
create unlogged table rowcast.question (
    question_id uuid constraint question_key primary key,
    model_id int not null,
    version int not null,
    reasons int not null default 0,
    lines text not null,
    line_count int not null,
    is_single boolean not null,
    asked_by name not null,
    asked_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    answer jsonb,
    error_code text,
    error text,
    error_hint text,
    constraint question_answered_or_refused check (answer is null or error_code is null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
comment on table rowcast.question is
    'Named values that a worker scores while a caller waits. Rows live for milliseconds.';
comment on column rowcast.question.lines is 'A JSON object a line.';
comment on column rowcast.question.answer is
    'An element a line: an object of outputs, or [code, reason] where the line cannot be scored.';
comment on column rowcast.question.expires_at is 'When the caller gives up.';
