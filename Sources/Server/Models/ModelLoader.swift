internal import Postgres
internal import Scoring
internal import Synchronization

/// Loads models on a thread of its own, with a connection while there is something to load.
final class ModelLoader: Sendable {
  private typealias Waiter = CheckedContinuation<LoadedModel, any Error>

  private struct Wanted: Hashable {
    var id: ModelVersionID
    /// How many reasons of each prediction it answers too.
    var reasons = 0
  }

  private struct State {
    /// Those to load, in the order in which they were asked for, and who waits for each.
    var order: [Wanted] = []
    var waiters: [Wanted: [Waiter]] = [:]
    var isStopped = false
  }

  private let state = Mutex(State())
  private let wakeUp = WakeUp()
  private let cache: ModelCache
  private let settings: ConnectionSettings
  /// How long the connection is kept after the last model.
  private static let patience = Duration.seconds(10)

  init(cache: ModelCache, settings: ConnectionSettings) {
    self.cache = cache
    self.settings = settings.setting("application_name", to: "rowcast load")
  }

  /// - Throws: `WorkError` that says why the model cannot be used.
  func load(_ id: ModelVersionID, reasons: Int = 0) async throws -> LoadedModel {
    let wanted = Wanted(id: id, reasons: reasons)
    return try await withCheckedThrowingContinuation { continuation in
      let isStopped = state.withLock { state in
        guard !state.isStopped else { return true }
        if state.waiters[wanted] == nil { state.order.append(wanted) }
        state.waiters[wanted, default: []].append(continuation)
        return false
      }
      if isStopped { continuation.resume(throwing: Self.stopped) } else { wakeUp.signal() }
    }
  }

  /// Loads the model, for whoever asks next.
  func preload(_ id: ModelVersionID) {
    let wanted = Wanted(id: id)
    state.withLock { state in
      guard !state.isStopped, state.waiters[wanted] == nil else { return }
      state.order.append(wanted)
      state.waiters[wanted] = []
    }
    wakeUp.signal()
  }

  /// Ends `run`; who waits still is told so.
  func stop() {
    let waiters = state.withLock { state in
      state.isStopped = true
      defer { state.waiters = [:] }
      return state.waiters.values.flatMap { $0 }
    }
    for waiter in waiters { waiter.resume(throwing: Self.stopped) }
    wakeUp.signal()
  }

  private static let stopped = WorkError.postgres(
    PostgresError(sqlState: "57P01", message: "the server is stopping"))

  private enum Next {
    case load(Wanted), wait, stop
  }

  func run() {
    var connection: Connection?
    while true {
      wakeUp.clear()
      let next = state.withLock { state -> Next in
        if state.isStopped { return .stop }
        return state.order.isEmpty ? .wait : .load(state.order.removeFirst())
      }
      switch next {
      case .stop:
        connection?.close()
        return
      case .wait:
        let isWoken = wakeUp.wait(timeout: connection == nil ? nil : Self.patience)
        if !isWoken {
          connection?.close()
          connection = nil
        }
      case .load(let wanted):
        let outcome = Result { () throws(WorkError) in try load(wanted, with: &connection) }
        let waiters = state.withLock { $0.waiters.removeValue(forKey: wanted) } ?? []
        for waiter in waiters { waiter.resume(with: outcome.mapError { $0 }) }
      }
    }
  }

  private func load(
    _ wanted: Wanted, with connection: inout Connection?
  ) throws(WorkError) -> LoadedModel {
    do throws(PostgresError) {
      if connection?.isUsable != true {
        connection = nil
        connection = try Connection(settings, timeout: .seconds(5))
      }
    } catch {
      throw .postgres(error)
    }
    return try cache.model(wanted.id, reasons: wanted.reasons, on: connection!)
  }
}
