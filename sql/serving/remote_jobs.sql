-- Jobs of callers of the HTTP server: submitted, looked at, cancelled, their results read.
--
-- Workers call these, for a role that lends its rights (lending.sql). What they tell is of that role's own jobs;
-- of other jobs it is said that there are none.

create or replace function rowcast.submit_for(role name, job jsonb) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    stranger text;
    function constant oid := rowcast.act_for(role);
    job_id bigint;
begin
    -- Neither other statements than a query nor the directories of workers are for callers.
    select k into stranger from jsonb_object_keys(job) as k where k in ('before', 'format') limit 1;
    if found then
        raise exception using errcode = 'RC312', message = format('a job made over HTTP has no "%s"', stranger);
    elsif job ->> 'source' like 'file:%' or job ->> 'destination' like 'file:%' then
        raise exception using errcode = 'RC312', message = 'a job made over HTTP reads and writes no files of workers',
            hint = 'Send the rows as the body.';
    end if;
    execute 'select ' || rowcast.run_call(function, role, '$1, ') into strict job_id using job;
    return job_id;
end
$$;
comment on function rowcast.submit_for(name, jsonb) is
    'Submits a job with the rights of a role that lends them, given as submit_job''s arguments. Errors: RC361 where it '
    'does not lend them; those of submit_job.';
revoke all on function rowcast.submit_for(name, jsonb) from public;
grant execute on function rowcast.submit_for(name, jsonb) to rowcast_worker;

create or replace function rowcast.remote_job(role name, job_id bigint) returns rowcast.model_job
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    own rowcast.model_job;
begin
    perform rowcast.act_for(role);
    select m.* into own from rowcast.model_job as m join rowcast.job as j on j.job_id = m.job_id
    where m.job_id = remote_job.job_id and j.kind = 'model' and j.created_by = role;
    if not found then
        raise exception using errcode = 'RC362', message = format('there is no job %s', job_id);
    end if;
    return own;
end
$$;
comment on function rowcast.remote_job(name, bigint) is 'A job of a role that lends its rights, or RC362.';
revoke all on function rowcast.remote_job(name, bigint) from public;

create or replace function rowcast.jobs_for(
    role name, job_id bigint default null, before bigint default null, most int default 100)
returns table (model text, job jsonb)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
#variable_conflict use_column
begin
    perform rowcast.act_for(role);
    if jobs_for.job_id is not null then
        perform rowcast.remote_job(role, jobs_for.job_id);
    end if;
    return query
    select j.model, jsonb_build_object(
        'id', j.job_id, 'state', j.state, 'phase', j.phase, 'model', j.model, 'model_version', j.model_version,
        'source', j.source, 'destination', j.destination, 'rows_done', j.rows_done, 'rows_failed', j.rows_failed,
        'rows_total', coalesce(j.rows_total, 0), 'done', coalesce(j.done, 0),
        'rows_per_second', coalesce(j.rows_per_second, 0), 'eta_seconds', extract(epoch from j.eta)::float8,
        'elapsed_seconds', extract(epoch from j.elapsed)::float8, 'created_at', j.created_at,
        'finished_at', j.finished_at, 'error', j.error)
    from rowcast.job_rows() as j
    where j.kind = 'model' and j.created_by = role
      and (jobs_for.job_id is null or j.job_id = jobs_for.job_id)
      and (before is null or j.job_id < before)
    order by j.job_id desc limit most;
end
$$;
comment on function rowcast.jobs_for(name, bigint, bigint, int) is
    'The jobs of a role that lends its rights, newest first, or the one of a number (RC362 where it has none).';
revoke all on function rowcast.jobs_for(name, bigint, bigint, int) from public;
grant execute on function rowcast.jobs_for(name, bigint, bigint, int) to rowcast_worker;

