-- Outputs of versions beside the columns of the scorers that follow them.
--
-- A column of predictions is never renamed, retyped, moved or dropped. A version may have more outputs than
-- those before: they are appended. One that lacks such an output leaves its column null, so that going back
-- is possible.

create or replace function rowcast.output_column_type(type text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select case type when 'float32' then 'real' when 'float64' then 'double precision'
                     when 'int64' then 'bigint' when 'bool' then 'boolean' else 'text' end
$$;
comment on function rowcast.output_column_type(text) is 'The type of the column that keeps an output.';
revoke all on function rowcast.output_column_type(text) from public;

create or replace function rowcast.output_column_type(output jsonb) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select rowcast.output_column_type(output ->> 'type') || case when output ? 'shape' then '[]' else '' end
$$;
comment on function rowcast.output_column_type(jsonb) is
    'The type of the column that keeps an output of a signature: an array where the output is a vector.';
revoke all on function rowcast.output_column_type(jsonb) from public;

create or replace function rowcast.written_type(type text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select case when type like '%[]' then 'text' else type end
$$;
comment on function rowcast.written_type(text) is
    'The type as which a lane gives values of a column: vectors are texts, for arrays of arrays have no rows.';
revoke all on function rowcast.written_type(text) from public;

create or replace function rowcast.written_cast(type text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select case when type like '%[]' then '::' || type else '' end
$$;
comment on function rowcast.written_cast(text) is 'What makes a column''s value of what a lane gives.';
revoke all on function rowcast.written_cast(text) from public;

create or replace function rowcast.outputs_fit(outputs jsonb, signature jsonb) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(bool_and(case
               when n.type is null then coalesce((own.entry ->> 'appended')::boolean, false)
               else n.type = own.entry ->> 'type' end), true)
           and (select coalesce(max((o ->> 'rank')::int), 0) from jsonb_array_elements(outputs) as o)
               <= (select count(*) from jsonb_array_elements(signature -> 'outputs') as o
                   where o ->> 'role' = 'probability')
    from jsonb_array_elements(outputs) as own (entry)
    left join lateral (
        select rowcast.output_column_type(o) from jsonb_array_elements(signature -> 'outputs') as o
        where o ->> 'name' = own.entry ->> 'output'
    ) as n (type) on true
    -- Reasons come with any version that can be explained.
    where own.entry ? 'output' and not own.entry ? 'reason'
$$;
comment on function rowcast.outputs_fit(jsonb, jsonb) is
    'Whether a version fills the columns of a scorer: each, but for those that were appended.';
revoke all on function rowcast.outputs_fit(jsonb, jsonb) from public;

create or replace function rowcast.append_outputs(model_id int, alias text, version int) returns void
language plpgsql security definer
-- Readers of predictions are waited for, but not for long: others would wait behind.
set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
    signature constant jsonb := (
        select v.signature from rowcast.model_version as v
        where v.model_id = append_outputs.model_id and v.version = append_outputs.version);
    follower record;
    output record;
    taken text[];
    appended jsonb;
    stale regprocedure;
begin
    for follower in
        select s.scorer_id, s.name, s.outputs, s.top_k, o.key_columns || s.result_key as key_columns,
               (select string_agg(t, ',') from unnest(rowcast.write_arguments(s.scorer_id)) as t)
                   as arguments
        from rowcast.scorer as s join rowcast.source as o on o.source_id = s.source_id
        where s.model_id = append_outputs.model_id and s.alias = append_outputs.alias
          and s.pinned_version is null and s.route is null
        order by s.scorer_id
        for update of s
    loop
        taken := follower.key_columns || rowcast.audit_names(follower.key_columns, false)
            || array(select o ->> 'column' from jsonb_array_elements(follower.outputs) as o);
        appended := '[]';
        for output in
            select o.value ->> 'name' as name, rowcast.output_column_type(o.value) as type
            from jsonb_array_elements(signature -> 'outputs') with ordinality as o (value, place)
            where not exists (select from jsonb_array_elements(follower.outputs) as own
                              where own ->> 'output' = o.value ->> 'name')
              and (follower.top_k is null or o.value ->> 'role' <> 'probability')
            order by o.place
        loop
            appended := appended || jsonb_build_object(
                'output', output.name, 'column', rowcast.fit_name(output.name, taken),
                'type', output.type, 'appended', true);
            taken := taken || (appended -> -1 ->> 'column');
            execute format('alter table predictions.%I add column %I %s', follower.name,
                           appended -> -1 ->> 'column', appended -> -1 ->> 'type');
            execute format('comment on column predictions.%I.%I is %L', follower.name,
                           appended -> -1 ->> 'column',
                           format('Output "%s" of the model, from version %s on.', output.name, version));
        end loop;
        continue when appended = '[]';
        if jsonb_array_length(follower.outputs) + jsonb_array_length(appended) > 70 then
            raise exception using errcode = 'RC104',
                message = format('scorer "%s" would have more than 70 outputs', follower.name),
                hint = 'Create a scorer for this version beside it, with top_k.';
        end if;
        -- A lane that loaded the scorer before still writes by the present function.
        for stale in
            select p.oid::regprocedure from pg_proc as p
            where p.pronamespace = 'rowcast'::regnamespace
              and p.proname = 'write_' || follower.scorer_id
              and p.oid <> to_regprocedure(format('rowcast.write_%s(%s)', follower.scorer_id,
                                                  follower.arguments))
        loop
            execute format('drop function %s', stale);
        end loop;
        update rowcast.scorer as s set outputs = s.outputs || appended, revision = s.revision + 1
        where s.scorer_id = follower.scorer_id;
        perform rowcast.make_write(follower.scorer_id);
        if exists (select from rowcast.history as h where h.scorer_id = follower.scorer_id) then
            perform rowcast.make_history(follower.scorer_id);
        end if;
    end loop;
end
$$;
comment on function rowcast.append_outputs(int, text, int) is
    'Appends columns for outputs of a version that the scorers which follow an alias do not have yet.';
revoke all on function rowcast.append_outputs(int, text, int) from public;
