-- What a job reads and writes, checked and written down.

create or replace function rowcast.job_model(
    model text, alias text, version int, out model_id int, out own_version int, out signature jsonb)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    select m.model_id, coalesce(job_model.version, a.version) into model_id, own_version
    from rowcast.model as m
    left join rowcast.alias as a on a.model_id = m.model_id and a.alias = job_model.alias
    where m.name = model;
    if not found then
        raise exception using errcode = 'RC101', message = format('model "%s" does not exist', model),
            hint = 'select * from rowcast.models lists them; "rowcast push" adds one.';
    elsif own_version is null then
        raise exception using errcode = 'RC101',
            message = format('model "%s" has no alias "%s"', model, alias),
            hint = format('select rowcast.set_alias(%L, %L, <version>);', model, alias);
    end if;
    signature := rowcast.ready_signature(model, own_version);
end
$$;
comment on function rowcast.job_model(text, text, int) is
    'The version that a job, from its first row to its last, or a question is scored with.';
revoke all on function rowcast.job_model(text, text, int) from public;

create or replace function rowcast.column_type(relation regclass, name text) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Never a domain itself: its checks are functions of its owner.
    select jsonb_build_object(
        'column', a.attname,
        'type', case when t.oid = a.atttypid then format_type(a.atttypid, a.atttypmod)
                     else rowcast.typed_name(t.oid) end
                || case when a.attcollation not in (0, t.typcollation)
                        then ' collate ' || a.attcollation::regcollation else '' end,
        'read', rowcast.typed_name(t.oid), 'oid', t.oid::int8, 'array', t.typarray::int8,
        'is_plain', t.typnamespace = 'pg_catalog'::regnamespace and t.typtype = 'b'
                    and (t.typelem = 0 or exists (select from pg_type as e where e.oid = t.typelem
                         and e.typnamespace = 'pg_catalog'::regnamespace)))
    from pg_attribute as a
    join pg_type as t on t.oid = rowcast.base_type(a.atttypid)
    where a.attrelid = relation and a.attname = name and a.attnum > 0 and not a.attisdropped
$$;
comment on function rowcast.column_type(regclass, text) is
    'Name and types of a column, domains followed down; null where there is no such column.';
revoke all on function rowcast.column_type(regclass, text) from public;

create or replace function rowcast.kept_columns(
    relation regclass, keep text[], key text[], read text[]) returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    every constant text[] := array(
        select a.attname::text from pg_attribute as a
        where a.attrelid = relation and a.attnum > 0 and not a.attisdropped order by a.attnum);
    wanted text[];
begin
    wanted := coalesce(keep, case when key = '{}' then coalesce(
        nullif(array(select c.name from unnest(every) with ordinality as c (name, place)
                     where c.name <> all (read) order by c.place), '{}'), every) end, '{}');
    return key || array(select w.name from unnest(wanted) with ordinality as w (name, place)
                        where w.name <> all (key) group by w.name order by min(w.place));
end
$$;
comment on function rowcast.kept_columns(regclass, text[], text[], text[]) is
    'The columns that a job passes through: the key and those that are named; without either those that '
    'the model does not read, or all.';
revoke all on function rowcast.kept_columns(regclass, text[], text[], text[]) from public;

create or replace function rowcast.job_key(relation regclass, key text[]) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(job_key.key, (
        select array_agg(a.attname::text order by c.place)
        from pg_index as i
        cross join unnest(i.indkey) with ordinality as c (attnum, place)
        join pg_attribute as a on a.attrelid = relation and a.attnum = c.attnum
        where i.indrelid = relation and i.indisprimary and c.place <= i.indnkeyatts), '{}')
$$;
comment on function rowcast.job_key(regclass, text[]) is 'The key that is given, or the primary key.';
revoke all on function rowcast.job_key(regclass, text[]) from public;

create or replace function rowcast.check_job_options(o jsonb) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    problem text;
    advice text;
