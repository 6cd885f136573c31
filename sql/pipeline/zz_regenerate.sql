-- Generated functions follow their generators: sources and scorers that are there get them anew.
do $$
begin
    -- Where a source was dropped, the types of its key may be gone too. mend_scorer makes them anew
    -- for those that come back.
    perform rowcast.make_capture(s.source_id) from rowcast.source as s
    where exists (select from pg_class as c where c.oid = s.relation)
      and not exists (select from unnest(s.key_types) as k (name) where to_regtype(k.name) is null)
    order by s.source_id;
    perform rowcast.make_write(s.scorer_id), rowcast.make_result_view(s.scorer_id) from rowcast.scorer as s
    where rowcast.scorer_problem(s.scorer_id) is null order by s.scorer_id;
end
$$;
