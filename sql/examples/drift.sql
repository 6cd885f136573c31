-- Is what comes in still what the model was made for? Histograms are kept while rows are scored, so drift is
-- a query; and what must hold is said beforehand, so that rows which are not as expected are not scored.
--
--   cd sql/examples; psql -d "$database" -v ON_ERROR_STOP=1 -f drift.sql
--
-- As a member of rowcast_analyst who may create schemas in the database (grant create on database … to …), with a
-- worker running ("rowcast up").
\set model `cat models/churn_1.txt`

select rowcast.register_model('churn', convert_to(:'model', 'UTF8'), 'champion');
call rowcast.wait_for_model('churn');

create schema shop;
create table shop.customer (
    customer_id bigint primary key,
    tenure_months int not null,
    monthly_fee numeric(8, 2) not null,
    orders_90_days int not null,
    support_calls int
);
insert into shop.customer
select i, 1 + i * 7 % 72, 9.9 + i % 60, i % 8, i % 5 from generate_series(1, 5000) as i;
select * from rowcast.create_scorer('churn', source => 'shop.customer', model => 'churn');
call rowcast.wait('churn');

-- What later rows are compared with: those of now. Others: 'last 7 days', a table, a query.
select kind, column_name, value_count, round(mean::numeric, 2) as mean, round(sd::numeric, 2) as sd, bins
from rowcast.set_baseline('churn');

-- Next month's customers pay more, and nobody wrote down their calls.
insert into shop.customer
select i, 1 + i * 7 % 72, 34.9 + i % 60, i % 8, null from generate_series(5001, 8000) as i;
call rowcast.wait('churn');

-- Workers bring the histograms up to date every few seconds.
do $$
begin
    for attempt in 1..300 loop
        exit when (select d.rows >= 3000 from rowcast.drift as d
                   where d.scorer = 'churn' and d.column_name = 'monthly_fee');
        perform pg_sleep(0.1);
    end loop;
end
$$;
select column_name, kind, rows, round(psi::numeric, 3) as psi, round(mean_shift::numeric, 2) as mean_shift,
       round(missing_share::numeric, 2) as missing_share
from rowcast.drift where scorer = 'churn' order by psi desc;
select bin, lower_edge, upper_edge, label, round(baseline_share::numeric, 2) as baseline_share,
       round(share::numeric, 2) as share
from rowcast.histogram('churn', 'monthly_fee');

do $$
begin
    assert (select psi > 0.25 and abs(mean_shift - 25 / 17.32) < 0.01 from rowcast.drift
            where scorer = 'churn' and column_name = 'monthly_fee'), 'fees moved by 25';
    assert (select psi > 0.25 and missing_share = 1 from rowcast.drift
            where scorer = 'churn' and column_name = 'support_calls'), 'all calls are missing';
    assert (select psi < 0.1 and abs(mean_shift) < 0.1 from rowcast.drift
            where scorer = 'churn' and column_name = 'tenure_months'), 'tenures are as before';
end
$$;

-- From now on such rows are not to be scored unseen.
select rowcast.expect('churn', 'calls are known', 'null', 'support_calls');
select rowcast.expect('churn', 'fees as before', 'mean', 'monthly_fee', tolerance => 0.5);
select rowcast.expect('churn', 'spread of fees', 'spread', 'monthly_fee', action => 'warn');
select rowcast.expect('churn', 'orders', 'range', 'orders_90_days', minimum => 0, maximum => 50);

-- A delivery can be judged before it is loaded.
create table shop.delivery as
select i as customer_id, 1 + i * 7 % 72 as tenure_months, 10 + i % 60 as monthly_fee, i % 8 as orders_90_days,
       i % 5 as support_calls
from generate_series(10001, 13000) as i;
select name, passed, round(observed::numeric, 3) as observed, rows, reason
from rowcast.check_expectations('churn', 'shop.delivery');
select name, passed, reason
from rowcast.check_expectations('churn', 'select *, monthly_fee * 2 as fee from shop.delivery limit 10');
do $$
begin
    assert (select bool_and(passed) from rowcast.check_expectations('churn', 'shop.delivery')),
        'a clean delivery passes';
    assert (select array_agg(name order by name) = array['(columns)', 'fees as before', 'spread of fees']
            from rowcast.check_expectations('churn', 'select customer_id, tenure_months, orders_90_days, '
                'support_calls from shop.delivery') where not passed), 'a missing column is found';
    assert (select array_agg(name order by name) = array['fees as before']
            from rowcast.check_expectations('churn', 'select customer_id, tenure_months, orders_90_days, '
                'support_calls, monthly_fee + 20 as monthly_fee from shop.delivery') where not passed),
        'a shifted mean is found';
    assert (select array_agg(name order by name) = array['spread of fees']
            from rowcast.check_expectations('churn', 'select customer_id, tenure_months, orders_90_days, '
                'support_calls, (monthly_fee - 39.4) * 2 + 39.4 as monthly_fee from shop.delivery')
            where not passed), 'a spread that changed around the same mean is found';
end
$$;

-- A row without calls fails; it is scored once it is mended.
insert into shop.customer values (20001, 12, 30, 2, null), (20002, 12, 30, 2, 1);
call rowcast.wait('churn');
select customer_id, code, reason from predictions.churn_failure;
do $$
begin
    assert (select array_agg(customer_id) = array[20001::bigint] from predictions.churn_failure), 'one failed';
    assert exists (select from predictions.churn where customer_id = 20002), 'its neighbour is scored';
end
$$;
update shop.customer set support_calls = 0 where customer_id = 20001;
call rowcast.wait('churn');

-- Many rows with other fees suspend the scorer, until somebody has looked.
insert into shop.customer
select i, 1 + i * 7 % 72, 59.9 + i % 60, i % 8, i % 5 from generate_series(30001, 34000) as i;
do $$
begin
    for attempt in 1..300 loop
        exit when (select state = 'suspended' from rowcast.scorer_status where name = 'churn');
        perform pg_sleep(0.1);
    end loop;
end
$$;
select name, state, state_reason, backlog_rows from rowcast.scorer_status;
select name, checked, failed, is_held, last_reason from rowcast.expectation_results
where failed > 0 order by name;

-- It was a new price list: go on with it.
select rowcast.resolve_expectations('churn');
call rowcast.wait('churn');
do $$
begin
    assert (select count(*) = 12002 from predictions.churn), 'all are scored now';
    assert not exists (select from predictions.churn_failure), 'and none failed';
end
$$;

select rowcast.drop_scorer('churn');
drop schema shop cascade;
