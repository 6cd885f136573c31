import Foundation
import Postgres
import Synchronization

/// Measures how long after a fault everything that was waiting when it struck has been scored.
final class RecoveryMonitor: Sendable {
  private struct State {
    var open: [(fault: String, began: Date)] = []
    var recovered: [String: [Double]] = [:]
    var isOver = false
  }

  private let settings: ConnectionSettings
  private let state = Mutex(State())
  private let finished = DispatchSemaphore(value: 0)

  init(_ settings: ConnectionSettings) {
    self.settings = settings.setting("application_name", to: "monitor")
  }

  func note(_ fault: Fault, began: Date) {
    state.withLock { $0.open.append((fault.description, began)) }
  }

  func start() {
    Thread { [self] in
      var connection: Connection?
      while !state.withLock({ $0.isOver && $0.open.isEmpty }) {
        if connection?.isUsable != true {
          connection = try? Connection(settings, timeout: .seconds(5))
        }
        let asked = Date()
        if let rows = try? connection?.run(
          "select extract(epoch from max(oldest_age))::float8 from rowcast.scorer_status"),
          let age = try? rows.value(0, 0, as: Double?.self) ?? 0
        {
          let oldest = asked.addingTimeInterval(-age)
          state.withLock { state in
            state.open.removeAll { fault, began in
              guard age == 0 || oldest > began else { return false }
              state.recovered[fault, default: []].append(asked.timeIntervalSince(began))
              return true
            }
          }
        }
        usleep(20_000)
      }
      connection?.close()
      finished.signal()
    }.start()
  }

  func stop() {
    state.withLock { $0.isOver = true }
    finished.wait()
  }

  /// One line a kind of fault: how many, and the time to recovery.
  var table: String {
    state.withLock(\.recovered).sorted { $0.key < $1.key }.map { fault, times in
      let sorted = times.sorted()
      return String(
        format: "faults: %@ x %d: recovered in %.0f ms at the median, %.0f ms at most",
        fault, sorted.count, sorted[sorted.count / 2] * 1000, sorted.last! * 1000)
    }.joined(separator: "\n")
  }
}
