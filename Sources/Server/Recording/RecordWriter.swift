internal import FoundationEssentials
internal import Postgres
internal import Scoring

/// Brings records of requests to the database, over a session that it opens when it needs one.
///
/// Confined to its thread.
final class RecordWriter {
  private let settings: ConnectionSettings
  private var session: Connection?
  /// Of the records that the last call was given, where it is not known whether they are written; and how many
  /// these are in the table.
  private var doubt: (transaction: DoubtfulTransaction, count: Int)?
  /// Records of the table that were written since others were pruned.
  private var unpruned = 0

  /// JSON that one statement brings.
  private static let statementByteCount = 4 << 20
  /// Records after whose writing as many, and more, are pruned.
  private static let untilPruned = 4000

  init(_ settings: ConnectionSettings) { self.settings = settings }

  var hasSession: Bool { session != nil }

  func close() {
    session?.close()
    session = nil
  }

  struct Failure: Error {
    var reason: PostgresError
    /// Whether it may be owed to the values of a record, so that others would be taken; else the same records may
    /// be taken later.
    var isOfValues: Bool
    /// Whether they may be written nevertheless: the next call, which is to be given the same, finds that out.
    var isInDoubt = false
  }

  /// Writes all of them, or none, once.
  func write(_ records: [RequestRecord]) throws(Failure) {
    do throws(Failure) {
      let open = try self.open()
      if let count = try countWritten(on: open) {
        unpruned += count
      } else {
        unpruned += try write(records, on: open)
      }
    } catch {
      // Elsewhere there may be a server that takes them.
      if !error.isOfValues, !error.reason.isOfStatement { close() }
      throw error
    }
    while unpruned >= Self.untilPruned {
      unpruned -= Self.untilPruned
      // What keeps it from pruning, the view of retention shows.
      _ = try? session?.run("select rowcast.prune('request_records')")
    }
  }

  private func open() throws(Failure) -> Connection {
    do throws(PostgresError) {
      let open = try session?.isUsable == true ? session! : connect()
      session = open
      return open
    } catch {
      throw Failure(reason: error, isOfValues: false, isInDoubt: doubt != nil)
    }
  }

  /// How many the last call wrote, where it did and that was not heard of.
  private func countWritten(on connection: Connection) throws(Failure) -> Int? {
    guard let asked = doubt else { return nil }
    let outcome: DoubtfulTransaction.Outcome
    do throws(PostgresError) {
      outcome = try connection.outcome(of: asked.transaction)
      guard outcome != .running else {
        throw PostgresError(
          sqlState: "40003", message: "a session that was lost has not ended its transaction yet")
      }
    } catch {
      throw Failure(reason: error, isOfValues: false, isInDoubt: true)
    }
    doubt = nil
    return outcome == .committed ? asked.count : nil
  }

  private func connect() throws(PostgresError) -> Connection {
    let session = try Connection(settings, timeout: .seconds(5))
    // What a crash of the database takes away was answered rightly nevertheless.
    try session.runScript(
      "set statement_timeout = '10s'; set jit = off; set synchronous_commit = off")
    return session
  }

  /// Returns how many records of the table they are.
  private func write(
    _ records: [RequestRecord], on connection: Connection
  ) throws(Failure) -> Int {
    var lost: DoubtfulTransaction?
    var count = 0
    do throws(PostgresError) {
      try connection.transaction(doubt: &lost) { () throws(PostgresError) in
        count = try Self.write(records, on: connection)
      }
    } catch {
      doubt = lost.map { ($0, count) }
      throw Failure(reason: error, isOfValues: error.isOfValues, isInDoubt: lost != nil)
    }
    return count
  }

  private static func write(
    _ records: [RequestRecord], on connection: Connection
  ) throws(PostgresError) -> Int {
    var count = 0
    var rows = RecordArrays()
    for record in records {
      for part in record.parts {
        rows.append(part, of: record)
        count += 1
        if rows.byteCount > statementByteCount {
          try connection.run(rows.query)
          rows = RecordArrays()
        }
      }
    }
    if rows.byteCount > 0 { try connection.run(rows.query) }
    return count
  }
}

extension PostgresError {
  /// Of data, constraints, limits of a program, what somebody's own triggers raise, and allocations that are too
  /// large.
  fileprivate var isOfValues: Bool {
    let kind = sqlState.prefix(2)
    // Classes that the standard leaves to others, of which PostgreSQL has taken a few.
    let isOfOthers =
      kind.first.map { ("6"..."9").contains($0) || ("I"..."Z").contains($0) } ?? false
      && kind != "72" && kind != "XX"
    return isOfOthers || ["21", "22", "23", "44", "54"].contains(kind) || sqlState == "XX000"
  }

  /// Whether the session is as good as before.
  fileprivate var isOfStatement: Bool {
    sqlState.hasPrefix("40") || sqlState == "55P03" || sqlState == "57014"
  }
}

/// Records as the database takes them: an array for each column.
private struct RecordArrays {
  /// Of the JSON.
  private(set) var byteCount = 0
  private var moments: [Date] = []
  private var models: [String] = []
  private var versions: [Int32] = []
  private var ids: [String] = []
  private var routes: [String] = []
  private var keys: [String?] = []
  private var roles: [String?] = []
  private var microseconds: [Int64] = []
  private var firstRows: [Int32] = []
  private var inputs: [JSON?] = []
  private var outputs: [JSON] = []
  private var failures: [JSON?] = []

  mutating func append(_ part: RequestRecord.Part, of record: RequestRecord) {
    moments.append(record.scoredAt)
    models.append(record.model)
    versions.append(record.version)
    // A caller may give any name to his request.
    ids.append(Scrubber.scrub(record.origin.id))
    routes.append(record.origin.route)
    keys.append(record.origin.caller.keyID)
    roles.append(record.origin.caller.role)
    microseconds.append(Int64(record.latency / .microseconds(1)))
    firstRows.append(Int32(part.firstRow))
    inputs.append(part.inputs.map { JSON($0) })
    outputs.append(JSON(part.outputs))
    failures.append(part.failures.map { JSON($0) })
    byteCount += part.outputs.utf8.count + (part.inputs?.utf8.count ?? 0)
  }

  var query: Query {
    Query(
      text: "select rowcast.add_request_records($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
      values: [
        moments, models, versions, ids, routes, keys, roles, microseconds, firstRows, inputs,
        outputs, failures,
      ])
  }
}
