-- Timetables in cron's notation, by the clocks of a time zone.
--
-- Fields and the rule of the two days (one that is not "*" suffices where both are given) are those of
-- Vixie cron, and so is what happens when clocks change. Where the hour is given, each day has each time
-- once: a time that the clocks skip comes an interval later, one that they show twice comes the first
-- time. Where the hour is "*" or "*/n" it is moments that count: skipped ones do not occur, repeated ones do.

create or replace function rowcast.cron_field(
    field text, title text, low int, high int, names text[] default '{}')
returns int[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    part text;
    found_parts text[];
    bounds int[];
    place int;
    step int;
    numbers int[] := '{}';
begin
    foreach part in array string_to_array(lower(field), ',') loop
        found_parts := regexp_match(part, '^(?:\*|([0-9]+|[a-z]{3})(?:-([0-9]+|[a-z]{3}))?)(?:/([0-9]{1,4}))?$');
        bounds := array[low, high];
        for i in 1..2 loop
            continue when found_parts[i] is null;
            place := array_position(names, found_parts[i]);
            bounds[i] := case when place is not null then low + place - 1
                              when found_parts[i] ~ '^[0-9]{1,4}$' then found_parts[i]::int end;
        end loop;
        step := coalesce(found_parts[3]::int, 1);
        -- One number without a step is itself; "5/15" goes on to the end.
        if found_parts[1] is not null and found_parts[2] is null and found_parts[3] is null then
            bounds[2] := bounds[1];
        end if;
        if found_parts is null or bounds[1] is null or bounds[2] is null or step < 1
           or bounds[1] < low or bounds[2] > high or bounds[1] > bounds[2] then
            raise exception using errcode = 'RC401',
                message = format('"%s" is not %s of a timetable', part, title),
                hint = format('Numbers from %s to %s%s, ranges a-b, lists a,b, steps */n.', low, high,
                              case when names <> '{}' then format(' or names from %s to %s', names[1],
                                                                  names[cardinality(names)])
                                   else '' end);
        end if;
        numbers := numbers || array(select n from generate_series(bounds[1], bounds[2], step) as n);
    end loop;
    return array(select distinct n from unnest(numbers) as n order by n);
end
$$;
comment on function rowcast.cron_field(text, text, int, int, text[]) is
    'The numbers that a field of a timetable means, ascending. Raises RC401.';
revoke all on function rowcast.cron_field(text, text, int, int, text[]) from public;

create or replace function rowcast.next_run(cron text, time_zone text, after timestamptz default now())
returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    fields text[];
    seconds int[];
    minutes int[];
    hours int[];
    days int[];
    months int[];
    weekdays int[];
    by_moment boolean;
    local_after constant timestamp := after at time zone time_zone;
    day date := local_after::date - 1;
    clock_hour int;
    found_local timestamp;
    found_at timestamptz;
begin
    fields := regexp_split_to_array(case lower(btrim(cron))
        when '@yearly' then '0 0 1 1 *' when '@annually' then '0 0 1 1 *'
        when '@monthly' then '0 0 1 * *' when '@weekly' then '0 0 * * 0'
        when '@daily' then '0 0 * * *' when '@midnight' then '0 0 * * *'
        when '@hourly' then '0 * * * *' else btrim(cron) end, '\s+');
    if cardinality(fields) = 5 then
        fields := array['0'] || fields;
    elsif cardinality(fields) is distinct from 6 then
        raise exception using errcode = 'RC401', message = format('"%s" is not a timetable', cron),
            hint = 'Five fields: minute hour day month weekday, as "0 3 * * mon-fri"; a sixth before them '
                   'is the second; or @hourly, @daily, @weekly, @monthly, @yearly.';
    end if;
    seconds := rowcast.cron_field(fields[1], 'a second', 0, 59);
    minutes := rowcast.cron_field(fields[2], 'a minute', 0, 59);
    hours := rowcast.cron_field(fields[3], 'an hour', 0, 23);
    days := rowcast.cron_field(fields[4], 'a day', 1, 31);
    months := rowcast.cron_field(fields[5], 'a month', 1, 12,
        array['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']);
    weekdays := rowcast.cron_field(fields[6], 'a weekday', 0, 7,
        array['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']);
    if 7 = any (weekdays) then
        weekdays := 0 || weekdays;
    end if;
    by_moment := fields[3] like '*%';

    -- A 29th of February on a given weekday comes every 28 years, or 40 around a turn of a century.
    for i in 1..15000 loop
        if extract(month from day)::int = any (months)
           and (case when fields[4] like '*%' or fields[6] like '*%'
                    then extract(day from day)::int = any (days)
                         and extract(dow from day)::int = any (weekdays)
                    else extract(day from day)::int = any (days)
                         or extract(dow from day)::int = any (weekdays) end) then
            foreach clock_hour in array hours loop
                if (day + 1) at time zone time_zone - day at time zone time_zone = interval '1 day' then
                    -- No clock is turned: the first time that the clocks show later.
                    select l.local into found_local
                    from unnest(minutes) as minute
                    cross join unnest(seconds) as second
                    cross join lateral (select day + make_time(clock_hour, minute, second) as local) as l
                    where l.local > local_after
                    order by l.local limit 1;
                    if found then
                        return found_local at time zone time_zone;
                    end if;
                    continue;
                end if;
                select min(m.at) into found_at
                from unnest(minutes) as minute
                cross join unnest(seconds) as second
                cross join lateral (select day + make_time(clock_hour, minute, second) as local) as l
                cross join lateral (select l.local at time zone time_zone as given) as g
                cross join lateral (
                    select case when by_moment then min(t.at) filter (where t.at > after)
                                else coalesce(min(t.at), g.given) end as at
                    -- Clocks are turned by 30 minutes, an hour, or two.
                    from (select g.given + s.shift as at
                          from (values (interval '0'), (interval '30 minutes'), (interval '1 hour'),
                                       (interval '2 hours'), (interval '-30 minutes'),
                                       (interval '-1 hour'), (interval '-2 hours')) as s (shift)) as t
                    where t.at at time zone time_zone = l.local
                ) as m
                where m.at > after;
                if found_at is not null then
                    return found_at;
                end if;
            end loop;
        end if;
        day := day + 1;
    end loop;
    return null;
end
$$;
comment on function rowcast.next_run(text, text, timestamptz) is
    'The first moment after a given one at which a timetable is due by the clocks of a time zone; null '
    'where it never is. Raises RC401. Cost: microseconds a day looked at.';
revoke all on function rowcast.next_run(text, text, timestamptz) from public;
grant execute on function rowcast.next_run(text, text, timestamptz) to rowcast_reader;
