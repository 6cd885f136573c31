import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// What `/metrics` tells of scorers, jobs and workers, with a worker at work.
@Suite(.database) struct PipelineFiguresTests {
  /// A table whose rows the model scores, and its scorer.
  private static func makeScorer(_ connection: Connection, _ name: String = "bank") throws {
    let fields = try ServerScene.lines(of: "lightgbm_multiclass", "rows.csv")[0].split(
      separator: ",")
    let columns = fields.map { "\"\($0)\" double precision" }.joined(separator: ", ")
    try connection.runScript("create table \(name) (id bigint primary key, \(columns))")
    try connection.run(
      Query(
        text: "select * from rowcast.create_scorer($1, source => $2, model => 'bank')",
        values: [name, "public.\(name)"]))
  }

  @Test func whatAWorkerDoesIsTold() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await ServerScene.run({
      $0.needsKeys = false
      $0.figureInterval = .milliseconds(50)
    }) { scene in
      let connection = try scene.connect()
      defer { connection.close() }
      try Self.makeScorer(connection)
      try connection.run("select rowcast.set_max_lag('bank', '1 hour')")
      try connection.run("insert into bank (id) select i from generate_series(1, 300) as i")
      // Nobody scores yet: all of it waits.
      try await ServerScene.eventually {
        let figures = try await scene.figures()
        return figures["rowcast_backlog_rows{scorer=\"bank\",stage=\"change\"}"] == 300
          && figures["rowcast_workers{state=\"live\"}"] == 0
          && (figures["rowcast_oldest_change_seconds{scorer=\"bank\"}"] ?? 0) > 0
      }
      try await ServerScene.withWorker("tested", lanes: 2) {
        try await ServerScene.eventually {
          let figures = try await scene.figures()
          // The backfill that the scorer began with has found the rows, too.
          return figures["rowcast_scored_rows_total{scorer=\"bank\"}"] == 600
            && figures["rowcast_backlog_rows{scorer=\"bank\",stage=\"change\"}"] == 0
            && (figures["rowcast_worker_resident_memory_bytes{worker=\"tested\"}"] ?? 0) > 0
            && (figures["rowcast_worker_model_loads_total"] ?? 0) > 0
            && (figures["rowcast_elections_total"] ?? 0) == 1
        }
        let figures = try await scene.figures()
        func figure(_ name: String) -> Double? { figures["rowcast_\(name)"] }
        #expect(figure("workers{state=\"live\"}") == 1)
        #expect(figure("workers{state=\"silent\"}") == 0)
        #expect(figure("dispatchers") == 1)
        #expect(figure("worker_lanes{worker=\"tested\"}") == 2)
        #expect(figure("scorers{scorer=\"bank\",state=\"active\"}") == 1)
        #expect(figure("max_lag_seconds{scorer=\"bank\"}") == 3600)
        #expect(figure("lag_breaches_total{scorer=\"bank\"}") == 0)
        #expect(figure("failed_rows_total{scorer=\"bank\"}") == 0)
        let chunks = try #require(figure("scored_chunks_total{scorer=\"bank\"}"))
        // Chunks of the backfill have no change to count from.
        let live = try #require(figure("latency_seconds_count{scorer=\"bank\"}"))
        #expect(live >= 1 && live < chunks)
        #expect(figure("latency_seconds_bucket{scorer=\"bank\",le=\"+Inf\"}") == live)
        #expect(try #require(figure("latency_seconds_sum{scorer=\"bank\"}")) > 0)
        for stage in ["read", "predict", "write"] {
          #expect(
            try #require(figure("stage_seconds_total{scorer=\"bank\",stage=\"\(stage)\"}")) > 0)
        }
        #expect(try #require(figure("ticks_total")) >= 1)
        #expect(figure("unrung_changes_total") == 0)
        #expect((figure("schema_version") ?? 0) > 0)
        #expect(figure("schema_version") == figure("schema_version_needed"))
        #expect(figures.keys.contains { $0.hasPrefix("rowcast_database_info{version=\"") })

        // A job of a model alone belongs to no scorer.
        try connection.run(
          "select rowcast.submit_job('bank', 'public.bank', 'public.bank_scores')")
        try await ServerScene.eventually {
          let figures = try await scene.figures()
          return figures["rowcast_job_scored_rows_total"] == 300
            && figures["rowcast_jobs{state=\"done\"}"] == 2
        }
        #expect(try await scene.figures()["rowcast_scored_rows_total{scorer=\"bank\"}"] == 600)
      }
      try await ServerScene.eventually {
        try await scene.figures()["rowcast_workers{state=\"live\"}"] == 0
      }
    }
  }

  @Test func aScrapeNeverWaitsForTheDatabase() async throws {
    try await ServerScene.run({
      $0.needsKeys = false
      $0.figureInterval = .milliseconds(50)
    }) { scene in
      try await ServerScene.eventually {
        try await scene.figures()["rowcast_schema_version"] != nil
      }
      let holder = try scene.connect()
      defer { holder.close() }
      try holder.runScript("begin; lock table rowcast.worker in access exclusive mode")
      var longest = Duration.zero
      try await ServerScene.eventually {
        let start = ContinuousClock.now
        let figures = try await scene.figures()
        longest = max(longest, start.duration(to: .now))
        // What was known stays, and says how old it is.
        #expect(figures["rowcast_schema_version"] != nil)
        return (figures["rowcast_database_figures_failures_total"] ?? 0) >= 1
          && (figures["rowcast_database_figures_age_seconds"] ?? 0) > 2
      }
      // The database was waited for three seconds.
      #expect(longest < .seconds(2), "\(longest)")
      try holder.runScript("rollback")
      try await ServerScene.eventually {
        (try await scene.figures()["rowcast_database_figures_age_seconds"] ?? 99) < 1
      }
    }
  }

  @Test func whoIsNotLetInIsCounted() async throws {
    let key = try ServerScene.key("busy", actions: ["read", "metrics"])
    let expired = try ServerScene.key("expired", expires: "1 microsecond")
    try await ServerScene.run({
      $0.requestsPerSecond = 1
      $0.addressRequestsPerSecond = 1000
    }) { scene in
      func status(_ path: String, _ key: String?) async throws -> Int {
        try await scene.get(path, headers: key.map { ["Authorization": "Bearer \($0)"] } ?? [:])
          .status
      }
      try await ServerScene.eventually { try await status("/v2", key.key) == 200 }
      #expect(try await status("/v2", nil) == 401)
      #expect(try await status("/v2", expired.key) == 401)
      #expect(try await status("/v2", "rck_000000000000_wrong") == 401)
      #expect(try await status("/v1/jobs", key.key) == 403)
      // Twice as many as a second's at once.
      try await ServerScene.eventually { try await status("/v2", key.key) == 429 }
      var samples: [String: Double] = [:]
      try await ServerScene.eventually {
        let answer = try await scene.get(
          "/metrics", headers: ["Authorization": "Bearer \(key.key)"])
        guard answer.status == 200 else { return false }
        samples = try Figures.samples(of: answer.text)
        return true
      }
      func rejected(_ reason: String) -> Double {
        samples["rowcast_http_rejected_requests_total{reason=\"\(reason)\"}"] ?? -1
      }
      #expect(rejected("missing") == 1)
      // The first may have come before the server knew the key.
      #expect(rejected("invalid") >= 2)
      #expect(rejected("forbidden") == 1)
      #expect(rejected("unchecked") == 0)
      #expect((samples["rowcast_http_rate_limited_requests_total{of=\"key\"}"] ?? 0) >= 1)
      #expect(samples["rowcast_http_rate_limited_requests_total{of=\"address\"}"] == 0)
    }
  }
}
