-- Features from several tables: a query gives them, and changes in any of the tables reach the predictions.
--
--   cd sql/examples; psql -d "$database" -v ON_ERROR_STOP=1 -f joined_features.sql
--
-- As a member of rowcast_analyst who may create schemas in the database (grant create on database … to …), with a
-- worker running ("rowcast up").
\set model `cat models/churn_1.txt`

select rowcast.register_model('churn', convert_to(:'model', 'UTF8'), 'champion');
call rowcast.wait_for_model('churn');

create schema shop;
create table shop.plan (plan_id int primary key, monthly_fee numeric(8, 2) not null);
create table shop.customer (
    customer_id bigint primary key,
    plan_id int not null references shop.plan,
    since date not null
);
create table shop.orders (
    order_id bigint generated always as identity primary key,
    customer_id bigint not null references shop.customer,
    ordered_on date not null
);
create index on shop.orders (customer_id);
create table shop.call (customer_id bigint not null, called_at timestamptz not null);
create index on shop.call (customer_id);

insert into shop.plan values (1, 9.90), (2, 29.90), (3, 79.90);
insert into shop.customer
select i, 1 + i % 3, date '2026-01-01' - (i * 7 % 700)::int from generate_series(1, 3000) as i;
insert into shop.orders (customer_id, ordered_on)
select 1 + i * 17 % 3000, date '2026-01-01' - i % 120 from generate_series(1, 9000) as i;
insert into shop.call select 1 + i * 13 % 3000, timestamptz '2026-01-01 12:00 UTC' from generate_series(1, 4000) as i;

-- A view is a good place for features: training reads the same one.
create view shop.churn_features as
select c.customer_id,
       (date '2026-01-01' - c.since) / 30 as tenure_months,
       p.monthly_fee,
       (select count(*) from shop.orders as o
        where o.customer_id = c.customer_id and o.ordered_on > date '2026-01-01' - 90) as orders_90_days,
       (select count(*) from shop.call as s where s.customer_id = c.customer_id) as support_calls
from shop.customer as c join shop.plan as p using (plan_id);

select input, column_name, column_type, on_null
from rowcast.create_scorer('churn', source => 'shop.customer', model => 'churn',
                           feature_query => 'shop.churn_features');

-- Which rows of the other tables concern which customers: those with the same customer_id ...
select rowcast.also_watch('churn', 'shop.orders', key => array['customer_id']);
select rowcast.also_watch('churn', 'shop.call');
-- ... or what a query says; "changed" has the primary keys of the rows that changed.
select rowcast.also_watch('churn', 'shop.plan', mapping =>
    'select c.customer_id from shop.customer as c join changed using (plan_id)');
select relation, logged_columns from rowcast.watches;

call rowcast.wait('churn');
create temp table before as select customer_id, probability from predictions.churn;

-- Three calls of one customer, a plan that became dear, an order that is another's, a customer who left.
insert into shop.call select 7, now() from generate_series(1, 3);
update shop.plan set monthly_fee = 120 where plan_id = 3;
update shop.orders set customer_id = 12 where order_id = (
    select min(order_id) from shop.orders where customer_id = 11);
delete from shop.orders where customer_id = 20;
delete from shop.call where customer_id = 20;
delete from shop.customer where customer_id = 20;
call rowcast.wait('churn');

select case when p.probability > b.probability then 'more likely' when p.probability < b.probability
            then 'less likely' else 'the same' end as to_leave, count(*)
from predictions.churn as p join before as b using (customer_id) group by 1 order by 1;

do $$
begin
    assert (select count(*) from predictions.churn) = 2999, 'each customer has a prediction';
    assert (select p.probability > b.probability from predictions.churn as p join before as b using (customer_id)
            where customer_id = 7), 'who calls often is likelier to leave';
    assert (select count(*) > 0 from predictions.churn as p join before as b using (customer_id)
            join shop.customer as c using (customer_id)
            where c.plan_id = 3 and p.probability <> b.probability), 'the dear plan matters';
    assert not exists (select from predictions.churn where customer_id = 20), 'who left has no prediction';
end
$$;

-- What was scored piece by piece is what scoring everything anew gives.
create temp table piecewise as select customer_id, probability from predictions.churn;
select rowcast.rescore('churn') as job \gset
call rowcast.wait_for_job(:job);
do $$
begin
    assert not exists (
        select from piecewise as a full join predictions.churn as b using (customer_id)
        where a.probability is distinct from b.probability), 'nothing was stale';
end
$$;

select rowcast.drop_scorer('churn');
drop schema shop cascade;
