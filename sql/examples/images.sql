-- A column of pictures becomes categories: handwritten digits as PNG, read by a small network.
--
--   cd sql/examples; psql -d "$database" -v ON_ERROR_STOP=1 -f images.sql
--
-- As a member of rowcast_analyst who may create schemas in the database (grant create on database … to …), with a
-- worker running ("rowcast up").
--
-- The network answers ten numbers, which the softmax makes probabilities; it was trained by
-- Tests/Training/make_image_demo.py on scikit-learn's digits.
\set model `base64 ../../deploy/demo/images/digits.onnx`

select rowcast.register_model('digits', decode(:'model', 'base64'), 'champion',
    labels => '{zero,one,two,three,four,five,six,seven,eight,nine}',
    setup => '{"image": {"preset": "plain"}, "softmax": true}');
call rowcast.wait_for_model('digits');

-- How an image becomes the network's input, all steps written out.
select name, type, image from rowcast.signatures where model = 'digits' and part = 'feature';

create schema post;
create table post.digit (digit_id bigint generated always as identity primary key, written text, image bytea);
-- PNG and JPEG do not shrink when they are compressed once more.
alter table post.digit alter column image set storage external;
select input, input_type, column_name from rowcast.create_scorer('digit', 'post.digit', 'digits', top_k => 3);

\copy post.digit (written, image) from '../../deploy/demo/images/digits.csv' (format csv, header)
-- One that is cut short, and one that is no image.
insert into post.digit (written, image) select 'cut', substr(image, 1, 100) from post.digit where digit_id = 1;
insert into post.digit (written, image) values ('text', convert_to('seven', 'UTF8'));
call rowcast.wait('digit');

select count(*) as digits, round(avg((p.label = d.written)::int), 3) as right
from post.digit as d join predictions.digit as p using (digit_id);
select d.written, f.code, f.reason from predictions.digit_failure as f join post.digit as d using (digit_id);

-- A row a class.
select digit_id, rank, label, round(score::numeric, 3) as score
from predictions.digit_classes where digit_id <= 2 order by digit_id, rank;

do $$
begin
    assert (select count(*) = 250 and avg((p.label = d.written)::int) > 0.9
            from post.digit as d join predictions.digit as p using (digit_id)), 'nine of ten digits are read';
    assert (select count(*) = 2 and bool_and(code = 'bad_image') from predictions.digit_failure),
        'what is no image has a reason';
end
$$;

-- One picture while we wait.
select jsonb_build_object('image', encode(image, 'base64')) as asked from post.digit where digit_id = 1 \gset
call rowcast.score('digits', :'asked');

select rowcast.drop_scorer('digit');
drop schema post cascade;
