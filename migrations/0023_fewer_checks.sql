-- What is checked of a chunk: as much as a slip of ours could lose a row by. A check is read from its text anew in
-- each statement, so seven of them cost 65 us of each chunk of one row when it is made and again when it ends, a
-- tenth of the server's time for it. The two that stay refuse an unknown state of an open chunk as well; kind, keys
-- and bounds are written in three places, which the tests of the pipeline walk through.
set local lock_timeout = '2s';

alter table rowcast.chunk
    drop constraint chunk_state_known,
    drop constraint chunk_kind_known,
    drop constraint chunk_map_has_a_watch,
    drop constraint chunk_says_which_rows,
    drop constraint chunk_of_scorer_or_job;
