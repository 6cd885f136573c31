-- Comparing a source with its outcomes, a range of keys at a time.
--
-- Which rows are wrong, and which are only on their way? A finding is
--
--   missing    a row of the source without prediction or failure
--   orphaned   a prediction or failure without a row
--   stale      a row whose version is younger than its outcome, or that has two outcomes
--
-- and whose key no work waits for. Claim: where capture sees all changes there is no finding, however
-- many changes, jobs and lanes are under way. Argument, for a statement that reads the source, the
-- outcomes, the log, the chunks and the jobs in one snapshot S:
--
-- (1) A change that S sees is in the log as S sees it, because its transaction wrote both. Either a
--     tick that S sees has collected it, or it is past the cursor: then its key is in changes_between.
--     The log must not be truncated under the statement, whose truncated rows no snapshot brings back: it
--     is locked (access share; a rotation gives up after 50 ms) before the cursor is read.
-- (2) Collected changes have a chunk. It is open, and then its keys wait; or done, in the transaction
--     that wrote its outcome, which S then sees, and which was computed from the row's state at
--     the tick or later; or it was given up, and then the finding is a true one.
-- (3) Rows that a job has yet to cut chunks of are those beyond its next_key.
-- (4) "Younger than its outcome" compares the transactions that wrote the two row versions. A lane reads
--     a row in a statement that is over before its transaction of the write has a number, so what
--     it read was committed, and numbered, before. A row version with a later number was not read.
--
-- What (4) cannot see: a change that was not captured, by a transaction that was numbered before the
-- outcome was written, and committed after the row was read for it. That takes a logged change of the same
-- row, or a job over it, while the other transaction is open. rowcast.rescore leaves nothing of the kind.
-- What (4) cannot tell apart: a change of a column that no scorer watches, which is not logged either,
-- makes a row version too. Scoring the row again tells: repairs count the outcomes that became others.
-- Whoever rewrites the source as a whole (alter column type, restore) makes all rows look stale.
--
-- Where a feature query gives the features, it may return nothing for a row, so a row without outcome may be
-- right; only scoring it tells. Such rows are counted and repaired as missing, and are no proof of a fault.

