-- What people see of the registry. The views run with their owner's rights, so nobody needs any on
-- the tables below them.

create or replace view rowcast.models as
select m.name as model, m.description, newest.version as newest_version,
       (select count(*) from rowcast.model_version as v where v.model_id = m.model_id) as versions,
       (select jsonb_object_agg(a.alias, a.version order by a.alias)
        from rowcast.alias as a where a.model_id = m.model_id) as aliases,
       newest.state as newest_state, newest.format, m.created_at, m.created_by, m.device,
       case when m.device = 'cpu' then 'cpu'
            when rowcast.has_device('gpu') then 'gpu'
            when m.device = 'auto' then 'cpu: no worker has a GPU'
            else 'nowhere: no worker has a GPU' end as runs_on
from rowcast.model as m
left join lateral (
    select v.version, v.state, v.format
    from rowcast.model_version as v
    where v.model_id = m.model_id
    order by v.version desc limit 1
) as newest on true;
comment on view rowcast.models is 'One row a model: its newest version, and where aliases point.';

create or replace view rowcast.model_versions as
select m.name as model, v.version, v.state, v.refusal, v.format,
       (select array_agg(a.alias order by a.alias) from rowcast.alias as a
        where a.model_id = v.model_id and a.version = v.version) as aliases,
       v.labels, jsonb_array_length(v.signature -> 'features') as features,
       rowcast.output_columns(v.signature) as outputs, v.byte_count,
       encode(v.sha256, 'hex') as sha256, v.metrics,
       (select count(*) from rowcast.golden_row as g
        where g.model_id = v.model_id and g.version = v.version) as golden_rows,
       v.wanted_alias, v.alias_refusal, v.created_at, v.created_by,
       -- A tokenizer has hundreds of kilobytes: its size is told.
       case when v.setup #> '{text,tokenizer}' is null then v.setup
            else jsonb_set(v.setup, '{text,tokenizer}', to_jsonb(format(
                '%s bytes', octet_length(v.setup #>> '{text,tokenizer}')))) end as setup
from rowcast.model_version as v
join rowcast.model as m using (model_id);
comment on view rowcast.model_versions is
    'One row a version: registered (not inspected yet), ready, or refused and why.';

create or replace view rowcast.signatures as
select m.name as model, v.version, s.part, s.place::int as position,
       s.entry ->> 'name' as name, s.entry ->> 'type' as type,
       s.entry ->> 'missing' as missing, s.entry ->> 'role' as role,
       s.entry ->> 'className' as class_name, s.entry -> 'image' as image
from rowcast.model_version as v
join rowcast.model as m using (model_id)
cross join lateral (
    select 'feature' as part, f.place, f.entry
    from jsonb_array_elements(v.signature -> 'features') with ordinality as f (entry, place)
    union all
    select 'output', o.place, o.entry
    from jsonb_array_elements(v.signature -> 'outputs') with ordinality as o (entry, place)
) as s;
comment on view rowcast.signatures is
    'One row a feature and one row an output of every version that is ready, counted from 1.';

create or replace view rowcast.aliases as
select m.name as model, a.alias, a.version, a.set_at, a.set_by
from rowcast.alias as a
join rowcast.model as m using (model_id);
comment on view rowcast.aliases is 'Where each alias points now.';

create or replace view rowcast.alias_history as
select c.model, c.alias, c.old_version, c.new_version, c.changed_at, c.changed_by
from rowcast.alias_change as c;
comment on view rowcast.alias_history is
    'Every move of every alias; no new version means that it was dropped.';

grant select on rowcast.models, rowcast.model_versions, rowcast.signatures, rowcast.aliases,
    rowcast.alias_history to rowcast_reader, rowcast_worker;
