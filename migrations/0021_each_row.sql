-- 0021_each_row: expand. How updates of a source are captured.

alter table rowcast.source add column each_row boolean not null default false;
comment on column rowcast.source.each_row is
    'Updates are captured by a row trigger with a condition, where the relation is a plain table; else by a '
    'statement trigger. See sql/pipeline/capture_each_row.sql.';
