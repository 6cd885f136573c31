-- Something for the console to show: scorers that are well and that are not, drift, failures, jobs, services, names
-- that are markup. In an empty database with a worker running:
--
--   cd sql/examples; psql -d "$database" -v ON_ERROR_STOP=1 -f ../../Tests/Peers/console_scene.sql
\set churn_one `cat models/churn_1.txt`
\set churn_two `cat models/churn_2.txt`
\set faq `base64 models/faq/model.onnx`
\set digits `base64 ../../deploy/demo/images/digits.onnx`
\set categories `cat ../../Tests/InferenceTests/Fixtures/lightgbm_frame/model.txt`

select rowcast.register_model('churn', convert_to(:'churn_one', 'UTF8'), 'champion', metrics => '{"auc": 0.79}');
select rowcast.register_model('churn', convert_to(:'churn_two', 'UTF8'), 'challenger', metrics => '{"auc": 0.83}');
select rowcast.register_model('faq', decode(:'faq', 'base64'), 'champion');
select rowcast.register_model('digits', decode(:'digits', 'base64'), 'champion',
    labels => '{zero,one,two,three,four,five,six,seven,eight,nine}',
    setup => '{"image": {"preset": "plain"}, "softmax": true}');
select rowcast.register_model('frame', convert_to(:'categories', 'UTF8'), 'champion');
select rowcast.register_model('<script>alert("model")</script> & sons', convert_to(:'churn_one', 'UTF8'), 'champion');
call rowcast.wait_for_model('churn', 2);
call rowcast.wait_for_model('faq');
call rowcast.wait_for_model('digits');
call rowcast.wait_for_model('frame');
call rowcast.wait_for_model('<script>alert("model")</script> & sons');

create schema shop;
create table shop.customer (
    customer_id bigint primary key, tenure_months int not null, monthly_fee numeric(8, 2) not null,
    orders_90_days int not null, support_calls int);
create table shop.order_line (like shop.customer including all);
create table shop."<b>odd</b>" (like shop.customer including all);
insert into shop.customer
select i, 1 + i * 7 % 72, 9.9 + i % 60, i % 8, i % 5 from generate_series(1, 20000) as i;
select count(*) from rowcast.create_scorer('churn', source => 'shop.customer', model => 'churn', explain => 3);
select count(*) from rowcast.create_scorer('orders', source => 'shop.order_line', model => 'churn');
select count(*) from rowcast.create_scorer('odd', source => 'shop."<b>odd</b>"',
                                           model => '<script>alert("model")</script> & sons');
call rowcast.wait('churn');
select count(*) from rowcast.set_baseline('churn');
select count(*) from rowcast.start_shadow('churn');
select rowcast.expect('churn', 'fees are known', 'range', 'monthly_fee', minimum => 0, maximum => 500);
select rowcast.expect('churn', 'calls as before <i>', 'drift', 'support_calls', tolerance => 0.2, action => 'warn');
select rowcast.set_max_lag('churn', interval '5 seconds');
select rowcast.set_max_lag('orders', interval '2 seconds');

create schema help;
create table help.entry (entry_id int primary key, entry text not null);
\copy help.entry from 'models/faq/entries.tsv'
select rowcast.create_service('help', 'faq', 'select entry_id, entry from help.entry', ids => '{entry_id}');
select rowcast.create_service('read-digits', 'digits');

create schema post;
create table post.digit (digit_id bigint generated always as identity primary key, written text, image bytea);
select count(*) from rowcast.create_scorer('digit', 'post.digit', 'digits', top_k => 3);
\copy post.digit (written, image) from '../../deploy/demo/images/digits.csv' (format csv, header)
insert into post.digit (written, image) select 'cut', substr(image, 1, 100) from post.digit where digit_id <= 60;
insert into post.digit (written, image) values ('text', convert_to('<script>alert(7)</script>', 'UTF8'));
call rowcast.wait('digit');

insert into shop.customer
select i, 1 + i * 7 % 72, 34.9 + i % 60, i % 8, null from generate_series(20001, 26000) as i;
call rowcast.wait('churn');
select rowcast.rescore('churn');
select rowcast.submit_job('churn', 'shop.customer', 'shop.scored');
call rowcast.wait('churn');
select rowcast.pause_scorer('orders');
insert into shop.order_line select * from shop.customer limit 4000;
