-- What scored a row: the answer to "where does this figure come from".

create or replace function rowcast.key_texts(scorer text, key text[]) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    src rowcast.source;
begin
    select o.* into strict src from rowcast.source as o
    where o.source_id = (rowcast.own_scorer(scorer)).source_id;
    if cardinality(key) is distinct from cardinality(src.key_columns) or array_position(key, null) > 0 then
        raise exception using errcode = 'RC302',
            message = format('the key of scorer "%s" is (%s), %s values are given', scorer,
                             array_to_string(src.key_columns, ', '), cardinality(array_remove(key, null))),
            hint = 'Give several as array[''...'', ''...''], or as a JSON object by column.';
    end if;
    -- As an array's text, so that values are read by the input functions of their types, as in the log.
    return array[case when src.composite then (
        select '(' || string_agg('"' || replace(replace(k.value, '\', '\\'), '"', '""') || '"', ','
                                 order by k.place) || ')'
        from unnest(key) with ordinality as k (value, place)) else key[1] end]::text;
end
$$;
comment on function rowcast.key_texts(text, text[]) is
    'A key of a scorer, given column by column, as text of an array of one key.';
revoke all on function rowcast.key_texts(text, text[]) from public;
grant execute on function rowcast.key_texts(text, text[]) to rowcast_reader;

create or replace function rowcast.is_pending(scorer text, key text, is_scored boolean) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    src rowcast.source;
    found_it boolean;
begin
    select o.* into strict src from rowcast.source as o where o.source_id = own.source_id;
    execute format(
        'select exists ('
        '    select from rowcast.changes_between((select t.snapshot::text::txid_snapshot '
        '        from rowcast.tick as t where t.snapshot is not null order by t.tick_id desc limit 1), '
        '        txid_current_snapshot()) as c '
        '    where c.source_id = $2 and c.op = ''K'' and c.keys::%1$s[] && $1::%1$s[]) '
        'or exists ('
        '    select from rowcast.chunk as c '
        '    where c.scorer_id = $3 and c.state in (''available'', ''running'') '
        '      and case c.kind when ''keys'' then c.keys::%1$s[] && $1::%1$s[] '
        '               when ''range'' then ($1::%1$s[])[1] >= c.lower_key::%1$s '
        '                                   and ($1::%1$s[])[1] <= c.upper_key::%1$s end) '
        -- A job that has not come to the key yet; a row that is scored has its outcome meanwhile.
        'or not $4 and exists ('
        '    select from rowcast.job as j '
        '    where j.scorer_id = $3 and j.state in (''running'', ''paused'') '
        '      and (not j.bounded or j.last_key is not null) and j.relation is null '
        '      and coalesce(($1::%1$s[])[1] > j.next_key::%1$s, true) '
        '      and coalesce(($1::%1$s[])[1] <= j.last_key::%1$s, true))',
        rowcast.key_cast(src))
    into found_it using key, own.source_id, own.scorer_id, is_scored;
    return found_it;
end
$$;
comment on function rowcast.is_pending(text, text, boolean) is
    'Whether a change of a key, or a job over it, is not scored yet. Cost: reads the keys of open work.';
revoke all on function rowcast.is_pending(text, text, boolean) from public;
grant execute on function rowcast.is_pending(text, text, boolean) to rowcast_reader;

create or replace function rowcast.outcome_sql(scorer text) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    own constant rowcast.scorer := rowcast.own_scorer(scorer);
    src rowcast.source;
    audit text[];
    code text[];
    wanted text;
    matches text;
begin
    select o.* into strict src from rowcast.source as o where o.source_id = own.source_id;
    audit := rowcast.row_audit(own.scorer_id, false);
    code := rowcast.row_audit(own.scorer_id, true);
    wanted := format('select %s from (select ($1::%s[])[1] as k) as k',
        case when src.composite then (
            select string_agg(format('(k.k).%I as key_%s', k.name, k.place), ', ' order by k.place)
            from unnest(src.key_columns) with ordinality as k (name, place))
        else 'k.k as key_1' end, rowcast.key_cast(src));
    select string_agg(format('t.%I %s w.key_%s', k.name, src.key_operators -> (k.place::int - 1) ->> '=',
                             k.place), ' and ' order by k.place)
    into matches from unnest(src.key_columns) with ordinality as k (name, place);
    return format(
        'select ''scored'' as state, t.%I as model, t.%I as version, t.%I as tick, t.%I as at, '
        '       null::text as code, null::text as reason from (%s) as w join predictions.%I as t on %s '
        'union all select ''failed'', t.%8$I, t.%9$I, t.%10$I, t.%11$I, t.%12$I, t.%13$I '
        'from (%5$s) as w join predictions.%14$I as t on %7$s',
        audit[1], audit[2], audit[3], audit[4], wanted, own.name, matches,
        code[3], code[4], code[5], code[6], code[1], code[2], own.name || '_failure');
end
$$;
comment on function rowcast.outcome_sql(text) is
    'The query of the outcome of the key $1, which key_texts made, in a scorer''s tables.';
revoke all on function rowcast.outcome_sql(text) from public;
grant execute on function rowcast.outcome_sql(text) to rowcast_reader;

create or replace function rowcast.job_of(scorer text, tick bigint) returns bigint
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select j.job_id from rowcast.job as j join rowcast.scorer as s on s.scorer_id = j.scorer_id
    where s.name = job_of.scorer and j.tick_id = job_of.tick
$$;
comment on function rowcast.job_of(text, bigint) is 'The job whose place in time a tick is; null of others.';
revoke all on function rowcast.job_of(text, bigint) from public;
grant execute on function rowcast.job_of(text, bigint) to rowcast_reader;

create or replace function rowcast.outcome_of(scorer text, key text[])
returns table (state text, model text, version int, tick bigint, at timestamptz, job_id bigint,
               code text, reason text)
-- With the caller's rights on the predictions.
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    key_text constant text := rowcast.key_texts(scorer, key);
begin
    execute rowcast.outcome_sql(scorer) into state, model, version, tick, at, code, reason using key_text;
    job_id := rowcast.job_of(scorer, tick);
    state := case when rowcast.is_pending(scorer, key_text, state is not null) then 'pending'
                  else coalesce(state, 'absent') end;
    return next;
end
$$;
comment on function rowcast.outcome_of(text, text[]) is 'what_scored of a key given column by column.';
revoke all on function rowcast.outcome_of(text, text[]) from public;
grant execute on function rowcast.outcome_of(text, text[]) to rowcast_reader;

create or replace function rowcast.key_columns(scorer text) returns text[]
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select o.key_columns from rowcast.source as o
    where o.source_id = (rowcast.own_scorer(scorer)).source_id
$$;
comment on function rowcast.key_columns(text) is 'The columns of the key of a scorer, in order.';
revoke all on function rowcast.key_columns(text) from public;
grant execute on function rowcast.key_columns(text) to rowcast_reader;

create or replace function rowcast.what_scored(scorer text, key anyelement)
returns table (state text, model text, version int, tick bigint, at timestamptz, job_id bigint,
               code text, reason text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    columns constant text[] := rowcast.key_columns(scorer);
    stranger text;
begin
    if pg_typeof(key) = 'text[]'::regtype then
        return query select * from rowcast.outcome_of(scorer, key::text::text[]);
    elsif pg_typeof(key) in ('jsonb'::regtype, 'json'::regtype)
          and jsonb_typeof(key::text::jsonb) = 'object' then
        select k into stranger from jsonb_object_keys(key::text::jsonb) as k where not k = any (columns);
        if found then
            raise exception using errcode = 'RC302',
                message = format('"%s" is no key column of scorer "%s"', stranger, scorer),
                hint = format('The key is (%s).', array_to_string(columns, ', '));
        end if;
        return query select * from rowcast.outcome_of(scorer, array(
            select key::text::jsonb ->> k.name from unnest(columns) with ordinality as k (name, place)
            order by k.place));
    else
        return query select * from rowcast.outcome_of(scorer, array[key::text]);
    end if;
end
$$;
comment on function rowcast.what_scored(text, anyelement) is
    'Which version scored a row of a scorer, when, at which tick and for which job (null: a change of the '
    'row). state: scored; failed, with code and reason; pending, where a change or a job is still to be '
    'scored, with what was there before; absent. A key of several columns is given as array of texts in '
    'the key''s order, or as JSON object by column; where a key has several results, one of them speaks '
    'for all.';
revoke all on function rowcast.what_scored(text, anyelement) from public;
grant execute on function rowcast.what_scored(text, anyelement) to rowcast_reader;

create or replace function rowcast.what_scored(scorer text, key text)
returns table (state text, model text, version int, tick bigint, at timestamptz, job_id bigint,
               code text, reason text)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select * from rowcast.outcome_of(scorer, array[key])
$$;
comment on function rowcast.what_scored(text, text) is 'The same for a key given as text.';
revoke all on function rowcast.what_scored(text, text) from public;
grant execute on function rowcast.what_scored(text, text) to rowcast_reader;
