internal import Postgres
internal import Scoring

/// The sessions that requests wait for, each with a thread of its own. What takes long keeps nobody waiting who
/// only wants to look.
struct ServerDatabase: Sendable {
  /// Short questions: how far a job is, pages of its results, what the registry has.
  let looks: DatabaseCalls
  /// Jobs of tables and queries. PostgreSQL plans a caller's query here, so each has a session of its own.
  let submissions: DatabaseCalls
  /// Rows and models that callers send.
  let loads: DatabaseCalls

  init(settings: ConnectionSettings) {
    looks = DatabaseCalls(
      settings: settings, name: "http look", timeout: .seconds(10), keepsSession: true)
    submissions = DatabaseCalls(
      settings: settings, name: "http jobs", timeout: .seconds(30), keepsSession: false)
    loads = DatabaseCalls(
      settings: settings, name: "http load", timeout: .zero, keepsSession: false)
  }

  private var all: [DatabaseCalls] { [looks, submissions, loads] }

  func start() -> [WorkThread] {
    all.map { calls in WorkThread(name: "rowcast calls") { calls.loop() } }
  }

  func stop() {
    for calls in all { calls.stop() }
  }
}
