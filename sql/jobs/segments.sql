-- Segments: a row for up to 4,096 rows that a job wrote, an array a column, under a view of the usual shape.
--
-- What PostgreSQL does for each row it writes (a tuple, its WAL, its place in the table) costs more than
-- scoring it. For a destination d there are
--
--   d_segments   the least and the greatest value of each column of the key that has an order which lanes
--                know, how many rows, which model, job and moment, and the arrays;
--   d            the view that people read: a row a row;
--   d_lookup     the rows of one key: it opens no arrays but those that can have it. Runs as who calls it,
--                so he needs d_segments too.
--
-- All are of the job's author, or of rowcast_admin where he named none. Rows are written by a function of
-- the author: a call a segment costs nothing beside the rows in it.

create or replace function rowcast.segment_name(destination text, suffix text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    name constant text[] := parse_ident(destination);
begin
    if cardinality(name) <> 2 or octet_length(name[2]) > 54 then
        raise exception using errcode = 'RC311',
            message = format('destination "%s" cannot be of segments', destination),
            hint = 'What belongs to it is called <name>_segments and <name>_lookup: 54 bytes are left for the name.';
    end if;
    return format('%I.%I', name[1], name[2] || suffix);
end
$$;
comment on function rowcast.segment_name(text, text) is
    'The name of what belongs to a destination of segments. Errors: RC311 it would be too long.';
revoke all on function rowcast.segment_name(text, text) from public;

create or replace function rowcast.has_bounds(kept jsonb) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Of types whose binary images lanes can put in order. Texts are taken in the order of their bytes, which
    -- does for finding those that are equal where only equal bytes are.
    select case
        when kept ->> 'read' in ('smallint', 'integer', 'bigint', 'oid', 'date', 'timestamp without time zone',
                                 'timestamp with time zone', 'uuid', 'bytea') then true
        when kept ->> 'read' in ('text', 'character varying') then
            current_setting('server_encoding') = 'UTF8' and coalesce((
                select c.collisdeterministic from pg_collation as c
                where c.oid = substring(kept ->> 'type' from ' collate (.*)$')::regcollation), true)
        else false end
$$;
comment on function rowcast.has_bounds(jsonb) is
    'Whether segments have the least and the greatest value of a column.';
revoke all on function rowcast.has_bounds(jsonb) from public;

create or replace function rowcast.with_bounds(kept jsonb, key text[], taken text[]) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    own jsonb;
    least_name text;
    greatest_name text;
    answer jsonb := '[]';
begin
    for own in select k.value from jsonb_array_elements(kept) with ordinality as k (value, place)
               order by k.place loop
        if own ->> 'column' = any (key) and rowcast.has_bounds(own) then
            least_name := rowcast.fit_name('min_' || (own ->> 'column'), taken);
            greatest_name := rowcast.fit_name('max_' || (own ->> 'column'), taken || least_name);
            taken := taken || least_name || greatest_name;
            own := own || jsonb_build_object('bounds', jsonb_build_array(least_name, greatest_name));
        end if;
        answer := answer || jsonb_build_array(own);
    end loop;
    return answer;
end
$$;
comment on function rowcast.with_bounds(jsonb, text[], text[]) is
    'Columns that are passed through, with the names of those that hold their bounds.';
revoke all on function rowcast.with_bounds(jsonb, text[], text[]) from public;

create or replace function rowcast.segment_element(argument text, type text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    -- An array of arrays would want them all of one length: of a domain it takes any.
    select case when rowcast.output_cast(argument, type) = '' then type else
        'rowcast.' || case type when 'real[]' then 'real_vector' when 'double precision[]' then 'double_vector'
            when 'bigint[]' then 'bigint_vector' when 'boolean[]' then 'boolean_vector' else 'text_vector' end end
$$;
comment on function rowcast.segment_element(text, text) is
    'The type of the elements of a column of segments: a domain where each is a vector.';
revoke all on function rowcast.segment_element(text, text) from public;

create or replace function rowcast.segment_columns(own rowcast.model_job)
returns table (place bigint, name text, type text, read text, value text, is_array boolean, note text)
language sql stable set search_path = pg_catalog, pg_temp as $$
    with listed as (
        select c.*, c.argument ~ '^(kept|output)_\d+$' as is_array,
               format('job_%s_write.%s', own.job_id, c.argument) as value
        from rowcast.job_column_list(own) as c
    ), bound as (
        select row_number() over (order by k.place, b.place) as number, b.name, k.place as kept,
               case when k.value ->> 'read' = 'character varying' then 'text' else k.value ->> 'read' end as read
        from jsonb_array_elements(own.kept) with ordinality as k (value, place)
        cross join jsonb_array_elements_text(k.value -> 'bounds') with ordinality as b (name, place)
    ), every as (
        select 1 as part, b.number as place, b.name,
               b.read || case b.read when 'text' then ' collate "C"' else '' end as type, b.read,
               format('job_%1$s_write.kept_%2$s[job_%1$s_write.places[%3$s]]', own.job_id, b.kept, b.number)
                   as value, false as is_array,
               case b.number % 2 when 1 then 'The least value in the segment.'
                                 else 'The greatest value in the segment.' end as note
        from bound as b
        union all
        select 2, 1, rowcast.fit_name('row_count', array(select l.name from listed as l
                                                         union all select b.name from bound as b)),
               'integer not null', 'integer',
               format('pg_catalog.cardinality(%s)', (select l.value from listed as l where l.is_array
                                                     order by l.place limit 1)),
               false, 'Rows in the segment.'
        union all
        select 3, l.place, l.name, l.type, l.read, l.value, false, l.note from listed as l where not l.is_array
        union all
        select 4, l.place, l.name,
               split_part(e.type, ' collate ', 1) || '[]' || case when e.type like '% collate %' then
                   ' collate ' || split_part(e.type, ' collate ', 2) else '' end,
               case when e.type = l.type then l.read else e.type end || '[]',
               l.value || case when e.type = l.type then '' else format('::%s[]', e.type) end, true, l.note
        from listed as l cross join lateral rowcast.segment_element(l.argument, l.type) as e (type)
        where l.is_array
    ) select row_number() over (order by e.part, e.place), e.name, e.type, e.read, e.value, e.is_array, e.note
    from every as e
$$;
comment on function rowcast.segment_columns(rowcast.model_job) is
    'The columns of a table of segments: those that every look needs first, arrays last.';
revoke all on function rowcast.segment_columns(rowcast.model_job) from public;

create or replace function rowcast.segment_rows(own rowcast.model_job, target text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    with listed as (
        select c.*, c.argument ~ '^(kept|output)_\d+$' as is_array from rowcast.job_column_list(own) as c
    ) select format(
        'select %s from %s as s cross join lateral rows from (%s) as u (%s)',
        string_agg(format('%s.%I%s', case when l.is_array then 'u' else 's' end, l.name,
                          case when rowcast.segment_element(l.argument, l.type) = l.type then ''
                               else format('::%s as %I', l.type, l.name) end), ', ' order by l.place),
        target,
        string_agg(format('pg_catalog.unnest(s.%I)', l.name), ', ' order by l.place) filter (where l.is_array),
        string_agg(quote_ident(l.name), ', ' order by l.place) filter (where l.is_array))
    from listed as l
$$;
comment on function rowcast.segment_rows(rowcast.model_job, text) is 'The query that makes rows of segments.';
revoke all on function rowcast.segment_rows(rowcast.model_job, text) from public;

create or replace function rowcast.segment_lookup(own rowcast.model_job) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    with key as (
        select row_number() over (order by k.place) as number, k.value ->> 'column' as name,
               k.value ->> 'read' as read, k.value -> 'bounds' as bounds,
               case when k.value ->> 'read' in ('text', 'character varying') then ' collate "C"' else '' end
                   as collation
        from jsonb_array_elements(own.kept) with ordinality as k (value, place)
        where k.value ->> 'column' = any (own.key_columns)
    ) select format(
        '; create function %1$s(%2$s) returns setof %3$s language sql stable parallel safe '
        'begin atomic %4$s where %5$s; end; comment on function %1$s is %6$L',
        rowcast.segment_name(own.destination_text, '_lookup'),
        string_agg(format('%I %s', k.name, k.read), ', ' order by k.number), own.destination_text,
        rowcast.segment_rows(own, rowcast.segment_name(own.destination_text, '_segments')),
        string_agg(format('u.%I = $%s', k.name, k.number) || case when k.bounds is null then '' else format(
            ' and s.%I <= $%s%s and s.%I >= $%2$s%3$s', k.bounds ->> 0, k.number, k.collation,
            k.bounds ->> 1) end, ' and ' order by k.number),
        format('The rows of one key in %s. Cost: a look at the bounds of each segment, and the arrays of those '
               'that can have it.', own.destination_text))
    from key as k having count(*) > 0
$$;
comment on function rowcast.segment_lookup(rowcast.model_job) is
    'The statements that make the function which finds a key''s rows; null where rows have no key.';
revoke all on function rowcast.segment_lookup(rowcast.model_job) from public;

create or replace function rowcast.segment_ddl(own rowcast.model_job) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    -- Nothing is gained by vacuum in arrays that nobody deletes.
    select format('create table %s (%s) with (toast.autovacuum_vacuum_insert_threshold = -1)', n.target,
                  string_agg(format('%I %s', c.name, c.type), ', ' order by c.place))
           -- Compressing numbers would cost more than all else.
           || string_agg(format('; alter table %s alter column %I set storage external', n.target, c.name), ''
                         order by c.place) filter (where c.is_array)
           || format('; comment on table %s is %L', n.target, format(
               'Rows of %s, up to 4,096 together. Written by job %s of Rowcast.', own.destination_text, own.job_id))
           || string_agg(format('; comment on column %s.%I is %L', n.target, c.name, c.note), ''
                         order by c.place) filter (where c.note is not null)
           || format('; create view %s as %s; comment on view %1$s is %3$L', own.destination_text,
                     rowcast.segment_rows(own, n.target), format('Written by job %s of Rowcast.', own.job_id))
           || coalesce(rowcast.segment_lookup(own), '')
    from (select rowcast.segment_name(own.destination_text, '_segments') as target) as n
    cross join rowcast.segment_columns(own) as c
    group by n.target
$$;
comment on function rowcast.segment_ddl(rowcast.model_job) is
    'The statements that create a table of segments, its view and its function.';
revoke all on function rowcast.segment_ddl(rowcast.model_job) from public;

create or replace function rowcast.segment_write_body(own rowcast.model_job) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select format('begin insert into %s (%s) values (%s); end',
                  rowcast.segment_name(own.destination_text, '_segments'),
                  string_agg(quote_ident(c.name), ', ' order by c.place),
                  string_agg(c.value, ', ' order by c.place))
    from rowcast.segment_columns(own) as c
$$;
comment on function rowcast.segment_write_body(rowcast.model_job) is
    'The body of the function that writes a segment, as the job''s author.';
revoke all on function rowcast.segment_write_body(rowcast.model_job) from public;

create or replace function rowcast.fit_segments(own rowcast.model_job) returns regclass
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    target constant regclass := to_regclass(rowcast.segment_name(own.destination_text, '_segments'));
    wrong record;
begin
    if target is null or not exists (select from pg_class as c where c.oid = target and c.relkind = 'r')
       or not exists (select from pg_class as c
                      where c.oid = to_regclass(own.destination_text) and c.relkind = 'v') then
        raise exception using errcode = 'RC311',
            message = format('destination "%s" exists and is not of segments', own.destination_text),
            hint = 'mode => ''segments'' makes one, or adds to what such a job has made.';
    end if;
    select c.name, c.read, format_type(a.atttypid, null) as found into wrong
    from rowcast.segment_columns(own) as c
    left join pg_attribute as a on a.attrelid = target and a.attname = c.name and a.attnum > 0
         and not a.attisdropped
    where a.atttypid is distinct from to_regtype(c.read)
    order by c.place limit 1;
    if found then
        raise exception using errcode = 'RC311',
            message = format('column "%s" of destination "%s" is %s, the job writes %s', wrong.name, target,
                             coalesce(wrong.found, 'not there'), wrong.read);
    end if;
    return target;
end
$$;
comment on function rowcast.fit_segments(rowcast.model_job) is
    'The table of segments that is there, and that takes what a job writes. Errors: RC311.';
revoke all on function rowcast.fit_segments(rowcast.model_job) from public;

create or replace function rowcast.make_segments(own rowcast.model_job, author name) returns regclass
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    target constant text := rowcast.segment_name(own.destination_text, '_segments');
begin
    execute rowcast.segment_ddl(own);
    execute format('revoke all on %s, %s from rowcast_reader, rowcast_analyst, rowcast_worker',
                   own.destination_text, target);
    execute format('grant select on %s, %s to %I', own.destination_text, target, author);
    execute format('grant insert on %s to %I', target, author);
    if own.key_columns <> '{}' then
        execute format('grant execute on function %s to %I',
                       rowcast.segment_name(own.destination_text, '_lookup'), author);
    end if;
    return target::regclass;
end
$$;
comment on function rowcast.make_segments(rowcast.model_job, name) is
    'Creates predictions.job_<id> of segments, for its author to read and to write.';
revoke all on function rowcast.make_segments(rowcast.model_job, name) from public;

create or replace function rowcast.drop_segments(destination text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    execute format('drop function if exists %s', rowcast.segment_name(destination, '_lookup'));
    execute format('drop view if exists %s', destination);
    execute format('drop table if exists %s', rowcast.segment_name(destination, '_segments'));
end
$$;
comment on function rowcast.drop_segments(text) is 'Drops a destination of segments with all that belongs to it.';
revoke all on function rowcast.drop_segments(text) from public;