begin
    if coalesce(o ->> 'mode', '') not in ('create', 'append', 'replace', 'upsert', 'segments') then
        problem := format('mode is "%s"', o ->> 'mode');
        advice := 'It is create, append, replace, upsert or segments.';
    elsif coalesce(o ->> 'priority', '') not in ('high', 'normal', 'low') then
        problem := format('priority is "%s"', o ->> 'priority');
        advice := 'It is high (as live changes), normal or low (as backfills).';
    elsif (o ->> 'max_concurrency')::int < 1 then
        problem := format('max_concurrency is %s', o ->> 'max_concurrency');
        advice := 'At least one lane must be allowed.';
    elsif (o ->> 'error_threshold')::bigint < -1 then
        problem := format('error_threshold is %s', o ->> 'error_threshold');
        advice := 'It is a number of rows, or -1 for never.';
    elsif coalesce((o ->> 'max_retries')::int, -1) < 0 then
        problem := format('max_retries is %s', coalesce(o ->> 'max_retries', 'null'));
        advice := 'It is 0 or more.';
    elsif o ->> 'format' not in ('csv', 'ndjson') then
        problem := format('format is "%s"', o ->> 'format');
        advice := 'It is csv or ndjson.';
    elsif exists (select from unnest(array[o ->> 'source', o ->> 'destination']) as f (path)
                  where f.path like 'file:%'
                    and (f.path = 'file:' or f.path ~ '(^file:/|(^file:|/)\.{0,2}(/|$))')) then
        raise exception using errcode = 'RC313',
            message = format('path "%s" does not lie in the directory of files',
                             case when o ->> 'source' ~ '(^file:/|(^file:|/)\.{0,2}(/|$))'
                                  then o ->> 'source' else o ->> 'destination' end),
            hint = 'Write it relative to the directory that the workers were given, without "..".';
    elsif o ->> 'destination' like 'file:%' and o ->> 'mode' not in ('create', 'replace') then
        problem := format('mode is "%s" for a file', o ->> 'mode');
        advice := 'A file is created, or replaced.';
    end if;
    if problem is not null then
        raise exception using errcode = 'RC312', message = problem, hint = advice;
    end if;
end
$$;
comment on function rowcast.check_job_options(jsonb) is 'RC312 for an argument of submit_job that is none.';
revoke all on function rowcast.check_job_options(jsonb) from public;

create or replace function rowcast.file_features(signature jsonb, features jsonb, model text)
returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    given record;
begin
    if features is not null and jsonb_typeof(features) <> 'object' then
        raise exception using errcode = 'RC303',
            message = format('features is a JSON %s, the source is a file', jsonb_typeof(features)),
            hint = 'Give an object of column to feature.';
    end if;
    select f.key, f.value into given from jsonb_each_text(features) as f
    where not exists (select from jsonb_array_elements(signature -> 'features') as s
                      where s ->> 'name' = f.value) limit 1;
    if found then
        raise exception using errcode = 'RC303',
            message = format('%s has no feature "%s"', model, given.value),
            hint = 'features is ''{"<column>": "<feature>"}'', the column of the file first.';
    end if;
    return (select jsonb_agg(jsonb_build_object(
                'input', f.value ->> 'name', 'type', f.value ->> 'type',
                'missing', f.value ->> 'missing', 'column', coalesce(
                    (select m.key from jsonb_each_text(features) as m
                     where m.value = f.value ->> 'name' limit 1), f.value ->> 'name'))
                order by f.place)
            from jsonb_array_elements(signature -> 'features') with ordinality as f (value, place));
end
$$;
comment on function rowcast.file_features(jsonb, jsonb, text) is
    'The columns of a file that features are read from: as given, else by name.';
revoke all on function rowcast.file_features(jsonb, jsonb, text) from public;

