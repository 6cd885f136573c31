import Dispatch
import Foundation
import Postgres
import Synchronization

/// Ctrl-C, SIGTERM or a terminal that closes, as a flag that loops look at and a descriptor that waits watch.
///
/// While it lives, none of these signals ends the process; a second one does, at once.
final class Interruption: Sendable {
  let wakeUp = WakeUp()
  private let happened = Atomic<Bool>(false)
  /// Touched by init and deinit only.
  nonisolated(unsafe) private let sources: [any DispatchSourceSignal]

  private static let signals = [SIGINT, SIGTERM, SIGHUP]

  init() {
    let queue = DispatchQueue(label: "rowcast.interruption")
    sources = Self.signals.map { number in
      signal(number, SIG_IGN)
      return DispatchSource.makeSignalSource(signal: number, queue: queue)
    }
    for source in sources {
      source.setEventHandler { [weak self] in self?.interrupt() }
      source.resume()
    }
  }

  deinit {
    for source in sources { source.cancel() }
    for number in Self.signals { signal(number, SIG_DFL) }
  }

  var isSet: Bool { happened.load(ordering: .acquiring) }

  /// As one of the signals does.
  func interrupt() {
    if happened.exchange(true, ordering: .acquiringAndReleasing) { _exit(130) }
    wakeUp.signal()
  }
}
