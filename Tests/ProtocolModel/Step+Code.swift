/// Where each step is in the product. A statement that is no longer there as it is quoted fails a test:
/// whoever changed it looks at the model first.
extension Step.Kind {
  package struct Place: Sendable {
    /// From the root of the repository.
    package var file: String
    /// As it is written there.
    package var quote: String
  }

  package var code: [Place] {
    switch self {
    case .start, .changeRow, .abort, .laneDies, .sessionEnds, .serverCrashes:
      []  // PostgreSQL's own.
    case .readSlot:
      [Place(capture, "pg_catalog.pg_sequence_last_value(")]
    case .append:
      [
        Place(capture, "insert into rowcast.change_0 (op, source_id, key_count, keys)"),
        Place(capture, "if not pg_catalog.pg_try_advisory_xact_lock_shared(1919907683, 1) then"),
      ]
    case .commit:
      [Place("migrations/0002_pipeline.sql", "xid xid8 not null default pg_current_xact_id()")]
    case .unlock:
      [Place(capture, "pg_try_advisory_xact_lock_shared(1919907683, 1)")]
    case .ring:
      [Place(capture, "perform pg_catalog.pg_notify('rowcast_change', '');")]
    case .elect:
      [
        Place(
          dispatcher, #"select pg_advisory_lock(\(AdvisoryLock.once), \(AdvisoryLock.election))"#),
        Place(dispatcher, "try connection.listen(Channel.change)"),
      ]
    case .takeBell:
      [
        Place(term, "noteNotifications(connection.takeNotifications())"),
        Place(
          term, #"select pg_try_advisory_lock(\(AdvisoryLock.once), \(AdvisoryLock.doorbell))"#),
      ]
    case .beginTick:
      [
        Place(tick, "perform pg_advisory_xact_lock(1919907683, 4);"),
        Place(tick, "where t.snapshot is not null order by t.tick_id desc limit 1;"),
        Place(tick, "this_snapshot := txid_current_snapshot();"),
      ]
    case .endTick:
      [
        Place(
          log,
          "and txid_visible_in_snapshot(c.xid, this) and not txid_visible_in_snapshot(c.xid, last)"),
        Place(log, "where c.xid = any (array(select x.xid from txid_snapshot_xip(last) as x (xid)"),
        Place(
          tick, "insert into rowcast.tick (snapshot) values (this_snapshot::text::pg_snapshot)"),
        Place(tick, "lanes[row_number() over (partition by a.held order by a.at)] end as lane_id"),
        Place(state, "case (_, .held):\n      awaken()\n      return .sleepUntilRung"),
      ]
    case .wake:
      [Place(term, #"select pg_advisory_unlock(\(AdvisoryLock.once), \(AdvisoryLock.doorbell))"#)]
    case .beginTidy:
      [Place(tidy, "rotates constant boolean := pg_try_advisory_xact_lock(1919907683, 4);")]
    case .rotate:
      [
        Place(tidy, "select s.last_value into current_slot from rowcast.change_slot as s;"),
        Place(tidy, "perform setval('rowcast.change_slot', old_slot);"),
        Place(tidy, "if txid_snapshot_xmin(this_snapshot) < closed then"),
        Place(tidy, "if txid_snapshot_xmin(last_snapshot) < closed then"),
      ]
    case .endTidy:
      [
        Place(tidy, "set closed_at_xid = txid_current() where c.slot = old_slot;"),
        Place(tidy, "execute format('truncate rowcast.change_%s', old_slot);"),
        Place(
          tidy, "update rowcast.change_child as c set closed_at_xid = null, summarised_ranges = 0"),
      ]
    case .forgetTombstones:
      [Place(tidy, "'delete from rowcast.%2$s as r where %3$sr.tick <= coalesce(least('")]
    case .claim:
      [Place(chunks, "for update of c skip locked"), Place(chunks, "attempt = c.attempt + 1")]
    case .readRow:
      [Place(scorer, "let rows = try read(chunk, &prepared)")]
    case .fence:
      [
        Place(write, "where c.chunk_id = $1 and c.attempt = $2 and c.claimed_by is not null"),
        Place(
          chunks, "where c.chunk_id = begin_write.chunk_id and c.attempt = begin_write.attempt"),
      ]
    case .lockWrites:
      [
        Place(write, "perform pg_advisory_xact_lock(1919907685, %6$s);"),
        Place(write, "perform pg_advisory_xact_lock_shared(1919907685, %6$s);"),
      ]
    case .decide:
      [
        Place(write, "where excluded.%6$I >= t.%6$I;"),
        Place(write, "where not exists (select from %s as t where %s and t.%I > own.tick_id)"),
        Place(write, "delete from %7$s as t using unnest(%11$s) as r (%12$s)"),
        Place(write, "older := exists (select from rowcast.open_chunks_of(%6$s) as c"),
        Place(write, "insert into rowcast.retraction_%6$s (%12$s, tick)"),
      ]
    case .finish:
      [Place(write, "set state = 'done', claimed_by = null, finished_at = now_is,")]
    case .release:
      [
        Place(chunks, "where c.claimed_by = release_chunks.lane_id and c.state = 'running'"),
        Place(
          "sql/pipeline/workers.sql",
          "where l.worker_id = unregister_worker.worker_id and c.claimed_by = l.lane_id"),
      ]
    case .rescue:
      [
        Place(rescueFile, "where pg_try_advisory_xact_lock(1919907684, c.claimed_by));"),
        Place(rescueFile, "order by c.chunk_id for update skip locked"),
      ]
    case .orderJob:
      [
        Place(
          jobs, "insert into rowcast.tick (snapshot) values (null) returning tick_id into new_tick;"
        )
      ]
    case .commitJob:
      [Place(jobs, "insert into rowcast.job (scorer_id, kind, relation, tick_id, rows_total)")]
    case .cutJob:
      [Place(jobs, "create or replace function rowcast.make_job_chunks(")]
    case .closeJob:
      [Place(jobs, "update rowcast.job as j set state = 'done', finished_at = clock_timestamp()")]
    case .callWait:
      [Place(wait, "seen constant txid_snapshot := txid_current_snapshot();")]
    case .holdLog:
      [Place(wait, "lock table rowcast.change in access share mode;")]
    case .findTick:
      [
        Place(
          wait, "select from rowcast.changes_between(t.snapshot::text::txid_snapshot, seen) as c")
      ]
    case .returnFromWait:
      [Place(wait, "where c.tick_id <= collected_by")]
    }
  }

  private var capture: String { "sql/pipeline/capture.sql" }
  private var log: String { "sql/pipeline/log.sql" }
  private var tick: String { "sql/pipeline/tick.sql" }
  private var tidy: String { "sql/pipeline/tidy.sql" }
  private var chunks: String { "sql/pipeline/chunks.sql" }
  private var write: String { "sql/pipeline/write.sql" }
  private var rescueFile: String { "sql/pipeline/rescue.sql" }
  private var jobs: String { "sql/pipeline/jobs.sql" }
  private var wait: String { "sql/pipeline/wait.sql" }
  private var dispatcher: String { "Sources/Scoring/Dispatcher/Dispatcher.swift" }
  private var term: String { "Sources/Scoring/Dispatcher/DispatcherTerm.swift" }
  private var state: String { "Sources/Scoring/Dispatcher/DispatcherState.swift" }
  private var scorer: String { "Sources/Scoring/Lanes/ChunkScorer.swift" }
}

extension Step.Kind.Place {
  fileprivate init(_ file: String, _ quote: String) { (self.file, self.quote) = (file, quote) }
}
