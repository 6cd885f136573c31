internal import Crypto
internal import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import Synchronization

/// Who is signed in to the console.
///
/// A browser keeps a random number, the server what it was given for: a key is sent once, as a token is, and
/// is looked up anew with each request, so that one that is revoked ends its sessions. They end with the
/// process, too. Numbers are known here by their hash alone, which takes comparing out of reach of clocks.
final class ConsoleSessions: Sendable {
  /// What somebody signed in with.
  enum Credential: Sendable, Equatable {
    /// The id of a key, without its secret.
    case key(id: String)
    /// A whole token: its issuer's keys and its role may change while it is valid.
    case token(String)
  }

  private struct Session {
    var credential: Credential
    /// Whose it is, of those that are counted together.
    var owner: String
    var endsAt: ContinuousClock.Instant
  }

  private let sessions = Mutex<[[UInt8]: Session]>([:])
  private let lifetime: Duration
  /// Of one owner, and of all; the oldest make place.
  private let perOwner: Int
  private let together: Int

  init(lifetime: Duration = .seconds(8 * 3600), perOwner: Int = 32, together: Int = 4096) {
    self.lifetime = lifetime
    self.perOwner = perOwner
    self.together = together
  }

  /// - Parameter owner: The caller's name: a key, or a role with a subject.
  /// - Returns: The number for the browser.
  func begin(
    _ credential: Credential, of owner: String, at now: ContinuousClock.Instant = .now
  ) -> String {
    var random = SystemRandomNumberGenerator()
    let number = (0..<4).map { _ in
      let word = String(random.next(), radix: 16)
      return String(repeating: "0", count: 16 - word.count) + word
    }.joined()
    sessions.withLock { sessions in
      sessions = sessions.filter { $0.value.endsAt > now }
      let own = sessions.filter { $0.value.owner == owner }
      if own.count >= perOwner { Self.endOldest(of: own, in: &sessions) }
      if sessions.count >= together { Self.endOldest(of: sessions, in: &sessions) }
      sessions[Self.digest(number)] = Session(
        credential: credential, owner: owner, endsAt: now.advanced(by: lifetime))
    }
    return number
  }

  private static func endOldest(of some: [[UInt8]: Session], in sessions: inout [[UInt8]: Session])
  {
    guard let oldest = some.min(by: { $0.value.endsAt < $1.value.endsAt }) else { return }
    sessions[oldest.key] = nil
  }

  /// What the number was given for; nil where it was not, or is over.
  func credential(_ number: String, at now: ContinuousClock.Instant = .now) -> Credential? {
    let digest = Self.digest(number)
    return sessions.withLock { sessions in
      guard let session = sessions[digest], session.endsAt > now else { return nil }
      return session.credential
    }
  }

  func end(_ number: String) {
    let digest = Self.digest(number)
    sessions.withLock { $0[digest] = nil }
  }

  private static func digest(_ number: String) -> [UInt8] {
    Array(SHA256.hash(data: Array(number.utf8)))
  }
}

/// The cookie that holds a session's number.
struct ConsoleCookie: Sendable {
  /// Over TLS the name's prefix has browsers take it from this host alone, and over TLS alone.
  let isSecure: Bool

  private var name: String { isSecure ? "__Host-rowcast" : "rowcast" }

  func number(in headers: HTTPFields) -> String? {
    for field in headers[values: .cookie] {
      for part in field.split(separator: ";") {
        let pair = part.split(separator: "=", maxSplits: 1)
        if pair.count == 2, pair[0].filter({ $0 != " " }) == name { return String(pair[1]) }
      }
    }
    return nil
  }

  func field(_ number: String) -> String {
    "\(name)=\(number); Path=/; HttpOnly; SameSite=Strict" + (isSecure ? "; Secure" : "")
  }

  var expired: String { field("") + "; Max-Age=0" }
}
