-- Chunks of jobs without scorer whose lanes died: split, cornered, given up.

create or replace function rowcast.split_job_chunk(lost rowcast.chunk) returns int
language plpgsql set search_path = pg_catalog, pg_temp as $$
-- Pages in eight; one page by its line pointers, of which no page has more than 2,336 (blocks of 32 kB).
declare
    low bigint[] := string_to_array(trim('()' from lost.lower_key), ',')::bigint[];
    high bigint[] := string_to_array(trim('()' from lost.upper_key), ',')::bigint[];
    pieces int;
begin
    if low[1] + 1 = high[1] and high[2] = 0 then
        high := array[low[1], 2336];
    end if;
    insert into rowcast.chunk (job_id, tick_id, key_count, priority, kind, keys, lower_key, upper_key, pages)
    select lost.job_id, lost.tick_id,
           case when low[1] = high[1] then p.upper - p.lower
                else ceil(lost.key_count * (p.upper - p.lower)::float8 / (high[1] - low[1])) end,
           lost.priority, 'tid', lost.keys,
           case when low[1] = high[1] then format('(%s,%s)', low[1], p.lower)
                else format('(%s,0)', p.lower) end,
           case when low[1] = high[1] then format('(%s,%s)', low[1], p.upper)
                else format('(%s,0)', p.upper) end,
           case when low[1] < high[1] then p.upper - p.lower
                when p.lower = low[2] then coalesce(lost.pages, 0) else 0 end
    from (
        select s.lower, least(s.lower + w.width, b.upper) as upper
        from (select case when low[1] = high[1] then low[2] else low[1] end,
                     case when low[1] = high[1] then high[2] else high[1] end) as b (lower, upper)
        cross join lateral (select ceil((b.upper - b.lower) / 8.0)::bigint) as w (width)
        cross join lateral generate_series(b.lower, b.upper - 1, w.width) as s (lower)
    ) as p;
    get diagnostics pieces = row_count;
    perform rowcast.end_split(lost, pieces);
    return pieces;
end
$$;
comment on function rowcast.split_job_chunk(rowcast.chunk) is
    'Replaces a running chunk of places in a table by up to eight smaller ones, and counts them.';
revoke all on function rowcast.split_job_chunk(rowcast.chunk) from public;

create or replace function rowcast.rescue_job_chunk(lost rowcast.chunk) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    low text[] := string_to_array(trim('()' from lost.lower_key), ',');
    high text[] := string_to_array(trim('()' from lost.upper_key), ',');
    is_single boolean;
begin
    if lost.kind = 'tid' and lost.lower_key like '(%' then
        is_single := low[1] = high[1] and high[2]::int - low[2]::int <= 1;
        if is_single and lost.deaths >= 4 then
            perform rowcast.keep_failures(
                lost.chunk_id, array[lost.lower_key], array['crashed'],
                array[format('scoring this row ended the worker %s times', lost.deaths)]);
            update rowcast.chunk as c
            set state = 'done', claimed_by = null, finished_at = clock_timestamp(), deaths = lost.deaths,
                rows_scored = 0, rows_failed = 1
            where c.chunk_id = lost.chunk_id;
            return 'failed';
        elsif not is_single and lost.deaths % 2 = 0 then
            perform rowcast.split_job_chunk(lost);
            return 'split';
        end if;
    elsif lost.deaths >= 4 then
        update rowcast.chunk as c
        set state = 'failed', claimed_by = null, finished_at = clock_timestamp(), deaths = lost.deaths,
            rows_scored = 0, rows_failed = c.key_count,
            error = format('its %s ended the worker %s times', case lost.kind when 'step' then 'step'
                           else 'rows' end, lost.deaths)
        where c.chunk_id = lost.chunk_id;
        if lost.kind = 'step' then
            perform rowcast.end_job(lost.job_id, 'failed', format(
                'step %s ended the worker %s times', lost.keys, lost.deaths));
        end if;
        return 'failed';
    end if;
    update rowcast.chunk as c
    set state = 'available', claimed_by = null, claimed_at = null, deaths = lost.deaths
    where c.chunk_id = lost.chunk_id;
    return 'available';
end
$$;
comment on function rowcast.rescue_job_chunk(rowcast.chunk) is
    'What becomes of a chunk of a job whose lane is gone; says what.';
revoke all on function rowcast.rescue_job_chunk(rowcast.chunk) from public;
