internal import Logging

/// Where the parts of a worker report: counted, logged, then shown to whoever asked.
struct EventSink: Sendable {
  let statistics: WorkerStatistics
  let logger: Logger
  let observer: (@Sendable (Event) -> Void)?

  func callAsFunction(_ event: Event) {
    statistics.count(event)
    event.log(to: logger)
    observer?(event)
  }
}
