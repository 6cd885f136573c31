import Foundation

/// A line on standard error that tells how far a long run is, while a person looks at it.
///
/// Writes nothing where standard error is no terminal, or where the answer goes to it too.
final class ProgressLine {
  private let byteCount: Int?
  private let isShown: Bool
  private let start = ContinuousClock.now
  private var lastUpdate = ContinuousClock.now
  private var hasText = false

  /// - Parameter byteCount: What there is to read, where that is known.
  init(byteCount: Int?) {
    self.byteCount = byteCount
    isShown = Terminal.standardError.isInteractive && !Terminal.standardOutput.isInteractive
  }

  /// Rewrites the line, at most five times a second.
  func show(rows: Int, bytes: Int) {
    let now = ContinuousClock.now
    guard isShown, lastUpdate.duration(to: now) > .milliseconds(200) else { return }
    lastUpdate = now
    let seconds = Format.seconds(start.duration(to: now))
    var text = "\(Format.count(rows)) rows, \(Format.rate(Double(rows) / seconds)) rows/s"
    if let byteCount, byteCount > 0 {
      let share = min(Double(bytes) / Double(byteCount), 1)
      text += ", \(Format.decimal(share * 100, places: 0)) %"
    }
    hasText = true
    Terminal.standardError.write("\r\u{1B}[K" + text)
  }

  /// Takes the line away, so that others can be written.
  func clear() {
    guard hasText else { return }
    hasText = false
    Terminal.standardError.write("\r\u{1B}[K")
  }
}