create or replace function rowcast.audit_key(src rowcast.source, alias text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select string_agg(format('%s.%I as key_%s', alias, k.name, k.place), ', ' order by k.place)
    from unnest(src.key_columns) with ordinality as k (name, place)
$$;
comment on function rowcast.audit_key(rowcast.source, text) is
    'The key columns of a source, of its predictions or failures, as key_1, key_2...';
revoke all on function rowcast.audit_key(rowcast.source, text) from public;

create or replace function rowcast.audit_range(src rowcast.source, lower_given boolean, upper_given boolean)
returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce('where ' || nullif(rowcast.key_between(
        src, case when lower_given then '>' else '' end, case when upper_given then '<=' else '' end,
        '$1::pg_catalog.text', '$2::pg_catalog.text'), ''), '')
$$;
comment on function rowcast.audit_range(rowcast.source, boolean, boolean) is
    'The condition that t lies after $1 and up to $2, as far as these are given.';
revoke all on function rowcast.audit_range(rowcast.source, boolean, boolean) from public;

create or replace function rowcast.audit_outcomes(sco rowcast.scorer, src rowcast.source, failure boolean,
                                                  bound text, hashed boolean)
returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- With a result key, a key's outcome is its set of rows, written at once.
    select format(case when sco.result_key is null
               then '(select %1$s, age(t.xmin) as age%2$s from predictions.%3$I as t %4$s)'
               else '(select %1$s, max(age(t.xmin)) as age%2$s from predictions.%3$I as t %4$s group by %5$s)' end,
           rowcast.audit_key(src, 't'),
           case when hashed then ', ' || rowcast.outcome_hash(sco, src, failure) || ' as outcome' else '' end,
           sco.name || case when failure then '_failure' else '' end, bound,
           (select string_agg(format('t.%I', k), ', ') from unnest(src.key_columns) as k))
$$;
comment on function rowcast.audit_outcomes(rowcast.scorer, rowcast.source, boolean, text, boolean) is
    'A query for the predictions, or failures, of a range: key, age of its version in transactions, hash.';
revoke all on function rowcast.audit_outcomes(rowcast.scorer, rowcast.source, boolean, text, boolean) from public;

create or replace function rowcast.audit_pairs(sco rowcast.scorer, src rowcast.source, bound text,
                                               hashed boolean)
returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
-- A from list: t, p, f are the row, the prediction and the failure of each key in the range.
declare
    on_prediction text;
    on_failure text;
begin
    select string_agg(format('t.key_%s %s p.key_%1$s', k.place, op.equals), ' and ' order by k.place),
           string_agg(format('coalesce(t.key_%s, p.key_%1$s) %s f.key_%1$s', k.place, op.equals),
                      ' and ' order by k.place)
    into on_prediction, on_failure
    from unnest(src.key_columns) with ordinality as k (name, place)
    cross join lateral (select src.key_operators -> (k.place::int - 1) ->> '=') as op (equals);
    return format('(select %s, age(t.xmin) as age from %s as t %s) as t full join %s as p on %s '
                  'full join %s as f on %s',
                  -- Domains as their base: outcomes have no domain, and both sides are one key.
                  (select string_agg(format('t.%I::%s as key_%s', k.name, src.key_types[k.place], k.place),
                                     ', ' order by k.place)
                   from unnest(src.key_columns) with ordinality as k (name, place)),
                  src.relation, bound,
                  rowcast.audit_outcomes(sco, src, false, bound, hashed), on_prediction,
                  rowcast.audit_outcomes(sco, src, true, bound, hashed), on_failure);
end
$$;
comment on function rowcast.audit_pairs(rowcast.scorer, rowcast.source, text, boolean) is
    'The from list that pairs rows of a source with their outcomes.';
revoke all on function rowcast.audit_pairs(rowcast.scorer, rowcast.source, text, boolean) from public;

create or replace function rowcast.outcome_hash(sco rowcast.scorer, src rowcast.source, failure boolean)
returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select format(case when sco.result_key is null then 'md5(row(%s)::text)'
                       else 'md5(string_agg(row(%1$s)::text, chr(1) order by row(%1$s)::text))' end,
                  string_agg(format('t.%I', c.name), ', ' order by c.part, c.place))
    from (
        select k.name, 1 as part, k.place from unnest(sco.result_key) with ordinality as k (name, place)
        union all
        select o.value ->> 'column', 2, o.place
        from jsonb_array_elements(sco.outputs) with ordinality as o (value, place)
        where not failure
        union all
        select a.name, 2, a.place
        from unnest((rowcast.audit_names(src.key_columns || sco.result_key, true))[1:2])
            with ordinality as a (name, place)
        where failure
    ) as c
$$;
comment on function rowcast.outcome_hash(rowcast.scorer, rowcast.source, boolean) is
    'An expression for the hash of the prediction, or failure, t, without what changes each time.';
revoke all on function rowcast.outcome_hash(rowcast.scorer, rowcast.source, boolean) from public;

create or replace function rowcast.audit_bound(sco rowcast.scorer, src rowcast.source, lower_key text,
                                               size int)
returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
-- The nth key of the source, or of the predictions where that comes first: neither side is long then.
declare
    found_key text;
begin
    execute format(
        'select (k.key)::text from (%s) as k order by k.key limit 1',
        (select string_agg(format(
             '(select %s as key from %s as t %s order by %s offset $2 limit 1)',
             case when src.composite then rowcast.key_of(src)
                  else format('t.%I::%s', src.key_columns[1], src.key_types[1]) end, r.relation,
             rowcast.audit_range(src, lower_key is not null, false), rowcast.key_order(src, false)),
             ' union all ')
         from unnest(array[src.relation::text, format('predictions.%I', sco.name),
                           format('predictions.%I', sco.name || '_failure')]) as r (relation)))
    into found_key using lower_key, size - 1;
    return found_key;
end
$$;
comment on function rowcast.audit_bound(rowcast.scorer, rowcast.source, text, int) is
    'Up to which key a comparison goes that is to read so many rows; null for up to the end.';
revoke all on function rowcast.audit_bound(rowcast.scorer, rowcast.source, text, int) from public;
