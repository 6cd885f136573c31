internal import Schema
internal import Synchronization

/// Whether requests may be sent to this server. That the process lives says nothing of it, and does not depend on it.
final class Readiness: Sendable {
  enum Condition: String, CaseIterable, Sendable {
    /// The database was heard of a moment ago.
    case database
    /// It is at the schema that this release works with, or at a newer one: migrations leave the release before
    /// running.
    case schema
    /// Models and keys are known, and those that are pinned are loaded.
    case models
  }

  private struct State {
    var heardAt: ContinuousClock.Instant?
    var schemaVersion: Int?
  }

  private let state = Mutex(State())
  private let library: ModelLibrary
  private let madeAt = ContinuousClock.now

  /// The oldest schema that this release works with.
  static let neededVersion = Migrator.releaseVersion
  /// Longer silence of the database than this, and the server is not ready for more requests.
  private static let longestSilence = Duration.seconds(5)

  init(_ library: ModelLibrary) { self.library = library }

  /// Notes which schema the database is at.
  ///
  /// - Returns: Whether this release can work with it.
  func note(schemaVersion: Int) -> Bool {
    state.withLock { $0.schemaVersion = schemaVersion }
    return schemaVersion >= Self.neededVersion
  }

  /// Notes that the database answered all that it was asked.
  func confirm() { state.withLock { $0.heardAt = .now } }

  /// For how long the database has not been heard of, since this was made where it never was.
  var silence: Duration { (state.withLock(\.heardAt) ?? madeAt).duration(to: .now) }

  var isReady: Bool { Condition.allCases.allSatisfy(holds) }

  func holds(_ condition: Condition) -> Bool {
    switch condition {
    case .database:
      state.withLock(\.heardAt).map { $0.duration(to: .now) < Self.longestSilence } ?? false
    case .schema: state.withLock(\.schemaVersion).map { $0 >= Self.neededVersion } ?? false
    case .models: library.hasWhatIsPinned
    }
  }
}
