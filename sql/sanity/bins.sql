-- Histograms and moments: how they are added and compared.

create or replace function rowcast.add_bins(a bigint[], b bigint[]) returns bigint[]
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
    select array_agg(coalesce(x.one, 0) + coalesce(x.other, 0) order by x.place)
    from unnest(a, b) with ordinality as x (one, other, place)
$$;
comment on function rowcast.add_bins(bigint[], bigint[]) is 'Adds two histograms bin by bin.';
revoke all on function rowcast.add_bins(bigint[], bigint[]) from public;
grant execute on function rowcast.add_bins(bigint[], bigint[]) to rowcast_reader, rowcast_worker;

create or replace aggregate rowcast.sum_bins(bigint[]) (
    sfunc = rowcast.add_bins, stype = bigint[], combinefunc = rowcast.add_bins, parallel = safe);
comment on aggregate rowcast.sum_bins(bigint[]) is 'Adds histograms bin by bin.';
revoke all on function rowcast.sum_bins(bigint[]) from public;
grant execute on function rowcast.sum_bins(bigint[]) to rowcast_reader, rowcast_worker;

create or replace function rowcast.psi(expected bigint[], actual bigint[]) returns double precision
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
    select sum((s.actual - s.expected) * ln(s.actual / s.expected))
    from (
        select case when t.expected > 0 then greatest(b.expected / t.expected, 0.0001) end,
               case when t.actual > 0 then greatest(b.actual / t.actual, 0.0001) end
        from unnest(psi.expected, psi.actual) as b (expected, actual)
        cross join (select sum(c.expected)::float8, sum(c.actual)::float8
                    from unnest(psi.expected, psi.actual) as c (expected, actual))
            as t (expected, actual)
    ) as s (expected, actual)
$$;
comment on function rowcast.psi(bigint[], bigint[]) is
    'Population stability index of two histograms over the same bins: the sum over the bins of '
    '(a - e) * ln(a / e), where e and a are the shares of the expected and the actual counts, and a '
    'share below 0.0001 counts as that. N. Siddiqi, Credit Risk Scorecards (Wiley, 2006): below 0.1 no '
    'change, from 0.25 on a significant one. Null where one of them is empty.';
revoke all on function rowcast.psi(bigint[], bigint[]) from public;
grant execute on function rowcast.psi(bigint[], bigint[]) to rowcast_reader, rowcast_worker;
