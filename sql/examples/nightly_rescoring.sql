-- Score everything again each night, and at once when a better model is there.
--
--   cd sql/examples; psql -d "$database" -v ON_ERROR_STOP=1 -f nightly_rescoring.sql
--
-- As a member of rowcast_analyst who may create schemas in the database (grant create on database … to …), with a
-- worker running ("rowcast up").
\set first `cat models/churn_1.txt`
\set second `cat models/churn_2.txt`

select rowcast.register_model('churn', convert_to(:'first', 'UTF8'), 'champion') as first \gset
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
select i, 1 + i * 7 % 72, 9.9 + i % 60, i % 8, i % 5 from generate_series(1, 20000) as i;
select count(*) as inputs from rowcast.create_scorer('churn', source => 'shop.customer', model => 'churn');
call rowcast.wait('churn');

-- Half past two each night, in the time of the shop; a night that was missed is made up for once.
select rowcast.create_schedule('churn_nightly', '30 2 * * *', 'churn', time_zone => 'Europe/Berlin',
                               overlap => 'skip', catch_up => 'one');
select name, cron, time_zone, next_at > now() as is_ahead from rowcast.schedules;

-- Tonight's run, now.
select rowcast.run_now('churn_nightly') as job \gset
call rowcast.wait_for_job(:job);
select kind, state, rows_done, rows_failed from rowcast.job_progress where job_id = :job;

-- A new version takes over when the alias moves; rows are rescored by the next job, or by this one.
select rowcast.register_model('churn', convert_to(:'second', 'UTF8')) as second \gset
call rowcast.wait_for_model('churn');
select rowcast.set_alias('churn', 'champion', :second);
select rowcast.rescore('churn') as job \gset
call rowcast.wait_for_job(:job);

select model_version, count(*) from predictions.churn group by model_version;
do $$
begin
    assert (select count(*) from predictions.churn where model_version = 2) = 20000, 'all rows are rescored';
    assert (select count(*) from rowcast.job_progress where state = 'done' and kind = 'rescore') = 2,
        'both jobs are done';
end
$$;

select rowcast.drop_schedule('churn_nightly');
select rowcast.drop_scorer('churn');
drop schema shop cascade;
