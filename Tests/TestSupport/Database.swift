public import Postgres
import Schema
import Synchronization
public import Testing

/// A database that one test has for itself, dropped when the test is over.
public struct Database: Sendable {
  /// The one of the running test; there is one only under the traits `.emptyDatabase` and
  /// `.database`.
  @TaskLocal public static var current: Database = Database(settings: nil, name: "")

  private let given: ConnectionSettings?
  public let name: String

  public init(settings: ConnectionSettings?, name: String) {
    given = settings
    self.name = name
  }

  public var settings: ConnectionSettings {
    guard let given else {
      preconditionFailure("the test lacks the trait .emptyDatabase or .database")
    }
    return given
  }

  /// A new session in it.
  public func connect() throws -> Connection { try Connection(settings) }
}

/// Gives each test a database of its own.
public struct DatabaseTrait: TestTrait, SuiteTrait, TestScoping {
  let template: Template
  public var isRecursive: Bool { true }

  enum Template: Sendable {
    case empty
    case migrated
  }

  private static let numbers = Atomic<Int>(0)

  public func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    let number = Self.numbers.add(1, ordering: .relaxed).newValue
    let name = "test_\(number)"
    let server = try TestServer.shared()
    try Self.create(name, from: template, on: server)
    defer { Self.drop(name, on: server) }
    let database = Database(settings: server.settings.setting("dbname", to: name), name: name)
    try await Database.$current.withValue(database) { try await function() }
  }

  private static func create(_ name: String, from template: Template, on server: LocalServer)
    throws
  {
    let connection = try Connection(server.settings)
    defer { connection.close() }
    switch template {
    case .empty: try connection.run("create database \(identifier: name)")
    case .migrated:
      let origin = try migrated.get()
      try connection.run("create database \(identifier: name) template \(identifier: origin)")
    }
  }

  /// The database that migrated ones are copied from; made when the first one is wanted. Nobody
  /// connects to it afterwards, or it could not be copied.
  private static let migrated: Result<String, any Error> = Result {
    let name = "rowcast_template"
    let settings = try TestServer.shared().database(name)
    _ = try Migrator(settings).migrate()
    return name
  }

  /// With the sessions that the test left behind.
  private static func drop(_ name: String, on server: LocalServer) {
    guard let connection = try? Connection(server.settings) else { return }
    defer { connection.close() }
    _ = try? connection.run("drop database if exists \(identifier: name) with (force)")
  }
}

extension Trait where Self == DatabaseTrait {
  /// A database with nothing in it, as `Database.current`.
  public static var emptyDatabase: Self { Self(template: .empty) }

  /// A database at the schema of this release, as `Database.current`.
  public static var database: Self { Self(template: .migrated) }
}
