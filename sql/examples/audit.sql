-- Proof that every row has its prediction, and repair where one has not.
--
--   cd sql/examples; psql -d "$database" -v ON_ERROR_STOP=1 -f audit.sql
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
    support_calls int,
    note text
);
insert into shop.customer
select i, 1 + i * 7 % 72, 9.9 + i % 60, i % 8, i % 5 from generate_series(1, 5000) as i;
select rowcast.create_scorer('churn', source => 'shop.customer', model => 'churn');

-- Rows whose change waits to be scored are no findings, so this may be asked at any time, beside writers and
-- jobs: here while the backfill runs.
select rows, scored, consistent from rowcast.audit('churn') \gset during_
call rowcast.wait('churn');
select rows, scored, failed, missing, orphaned, stale, consistent, took from rowcast.audit('churn');

-- A load that switches triggers off, as restores do, is not seen by anybody.
begin;
alter table shop.customer disable trigger user;
insert into shop.customer select i, i % 72, 20, 1, 0 from generate_series(5001, 5010) as i;
update shop.customer set support_calls = 9, orders_90_days = 0 where customer_id <= 3;
update shop.customer set note = 'called' where customer_id = 4;
delete from shop.customer where customer_id in (100, 200);
alter table shop.customer enable trigger user;
commit;
call rowcast.wait('churn');

-- The audit finds it: rows without a prediction, predictions without a row, and rows that were written after
-- they were scored, with some keys of each; and it has all of them scored again.
select rows, scored, missing, orphaned, stale, consistent, examples
from rowcast.audit('churn', repair => true);
call rowcast.wait('churn');
select rows, scored, missing, orphaned, stale, consistent from rowcast.audit('churn');

-- Row 4 only looked stale: its note changed, which the model does not read. The dispatcher notes, when the
-- repair is over, how many stale rows got another prediction.
do $$
begin
    for attempt in 1..200 loop
        exit when exists (select from rowcast.audits where scorer = 'churn' and repaired > 0
                          and stale_changed is not null);
        perform pg_sleep(0.1);
    end loop;
end
$$;
select rows, missing, orphaned, stale, stale_changed, repaired
from rowcast.audits where scorer = 'churn' order by audit_id;

do $$
declare
    found record;
begin
    select * into found from rowcast.audits where scorer = 'churn' and repaired > 0;
    assert found.missing = 10 and found.orphaned = 2 and found.stale = 4, 'each change was found';
    assert found.repaired = 16, 'each was repaired';
    assert (select count(*) from predictions.churn) = 5008, 'each row has a prediction';
    assert (select consistent from rowcast.audit('churn')), 'nothing is left';
end
$$;

-- In the background: four times a day, reading at most 20,000 rows a second, repairing what it finds.
select rowcast.set_audit('churn', every => '6 hours', rows_per_second => 20000);
select scorer, every, rows_per_second, repair from rowcast.audit_plan;

select rowcast.drop_scorer('churn');
drop schema shop cascade;
