-- Views that give a prediction a row for each class or object of it.
--
--   predictions.<scorer>_classes   of a scorer with top_k: key, rank, label, score
--   predictions.<scorer>_objects   of a model that finds objects in images: key, object, label, score and
--                                  the box, in pixels of the image: x1, y1 (left, top), x2, y2 (right, bottom)
--
-- and the audit columns of the prediction. They are views over the one row that a lane writes, so whatever holds
-- of that row (it is exactly once, it goes with its source's row) holds of theirs.

create or replace function rowcast.result_view_kind(outputs jsonb) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select case when outputs @> '[{"of": "class"}, {"of": "probability"}]' then 'classes'
                when outputs @> '[{"object": "box"}, {"object": "box_score"}, {"object": "box_label"}]'
                    then 'objects' end
$$;
comment on function rowcast.result_view_kind(jsonb) is
    'Of what a scorer with these outputs has a view: classes, objects, or null for none.';
revoke all on function rowcast.result_view_kind(jsonb) from public;

create or replace function rowcast.result_view(name text, kind text) returns regclass
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- That reads the predictions: another relation may have the name.
    select c.oid::regclass
    from pg_class as c
    where c.oid = to_regclass('predictions.' || quote_ident(name || '_' || kind)) and c.relkind = 'v'
      and exists (
          select from pg_rewrite as r
          join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
          where r.ev_class = c.oid and d.refobjid = to_regclass(format('predictions.%I', name)))
$$;
comment on function rowcast.result_view(text, text) is 'The view of a scorer''s classes or objects; null where there is none.';
revoke all on function rowcast.result_view(text, text) from public;

create or replace function rowcast.result_view_sql(sco rowcast.scorer, kind text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    keys constant text[] := (select o.key_columns from rowcast.source as o where o.source_id = sco.source_id)
                            || sco.result_key;
    audit constant text[] := rowcast.audit_names(keys, false);
    names text[] := '{}';
    wanted text;
    fields text;
    rows text;
begin
    foreach wanted in array case kind when 'classes' then array['rank', 'label', 'score']
                            else array['object', 'label', 'score', 'x1', 'y1', 'x2', 'y2'] end loop
        names := names || rowcast.fit_name(wanted, keys || audit || names);
    end loop;
    if kind = 'classes' then
        select format('(values %s) as r (rank, label, score)', string_agg(
                   format('(%s, p.%I, p.%I)', c.rank, c.class_column, c.score_column), ', ' order by c.rank))
        into rows
        from (
            select (o ->> 'rank')::int as rank,
                   min(o ->> 'column') filter (where o ->> 'of' = 'class') as class_column,
                   min(o ->> 'column') filter (where o ->> 'of' = 'probability') as score_column
            from jsonb_array_elements(sco.outputs) as o where o ? 'of' group by 1) as c;
        fields := format('r.rank as %I, r.label as %I, r.score as %I', names[1], names[2], names[3]);
    else
        select format('unnest(p.%I, p.%I) with ordinality as r (label, score, object)',
                      min(o ->> 'column') filter (where o ->> 'object' = 'box_label'),
                      min(o ->> 'column') filter (where o ->> 'object' = 'box_score')),
               format('r.object::int as %I, r.label as %I, r.score as %I, p.%8$I[r.object][1] as %4$I, '
                      'p.%8$I[r.object][2] as %5$I, p.%8$I[r.object][3] as %6$I, p.%8$I[r.object][4] as %7$I',
                      names[1], names[2], names[3], names[4], names[5], names[6], names[7],
                      min(o ->> 'column') filter (where o ->> 'object' = 'box'))
        into rows, fields from jsonb_array_elements(sco.outputs) as o;
    end if;
    return format('select %s, %s, %s from predictions.%I as p cross join lateral %s where r.label is not null',
        (select string_agg(format('p.%I', k.name), ', ' order by k.place)
         from unnest(keys) with ordinality as k (name, place)), fields,
        (select string_agg(format('p.%I', a.name), ', ' order by a.place)
         from unnest(audit) with ordinality as a (name, place)), sco.name, rows);
end
$$;
comment on function rowcast.result_view_sql(rowcast.scorer, text) is 'The query of a scorer''s view of classes or objects.';
revoke all on function rowcast.result_view_sql(rowcast.scorer, text) from public;

create or replace function rowcast.make_result_view(scorer_id int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sco rowcast.scorer;
    kind text;
    own regclass;
    -- Policies hold for whoever reads, where views know how to say so; else they would hold for our owner.
    invokes constant boolean := current_setting('server_version_num')::int >= 150000;
begin
    select s.* into strict sco from rowcast.scorer as s where s.scorer_id = make_result_view.scorer_id;
    kind := rowcast.result_view_kind(sco.outputs);
    if kind is null then
        return;
    end if;
    own := rowcast.result_view(sco.name, kind);
    if own is not null and not invokes and exists (
        select from pg_class as c
        where c.oid = to_regclass(format('predictions.%I', sco.name)) and c.relrowsecurity) then
        execute format('drop view %s', own);
        return;
    elsif own is null and to_regclass(format('predictions.%I', sco.name || '_' || kind)) is not null then
        return;  -- The name is somebody else's.
    end if;
    execute format('create or replace view predictions.%I%s as %s', sco.name || '_' || kind,
                   case when invokes then ' with (security_invoker = true)' else '' end,
                   rowcast.result_view_sql(sco, kind));
    execute format('comment on view predictions.%I is %L', sco.name || '_' || kind, case kind
        when 'classes' then format('Predictions of scorer %s, a row a class, the most probable first.', sco.name)
        else format('Objects that scorer %s found, the surest first; boxes in pixels of the image as it is '
                    'seen: x1, y1 left and top, x2, y2 right and bottom.', sco.name) end);
    execute format('revoke all on predictions.%I from public', sco.name || '_' || kind);
    execute format('grant select on predictions.%I to rowcast_reader', sco.name || '_' || kind);
end
$$;
comment on function rowcast.make_result_view(int) is
    'Makes the view of a scorer''s classes or objects, where it has such outputs, or makes it anew.';
revoke all on function rowcast.make_result_view(int) from public;
