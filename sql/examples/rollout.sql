-- Try a better model beside the present one, compare, promote it, and take it back.
--
--   cd sql/examples; psql -d "$database" -v ON_ERROR_STOP=1 -f rollout.sql
--
-- As a member of rowcast_analyst who may create schemas in the database (grant create on database … to …), with a
-- worker running ("rowcast up").
\set first `cat models/churn_1.txt`
\set second `cat models/churn_2.txt`

select rowcast.register_model('churn', convert_to(:'first', 'UTF8'), 'champion', metrics => '{"auc": 0.79}');
select rowcast.register_model('churn', convert_to(:'second', 'UTF8'), 'challenger', metrics => '{"auc": 0.83}');
call rowcast.wait_for_model('churn', 1);
call rowcast.wait_for_model('churn', 2);

create schema shop;
create table shop.customer (
    customer_id bigint primary key,
    tenure_months int not null,
    monthly_fee numeric(8, 2) not null,
    orders_90_days int not null,
    support_calls int
);
insert into shop.customer
select i, 1 + i * 7 % 72, 9.9 + i % 60, i % 8, i % 5 from generate_series(1, 20000) as i;
select count(*) as inputs from rowcast.create_scorer('churn', source => 'shop.customer', model => 'churn');

-- The challenger scores the same rows, at the same ticks, into predictions.churn_shadow.
select count(*) as inputs from rowcast.start_shadow('churn');
call rowcast.wait('churn');
call rowcast.wait('churn_shadow');
select scorer, kind, model, version, state from rowcast.rollouts;

select measure, output, round(value::numeric, 4) as value, detail
from rowcast.compare('churn', 'champion', 'challenger', examples => 2);

do $$
begin
    assert (select value from rowcast.compare('churn') where measure = 'rows') = 20000,
        'both versions have scored each row';
    assert (select value between 0.5 and 1 from rowcast.compare('churn') where measure = 'rank correlation'),
        'they agree by and large';
end
$$;

-- What a promotion would look at; nothing is moved.
select * from rowcast.promote('churn', min_rows => 10000, max_label_change => 0.2, dry_run => true);

-- Too strict: refused, and everything stays as it is.
do $$
begin
    perform * from rowcast.promote('churn', min_rows => 10000, max_stability_index => 0);
    assert false, 'a promotion that fails a check is refused';
exception when sqlstate 'RC121' then
    raise notice '%', sqlerrm;
end
$$;

-- Nobody notices while it is moved: a transaction, then all rows are scored again by the new champion.
select * from rowcast.promote('churn', min_rows => 10000, max_label_change => 0.2, rescore => true);
call rowcast.wait('churn');

do $$
begin
    assert (select count(*) from predictions.churn where model_version = 2) = 20000,
        'all rows have a prediction of the new champion';
    assert not exists (select from predictions.churn as p join predictions.churn_shadow as s using (customer_id)
                       where p.probability <> s.probability), 'the same that its shadow foretold';
    assert (select state || ' ' || version from rowcast.what_scored('churn', 42)) = 'scored 2',
        'it is known what scored a row';
end
$$;
select o.*, j.kind from rowcast.what_scored('churn', 42) as o left join rowcast.job_progress as j using (job_id);

-- Second thoughts.
select rowcast.rollback('churn', reason => 'call centre cannot cope', rescore => true);
call rowcast.wait('churn');
select kind, old_version, new_version, reason, made_by from rowcast.promotions;

do $$
begin
    assert (select count(*) from predictions.churn where model_version = 1) = 20000,
        'all rows have a prediction of the old champion again';
end
$$;

select rowcast.drop_scorer('churn');
drop schema shop cascade;
