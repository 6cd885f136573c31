import Inference
import Postgres
import Scoring
import Synchronization
import TestRandom
import TestSupport
import Testing

/// Sessions that end at the worst moment, and workers that hold what is no longer theirs.
@Suite(.database, .timeLimit(.minutes(4)))
struct FaultyWorkerTests {
  @Test func aStandbyTakesOverWhenTheDispatchersSessionEnds() async throws {
    let scene = try Scene()
    try await scene.withWorkers(2) { connection, _ in
      try LiveScoringTests.prepare(scene, connection, rows: 100)
      try scene.settle(connection)
      for round in 1...5 {
        try connection.run(
          """
          select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' \
          and classid = 1919907683 and objid = 2 and granted \
          and database = (select oid from pg_database where datname = current_database())
          """)
        try connection.run(
          "insert into item values (\(Int64(1000 + round)), 1, 1, \(Int32(round)), '')")
        try scene.settle(connection)
      }
      try LiveScoringTests.expectOracle(connection)
      let elections = scene.events.filter { $0 == .elected }.count
      #expect(elections >= 6)
    }
  }

  @Test func lanesThatLoseTheirSessionsLoseNoRow() async throws {
    let scene = try Scene()
    try await scene.withWorkers(2, lanes: 2) { connection, _ in
      try LiveScoringTests.prepare(scene, connection)
      var random = SplitMix64(seed: 11)
      let killer = try Connection(scene.settings)
      for round in 0..<40 {
        let first = Int64(round * 200 + 1)
        try connection.run(
          """
          insert into item select i, sin(i) * 9, cos(i) * 9, i % 19 - 9, '' \
          from generate_series(\(first), \(first + 199)) as i
          """)
        let other = Int64.random(in: 1...first + 150, using: &random)
        try connection.run(
          "update item set a = a - 1, c = c + 1 where id between \(other) and \(other + 50)")
        try connection.run("delete from item where id between \(other) and \(other + 3)")
        // A lane that is just coming back is waited for.
        #expect(
          try eventually {
            try killer.run(
              """
              select pg_terminate_backend(pid) from pg_stat_activity \
              where application_name = 'rowcast lane' and datname = current_database() \
              order by random() limit 1
              """
            ).count == 1
          })
      }
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
      let lost = scene.events.filter {
        if case .connectionLost(part: "lane", _) = $0 { true } else { false }
      }.count
      #expect(lost > 10)
    }
  }

  @Test func aStaleAttemptIsRefused() async throws {
    let scene = try Scene()
    let settings = scene.settings
    let isStolen = Mutex(false)
    var configuration = WorkerConfiguration(settings: settings)
    configuration.laneCount = 1
    configuration.fallbackPoll = .milliseconds(100)
    // A model is loaded between the read and the write: there the chunk is taken away.
    let worker = Worker(configuration, logger: Scene.silent) { event in
      scene.record(event)
      guard case .modelLoaded = event, let thief = try? Connection(settings) else { return }
      _ = try? thief.run(
        """
        update rowcast.chunk set attempt = attempt + 1, state = 'available', claimed_by = null, \
        claimed_at = null where state = 'running'
        """)
      isStolen.withLock { $0 = true }
    }
    try await scene.withWorkers([worker]) { connection, _ in
      try LiveScoringTests.prepare(scene, connection)
      try connection.run("insert into item values (1, 2, 3, 4, '')")
      let reason = try scene.waitForEvent {
        if case .chunkLost(_, let reason) = $0 { reason } else { nil }
      }
      #expect(reason.contains("attempt"))
      #expect(isStolen.withLock { $0 })
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
    }
  }

  @Test func aWorkerThatStopsLeavesItsWorkToTheOther() async throws {
    let scene = try Scene()
    try await scene.withWorkers(2, lanes: 2) { connection, workers in
      try LiveScoringTests.prepare(scene, connection, rows: 50_000)
      try scene.waitForEvent { if case .chunkCompleted = $0 { true } else { nil } }
      workers[0].stop()
      try connection.run("update item set a = a + 1 where id % 5 = 0")
      try scene.settle(connection)
      try LiveScoringTests.expectOracle(connection)
    }
  }
}
