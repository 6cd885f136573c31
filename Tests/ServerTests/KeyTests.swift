import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// Who may do what: keys made, shown, scoped, expired and revoked in the database.
@Suite(.database) struct KeyTests {
  private static func bearer(_ key: String) -> [String: String] {
    ["Authorization": "Bearer \(key)", "Content-Type": "application/json"]
  }

  @Test func aRevokedKeyIsRefusedAtOnce() async throws {
    try await ServerScene.run { scene in
      let key = try ServerScene.key()
      func status() async throws -> Int {
        try await scene.get("/v2", headers: Self.bearer(key.key)).status
      }
      let end = ContinuousClock.now + .seconds(60)
      while try await status() != 200 { try #require(ContinuousClock.now < end) }
      let connection = try scene.connect()
      #expect(
        try connection.run("select rowcast.revoke_key(\(key.id))").value(0, 0, as: Bool.self))
      #expect(
        try connection.run("select rowcast.revoke_key(\(key.id))").value(0, 0, as: Bool.self)
          == false)
      while try await status() == 200 { try #require(ContinuousClock.now < end) }
      #expect(try await status() == 401)
    }
  }

  /// The second key works before the first is revoked, so that a client is never without.
  @Test func aClientChangesFromOneKeyToTheOther() async throws {
    let first = try ServerScene.key("shop")
    try await ServerScene.run { scene in
      func status(_ key: String) async throws -> Int {
        try await scene.get("/v2", headers: Self.bearer(key)).status
      }
      #expect(try await status(first.key) == 200)
      let second = try ServerScene.key("shop")
      let end = ContinuousClock.now + .seconds(60)
      while try await status(second.key) != 200 { try #require(ContinuousClock.now < end) }
      #expect(try await status(first.key) == 200)
      try scene.connect().run("select rowcast.revoke_key(\(first.id))")
      while try await status(first.key) == 200 { try #require(ContinuousClock.now < end) }
      #expect(try await status(first.key) == 401)
      #expect(try await status(second.key) == 200)
    }
  }

  /// Nothing is told of a row that is changed by hand: the look of each second finds it.
  @Test func aRevocationThatNobodyTellsOfIsFound() async throws {
    let key = try ServerScene.key()
    try await ServerScene.run { scene in
      func status() async throws -> Int {
        try await scene.get("/v2", headers: Self.bearer(key.key)).status
      }
      #expect(try await status() == 200)
      try scene.connect().run(
        "update rowcast.api_key set revoked_at = clock_timestamp(), revoked_by = current_user")
      let end = ContinuousClock.now + .seconds(60)
      while try await status() == 200 { try #require(ContinuousClock.now < end) }
      #expect(try await status() == 401)
    }
  }

  @Test func theDatabaseKeepsNoSecret() throws {
    let connection = try Database.current.connect()
    let made = try ServerScene.key("shop", expires: "1 day")
    let parts = made.key.split(separator: "_", maxSplits: 2).map(String.init)
    #expect(parts.count == 3 && parts[0] == "rck" && parts[1] == made.id)
    #expect(parts[2].utf8.count == 43)
    let row = try connection.run(
      """
      select k.digest = sha256(convert_to(\(parts[2]), 'UTF8')), \
      strpos(k::text, \(parts[2])) = 0, \
      (select state from rowcast.keys where key_id = k.key_id) from rowcast.api_key as k
      """)
    #expect(try row.value(0, 0, as: Bool.self))
    #expect(try row.value(0, 1, as: Bool.self))
    #expect(try row.value(0, 2, as: String.self) == "live")
  }

  @Test func aClientHasTwoLiveKeysAtMost() throws {
    let connection = try Database.current.connect()
    let first = try ServerScene.key("shop")
    _ = try ServerScene.key("shop")
    func code(_ query: Query) -> String? {
      do throws(PostgresError) {
        try connection.run(query)
        return nil
      } catch { return error.sqlState }
    }
    #expect(code("select rowcast.create_key('shop')") == "RC351")
    try connection.run("select rowcast.revoke_key(\(first.id))")
    #expect(code("select rowcast.create_key('shop')") == nil)
    #expect(code("select rowcast.create_key('')") == "RC350")
    #expect(code("select rowcast.create_key(null)") == "RC350")
    #expect(code("select rowcast.create_key('a', actions => '{fly}')") == "RC350")
    #expect(code("select rowcast.create_key('a', actions => '{}')") == "RC350")
    #expect(code("select rowcast.create_key('a', models => '{none}')") == "RC101")
    #expect(code("select rowcast.create_key('a', expires_in => '-1 day')") == "RC350")
    #expect(code("select rowcast.revoke_key('none')") == "RC352")
  }

  @Test func plainTextStaysOnThisMachine() async throws {
    await #expect(throws: (any Error).self) {
      try await ServerScene.run({ $0.host = "0.0.0.0" }) { _ in }
    }
    await #expect(throws: (any Error).self) {
      try await ServerScene.run({
        $0.host = "0.0.0.0"
        $0.allowsPlainHTTP = true
        $0.needsKeys = false
      }) { _ in }
    }
  }
}
