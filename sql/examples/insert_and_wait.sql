-- Insert rows, wait, and read their predictions: all that an analyst needs of a model.
--
--   cd sql/examples; psql -d "$database" -v ON_ERROR_STOP=1 -f insert_and_wait.sql
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

-- Which column each input of the model is read from, and what a NULL in it would lead to.
select * from rowcast.create_scorer('churn', source => 'shop.customer', model => 'churn');

insert into shop.customer
select i, 1 + i * 7 % 72, 9.9 + i % 60, i % 8, i % 5 from generate_series(1, 5000) as i;
call rowcast.wait('churn');

select c.customer_id, c.tenure_months, round(p.probability::numeric, 3) as risk, p.model_version
from predictions.churn as p join shop.customer as c using (customer_id)
order by p.probability desc, c.customer_id limit 5;

do $$
begin
    assert (select count(*) from predictions.churn) = 5000, 'each row has a prediction';
    assert (select min(p.probability) > 0 and max(p.probability) < 1 and count(distinct p.probability) > 10
            from predictions.churn as p), 'predictions are probabilities, and they differ';
end
$$;

-- Changed rows are scored again, deleted ones lose their prediction, others are not touched.
create temp table before as select customer_id, probability, tick from predictions.churn;
update shop.customer set support_calls = 9, orders_90_days = 0 where customer_id = 1;
delete from shop.customer where customer_id = 2;
call rowcast.wait('churn');

do $$
begin
    assert (select p.probability > b.probability from predictions.churn as p join before as b using (customer_id)
            where customer_id = 1), 'the risk of an angry customer has grown';
    assert not exists (select from predictions.churn where customer_id = 2), 'a deleted row has no prediction';
    assert (select count(*) from predictions.churn as p join before as b using (customer_id)
            where p.tick = b.tick) = 4998, 'the other rows were not scored again';
end
$$;

select rowcast.drop_scorer('churn');
drop schema shop cascade;
