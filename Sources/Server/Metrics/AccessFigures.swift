internal import HTTPTypes
internal import Synchronization

/// How many requests were not let in, and why.
final class AccessFigures: Sendable {
  enum Rejection: String, CaseIterable, Sendable {
    /// No key was shown.
    case missing
    /// The key or the token is not valid, or not any more.
    case invalid
    /// It is, and not for this.
    case forbidden
    /// The database was silent for too long to tell.
    case unchecked
  }

  /// What came too often.
  enum Limit: String, CaseIterable, Sendable {
    case key, address
  }

  private struct State {
    var rejections: [Rejection: Int] = [:]
    var limited: [Limit: Int] = [:]
  }

  private let state = Mutex(State())

  /// Counts a refusal of `Admission`, of which others are none.
  func count(_ refusal: Problem) {
    let rejection: Rejection? =
      switch refusal.status {
      case .unauthorized: refusal == Admission.missing ? .missing : .invalid
      case .forbidden: .forbidden
      case .serviceUnavailable: .unchecked
      default: nil
      }
    if let rejection { state.withLock { $0.rejections[rejection, default: 0] += 1 } }
  }

  func count(_ limit: Limit) { state.withLock { $0.limited[limit, default: 0] += 1 } }

  func count(of rejection: Rejection) -> Int { state.withLock { $0.rejections[rejection] ?? 0 } }

  func count(of limit: Limit) -> Int { state.withLock { $0.limited[limit] ?? 0 } }
}
