import Foundation

/// What is known of the place where output goes.
struct Terminal: Sendable {
  /// Whether a person looks at it live: lines may be overwritten and coloured.
  let isInteractive: Bool
  let hasColor: Bool

  static let standardOutput = Terminal(descriptor: STDOUT_FILENO)
  static let standardError = Terminal(descriptor: STDERR_FILENO)

  private let descriptor: Int32

  init(descriptor: Int32) {
    let environment = ProcessInfo.processInfo.environment
    self.descriptor = descriptor
    isInteractive = isatty(descriptor) == 1 && environment["TERM"] != "dumb"
    hasColor = isInteractive && environment["NO_COLOR", default: ""].isEmpty
  }

  /// Columns and rows, read anew at each call because a window may change; 80 x 24 in a pipe.
  var size: (columns: Int, rows: Int) {
    var window = winsize()
    guard isInteractive, ioctl(descriptor, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 0
    else { return (80, 24) }
    return (Int(window.ws_col), Int(window.ws_row))
  }

  enum Style: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
  }

  func styled(_ text: String, _ style: Style) -> String {
    hasColor ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }

  /// Writes at once, so that a pipe sees a line when it is printed; false once nobody reads it.
  @discardableResult func write(_ text: String) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR || errno == EAGAIN { continue }
        return false
      }
      bytes = bytes.dropFirst(count)
    }
    return true
  }

  @discardableResult func line(_ text: String = "") -> Bool { write(text + "\n") }
}
