-- A question against all entries of an FAQ: one row gives many results, and asking again replaces them.
--
--   cd sql/examples; psql -d "$database" -v ON_ERROR_STOP=1 -f questions_and_answers.sql
--
-- As a member of rowcast_analyst who may create schemas in the database (grant create on database … to …), with a
-- worker running ("rowcast up").
--
-- The model (TF-IDF of both texts, then boosted trees) says how likely an entry answers a question. It was trained by
-- Tests/Training/make_faq_model.py on a few made-up sentences.
\set model `base64 models/faq/model.onnx`

select rowcast.register_model('faq', decode(:'model', 'base64'), 'champion');
call rowcast.wait_for_model('faq');

create schema help;
create table help.entry (entry_id int primary key, entry text not null);
create table help.question (question_id int primary key, question text not null);
create table help.right_answer (question_id int primary key, entry_id int not null);
create temp table asked (question_id int, question text, entry_id int);
\copy help.entry from 'models/faq/entries.tsv'
\copy asked from 'models/faq/questions.tsv'

-- Each question beside each entry; entry_id tells the results of a question apart.
select input, column_name from rowcast.create_scorer('answer', source => 'help.question', model => 'faq',
    feature_query => 'select question_id, entry_id, question, entry from help.question cross join help.entry',
    result_key => array['entry_id']);
-- When an entry is changed, added or removed, all questions are asked again.
select rowcast.also_watch('answer', 'help.entry', mapping => 'select question_id from help.question');

insert into help.question select question_id, question from asked;
insert into help.right_answer select question_id, entry_id from asked;
call rowcast.wait('answer');

-- How good is it? Of the questions that were not learnt, how many find their entry among the first.
create view help.place as
select r.question_id, count(*) filter (where o.probability_1 >= p.probability_1) as place
from help.right_answer as r
join predictions.answer as p on p.question_id = r.question_id and p.entry_id = r.entry_id
join predictions.answer as o on o.question_id = r.question_id
group by r.question_id;
select count(*) as questions, round(avg((place <= 1)::int), 3) as top_1, round(avg((place <= 2)::int), 3) as top_2,
       round(avg((place <= 3)::int), 3) as top_3, round(avg(place), 3) as mean_rank
from help.place;

-- A new question, and its answers by rank.
insert into help.question values (1000, 'I forgot my password, can you help me?');
call rowcast.wait('answer');
select rank() over (order by p.probability_1 desc) as rank, e.entry, round(p.probability_1::numeric, 3) as probability
from predictions.answer as p join help.entry as e using (entry_id)
where p.question_id = 1000 order by rank limit 3;

do $$
begin
    assert (select count(*) = count(distinct question_id) * 8 from predictions.answer), 'each question meets each entry';
    assert (select avg((place <= 1)::int) > 0.9 from help.place), 'most questions find their entry first';
    assert (select e.entry = 'How do I reset my password?' from predictions.answer as p
            join help.entry as e using (entry_id)
            where p.question_id = 1000 order by p.probability_1 desc limit 1), 'the new question found its answer';
end
$$;

-- The set of a question follows both its sides.
insert into help.entry values (100, 'How do I win?');
delete from help.entry where entry_id = 3;
delete from help.question where question_id = 0;
call rowcast.wait('answer');
do $$
begin
    assert (select count(*) = 8 and bool_or(entry_id = 100) and not bool_or(entry_id = 3)
            from predictions.answer where question_id = 1000), 'an entry came and one went';
    assert not exists (select from predictions.answer where question_id = 0), 'the question is gone with its results';
end
$$;

drop view help.place;
select rowcast.drop_scorer('answer');
drop schema help cascade;
