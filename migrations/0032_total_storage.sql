-- Rows of totals are updated for as long as they live. Nearly empty pages keep the versions of a row on its own
-- page, where an update prunes them without a vacuum and makes no entry of an index; and vacuum comes for what
-- pruning cannot reach, not for each few updates that a held snapshot keeps it from removing.
set local lock_timeout = '2s';

alter table rowcast.scorer_total set (
    fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table rowcast.event_total set (
    fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
