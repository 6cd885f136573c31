internal import Postgres
internal import Scoring
internal import Synchronization

/// Loads models on a thread of its own, with a connection while there is something to load.
final class ModelLoader: Sendable {
  private typealias Waiter = CheckedContinuation<LoadedModel, any Error>

  private struct State {
    /// Those to load, in the order in which they were asked for, and who waits for each.
    var order: [ModelVersionID] = []
    var waiters: [ModelVersionID: [Waiter]] = [:]
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
  func load(_ id: ModelVersionID) async throws -> LoadedModel {
    try await withCheckedThrowingContinuation { continuation in
      let isStopped = state.withLock { state in
        guard !state.isStopped else { return true }
        if state.waiters[id] == nil { state.order.append(id) }
        state.waiters[id, default: []].append(continuation)
        return false
      }
      if isStopped { continuation.resume(throwing: Self.stopped) } else { wakeUp.signal() }
    }
  }

  /// Loads the model, for whoever asks next.
  func preload(_ id: ModelVersionID) {
    state.withLock { state in
      guard !state.isStopped, state.waiters[id] == nil else { return }
      state.order.append(id)
      state.waiters[id] = []
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
    case load(ModelVersionID), wait, stop
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
      case .load(let id):
        let outcome = Result { () throws(WorkError) in try load(id, with: &connection) }
        let waiters = state.withLock { $0.waiters.removeValue(forKey: id) } ?? []
        for waiter in waiters { waiter.resume(with: outcome.mapError { $0 }) }
      }
    }
  }

  private func load(
    _ id: ModelVersionID, with connection: inout Connection?
  ) throws(WorkError) -> LoadedModel {
    do throws(PostgresError) {
      if connection?.isUsable != true {
        connection = nil
        connection = try Connection(settings, timeout: .seconds(5))
      }
    } catch {
      throw .postgres(error)
    }
    return try cache.model(id, on: connection!)
  }
}
