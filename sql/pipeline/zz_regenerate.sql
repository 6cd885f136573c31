-- Generated functions follow their generators: sources and scorers that are there get them anew.
do $$
begin
    perform rowcast.make_capture(s.source_id) from rowcast.source as s order by s.source_id;
    perform rowcast.make_write(s.scorer_id) from rowcast.scorer as s order by s.scorer_id;
end
$$;
