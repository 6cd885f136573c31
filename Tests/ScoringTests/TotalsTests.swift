import Foundation
import Postgres
import Scoring
import TestSupport
import Testing

/// What workers add up over their lives, and what they count by the minute.
@Suite(.database, .timeLimit(.minutes(3))) struct TotalsTests {
  private static func scored(_ connection: Connection) throws -> Int64 {
    try connection.run(
      "select coalesce(sum(rows_scored), 0)::bigint from rowcast.scorer_total"
    ).value(0, 0)
  }

  private static func event(_ name: String, _ connection: Connection) throws -> Int64 {
    try connection.run(
      "select coalesce(max(value), 0)::bigint from rowcast.event_total where name = \(name)"
    ).value(0, 0)
  }

  /// A worker that starts again begins at nothing, the database does not; and two at once are the sum of both.
  @Test func totalsAreThoseOfAllWorkers() async throws {
    let scene = try Scene()
    let first = scene.worker()
    try await scene.withWorkers([first]) { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 300)
      try scene.settle(connection)
    }
    // Whoever stops adds what there is, whenever he added last.
    let connection = try Connection(scene.settings)
    #expect(try Self.scored(connection) == 300)
    #expect(try Self.event("elections", connection) == 1)
    #expect(try Self.event("ticks", connection) == first.statistics.snapshot().ticks)

    let both = [scene.worker(), scene.worker()]
    try await scene.withWorkers(both) { connection, _ in
      for part in 0..<10 {
        try connection.run(
          """
          insert into item select i, 1, 1, 1, 'n'
          from generate_series(\(Int32(1000 * (part + 1))), \(Int32(1000 * (part + 1) + 99))) as i
          """)
      }
      try scene.settle(connection)
    }
    #expect(try Self.scored(connection) == 1300)
    let all = ([first] + both).map { $0.statistics.snapshot() }
    #expect(try Self.event("ticks", connection) == all.reduce(0) { $0 + $1.ticks })
    #expect(try Self.event("elections", connection) == all.reduce(0) { $0 + $1.elections })
    #expect(
      try connection.run("select sum(chunk_count)::bigint from rowcast.scorer_total")
        .value(0, 0, as: Int64.self)
        == connection.run("select sum(chunk_count)::bigint from rowcast.scorer_minute")
        .value(0, 0, as: Int64.self))
  }

  /// Nobody hears whether the totals were committed.
  @Test(arguments: [false, true]) func whatIsLostInItsCommitCountsOnce(isHeard: Bool) async throws {
    let scene = try Scene()
    let proxy = try Proxy(to: scene.settings)
    defer { proxy.close() }
    let worker = scene.worker(over: proxy.settings(scene.settings))
    try await scene.withWorkers([worker]) { connection, _ in
      proxy.set(.losing(at: ["record_totals", "commit"], isHeard: isHeard))
      try LiveScoringTests.prepare(scene, connection, rows: 300)
      try scene.settle(connection)
      try #require(try eventually { worker.statistics.snapshot().connectionsLost > 0 })
      try #require(try eventually { try Self.scored(connection) == 300 })
      try connection.run(
        "insert into item select i, 1, 1, 1, 'n' from generate_series(301, 350) as i")
      try scene.settle(connection)
    }
    let connection = try Connection(scene.settings)
    #expect(try Self.scored(connection) == 350)
    #expect(try Self.event("ticks", connection) == worker.statistics.snapshot().ticks)
    #expect(try Self.event("connections_lost", connection) >= 1)
  }

  /// Somebody drops a scorer and does not commit: what is counted of others is written, and what is counted of that
  /// one once he has thought better of it.
  @Test func aScorerThatIsHeldKeepsNoOtherWaiting() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try LiveScoringTests.prepare(scene, connection)
      try connection.run(
        "select * from rowcast.create_scorer('other_score', 'public.item', model => 'sum')")
      try scene.settle(connection)
      func rows(_ scorer: String) throws -> Int64 {
        try connection.run(
          """
          select coalesce(sum(m.rows_scored), 0)::bigint from rowcast.scorer_minute as m
          join rowcast.scorer as s using (scorer_id) where s.name = \(scorer)
          """
        ).value(0, 0)
      }
      let holder = try Connection(scene.settings)
      // Until counts are due when the scorer is held already.
      for round in 1...3 as ClosedRange<Int64> {
        try connection.run(
          "insert into item select i, 1, 1, 1, 'n' from generate_series(\(1000 * round), \(1000 * round + 199)) as i"
        )
        try scene.settle(connection)
        try holder.runScript("begin; select rowcast.drop_scorer('item_score')")
        #expect(try eventually { try rows("other_score") == 200 * round })
        try holder.runScript("rollback")
        #expect(try eventually { try rows("item_score") == 200 * round })
      }
      #expect(
        !scene.events.contains { event in
          if case .maintenanceFailed("observations", _) = event { true } else { false }
        })
    }
  }

  /// Each addition leaves a version of a row that a held snapshot keeps.
  @Test func totalsAreAddedSecondsApart() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 1)
      var seen: [(version: String, at: ContinuousClock.Instant)] = []
      #expect(
        try eventually {
          try connection.run("update item set a = a + 1")
          let rows = try connection.run(
            "select xmin::text from rowcast.event_total where name = 'ticks'")
          if !rows.isEmpty {
            let version = try rows.value(0, 0, as: String.self)
            if seen.last?.version != version { seen.append((version, .now)) }
          }
          return seen.count == 3
        })
      let span = seen.count == 3 ? seen[0].at.duration(to: seen[2].at) : .zero
      #expect(span > .seconds(8), "\(span)")
    }
  }
}
