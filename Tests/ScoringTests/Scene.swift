import Foundation
import Inference
import Logging
import Postgres
import Scoring
import Synchronization
import TestSupport
import Testing

/// A migrated database with workers in this process, and what a test needs to drive them.
final class Scene: Sendable {
  let settings: ConnectionSettings
  private let log = Mutex<[Event]>([])
  private let changed = WakeUp()

  /// Bounds every wait: long enough for a machine under load.
  static let patience = Duration.seconds(60)

  init() throws {
    settings = Database.current.settings
  }

  // MARK: Events

  /// Where set, each event is printed with its moment: for tests that take long.
  private static let traces = ProcessInfo.processInfo.environment["ROWCAST_TEST_TRACE"] != nil
  private let start = ContinuousClock.now

  func record(_ event: Event) {
    if Self.traces { print(start.duration(to: .now), settings["dbname"] ?? "", event) }
    log.withLock { $0.append(event) }
    changed.signal()
  }

  var events: [Event] { log.withLock { $0 } }

  /// The first event that the body takes, waiting for it.
  @discardableResult
  func waitForEvent<T>(_ body: (Event) -> T?) throws -> T {
    let deadline = ContinuousClock.now.advanced(by: Self.patience)
    while ContinuousClock.now < deadline {
      changed.clear()
      for event in events { if let found = body(event) { return found } }
      _ = changed.wait(timeout: .milliseconds(200))
    }
    throw Overdue("no such event in \(events.suffix(20))")
  }

  struct Overdue: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  // MARK: Workers

  func worker(
    lanes: Int = 2, dispatches: Bool = true, over settings: ConnectionSettings? = nil
  ) -> Worker {
    var configuration = WorkerConfiguration(settings: settings ?? self.settings)
    configuration.laneCount = lanes
    configuration.dispatches = dispatches
    configuration.stallTimeout = .seconds(30)
    return Worker(configuration, logger: Self.silent) { self.record($0) }
  }

  static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  /// Runs workers while the body runs, then stops them and expects that nothing is left claimed.
  func withWorkers(
    _ count: Int = 1, lanes: Int = 2,
    _ body: @escaping @Sendable (Connection, [Worker]) throws -> Void
  ) async throws {
    try await withWorkers((0..<count).map { _ in worker(lanes: lanes) }, body)
  }

  func withWorkers(
    _ workers: [Worker], _ body: @escaping @Sendable (Connection, [Worker]) throws -> Void
  ) async throws {
    let settings = settings
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in workers { group.addTask { try await worker.run() } }
      do {
        try await Self.blocking {
          let connection = try Connection(settings)
          try body(connection, workers)
        }
      } catch {
        workers.forEach { $0.stop() }
        throw error
      }
      workers.forEach { $0.stop() }
      try await group.waitForAll()
    }
    let connection = try Connection(settings)
    #expect(
      try connection.run("select count(*) from rowcast.chunk where state = 'running'")
        .value(0, 0, as: Int64.self) == 0)
    #expect(
      try connection.run("select count(*) from rowcast.worker").value(0, 0, as: Int64.self) == 0)
    #expect(workers.map { $0.statistics.snapshot().safetyPollHits }.reduce(0, +) == 0)
  }

  /// Runs a body that blocks on a thread of its own, so that the pool stays free.
  static func blocking(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(with: Result { try body() })
      }
    }
  }

  /// Waits until all that was committed is scored.
  func settle(_ connection: Connection) throws {
    let deadline = ContinuousClock.now.advanced(by: Self.patience)
    while ContinuousClock.now < deadline {
      changed.clear()
      let open = try connection.run(
        """
        select coalesce(sum(backlog_rows), 0)::bigint \
        + (select count(*) from rowcast.chunk where state in ('available', 'running') and not held) \
        + (select count(*) from rowcast.job where state = 'running') \
        + (select count(*) from rowcast.change as c where not txid_visible_in_snapshot(c.xid, \
            (select snapshot::text::txid_snapshot from rowcast.tick where snapshot is not null \
             order by tick_id desc limit 1))) \
        from rowcast.scorer_status where state = 'active'
        """
      ).value(0, 0, as: Int64.self)
      if open == 0 { return }
      _ = changed.wait(timeout: .milliseconds(20))
    }
    let chunks = try connection.run(
      "select chunk_id, state, kind, attempt, error from rowcast.chunk where state <> 'done' limit 5"
    )
    throw Overdue(
      "work is left: \(try (0..<chunks.count).map { try chunks.value($0, "state", as: String.self) }), "
        + "last events \(events.suffix(10))")
  }

  // MARK: Models

  @discardableResult
  func push(_ name: String, _ bytes: [UInt8], alias: String? = "champion") throws -> Registry.Pushed
  {
    let connection = try Connection(settings)
    defer { connection.close() }
    return try Registry(connection).push(.init(name: name, bytes: bytes, alias: alias))
  }
}
