-- Rights on single scorers and models, for roles that hold none of Rowcast's four.
set local lock_timeout = '2s';

create table rowcast.scorer_grant (
    scorer_id int not null,
    grantee name not null,
    privilege text not null,
    granted_by text not null,
    granted_at timestamptz not null default now(),
    constraint scorer_grant_pkey primary key (scorer_id, grantee, privilege),
    constraint scorer_grant_scorer_id_fkey foreign key (scorer_id)
        references rowcast.scorer (scorer_id) on delete cascade,
    constraint scorer_grant_privilege_known check (privilege in ('read', 'manage'))
);
comment on table rowcast.scorer_grant is 'Who may read or manage a single scorer.';

create table rowcast.model_grant (
    model_id int not null,
    grantee name not null,
    privilege text not null,
    granted_by text not null,
    granted_at timestamptz not null default now(),
    constraint model_grant_pkey primary key (model_id, grantee, privilege),
    constraint model_grant_model_id_fkey foreign key (model_id)
        references rowcast.model (model_id) on delete cascade,
    constraint model_grant_privilege_known check (privilege in ('manage'))
);
comment on table rowcast.model_grant is 'Who may manage a single model.';
