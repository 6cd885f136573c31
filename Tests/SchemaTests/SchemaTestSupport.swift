import Foundation
import Postgres
import Schema
import Synchronization
import TestSupport

/// What the embedded files are, with changes that a later release might bring.
extension SQLLibrary {
  /// Every file again, changed by `edit`; those it answers nil for are left out.
  func editing(_ edit: (SQLFile) -> SQLFile?) -> SQLLibrary {
    let bootstrap = ["facts", "ledger", "rights", "roles", "schemas"].map(bootstrap)
    return SQLLibrary((bootstrap + migrations.map(\.file) + objects).compactMap(edit))
  }

  func adding(_ file: SQLFile) -> SQLLibrary {
    let bootstrap = ["facts", "ledger", "rights", "roles", "schemas"].map(bootstrap)
    return SQLLibrary(bootstrap + migrations.map(\.file) + objects + [file])
  }

  /// The path of the migration that would come next.
  func nextMigration(_ name: String) -> String {
    let number = String(version + 1)
    return "migrations/\(String(repeating: "0", count: 4 - number.count))\(number)_\(name).sql"
  }
}

extension Database {
  /// Migrates it, and returns a session of the superuser.
  func migrated() throws -> Connection {
    try Migrator(settings).migrate()
    return try connect()
  }
}

extension Connection {
  /// The first value of the first row.
  func value<T: PostgresDecodable>(_ query: Query, as type: T.Type = T.self) throws -> T {
    try run(query).value(0, 0)
  }

  /// The first column, as text.
  func texts(_ query: Query) throws -> [String] {
    let rows = try run(query)
    return try (0..<rows.count).map { try rows.value($0, 0) }
  }

  /// What the server answers to a statement that it must refuse.
  func refusal(of query: Query) -> PostgresError? {
    do throws(PostgresError) {
      try run(query)
      return nil
    } catch {
      return error
    }
  }
}

/// Runs the body on as many threads at once, and returns what each returned or threw.
func onThreads<R: Sendable>(
  _ count: Int, _ body: @escaping @Sendable (Int) throws -> R
) async -> [Result<R, any Error>] {
  await withCheckedContinuation { continuation in
    let results = Mutex<[Result<R, any Error>]>([])
    for number in 0..<count {
      Thread.detachNewThread {
        let result = Result { try body(number) }
        let all = results.withLock {
          $0.append(result)
          return $0
        }
        if all.count == count { continuation.resume(returning: all) }
      }
    }
  }
}

/// Work that has begun on a thread of its own, whatever the pool's threads do.
final class StartedThread<R: Sendable>: Sendable {
  private let result = Mutex<Result<R, any Error>?>(nil)
  private let done = DispatchSemaphore(value: 0)

  init(_ body: @escaping @Sendable () throws -> R) {
    Thread.detachNewThread { [self] in
      let outcome = Result { try body() }
      result.withLock { $0 = outcome }
      done.signal()
    }
  }

  /// Blocks until the work is over.
  func value() throws -> R {
    done.wait()
    done.signal()
    return try result.withLock { $0! }.get()
  }
}
