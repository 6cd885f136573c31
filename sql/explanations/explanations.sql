-- Reasons: the features that contribute most to each prediction of a scorer, in columns of their own.
--
-- The columns are outputs of the scorer like any other, written on the same way; a worker that finds some
-- among them loads the model so that it answers reasons too. They are never dropped: where fewer are wanted
-- later, the others are written as null ("blank"), so that nobody who reads the table meets a column gone.

create or replace function rowcast.set_explanations(
    scorer text, count int default 3, rescore boolean default true) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '10s' as $$
#variable_conflict use_variable
declare
    own rowcast.scorer := rowcast.own_scorer(scorer);
    target text;
    taken text[];
    wanted record;
    named text;
    had int;
    written jsonb;
begin
    if count is null or count not between 0 and 20 then
        raise exception using errcode = 'RC330',
            message = format('explain is %s, it goes from 0 to 20', coalesce(count::text, 'null'));
    end if;
    select s.* into strict own from rowcast.scorer as s where s.scorer_id = own.scorer_id for update;
    if count > 0 then
        perform rowcast.check_explained(own);
    end if;
    target := format('predictions.%I', own.name);
    had := (select coalesce(max((o ->> 'reason')::int), 0) from jsonb_array_elements(own.outputs) as o);
    written := coalesce((
        select jsonb_agg(case when o.value ->> 'reason' is null then o.value
                              when (o.value ->> 'reason')::int > count
                              then o.value || '{"blank": true}' else o.value - 'blank' end
                         order by o.place)
        from jsonb_array_elements(own.outputs) with ordinality as o (value, place)), '[]');

    taken := array(select a.attname::text from pg_attribute as a
                   where a.attrelid = target::regclass and a.attnum > 0 and not a.attisdropped);
    for wanted in
        select p.part || n.number as name, p.type, format(p.note, n.number) as note, n.number
        from generate_series(had + 1, count) as n (number)
        cross join (
            values (1, 'reason_', 'text', 'The feature whose contribution to the margin has rank %s.'),
                   (2, 'contribution_', 'double precision',
                    'What the feature of rank %s adds to the margin.')) as p (place, part, type, note)
        order by n.number, p.place
    loop
        named := rowcast.fit_name(wanted.name, taken);
        taken := taken || named;
        execute format('alter table %s add column %I %s', target, named, wanted.type);
        execute format('comment on column %s.%I is %L', target, named, wanted.note);
        written := written || jsonb_build_object('output', wanted.name, 'column', named,
                                                 'type', wanted.type, 'reason', wanted.number);
    end loop;
    if written = own.outputs then
        return null;
    elsif jsonb_array_length(written) > 70 then
        raise exception using errcode = 'RC330',
            message = format('scorer "%s" would have %s output columns, at most 70 are written',
                             scorer, jsonb_array_length(written)),
            hint = 'Ask for fewer reasons.';
    end if;
    -- What lanes have in hand is written by the function that they know; the one before that goes.
    perform rowcast.drop_write(own.scorer_id, rowcast.write_arguments(own.scorer_id));
    update rowcast.scorer as s set outputs = written, revision = s.revision + 1
    where s.scorer_id = own.scorer_id;
    perform rowcast.make_write(own.scorer_id);
    perform rowcast.bump_registry();
    return case when rescore then rowcast.make_job(own.scorer_id, 'rescore') end;
end
$$;
comment on function rowcast.set_explanations(text, int, boolean) is
    'Has so many of each prediction''s largest contributions written beside it, as reason_1, contribution_1 '
    'and so on, and all rows scored again for that; returns the job. Null where that is so already, or no '
    'rescoring is wanted. With fewer than before (0: none), the columns that are left over become null.';
revoke all on function rowcast.set_explanations(text, int, boolean) from public;
grant execute on function rowcast.set_explanations(text, int, boolean) to rowcast_analyst;

create or replace function rowcast.check_explained(sco rowcast.scorer) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    other record;
begin
    for other in
        select m.model_id, m.name, v.version
        from rowcast.model as m
        left join rowcast.alias as a on a.model_id = m.model_id and a.alias = sco.alias
        join rowcast.model_version as v
          on v.model_id = m.model_id and v.version = coalesce(sco.pinned_version, a.version)
        where case when sco.route is null then m.model_id = sco.model_id
                   else m.name ~ rowcast.route_pattern(sco.route) end
    loop
        if not rowcast.is_explained(other.model_id, other.version) then
            raise exception using errcode = 'RC110',
                message = format('predictions of model "%s" %s cannot be explained',
                                 other.name, other.version),
                hint = 'Those of trees of LightGBM and XGBoost with one margin a prediction can, and of '
                       'linear models.';
        end if;
    end loop;
end
$$;
comment on function rowcast.check_explained(rowcast.scorer) is
    'Refuses a scorer with a model whose predictions cannot be explained.';
revoke all on function rowcast.check_explained(rowcast.scorer) from public;

create or replace function rowcast.is_explained(model_id int, version int) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    -- Signatures of earlier releases do not tell; those formats mostly can.
    select coalesce((v.signature ->> 'explained')::boolean, v.format in ('lightgbm', 'xgboost'), false)
    from rowcast.model_version as v
    where v.model_id = is_explained.model_id and v.version = is_explained.version
$$;
comment on function rowcast.is_explained(int, int) is
    'Whether the contributions of features to predictions of a version can be told.';
revoke all on function rowcast.is_explained(int, int) from public;

create or replace function rowcast.drop_write(scorer_id int, keep text[] default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    old record;
begin
    for old in
        select p.oid::regprocedure as routine from pg_proc as p
        where p.pronamespace = 'rowcast'::regnamespace and p.proname = 'write_' || drop_write.scorer_id
          and p.oid is distinct from to_regprocedure(
              format('rowcast.write_%s(%s)', drop_write.scorer_id, array_to_string(keep, ', ')))
    loop
        execute format('drop function %s', old.routine);
    end loop;
end
$$;
comment on function rowcast.drop_write(int, text[]) is
    'Drops the write functions of a scorer, but the one that takes the arguments to keep.';
revoke all on function rowcast.drop_write(int, text[]) from public;
