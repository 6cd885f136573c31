-- Rollout: shadows of scorers, rules of aliases, and what was promoted why.
set local lock_timeout = '2s';

alter table rowcast.scorer add column shadow_of int;
alter table rowcast.scorer add constraint scorer_shadow_of_fkey
    foreign key (shadow_of) references rowcast.scorer (scorer_id);
alter table rowcast.scorer add constraint scorer_shadow_of_another check (shadow_of <> scorer_id);
create unique index scorer_shadow_idx on rowcast.scorer (shadow_of) where shadow_of is not null;
comment on column rowcast.scorer.shadow_of is
    'The scorer that this one runs beside, to be compared with it; null of ordinary scorers.';

create table rowcast.alias_rule (
    alias text not null,
    checks text[] not null default '{}',
    setters text[],
    settings jsonb not null default '{}',
    set_at timestamptz not null default now(),
    set_by text not null,
    constraint alias_rule_pkey primary key (alias),
    constraint alias_rule_settings_object check (jsonb_typeof(settings) = 'object')
);
comment on table rowcast.alias_rule is
    'What must hold before an alias of this name is moved, whatever the model, and who may move it.';
comment on column rowcast.alias_rule.checks is 'Names of checks that must pass.';
comment on column rowcast.alias_rule.setters is 'Roles whose members may move it; null: every analyst.';
comment on column rowcast.alias_rule.settings is
    'Arguments of rowcast.promote that hold whatever it is given: min_rows, max_label_change, metric ...';

create table rowcast.promotion (
    promotion_id bigint generated always as identity,
    kind text not null,
    model text not null,
    alias text not null,
    old_version int,
    new_version int not null,
    change_id bigint,
    scorer text,
    checks jsonb not null default '[]',
    forced boolean not null default false,
    reason text,
    made_at timestamptz not null default clock_timestamp(),
    made_by text not null,
    constraint promotion_pkey primary key (promotion_id),
    constraint promotion_kind_known check (kind in ('promotion', 'rollback')),
    constraint promotion_forced_with_reason check (not forced or reason is not null)
);
create index promotion_change_idx on rowcast.promotion (change_id) where change_id is not null;
comment on table rowcast.promotion is
    'Every promotion and rollback, for ever: by name, because it outlives the model.';
comment on column rowcast.promotion.change_id is
    'The move of the alias in rowcast.alias_change; null where it pointed there already.';
comment on column rowcast.promotion.checks is 'What was looked at: {"check", "passed", "detail"}.';
