import Foundation
import Postgres
import Schema
import Server
import TestSupport
import Testing

/// When the server says that it is ready, and that it lives.
@Suite(.database) struct ReadinessTests {
  @Test func itIsNotReadyWithoutItsDatabaseAndLives() async throws {
    let database = try await LocalServerScene()
    defer { TestServer.remove(database.server) }
    try await ServerScene.run({
      $0.settings = database.settings
      $0.needsKeys = false
    }) { scene in
      try await offThePool { Result { try database.server.stop(.immediate) } }.get()
      try await scene.waitUntilReady(503)
      #expect(try await scene.get("/v2/health/live").status == 200)
      let figures = try await scene.figures()
      #expect(figures["rowcast_http_ready"] == 0)
      #expect(figures["rowcast_http_ready_condition{condition=\"database\"}"] == 0)
      #expect((figures["rowcast_database_silence_seconds"] ?? 0) >= 5)
      try await offThePool { Result { try database.server.start() } }.get()
      try await scene.waitUntilReady()
      #expect((try await scene.figures()["rowcast_database_silence_seconds"] ?? 99) < 5)
    }
  }

  /// A server and a migrated database of the test's own, made off the pool.
  private struct LocalServerScene: Sendable {
    let server: LocalServer
    let settings: ConnectionSettings

    init() async throws {
      (server, settings) = try await offThePool {
        Result { () throws -> (LocalServer, ConnectionSettings) in
          let server = try TestServer.start(settings: ["max_connections": "60"])
          let settings = try server.database("own")
          try Migrator(settings).migrate()
          return (server, settings)
        }
      }.get()
    }
  }

  @Test func anOlderSchemaIsNoneAndANewerOneWillDo() async throws {
    try await ServerScene.run({ $0.needsKeys = false }) { scene in
      let connection = try scene.connect()
      defer { connection.close() }
      func condition() async throws -> Double? {
        try await scene.figures()["rowcast_http_ready_condition{condition=\"schema\"}"]
      }
      try connection.runScript(
        """
        create table kept as select * from rowcast.schema_migration order by version desc limit 1;
        delete from rowcast.schema_migration where version = (select version from kept)
        """)
      try await scene.waitUntilReady(503)
      #expect(try await condition() == 0)
      #expect(try await scene.get("/v2/health/live").status == 200)
      try connection.runScript("insert into rowcast.schema_migration select * from kept")
      try await scene.waitUntilReady()
      #expect(try await condition() == 1)
      // Of the next release, which left this one running.
      try connection.runScript(
        "insert into rowcast.schema_migration (version, name, sha256, release) "
          + "select version + 1, 'next', sha256, 'next' from kept")
      try await ServerScene.eventually {
        let figures = try await scene.figures()
        return figures["rowcast_schema_version"].map {
          $0 > figures["rowcast_schema_version_needed"] ?? $0
        } ?? false
      }
      #expect(try await scene.get("/v2/health/ready").status == 200)
    }
  }

  @Test func itIsNotReadyWithoutWhatIsPinned() async throws {
    let pins = ["bank", "bank@2", "odd@name@qa"].map { PinnedModel($0) }
    #expect(pins.map(\.?.name) == ["bank", "bank", "odd@name"])
    #expect(pins.map(\.?.version) == [nil, "2", "qa"])
    #expect(["", "@", "bank@", "@2"].allSatisfy { PinnedModel($0) == nil })

    try await ServerScene.run(
      {
        $0.needsKeys = false
        $0.pinnedModels = [PinnedModel("bank")!]
        // Any other model would be let go of for the next one.
        $0.modelByteCount = 1
      }, waits: false
    ) { scene in
      try await ServerScene.eventually {
        let figures = try await scene.figures()
        return figures["rowcast_http_ready_condition{condition=\"database\"}"] == 1
          && figures["rowcast_http_ready_condition{condition=\"schema\"}"] == 1
      }
      #expect(try await scene.get("/v2/health/ready").status == 503)
      #expect(
        try await scene.figures()["rowcast_http_ready_condition{condition=\"models\"}"] == 0)
      try ServerScene.push("lightgbm_multiclass", as: "bank")
      try await scene.waitUntilReady()
      // Nobody has asked for it.
      #expect(try await scene.figures()["rowcast_models_loaded"] == 1)

      let rows = try ServerScene.lines(of: "lightgbm_binary", "rows.csv").prefix(3)
      for name in ["first", "second"] {
        try ServerScene.push("lightgbm_binary", as: name)
        try await ServerScene.eventually {
          try await scene.post(
            "/v1/models/\(name)/predict", rows.joined(separator: "\n"),
            headers: ["Content-Type": "text/csv"]
          ).status == 200
        }
      }
      let figures = try await scene.figures()
      #expect(figures["rowcast_models_loaded"] == 2)
      #expect(figures["rowcast_model_loads_total"] == 3)
      #expect(figures["rowcast_model_unloads_total"] == 1)
      #expect(try await scene.get("/v2/health/ready").status == 200)
    }
  }
}