create or replace function rowcast.add_model_job(proof regprocedure, o jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    author constant name := rowcast.author_of(proof);
    number constant bigint := (o ->> 'job_id')::bigint;
    relation constant regclass := (o ->> 'relation')::oid;
    target regclass := (o ->> 'target')::oid;
    is_file constant boolean := relation is null;
    to_file constant boolean := coalesce(o ->> 'destination' like 'file:%', false);
    spelled text;
    own_model record;
    mapped jsonb;
    key text[] := '{}';
    kept_names text[];
    kept jsonb;
    audit text[] := '{}';
    outputs jsonb;
    wrong text;
    own rowcast.model_job;
    new_tick bigint;
    answer jsonb := '{}';
begin
    if proof::oid is distinct from to_regprocedure(format('rowcast_run.job_%s()', number))::oid then
        raise exception using errcode = '42501', message = format('job %s is not yours', number);
    end if;
    perform rowcast.check_job_options(o);
    own_model := rowcast.job_model(o ->> 'model', o ->> 'alias', (o ->> 'version')::int);
    spelled := format('model "%s" %s', o ->> 'model', own_model.own_version);

    -- What is read.
    if is_file then
        mapped := rowcast.file_features(own_model.signature, nullif(o -> 'features', 'null'), spelled);
        kept_names := array(select jsonb_array_elements_text(nullif(o -> 'keep', 'null')));
        select jsonb_agg(jsonb_build_object('column', k.name, 'type', 'text', 'read', 'text', 'oid', 25,
                                            'array', 1009, 'is_plain', true) order by k.place)
        into kept from unnest(kept_names) with ordinality as k (name, place);
        kept := coalesce(kept, '[]');
        if nullif(o -> 'key', 'null') is not null then
            raise exception using errcode = 'RC312', message = 'a file has no key';
        end if;
    else
        perform rowcast.check_job_source(relation, author, o ->> 'query' is not null, number);
        mapped := rowcast.map_features(relation, own_model.signature, nullif(o -> 'features', 'null'),
                                       spelled, viewer => author);
        key := rowcast.job_key(relation, case when jsonb_typeof(o -> 'key') = 'array' then
            array(select jsonb_array_elements_text(o -> 'key')) end);
        kept_names := rowcast.kept_columns(
            relation, case when jsonb_typeof(o -> 'keep') = 'array' then
                array(select jsonb_array_elements_text(o -> 'keep')) end,
            key, array(select m ->> 'column' from jsonb_array_elements(mapped) as m));
        select k.name into wrong from unnest(kept_names) as k (name)
        where rowcast.column_type(relation, k.name) is null limit 1;
        if found then
            raise exception using errcode = 'RC303',
                message = format('column "%s" does not exist in the source', wrong);
        end if;
        select coalesce(jsonb_agg(rowcast.column_type(relation, k.name) order by k.place), '[]')
        into kept from unnest(kept_names) with ordinality as k (name, place);
        select c.name into wrong
        from (select unnest(kept_names) union select m ->> 'column' from jsonb_array_elements(mapped) as m)
            as c (name)
        where not has_column_privilege(author, relation, c.name, 'select') limit 1;
        if found then
            raise exception using errcode = '42501',
                message = format('permission denied for column "%s" of source "%s"', wrong, relation);
        end if;
        select k ->> 'column' into wrong from jsonb_array_elements(kept) as k
        where (k ->> 'array')::int8 = 0 limit 1;
        if found then
            raise exception using errcode = 'RC303',
                message = format('column "%s" cannot be passed through: its type has no arrays', wrong);
        end if;
        -- Values go to a file as text; those of a table are read again, by workers.
        select k ->> 'column' into wrong from jsonb_array_elements(kept) as k
        where not to_file and rowcast.runs_code((k ->> 'oid')::int8::oid) limit 1;
        if found then
            raise exception using errcode = 'RC303',
                message = format('column "%s" cannot be passed through: whoever reads a value of its type may '
                                 'run a check of a domain', wrong),
                hint = 'keep => array[...] names the columns to pass through.';
        end if;
    end if;

    -- What is written.
    foreach wrong in array array['model_name', 'model_version', 'job', 'scored_at'] loop
        audit := audit || rowcast.fit_name(wrong, kept_names || audit);
    end loop;
    outputs := rowcast.map_outputs(own_model.signature, (o ->> 'top_k')::int, kept_names || audit, spelled);
    if jsonb_array_length(kept) + jsonb_array_length(outputs) > 90 then
        raise exception using errcode = 'RC303',
            message = format('%s columns would be written, a job writes at most 90',
                             jsonb_array_length(kept) + jsonb_array_length(outputs));
    end if;
    own.job_id := number;
    own.kept := kept;
    own.key_columns := key;
    own.outputs := outputs;
    own.audit_columns := audit;
    own.is_ours := false;
    own.mode := o ->> 'mode';
    own.destination_text := coalesce(o ->> 'destination', 'predictions.job_' || number);
    if to_file then
        own.destination_kind := 'file';
        own.format := coalesce(o ->> 'format', case when o ->> 'destination' ~ '\.(nd)?jsonl?$' then 'ndjson'
                                                    else 'csv' end);
    elsif own.mode = 'segments' then
        own.destination_kind := 'table';
        own.kept := rowcast.with_bounds(kept, key, kept_names || audit || array(
            select e ->> 'column' from jsonb_array_elements(outputs) as e));
        if o ->> 'destination' is null then
            target := rowcast.make_segments(own, author);
        elsif target is null then
            own.destination_text := format('%I.%I', o -> 'target_name' ->> 0, o -> 'target_name' ->> 1);
            answer := jsonb_build_object('create_table', rowcast.segment_ddl(own));
        else
            own.destination_text := target::text;
            target := rowcast.fit_segments(own);
        end if;
        answer := answer || jsonb_build_object('arguments', rowcast.job_arguments(own),
                                               'write', rowcast.segment_write_body(own));
    else
        own.destination_kind := 'table';
        if target is not null and own.mode = 'create' then
            raise exception using errcode = 'RC311',
                message = format('destination "%s" exists', o ->> 'destination'),
                hint = 'mode => ''append'', ''replace'' or ''upsert'' writes into it.';
        elsif own.mode = 'upsert' and key = '{}' then
            raise exception using errcode = 'RC302', message = 'an upsert needs a key',
                hint = 'Name its columns, which must be unique in the destination: key => array[''id''].';
        elsif target is not null then
            own.destination_text := target::text;
            own.audit_columns := rowcast.fit_destination(target, own);
            own.is_ours := own.mode = 'replace';
        elsif o ->> 'destination' is not null then
            own.destination_text := format('%I.%I', o -> 'target_name' ->> 0, o -> 'target_name' ->> 1);
            answer := jsonb_build_object(
                'table', own.destination_text,
                'create_table', rowcast.destination_ddl(own.destination_text, own));
        else
            execute rowcast.destination_ddl(own.destination_text, own);
            target := own.destination_text::regclass;
            execute format('revoke all on %s from rowcast_reader, rowcast_analyst', target);
            execute format('grant select on %s to %I', target, author);
            execute format('grant insert on %s to rowcast_worker, %I', target, author);
        end if;
        if own.is_ours then
            execute rowcast.destination_ddl(format('rowcast_run.job_%s_rows', number), own, true);
            execute format('grant select on rowcast_run.job_%s_rows to %I', number, author);
            execute format('grant insert on rowcast_run.job_%s_rows to rowcast_worker', number);
            answer := answer || jsonb_build_object('deliver', format(
                'begin delete from %s; insert into %1$s (%2$s) select %4$s from rowcast_run.job_%3$s_rows; '
                'return 0; end', coalesce(target::text, answer ->> 'table'), rowcast.job_columns(own), number, (
                    select string_agg(quote_ident(c.name) || rowcast.output_cast(c.argument, c.type), ', '
                                      order by c.place)
                    from rowcast.job_column_list(own) as c)));
        end if;
        answer := answer || jsonb_build_object(
            'arguments', rowcast.job_arguments(own),
            'write', rowcast.job_write_body(coalesce(target::text, answer ->> 'table'), own));
    end if;
    if o ->> 'query' is not null then
        answer := answer || jsonb_build_object('collect', rowcast.make_collected(
            number, author, relation, o ->> 'query', kept_names || array(
                select m ->> 'column' from jsonb_array_elements(mapped) as m)));
    end if;

    insert into rowcast.tick (snapshot) values (null) returning tick_id into new_tick;
    insert into rowcast.job (job_id, kind, tick_id, rows_total, created_by)
    overriding system value
    select number, 'model', new_tick, greatest(0, case when o ->> 'query' is not null
        then (o ->> 'estimate')::float8
        else (select c.reltuples from pg_class as c where c.oid = relation) end)::bigint, author;
    insert into rowcast.model_job (
        job_id, source_kind, source_text, source, model_id, version, features, outputs, top_k, kept,
        key_columns, audit_columns, destination_kind, destination_text, destination, mode, is_ours, format,
        priority, max_concurrency, error_threshold, max_retries, chunk_rows)
    values (number,
            case when is_file then 'file' when o ->> 'query' is not null then 'query' else 'table' end,
            o ->> 'source', case when o ->> 'query' is null then relation
                                 else format('rowcast_run.job_%s_in', number)::regclass end,
            own_model.model_id, own_model.own_version, mapped, outputs, (o ->> 'top_k')::int, own.kept, key,
            own.audit_columns, own.destination_kind, own.destination_text, target, own.mode, own.is_ours,
            own.format, case o ->> 'priority' when 'high' then 0 when 'normal' then 1 else 2 end,
            (o ->> 'max_concurrency')::int, (o ->> 'error_threshold')::bigint, (o ->> 'max_retries')::int,
            case when mapped @> '[{"type": "bytes"}]' then 16 else 1024 end);
    return answer;
end
$$;
comment on function rowcast.add_model_job(regprocedure, jsonb) is
    'The part of submit_job that writes the machinery''s own tables. Returns the texts of what its caller '
    'has to create with his own rights.';
revoke all on function rowcast.add_model_job(regprocedure, jsonb) from public;
grant execute on function rowcast.add_model_job(regprocedure, jsonb) to rowcast_analyst;

create or replace function rowcast.check_job_source(
    relation regclass, author name, is_query boolean, number bigint) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    own constant pg_class := (select c from pg_class as c where c.oid = relation);
begin
    if is_query then
        if own.relkind <> 'v' or own.relnamespace <> 'rowcast_run'::regnamespace
           or own.relname <> format('job_%s_source', number) or own.relowner <> author::regrole then
            raise exception using errcode = '42501', message = format('job %s is not yours', number);
        end if;
    elsif own.relkind not in ('r', 'p', 'm') or own.relrowsecurity or own.relpersistence = 't' then
        raise exception using errcode = 'RC301',
            message = format('source "%s" cannot be read by workers', relation);
    elsif own.relnamespace in ('pg_catalog'::regnamespace, 'rowcast'::regnamespace) then
        raise exception using errcode = 'RC301',
            message = format('source "%s" belongs to the machinery', relation);
    end if;
end
$$;
comment on function rowcast.check_job_source(regclass, name, boolean, bigint) is
    'Whether a relation can be the source of a job: the view of its query, or a table.';
revoke all on function rowcast.check_job_source(regclass, name, boolean, bigint) from public;

create or replace function rowcast.job_function(number bigint, part text, author name) returns regproc
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Of the author: others may have made functions of that name, to hide his or to stand for it.
    select p.oid::regproc from pg_proc as p
    where p.pronamespace = 'rowcast_run'::regnamespace and p.proname = format('job_%s_%s', number, part)
      and pg_get_userbyid(p.proowner) = author
    order by p.oid limit 1
$$;
comment on function rowcast.job_function(bigint, text, name) is
    'The function of a part of a job that its author made; null where there is none.';
revoke all on function rowcast.job_function(bigint, text, name) from public;

create or replace function rowcast.start_model_job(proof regprocedure, number bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    author constant name := rowcast.author_of(proof);
    own rowcast.model_job;
    target regclass;
    needed text;
begin
    select m.* into own from rowcast.model_job as m join rowcast.job as j on j.job_id = m.job_id
    where m.job_id = number and m.phase = 'new' and j.created_by = author;
    if not found or proof::oid is distinct from to_regprocedure(format('rowcast_run.job_%s()', number))::oid then
        raise exception using errcode = '42501', message = format('job %s is not yours', number);
    end if;
    target := own.destination;
    if own.destination_kind = 'table' then
        target := coalesce(target, to_regclass(case own.mode
            when 'segments' then rowcast.segment_name(own.destination_text, '_segments')
            else own.destination_text end));
        if target is null then
            raise exception using errcode = 'RC311',
                message = format('destination "%s" does not exist', own.destination_text);
        end if;
        foreach needed in array case own.mode when 'upsert' then array['insert', 'update']
                                when 'replace' then array['insert', 'delete'] else array['insert'] end
        loop
            if not has_table_privilege(author, target, needed) then
                raise exception using errcode = '42501',
                    message = format('permission denied: %s on destination "%s"', needed, target);
            end if;
        end loop;
    end if;
    update rowcast.model_job as m
    set destination = target,
        before_function = rowcast.job_function(number, 'before', author),
        collect_function = rowcast.job_function(number, 'collect', author),
        write_function = rowcast.job_function(number, 'write', author),
        deliver_function = rowcast.job_function(number, 'deliver', author),
        phase = case
            when rowcast.job_function(number, 'before', author) is not null then 'before'
            when m.source_kind = 'query' then 'collect'
            when m.source_kind = 'file' then 'scan' else 'score' end
    where m.job_id = number;
    perform pg_notify('rowcast_control', 'job');
    if 'file' in (own.source_kind, own.destination_kind) and not rowcast.has_files() then
        raise warning using message = 'no worker has a directory for files',
            hint = 'Start one: rowcast up --files DIR, or rowcast worker --files DIR.';
    end if;
end
$$;
comment on function rowcast.start_model_job(regprocedure, bigint) is
    'The end of submit_job, in its transaction: checks what the caller created, and begins.';
revoke all on function rowcast.start_model_job(regprocedure, bigint) from public;
grant execute on function rowcast.start_model_job(regprocedure, bigint) to rowcast_analyst;
