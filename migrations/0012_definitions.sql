-- Definitions of sources as they were last seen, and lanes that tell which revision of a scorer they met.
set local lock_timeout = '2s';

alter table rowcast.source add column definition jsonb;
comment on column rowcast.source.definition is
    'Number and type of each column that scorers read, as last seen; null before the first look.';

-- Made anew with one argument more, which has a default: callers of the last release go on.
drop function if exists rowcast.suspend_scorer(int, text);
