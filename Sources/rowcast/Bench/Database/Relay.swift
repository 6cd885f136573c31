import Foundation
import Postgres
import Synchronization

/// The floor of latency: a connection that waits for the bell, reads what is new, and inserts an answer
/// each.
final class Relay: Sendable {
  private let stage: BenchStage
  private let source: BenchTable
  private let target: String
  private let wakeUp = WakeUp()
  private let isOver = Atomic(false)

  /// Makes its tables; returns once it listens.
  init(_ stage: BenchStage, features: [String], _ connection: Connection) throws {
    self.stage = stage
    source = BenchTable(stage, "relay_source", features: features)
    target = stage.table("relay_target")
    try connection.runScript(
      """
      drop table if exists \(source.name), \(target);
      create table \(target) (id bigint primary key, score double precision)
      """)
    try source.create(connection)
    try start()
  }

  /// Rows that travel by it.
  func trips(pause: ClosedRange<UInt32>, look: UInt32 = 0) -> Trips {
    Trips(
      stage: stage, table: source, answers: target, afterInsert: "notify rowcast_bench_relay",
      pause: pause, look: look)
  }

  private func start() throws {
    let listening = WakeUp()
    let failure = Outcome()
    let thread = Thread { [self] in
      do {
        let connection = try stage.connect()
        try connection.listen("rowcast_bench_relay")
        listening.signal()
        try work(connection)
      } catch {
        failure.error.withLock { $0 = error }
        listening.signal()
      }
    }
    thread.start()
    _ = listening.wait()
    if let error = failure.error.withLock({ $0 }) { throw error }
  }

  private final class Outcome: Sendable {
    let error = Mutex<(any Error)?>(nil)
  }

  private func work(_ connection: Connection) throws {
    var last: Int64 = 0
    let read = "select * from \(source.name) where id > $1"
    let answer = "insert into \(target) values ($1, 0.5)"
    while !isOver.load(ordering: .acquiring) {
      _ = try connection.waitForNotifications(timeout: .seconds(1), wakeUp: wakeUp)
      let rows = try connection.run(Query(text: read, values: [last]))
      for row in 0..<rows.count {
        let id = try rows.value(row, 0, as: Int64.self)
        try connection.run(Query(text: answer, values: [id]))
        last = max(last, id)
      }
    }
  }

  func stop() {
    isOver.store(true, ordering: .releasing)
    wakeUp.signal()
  }
}
