-- Histories of predictions, for scorers that want one.
set local lock_timeout = '2s';

create table rowcast.history (
    scorer_id int not null,
    retention interval not null,
    step text not null,
    started_at timestamptz not null default now(),
    started_by text not null,
    constraint history_pkey primary key (scorer_id),
    constraint history_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint history_retention_positive check (retention > interval '0'),
    constraint history_step_known check (step in ('hour', 'day', 'month'))
);
comment on table rowcast.history is
    'Scorers whose former predictions are kept, in predictions.<scorer>_history.';
comment on column rowcast.history.step is 'The length of a partition.';
