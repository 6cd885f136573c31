-- What is kept of a chunk beside itself: as much as pays.
set local lock_timeout = '2s';

-- A check is read from its text anew in each statement, so seven of them cost 65 us of each chunk of one row when it
-- is made and again when it ends, a tenth of the server's time for it. The two that stay refuse an unknown state of an
-- open chunk as well; kind, keys and bounds are written in three places, which the tests of the pipeline walk
-- through.
alter table rowcast.chunk
    drop constraint chunk_state_known,
    drop constraint chunk_kind_known,
    drop constraint chunk_map_has_a_watch,
    drop constraint chunk_says_which_rows,
    drop constraint chunk_of_scorer_or_job;

-- Each index of open chunks is bound to a condition that only its own queries state: see open_chunks.
drop index rowcast.chunk_available_idx;
drop index rowcast.chunk_aged_idx;
drop index rowcast.chunk_suspect_idx;
drop index rowcast.chunk_open_idx;
create index chunk_available_idx on rowcast.chunk (priority, chunk_id)
    where claimed_by is null and finished_at is null and not held;
create index chunk_suspect_idx on rowcast.chunk (chunk_id)
    where deaths >= 2 and finished_at is null and not held;
-- By the number of the chunk, for there is a floor to it.
create index chunk_open_idx on rowcast.chunk (scorer_id, chunk_id, tick_id)
    where state in ('available', 'running');
