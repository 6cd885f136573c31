import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// A database in which a role lends its rights to callers, and a server that logs in as a worker and nothing
/// more.
struct LenderScene: Sendable {
  /// Who owns `customer` and has lent its rights.
  let role = "jobs_\(Database.current.name)"
  /// The server's login.
  let login = "http_\(Database.current.name)"
  let admin: ConnectionSettings = Database.current.settings

  static let fixture = "lightgbm_binary"

  /// Makes roles, a model and a table of its rows, and drops the roles in the end.
  static func run(
    _ change: @escaping (inout HTTPConfiguration) -> Void = { _ in },
    _ body: (LenderScene, ServerScene) async throws -> Void
  ) async throws {
    let lender = LenderScene()
    let connection = try lender.connect()
    try connection.runScript(
      """
      create role \(lender.role) login; grant rowcast_analyst to \(lender.role);
      create role \(lender.login) login; grant rowcast_worker to \(lender.login);
      create table customer (id int primary key, amount float8, age_days float8, ratio float8,
                             phase float8, balance float8);
      create table secret as table customer;
      alter table customer owner to \(lender.role);
      """)
    defer {
      try? connection.runScript(
        """
        drop owned by \(lender.role), \(lender.login) cascade;
        drop role \(lender.role), \(lender.login)
        """)
    }
    let own = try Connection(lender.settings(lender.role))
    try own.runScript("select rowcast.lend_rights()")
    own.close()
    try ServerScene.push(fixture, as: "bank")
    try await ServerScene.run({
      $0.settings = lender.settings(lender.login)
      change(&$0)
    }) { try await body(lender, $0) }
  }

  func connect() throws -> Connection { try Connection(admin) }

  func settings(_ user: String) -> ConnectionSettings { admin.setting("user", to: user) }

  /// Header fields with a key for the role, known to the server.
  func headers(
    _ scene: ServerScene, actions: [String] = ["jobs", "push", "read"], models: [String]? = nil,
    role: String? = nil, type: String = "application/json"
  ) async throws -> [String: String] {
    let key = try ServerScene.key(
      "client \(UUID())", models: models, actions: actions, role: role ?? self.role)
    let headers = ["Authorization": "Bearer \(key.key)", "Content-Type": type]
    let end = ContinuousClock.now + .seconds(60)
    while try await scene.get("/v1/jobs/1", headers: headers).status == 401 {
      try #require(ContinuousClock.now < end)
      try await Task.sleep(for: .milliseconds(5))
    }
    return headers
  }

  /// The fixture's rows, with a number before each.
  static func csv(_ count: Int? = nil) throws -> [String] {
    let lines = try ServerScene.lines(of: fixture, "rows.csv")
    let rows = lines.dropFirst().prefix(count ?? .max)
    return ["id," + lines[0]] + rows.enumerated().map { "\($0 + 1),\($1)" }
  }

  /// What the trainer says, by the row's number.
  static func expected() throws -> [Int: Double] {
    var expected: [Int: Double] = [:]
    for (row, line) in try ServerScene.lines(of: fixture, "expected.csv").dropFirst().enumerated() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      if fields[2].isEmpty { expected[row + 1] = Double(fields[1]) }
    }
    return expected
  }

  /// Looks until the job is over.
  func end(
    of path: String, _ scene: ServerScene, _ headers: [String: String]
  ) async throws -> [String: Any] {
    let end = ContinuousClock.now + .seconds(60)
    while true {
      let answer = try await scene.get(path, headers: headers)
      try #require(answer.status == 200, "\(answer.text)")
      let job = try answer.json
      if job["state"] as? String != "running" { return job }
      try #require(ContinuousClock.now < end)
      try await Task.sleep(for: .milliseconds(20))
    }
  }
}
