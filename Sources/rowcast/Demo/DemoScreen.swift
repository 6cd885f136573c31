import Foundation

/// What the demo shows: lines that stay, and one that is overwritten where somebody looks.
struct DemoScreen {
  private let terminal = Terminal.standardOutput
  private var hasStatus = false

  /// A line that stays, above the status line.
  mutating func line(_ text: String = "") {
    clearStatus()
    terminal.line(text)
  }

  mutating func heading(_ text: String) {
    clearStatus()
    terminal.line()
    terminal.line(terminal.styled(text, .bold))
  }

  mutating func anomaly(_ text: String) {
    clearStatus()
    terminal.line(terminal.styled("  ! ", .red) + text)
  }

  /// The figures of the moment.
  mutating func status(_ text: String) {
    guard terminal.isInteractive else {
      terminal.line(text)
      return
    }
    terminal.write("\r\u{1B}[K" + text.prefix(terminal.size.columns - 1))
    hasStatus = true
  }

  private mutating func clearStatus() {
    guard hasStatus else { return }
    terminal.write("\r\u{1B}[K")
    hasStatus = false
  }
}
