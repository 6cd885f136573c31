internal import FoundationEssentials
internal import Inference
internal import Logging
internal import Postgres
internal import Scoring
internal import Synchronization

/// Writes what requests were answered to the database, for the models of which that is wanted, on a thread of its
/// own.
///
/// No request waits for it: what does not fit into its bounds, because the database is slow or away, is lost, and
/// counted.
final class RequestRecorder: Sendable {
  struct Limits {
    /// Requests that wait to be written, and their memory.
    var requests = 16_384
    var byteCount = 64 << 20
  }

  private struct State {
    var recordings: [Int32: Catalog.Recording] = [:]
    /// In the order in which they were answered; those that are being written too.
    var waiting: [RequestRecord] = []
    var byteCount = 0
    var figures = Figures()
    /// Whether something went wrong since all that waited was written.
    var isInTrouble = false
    var isStopped = false

    /// Whether it had gone well until now.
    mutating func getIntoTrouble() -> Bool {
      defer { isInTrouble = true }
      return !isInTrouble
    }
  }

  private let state = Mutex(State())
  /// Whether any model is recorded: most servers ask no further.
  private let isOn = Atomic<Bool>(false)
  private let wakeUp = WakeUp()
  private let stopping = WakeUp()
  private let settings: ConnectionSettings
  private let limits: Limits
  private let logger: Logger

  init(settings: ConnectionSettings, limits: Limits = Limits(), logger: Logger) {
    self.settings = settings.setting("application_name", to: "rowcast record")
    self.limits = limits
    self.logger = logger
  }

  // MARK: Requests

  /// Takes what is to be recorded from now on, by model.
  func replace(with recordings: [Int32: Catalog.Recording]) {
    state.withLock { $0.recordings = recordings }
    isOn.store(!recordings.isEmpty, ordering: .relaxed)
  }

  /// Takes note of a request that was scored, if its model is recorded.
  ///
  /// - Parameter unreadable: Rows that could not be read, and so were not answered, with the reason.
  /// - Complexity: Nothing where no model is recorded; else a look at the lengths of texts, and no copy.
  func add(
    _ model: LoadedModel, _ batch: Batch, _ predictions: Predictions, unreadable: [Int: String],
    from origin: @autoclosure () -> RequestOrigin
  ) {
    guard isOn.load(ordering: .relaxed) else { return }
    guard let recording = state.withLock({ $0.recordings[model.id.model] }),
      recording.share >= 1 || Double.random(in: 0..<1) < recording.share
    else { return }
    let record = RequestRecord(
      model, origin(), inputs: recording.hasInputs ? batch.columns : nil, predictions,
      unreadable: unreadable, rowCount: batch.rowCount)
    let (isTaken, isNew): (Bool, Bool) = state.withLock { state in
      let fits =
        state.waiting.count < limits.requests
        && (state.waiting.isEmpty || state.byteCount + record.byteCount <= limits.byteCount)
      guard fits, !state.isStopped else {
        state.figures.lost += 1
        return (false, state.getIntoTrouble())
      }
      state.waiting.append(record)
      state.byteCount += record.byteCount
      return (true, false)
    }
    if isTaken { wakeUp.signal() }
    if isNew { complain("more wait to be written than may") }
  }

  private func complain(_ reason: String) {
    logger.warning("requests are not recorded", metadata: ["reason": "\(reason)"])
  }

  // MARK: Figures

  /// Requests.
  struct Figures: Sendable {
    var waiting = 0
    var written = 0
    var lost = 0
  }

  var figures: Figures {
    state.withLock { state in
      var figures = state.figures
      figures.waiting = state.waiting.count
      return figures
    }
  }

  // MARK: The thread

  /// How long the session is kept after the last record.
  private static let patience = Duration.seconds(10)
  /// Those that come within it are written by one statement.
  private static let gathering = Duration.milliseconds(20)
  /// Between tries while the database is away.
  private static let pause = Duration.milliseconds(500)
  /// Requests that are written in one transaction at most, and their memory.
  private static let together = (requests: 1000, byteCount: 4 << 20)
  /// Requests after whose writing as many, and more, are pruned.
  private static let untilPruned = 4000

  /// Ends `run` when what waits is written, or cannot be.
  func stop() {
    state.withLock { $0.isStopped = true }
    wakeUp.signal()
    stopping.signal()
  }

  func run() {
    var session: Connection?
    defer { session?.close() }
    var unpruned = 0
    while true {
      wakeUp.clear()
      let (records, isStopped) = next()
      guard !records.isEmpty else {
        if isStopped { return }
        if wakeUp.wait(timeout: session == nil ? nil : Self.patience) {
          _ = stopping.wait(timeout: Self.gathering)
        } else {
          session?.close()
          session = nil
        }
        continue
      }
      do throws(PostgresError) {
        let open = try session?.isUsable == true ? session! : connect()
        session = open
        try open.transaction { () throws(PostgresError) in try Self.write(records, on: open) }
        end(records, areWritten: true)
        unpruned += records.count
        if unpruned >= Self.untilPruned {
          unpruned = 0
          // What keeps it from pruning, the view of retention shows.
          _ = try? open.run("select rowcast.prune('request_records')")
        }
      } catch {
        recover(from: error, records, isStopped: isStopped)
      }
    }
  }

  private func next() -> (records: [RequestRecord], isStopped: Bool) {
    state.withLock { state in
      var byteCount = 0
      let records = state.waiting.prefix(Self.together.requests).prefix { record in
        defer { byteCount += record.byteCount }
        return byteCount < Self.together.byteCount
      }
      return (Array(records), state.isStopped)
    }
  }

  private func connect() throws(PostgresError) -> Connection {
    let session = try Connection(settings, timeout: .seconds(5))
    // What a crash of the database takes away was answered rightly nevertheless.
    try session.runScript(
      "set statement_timeout = '10s'; set jit = off; set synchronous_commit = off")
    return session
  }

  /// Waits where the database may come back; gives up what it refuses.
  private func recover(from error: PostgresError, _ records: [RequestRecord], isStopped: Bool) {
    let mayPass = error.isConnectionLoss || error.sqlState.hasPrefix("53")
    if isStopped {
      // Whoever waits for the server to end does not wait for a try at each of them.
      end(state.withLock { $0.waiting }, areWritten: false)
    } else if !mayPass {
      end(records, areWritten: false)
    }
    if state.withLock({ $0.getIntoTrouble() }) { complain(error.message) }
    if !isStopped { _ = stopping.wait(timeout: Self.pause) }
  }

  /// Takes off those that have waited longest.
  private func end(_ records: [RequestRecord], areWritten: Bool) {
    let isMended: Bool = state.withLock { state in
      state.waiting.removeFirst(records.count)
      state.byteCount -= records.reduce(0) { $0 + $1.byteCount }
      if areWritten {
        state.figures.written += records.count
      } else {
        state.figures.lost += records.count
      }
      guard areWritten, state.waiting.isEmpty, state.isInTrouble else { return false }
      state.isInTrouble = false
      return true
    }
    if isMended { logger.notice("requests are recorded again") }
  }

  private static func write(
    _ records: [RequestRecord], on connection: Connection
  ) throws(PostgresError) {
    var rows = RecordArrays()
    for record in records {
      for part in record.parts {
        rows.append(part, of: record)
        if rows.byteCount > together.byteCount {
          try connection.run(rows.query)
          rows = RecordArrays()
        }
      }
    }
    if rows.byteCount > 0 { try connection.run(rows.query) }
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
    models.append(record.model.name)
    versions.append(record.model.id.version)
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
