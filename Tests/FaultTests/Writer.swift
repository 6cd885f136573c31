import Foundation
import Postgres
import Synchronization
import TestRandom

/// What all writers have done so far, and whether they are to go on.
final class Progress: Sendable {
  let changes = Atomic<Int>(0)
  let refused = Atomic<Int>(0)
  let reconnects = Atomic<Int>(0)
  let isOver = Atomic<Bool>(false)
}

/// Applications that go on writing while something happens to the server or the workers.
final class Writers {
  let progress = Progress()
  private let group = DispatchGroup()

  /// - Parameters:
  ///   - changes: By all of them, spread over the duration; they stop then, or earlier when told.
  init(_ settings: ConnectionSettings, changes: Int, over duration: Duration) {
    for number in 0..<Writer.count {
      let writer = Writer(
        number: number, changes: changes / Writer.count,
        settings: settings.setting("application_name", to: "writer"), progress: progress,
        duration: duration)
      let group = group
      group.enter()
      Thread {
        writer.run()
        group.leave()
      }.start()
    }
  }

  func wait() { group.wait() }

  func stop() {
    progress.isOver.store(true, ordering: .relaxed)
    group.wait()
  }
}

/// One application that inserts, updates and deletes readings of its own and of the others.
///
/// It knows nothing of the faults around it: when its connection is cut it opens another, as an
/// application would, and what it was doing may or may not have been committed.
struct Writer {
  let number: Int
  let changes: Int
  let settings: ConnectionSettings
  let progress: Progress
  /// The whole run takes at least this long, so that every fault meets live writers.
  let duration: Duration

  func run() {
    var random = SplitMix64(seed: UInt64(1000 + number))
    var nextKey = number
    var done = 0
    var connection: Connection?
    let start = ContinuousClock.now
    while done < changes, !progress.isOver.load(ordering: .relaxed) {
      let due = start + duration * (Double(done) / Double(changes))
      let ahead = due - ContinuousClock.now
      if ahead > .zero { Thread.sleep(forTimeInterval: ahead / .seconds(1)) }
      do {
        if connection == nil || !connection!.isUsable {
          connection = try Connection(settings, timeout: .seconds(5))
        }
        let count = try change(connection!, &random, &nextKey)
        done += count
        progress.changes.wrappingAdd(count, ordering: .relaxed)
      } catch {
        // A deadlock between two writers, or a statement that the fault took down with its
        // connection: an application goes on with its next change.
        progress.refused.wrappingAdd(1, ordering: .relaxed)
        if connection?.isUsable != true {
          connection = nil
          progress.reconnects.wrappingAdd(1, ordering: .relaxed)
          Thread.sleep(forTimeInterval: 0.05)
        }
      }
    }
    connection?.close()
  }

  /// Makes one transaction's changes and returns how many rows it was meant to touch.
  private func change(
    _ connection: Connection, _ random: inout SplitMix64, _ nextKey: inout Int
  ) throws(PostgresError) -> Int {
    func newKey() -> Int {
      defer { nextKey += Self.count }
      return nextKey
    }
    func someKey() -> Int { Int.random(in: 0...max(nextKey, 1), using: &random) }
    func value() -> Double { Double.random(in: -3...3, using: &random) }
    /// One in thirty is missing, which the model refuses: that row is a failure until mended.
    func maybe() -> Double? {
      Int.random(in: 0..<30, using: &random) == 0 ? nil : value()
    }
    func insert() -> Query {
      """
      insert into reading (reading_id, f0, f1, f2, f3, f4)
      values (\(newKey()), \(maybe() as Double?), \(value()), \(value()), \(value()), \(value()))
      """
    }
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<45:
      try connection.run(insert())
      return 1
    case 45..<70:
      try connection.run(
        "update reading set f0 = \(maybe() as Double?) where reading_id = \(someKey())")
      return 1
    case 70..<75:
      try connection.run("update reading set note = 'seen' where reading_id = \(someKey())")
      return 1
    case 75..<89:
      try connection.run("delete from reading where reading_id = \(someKey())")
      return 1
    case 89..<92:
      let first = someKey()
      let query: Query =
        "update reading set f1 = \(value()) where reading_id between \(first) and \(first + 40)"
      try connection.run(query)
      return 20
    case 92..<95:
      let (key, step) = (newKey(), Self.count)
      nextKey += 19 * step
      let query: Query = """
        insert into reading (reading_id, f0, f1, f2, f3, f4)
        select \(key) + i * \(step), random(), random(), random(), random(), random()
        from generate_series(0, 19) as i
        """
      try connection.run(query)
      return 20
    case 95..<97:
      // The row goes on under another key.
      try connection.run(
        "update reading set reading_id = \(newKey()) where reading_id = \(someKey())")
      return 1
    case 97..<99:
      try connection.transaction { () throws(PostgresError) in
        try connection.run(insert())
        try connection.run("savepoint a")
        try connection.run("update reading set f2 = \(value()) where reading_id = \(someKey())")
        try connection.run("rollback to savepoint a")
        try connection.run(insert())
      }
      return 2
    default:
      // Never happened.
      try connection.run("begin")
      try connection.run(insert())
      try connection.run("rollback")
      return 1
    }
  }

  static let count = 8
}
