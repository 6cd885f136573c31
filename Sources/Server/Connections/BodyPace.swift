internal import NIOCore

/// How fast a client sends a body, read by anybody or not.
///
/// Who has been refused is heard to the end of what he announced, so that the connection can serve on: a byte
/// now and then would keep it for ever. Each body has the server's patience twice, and longer the more of it came.
struct BodyPace {
  private let patience: TimeAmount
  private var startedAt = NIODeadline.now()
  private var byteCount: Int64 = 0
  /// Bytes a second; what comes faster is not slow.
  private static let slowest: Int64 = 16 << 10

  init(patience: TimeAmount) { self.patience = patience * 2 }

  mutating func begin() {
    startedAt = .now()
    byteCount = 0
  }

  /// Counts bytes that came.
  ///
  /// - Returns: Whether they came in time.
  mutating func isKept(_ count: Int) -> Bool {
    byteCount += Int64(count)
    return .now() - startedAt <= patience + .seconds(byteCount / Self.slowest)
  }
}
