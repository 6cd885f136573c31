-- What lanes do with the chunks of a job: read, write, fail.

create or replace function rowcast.job_expressions(own rowcast.model_job) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Runs in the session of a lane, so it names every operator's schema. A value that goes to a file is
    -- written as text by its type's output function, never by a cast, which may be somebody's function.
    select array_agg(c.expression order by c.place)
    from (
        select k.place, case when own.destination_kind = 'file' and k.value ->> 'read' = 'boolean' then
                   format('t.%I::pg_catalog.text', k.value ->> 'column')
               when own.destination_kind = 'file' then format(
                   'case when t.%1$I is not null then pg_catalog.concat(t.%1$I) end', k.value ->> 'column')
               else format('t.%I', k.value ->> 'column') end as expression
        from jsonb_array_elements(own.kept) with ordinality as k (value, place)
        union all
        select 1000 + f.place, case
                   when f.value ->> 'type' <> 'string' then format('t.%I', f.value ->> 'column')
                   when y.typtype = 'e' then format('pg_catalog.textin(pg_catalog.enum_out(t.%I))',
                                                    f.value ->> 'column')
                   else format('t.%I::pg_catalog.text', f.value ->> 'column') end
        from jsonb_array_elements(own.features) with ordinality as f (value, place)
        left join pg_attribute as a on a.attrelid = own.source and a.attname = f.value ->> 'column'
        left join pg_type as y on y.oid = rowcast.base_type(a.atttypid)
    ) as c
$$;
comment on function rowcast.job_expressions(rowcast.model_job) is
    'What lanes read of each row t: columns passed through, then features in the model''s order.';
revoke all on function rowcast.job_expressions(rowcast.model_job) from public;

create or replace function rowcast.load_job(job_id bigint)
returns table (
    source_kind text, features jsonb, outputs jsonb, top_k int, kept jsonb, expressions text[],
    destination_kind text, format text, copy_sql text, stage_sql text, write_sql text, audit_columns text[])
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    own rowcast.model_job;
begin
    select m.* into own from rowcast.model_job as m where m.job_id = $1;
    if not found then
        return;
    end if;
    return query select
        own.source_kind, own.features, own.outputs, own.top_k, own.kept,
        case when own.source is not null then rowcast.job_expressions(own) end,
        own.destination_kind, own.format,
        case when own.destination_kind = 'table' and own.mode <> 'segments' then format(
            'copy %s (%s) from stdin (format binary)', own.destination, rowcast.job_columns(own)) end,
        case when own.is_ours then format('copy rowcast_run.job_%s_rows (%s) from stdin (format binary)',
                                          own.job_id, rowcast.job_columns(own)) end,
        case when own.write_function is not null then 'select ' || rowcast.run_call(
            own.write_function, (select j.created_by from rowcast.job as j where j.job_id = $1), (
                select string_agg(format('$%s::%s, ', a.place, a.type), '' order by a.place)
                from (
                    select c.place, c.read || '[]' as type from rowcast.job_column_list(own) as c
                    where c.argument ~ '^(kept|output)_\d+$'
                    union all
                    select jsonb_array_length(own.kept) + jsonb_array_length(own.outputs) + t.place, t.type
                    from (values (1, 'text'), (2, 'integer'), (3, 'bigint'), (4, 'timestamptz'),
                                 (5, 'integer[]')) as t (place, type)
                    where t.place < 5 or own.mode = 'segments') as a)) end,
        own.audit_columns;
end
$$;
comment on function rowcast.load_job(bigint) is
    'All that a lane must know of a job without scorer, with the SQL that reads and writes for it.';
revoke all on function rowcast.load_job(bigint) from public;
grant execute on function rowcast.load_job(bigint) to rowcast_worker;

create or replace function rowcast.begin_job_write(chunk_id bigint, attempt int) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.model_job;
    number bigint;
    author name;
    present text[];
begin
    select c.job_id into number from rowcast.chunk as c
    where c.chunk_id = begin_job_write.chunk_id and c.attempt = begin_job_write.attempt
      and c.claimed_by is not null
    for update;
    if not found then
        perform rowcast.refuse_stale(chunk_id, attempt);
    end if;
    select m.* into strict own from rowcast.model_job as m where m.job_id = number;
    if own.destination_kind = 'file' then
        return 'part';
    elsif own.is_ours then
        return 'stage';
    end if;
    select j.created_by into author from rowcast.job as j where j.job_id = number;
    if own.mode not in ('upsert', 'segments') and has_table_privilege('rowcast_worker', own.destination, 'insert') then
        begin
            -- What could run code cannot be added to the table until this transaction is over.
            execute format('lock table only %s in row exclusive mode', own.destination);
            if rowcast.is_plain(own.destination, own)
               and has_table_privilege(author, own.destination, 'insert') then
                return 'copy';
            end if;
        exception when insufficient_privilege or wrong_object_type then
            null;
        end;
    end if;
    perform rowcast.run_call(own.write_function, author);
    return case own.mode when 'segments' then 'segments' else 'call' end;
end
$$;
comment on function rowcast.begin_job_write(bigint, int) is
    'Starts the write of a chunk inside the caller''s transaction: refuses a stale attempt (RC201), and '
    'tells how to write: copy, stage (into rowcast_run.job_<id>_rows), call (the function of the job''s author), segments (that function, for each slice) or part (of a file).';
revoke all on function rowcast.begin_job_write(bigint, int) from public;
grant execute on function rowcast.begin_job_write(bigint, int) to rowcast_worker;

