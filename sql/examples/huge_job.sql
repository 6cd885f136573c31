-- Score a big table once, into a table of one's own, and watch it: the number of the job comes at once.
--
--   cd sql/examples; psql -d "$database" -v ON_ERROR_STOP=1 -f huge_job.sql
--
-- As a member of rowcast_analyst who may create schemas in the database (grant create on database … to …), with a
-- worker running ("rowcast up").
\set model `cat models/churn_1.txt`
\if :{?rows}
\else
    \set rows 200000
\endif

select rowcast.register_model('churn', convert_to(:'model', 'UTF8'), 'champion');
call rowcast.wait_for_model('churn');

create schema archive;
create table archive.customer (
    customer_id bigint primary key,
    tenure_months int not null,
    monthly_fee numeric(8, 2) not null,
    orders_90_days int not null,
    support_calls int,
    country text not null
);
insert into archive.customer
select i, 1 + i * 7 % 72, 9.9 + i % 60, i % 8, i % 5, (array['at', 'ch', 'de'])[1 + i % 3]
from generate_series(1, :rows) as i;

-- The key and the country go with each prediction; of each row model, version, job and moment are kept.
select rowcast.submit_job('churn', 'archive.customer', 'archive.churn_2026', keep => array['country']) as job
\gset
select state, phase, rows_total from rowcast.job_progress where job_id = :job;
call rowcast.wait_for_job(:job);
select state, rows_done, rows_failed, rows_total, done from rowcast.job_progress where job_id = :job;

select country, count(*), round(avg(probability)::numeric, 3) as risk
from archive.churn_2026 group by country order by country;

-- A query, the rows of two countries in place of what the table had, after a step that prepares them.
select rowcast.submit_job(
    'churn', 'select * from archive.customer where country <> ''de''', 'archive.churn_2026',
    mode => 'replace', key => array['customer_id'], keep => array['country'],
    before => 'update archive.customer set support_calls = 0 where support_calls is null',
    priority => 'low', error_threshold => 100) as second_job
\gset
call rowcast.wait_for_job(:second_job);

-- A job that nobody needs is cancelled, and its table, which was not named, goes with it.
select rowcast.submit_job('churn', 'archive.customer') as third_job
\gset
select rowcast.cancel_job(:third_job);
select rowcast.drop_job(:third_job);

select set_config('example.rows', :'rows', false) \g /dev/null
do $$
declare
    rows constant bigint := current_setting('example.rows');
begin
    assert (select count(*) = count(distinct customer_id) and count(*) = rows - (rows + 1) / 3
            from archive.churn_2026), 'each row of the query once, and none of before';
    assert (select bool_and(country in ('at', 'ch') and model_name = 'churn' and model_version = 1)
            from archive.churn_2026), 'what is kept, and who scored';
    assert (select array_agg(state order by job_id) = '{done,done}'
                   and bool_and(rows_done = rows_total and rows_failed = 0)
            from rowcast.job_progress where source like '%archive.customer%'), 'both jobs are done';
end
$$;

select rowcast.drop_job(:job);
select rowcast.drop_job(:second_job);
drop schema archive cascade;
