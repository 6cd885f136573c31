import Foundation
import Glibc
import Postgres
import Synchronization
import Testing

/// Workers score and applications write; something goes wrong and is over; then all is as if
/// nothing had been: each row has the prediction of its latest state, and nothing stays claimed.
struct Chaos {
  /// Set by `make chaos`: all scenarios run, and recovery is held to what the product promises.
  static let isWhole = ProcessInfo.processInfo.environment["ROWCAST_CHAOS"] == "1"
  static let skipped: Comment = "takes long: make chaos runs it"
  /// Seconds from the end of the fault until everything that was committed by then is scored.
  static let promise = 2.0
  /// For tests that run beside others on a busy machine.
  static let patience = 10.0

  var name: String
  var workers = 3
  /// By all writers.
  var changesPerSecond = 1500
  /// Rows that are there before it begins.
  var firstRows = 2000
  /// Ages of changes are told by the server's clock; where that one lies, only the rows that the
  /// test adds tell of recovery.
  var trustsServerClock = true
  /// Beyond what is promised, for work that the fault itself left to do.
  var extraSeconds = 0.0

  /// Prepares the scene, runs the fault while writers write, and checks everything.
  ///
  /// - Parameter fault: Returns when the fault is over.
  func run(_ scene: FaultScene, fault: (FaultScene, Writers) throws -> Void) throws {
    try scene.prepare()
    try fill(scene)
    try scene.startWorkers(workers)
    try scene.waitUntilScored(within: 30)

    let writers = Writers(
      scene.settings, changes: changesPerSecond * 120, over: .seconds(120))
    defer { writers.stop() }
    usleep(500_000)
    let began = ContinuousClock.now
    try fault(scene, writers)
    let lasted = began.duration(to: .now)
    let recovered = try Recovery(scene.settings, trustsServerClock: trustsServerClock).seconds(
      within: 60)
    // Writers meet the recovered system for a while.
    usleep(500_000)
    writers.stop()
    try scene.waitUntilScored(within: 60)

    let alive = try scene.compareWithOracle()
    let statuses = scene.stopWorkers()
    let left = try scene.compareWithOracle()
    report(alive, writers.progress, lasted, recovered)
    if !alive.isExact || recovered > Self.promise + extraSeconds { printLogs(scene) }
    #expect(alive.isExact, "\(name): \(alive)")
    #expect(left.held == 0, "\(name): chunks are claimed by workers that are gone")
    #expect(alive.rows > 0)
    // One that was started while the server was away has said so, and left.
    #expect(
      statuses.allSatisfy { $0 == 0 || $0 == 69 },
      "\(name): a worker did not stop cleanly: \(statuses)")
    let bound = (Self.isWhole ? Self.promise : Self.patience) + extraSeconds
    #expect(recovered <= bound, "\(name): recovery took \(recovered) s")
  }

  private func fill(_ scene: FaultScene) throws {
    let connection = try Connection(scene.settings)
    defer { connection.close() }
    // Of keys that no writer touches.
    try connection.run(
      """
      insert into reading (reading_id, f0, f1, f2, f3, f4)
      select -i, sin(i), cos(i), i % 7, i % 11, i % 13
      from generate_series(1, \(Int32(firstRows))) as i
      """)
  }

  private func report(
    _ report: FaultScene.Comparison, _ progress: Progress, _ lasted: Duration, _ recovered: Double
  ) {
    print(
      """
      chaos: \(name): \(String(format: "%.1f", lasted / .seconds(1))) s, recovered in \
      \(Int(recovered * 1000)) ms; \(progress.changes.load(ordering: .relaxed)) changes \
      (\(progress.refused.load(ordering: .relaxed)) refused); \(report.rows) rows: \
      \(report.predictions) predictions, \(report.failures) failures, \(report.missing) missing, \
      \(report.stale) stale, \(report.orphaned) orphaned, \(report.duplicate) duplicate; \
      \(report.held) chunks held, \(report.failedChunks) given up
      """)
  }

  private func printLogs(_ scene: FaultScene) {
    for log in scene.logs() {
      print(log.split(separator: "\n").suffix(12).joined(separator: "\n"))
      print("--")
    }
  }
}

/// Measures how long it takes until what is committed now is scored.
struct Recovery {
  private let settings: ConnectionSettings
  private let trustsServerClock: Bool
  /// Keys that no writer touches.
  private static let probes = Atomic<Int>(2_000_000_000)

  init(_ settings: ConnectionSettings, trustsServerClock: Bool = true) {
    self.settings = settings.setting("application_name", to: "monitor")
    self.trustsServerClock = trustsServerClock
  }

  /// Seconds until all that was committed at the call is scored.
  func seconds(within limit: Double) throws -> Double {
    let start = Date()
    let connection = try Connection(settings)
    defer { connection.close() }
    let key = try insertProbe(connection)
    while true {
      let asked = Date()
      let isProbeScored = try isScored(key, connection)
      var age = 0.0
      if trustsServerClock {
        age = try connection.run(
          "select coalesce(extract(epoch from max(oldest_age)), 0)::float8 from rowcast.scorer_status"
        ).value(0, 0)
      }
      let now = asked.timeIntervalSince(start)
      if isProbeScored, age == 0 || age < now { return now }
      guard now < limit else {
        Issue.record("not recovered after \(limit) s: the oldest change waits for \(age) s")
        return now
      }
      usleep(5000)
    }
  }

  /// Seconds from a row's commit until its prediction is seen.
  func latency(_ connection: Connection) throws -> Double {
    let key = try insertProbe(connection)
    let start = ContinuousClock.now
    while try !isScored(key, connection) {
      guard start.duration(to: .now) < .seconds(30) else {
        throw PostgresError(sqlState: "57014", message: "a row was not scored within 30 s")
      }
      usleep(500)
    }
    return start.duration(to: .now) / .seconds(1)
  }

  private func insertProbe(_ connection: Connection) throws -> Int64 {
    let key = Int64(Self.probes.add(1, ordering: .relaxed).newValue)
    try connection.run("insert into reading values (\(key), 1, 2, 3, 4, 5)")
    return key
  }

  private func isScored(_ key: Int64, _ connection: Connection) throws -> Bool {
    try connection.run("select 1 from predictions.reading where reading_id = \(key)").count == 1
  }
}
