import Dispatch
import Foundation
import Postgres
import Synchronization

/// Ctrl-C or SIGTERM, as a flag that loops look at and a descriptor that waits watch.
///
/// While it lives, neither signal ends the process; a second Ctrl-C does, at once.
final class Interruption: Sendable {
  let wakeUp = WakeUp()
  private let happened = Atomic<Bool>(false)
  /// Touched by init and deinit only.
  nonisolated(unsafe) private let sources: [any DispatchSourceSignal]

  init() {
    let queue = DispatchQueue(label: "rowcast.interruption")
    sources = [SIGINT, SIGTERM].map { number in
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
    signal(SIGINT, SIG_DFL)
    signal(SIGTERM, SIG_DFL)
  }

  var isSet: Bool { happened.load(ordering: .acquiring) }

  private func interrupt() {
    if happened.exchange(true, ordering: .acquiringAndReleasing) { _exit(130) }
    wakeUp.signal()
  }
}