create or replace function rowcast.cancel_for(role name, job_id bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform rowcast.remote_job(role, job_id);
    perform rowcast.cancel_job(job_id);
end
$$;
comment on function rowcast.cancel_for(name, bigint) is
    'Cancels a job of a role that lends its rights. Errors: RC362 where it has none of that number, RC310 where it is '
    'over.';
revoke all on function rowcast.cancel_for(name, bigint) from public;
grant execute on function rowcast.cancel_for(name, bigint) to rowcast_worker;

create or replace function rowcast.csv_field(value text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select case when value = '' or value ~ '[",\r\n]' then '"' || replace(value, '"', '""') || '"' else value end
$$;
comment on function rowcast.csv_field(text) is 'A value as RFC 4180 writes it; null stays null.';
revoke all on function rowcast.csv_field(text) from public;

create or replace function rowcast.result_line(own rowcast.model_job, form text, out head text, out line text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
-- Values of types that are not the system's are written by the type's own output function (concat), never by a
-- cast: casts run what their owners made of them.
begin
    if form = 'csv' then
        select string_agg(rowcast.csv_field(c.name), ',' order by c.place),
               string_agg(format(case when c.type = 'boolean'
                                      then 'case t.%1$I when true then ''true'' when false then ''false'' else '''' end'
                                      else 'case when t.%1$I is null then '''' else rowcast.csv_field(concat(t.%1$I)) end'
                                 end, c.name), ' || '','' || ' order by c.place)
        into head, line
        from rowcast.job_column_list(own) as c;
    else
        select '', string_agg(format(case when c.type in ('real', 'double precision')
                                     -- JSON has no number for what is not finite.
                                     then '%L || case when t.%2$I - t.%2$I = 0 then t.%2$I::text else ''null'' end'
                                     when c.is_plain
                                     then '%L || coalesce(to_json(t.%I)::text, ''null'')'
                                     else '%L || case when t.%2$I is null then ''null'' '
                                          'else to_json(concat(t.%2$I))::text end' end,
                                     case when c.place = 1 then '{' else ',' end || to_json(c.name)::text || ':', c.name),
                              ' || ' order by c.place) || ' || ''}'''
        into head, line
        from (
            select l.place, l.name, l.type, coalesce((
                select t.typnamespace = 'pg_catalog'::regnamespace and t.typtype = 'b'
                from pg_type as t where t.oid = to_regtype(l.type)), false) as is_plain
            from rowcast.job_column_list(own) as l) as c;
    end if;
end
$$;
comment on function rowcast.result_line(rowcast.model_job, text) is
    'The first line of a job''s results, and an expression that makes a line of a row t: as csv or ndjson.';
revoke all on function rowcast.result_line(rowcast.model_job, text) from public;

create or replace function rowcast.results_for(
    role name, job_id bigint, form text, page bigint default 0, pages int default 16,
    out lines text, out next_page bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' as $$
declare
    own constant rowcast.model_job := rowcast.remote_job(role, job_id);
    relation constant regclass := to_regclass('predictions.job_' || job_id);
    state text;
    head text;
    line text;
begin
    select j.state into strict state from rowcast.job as j where j.job_id = own.job_id;
    if state <> 'done' then
        raise exception using errcode = 'RC363', message = format('job %s is %s', job_id, state),
            hint = case when state in ('failed', 'cancelled') then 'What it has scored is in its table.'
                        else 'Its results are there when it is done.' end;
    elsif relation is null or own.destination_text <> 'predictions.job_' || job_id or own.mode = 'segments' then
        raise exception using errcode = 'RC363', message = format('job %s wrote %s', job_id, own.destination_text),
            hint = 'Read them there: results are served of jobs without a destination.';
    end if;
    select l.head, l.line into head, line from rowcast.result_line(own, form) as l;
    execute format('select string_agg(%s, e''\n'') from %s as t where t.ctid >= $1 and t.ctid < $2', line, relation)
    into lines using format('(%s,0)', page)::tid, format('(%s,0)', page + pages)::tid;
    lines := concat(case when page = 0 and head <> '' then head || e'\n' end, lines || e'\n');
    if page + pages < pg_relation_size(relation) / current_setting('block_size')::int then
        next_page := page + pages;
    end if;
end
$$;
comment on function rowcast.results_for(name, bigint, text, bigint, int) is
    'Some pages of the results of a job of a role that lends its rights, as lines of csv or ndjson, and the page to '
    'go on with; null behind the last. Errors: RC362 no such job, RC363 where it is not done, or wrote elsewhere.';
revoke all on function rowcast.results_for(name, bigint, text, bigint, int) from public;
grant execute on function rowcast.results_for(name, bigint, text, bigint, int) to rowcast_worker;

create or replace function rowcast.begin_upload(role name, names text[], types text[]) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    relation constant text := 'upload_' || replace(gen_random_uuid()::text, '-', '');
begin
    perform rowcast.act_for(role);
    execute format('create table rowcast_run.%I (%s)', relation, (
        select string_agg(format('%I %s', c.name, to_regtype(c.type)), ', ' order by c.place)
        from unnest(names, types) with ordinality as c (name, type, place)));
    execute format('grant select, insert on rowcast_run.%I to rowcast_worker', relation);
    execute format('grant select on rowcast_run.%I to %I', relation, role);
    return 'rowcast_run.' || relation;
end
$$;
comment on function rowcast.begin_upload(name, text[], text[]) is
    'Makes a table for the rows that a caller of the HTTP server sends, which his role may read.';
revoke all on function rowcast.begin_upload(name, text[], text[]) from public;
grant execute on function rowcast.begin_upload(name, text[], text[]) to rowcast_worker;

create or replace function rowcast.submit_upload(role name, upload text, job jsonb) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    relation constant regclass := upload;
    number bigint;
    count bigint;
begin
    if upload !~ '^rowcast_run\.upload_[0-9a-f]{32}$' then
        raise exception using errcode = '42501', message = 'this is no upload';
    end if;
    number := rowcast.submit_for(role, job || jsonb_build_object('source', upload));
    -- Like what is collected of a query, it goes when the job is over.
    execute format('alter table %s rename to job_%s_in', relation, number);
    execute format('select count(*) from %s', relation) into count;
    update rowcast.job as j set rows_total = count where j.job_id = number;
    update rowcast.model_job as m set source_text = 'upload' where m.job_id = number;
    return number;
end
$$;
comment on function rowcast.submit_upload(name, text, jsonb) is
    'Submits a job over the rows of an upload, with the rights of a role that lends them.';
revoke all on function rowcast.submit_upload(name, text, jsonb) from public;
grant execute on function rowcast.submit_upload(name, text, jsonb) to rowcast_worker;

create or replace function rowcast.register_model_for(
    role name, name text, artifact bytea, alias text, labels text[], description text, metrics jsonb, golden jsonb,
    setup jsonb) returns int
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform rowcast.act_for(role);
    return rowcast.register_model(name, artifact, alias, labels, description, metrics, golden, setup);
end
$$;
comment on function rowcast.register_model_for(name, text, bytea, text, text[], text, jsonb, jsonb, jsonb) is
    'register_model with the rights of a role that lends them.';
revoke all on function rowcast.register_model_for(name, text, bytea, text, text[], text, jsonb, jsonb, jsonb) from public;
grant execute on function rowcast.register_model_for(name, text, bytea, text, text[], text, jsonb, jsonb, jsonb)
    to rowcast_worker;