create or replace function rowcast.keep_failures(
    chunk_id bigint, places text[], codes text[], reasons text[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    own rowcast.model_job;
    chunk rowcast.chunk;
    fields text;
begin
    select c.* into strict chunk from rowcast.chunk as c where c.chunk_id = keep_failures.chunk_id;
    select m.* into strict own from rowcast.model_job as m where m.job_id = chunk.job_id;
    if chunk.kind = 'file' then
        insert into rowcast.job_failure (job_id, place, code, reason)
        select own.job_id, chunk.keys || ':' || f.place, f.code, f.reason
        from unnest(places, codes, reasons) as f (place, code, reason)
        on conflict on constraint job_failure_pkey
        do update set code = excluded.code, reason = excluded.reason, failed_at = excluded.failed_at;
        return;
    end if;
    -- By its name, which may be another's by now: a view can have all these columns, and functions in them.
    execute format('lock table only %s in access share mode', chunk.keys);
    if not exists (select from rowcast.job_part as p join pg_class as c on c.oid = p.relation
                   where p.job_id = own.job_id and p.relation = to_regclass(chunk.keys)
                     and c.relkind in ('r', 'm')) then
        raise exception using errcode = '42P01', message = format('table "%s" is not the source any more', chunk.keys);
    end if;
    -- Values of types that are not PostgreSQL's own are written as text: a cast to JSON may be somebody's
    -- function.
    select string_agg(format(case when (k.value ->> 'is_plain')::boolean then '%L, t.%I'
                                  else '%L, pg_catalog.concat(t.%I)' end,
                             k.value ->> 'column', k.value ->> 'column'), ', ' order by k.place)
    into fields from jsonb_array_elements(own.kept) with ordinality as k (value, place) where k.place <= 49;
    execute format(
        'insert into rowcast.job_failure (job_id, place, key, code, reason) '
        'select $1, %L || f.place, (select jsonb_build_object(%s) from only %s as t '
        '                          where t.ctid = f.place::tid), f.code, f.reason '
        'from unnest($2, $3, $4) as f (place, code, reason) '
        'on conflict on constraint job_failure_pkey do update set key = excluded.key, code = excluded.code, '
        'reason = excluded.reason, failed_at = excluded.failed_at', chunk.keys, fields, chunk.keys)
    using own.job_id, places, codes, reasons;
end
$$;
comment on function rowcast.keep_failures(bigint, text[], text[], text[]) is
    'Notes the rows of a chunk that could not be scored, in the transaction that writes the others.';
revoke all on function rowcast.keep_failures(bigint, text[], text[], text[]) from public;
grant execute on function rowcast.keep_failures(bigint, text[], text[], text[]) to rowcast_worker;

create or replace function rowcast.keep_part(chunk_id bigint, piece int, bytes bytea) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into rowcast.export_part (job_id, part, first, piece, bytes)
    select c.job_id, p.part, case c.kind when 'file' then p.first
           else split_part(trim('(' from c.lower_key), ',', 1)::bigint * 1024
                + split_part(trim(')' from c.lower_key), ',', 2)::bigint end,
           keep_part.piece, keep_part.bytes
    from rowcast.chunk as c
    join rowcast.job_part as p on p.job_id = c.job_id and case c.kind
        when 'file' then p.path = c.keys and p.first = c.lower_key::bigint
        else p.relation::text = c.keys end
    where c.chunk_id = keep_part.chunk_id
$$;
comment on function rowcast.keep_part(bigint, int, bytea) is
    'Keeps lines of an export until all are there, in the transaction that finishes their chunk.';
revoke all on function rowcast.keep_part(bigint, int, bytea) from public;
grant execute on function rowcast.keep_part(bigint, int, bytea) to rowcast_worker;

create or replace function rowcast.fail_job_chunk(chunk_id bigint, attempt int, error text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    chunk rowcast.chunk;
    retries int;
begin
    -- The job before the chunk, as everywhere.
    perform from rowcast.job as j where j.job_id = (
        select c.job_id from rowcast.chunk as c where c.chunk_id = fail_job_chunk.chunk_id) for update;
    select c.* into chunk from rowcast.chunk as c
    where c.chunk_id = fail_job_chunk.chunk_id and c.attempt = fail_job_chunk.attempt
      and c.claimed_by is not null for update;
    if not found then
        perform rowcast.refuse_stale(chunk_id, attempt);
    end if;
    select m.max_retries into retries from rowcast.model_job as m where m.job_id = chunk.job_id;
    if chunk.kind = 'step' then
        update rowcast.chunk as c
        set state = 'failed', claimed_by = null, finished_at = clock_timestamp(), error = $3
        where c.chunk_id = chunk.chunk_id;
        perform rowcast.end_job(chunk.job_id, 'failed', error);
    elsif attempt <= retries then
        update rowcast.chunk as c
        set state = 'available', claimed_by = null, claimed_at = null, error = $3
        where c.chunk_id = chunk.chunk_id;
        perform pg_notify('rowcast_chunk', '');
    else
        update rowcast.chunk as c
        set state = 'failed', claimed_by = null, finished_at = clock_timestamp(), rows_scored = 0,
            rows_failed = c.key_count, error = $3
        where c.chunk_id = chunk.chunk_id;
    end if;
end
$$;
comment on function rowcast.fail_job_chunk(bigint, int, text) is
    'fail_chunk for a job without scorer: tries again up to max_retries times; a step that fails ends the '
    'job with its error.';
revoke all on function rowcast.fail_job_chunk(bigint, int, text) from public;
