internal import CLibPQ

/// Where a server is and who asks, in libpq's own keywords.
///
/// What is not given here comes from the environment (`PGHOST`, `PGUSER`, ...), the service file
/// and the password file, as libpq reads them at each connection.
public struct ConnectionSettings: Sendable, Hashable {
  private var values: [String: String] = [:]

  /// - Parameter conninfo: A URI (`postgresql://user@host/db`) or keywords (`host=/tmp dbname=a`).
  /// - Throws: SQLSTATE 22023 when libpq cannot read it. The error does not repeat the string.
  public init(_ conninfo: String = "") throws(PostgresError) {
    var message: UnsafeMutablePointer<CChar>?
    guard let options = PQconninfoParse(conninfo, &message) else {
      let reason = message.map { String(cString: $0) } ?? "out of memory"
      PQfreemem(message)
      throw PostgresError(
        sqlState: "22023", message: "connection string cannot be read",
        detail: Self.withoutValues(reason.trimmed),
        hint: "Use a URI, as postgresql://user@host/database, or keywords, as host=db user=me.")
    }
    defer { PQconninfoFree(options) }
    var option = options
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val {
        values[String(cString: keyword)] = String(cString: value)
      }
      option += 1
    }
  }

  /// What libpq says of a string, without what it quotes of it, which may be half a password: only the name of a
  /// keyword that it does not know is kept.
  private static func withoutValues(_ reason: String) -> String {
    let parts = reason.split(separator: "\"", omittingEmptySubsequences: false)
    guard !reason.hasPrefix("invalid connection option"), parts.count > 2 else { return reason }
    return parts.enumerated().map { $0.offset % 2 == 0 ? $0.element : "…" }.joined(separator: "\"")
  }

  /// A copy in which the keyword has the value; libpq refuses unknown keywords when it connects.
  public func setting(_ keyword: String, to value: String) -> Self {
    var copy = self
    copy.values[keyword] = value
    return copy
  }

  public subscript(keyword: String) -> String? { values[keyword] }

  /// Found out within five seconds when a peer vanishes: TCP keepalives and a bound on
  /// unacknowledged data. Sent again and again at doubling intervals, data would go through as long
  /// after a cut as that had lasted; a new session is sooner. Local sockets ignore them.
  private static let defaults = [
    "fallback_application_name": "rowcast",
    "client_encoding": "UTF8",
    "keepalives": "1",
    "keepalives_idle": "3",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
  ]

  /// Everything that is handed to libpq.
  var keywords: [(String, String)] {
    values.merging(Self.defaults) { given, _ in given }.sorted { $0.key < $1.key }
  }
}

extension ConnectionSettings: CustomStringConvertible {
  private static let secrets: Set = ["password", "sslpassword", "passfile"]

  /// Keywords and values as libpq reads them, with passwords hidden.
  public var description: String {
    values.sorted { $0.key < $1.key }.map { keyword, value in
      let shown = Self.secrets.contains(keyword) ? "********" : value
      let plain = shown.allSatisfy { $0.isLetter || $0.isNumber || "/._-:*".contains($0) }
      if plain && !shown.isEmpty { return "\(keyword)=\(shown)" }
      let escaped = shown.reduce(into: "") { text, character in
        if character == "'" || character == "\\" { text.append("\\") }
        text.append(character)
      }
      return "\(keyword)='\(escaped)'"
    }.joined(separator: " ")
  }
}

extension ConnectionSettings: CustomDebugStringConvertible, CustomReflectable {
  public var debugDescription: String { description }

  /// `dump` and the debugger show what `description` shows.
  public var customMirror: Mirror { Mirror(self, children: ["settings": description]) }
}

extension String {
  /// Without the white space at both ends that libpq's messages carry.
  var trimmed: String {
    var slice = Substring(self)
    while let last = slice.last, last.isWhitespace { slice.removeLast() }
    while let first = slice.first, first.isWhitespace { slice.removeFirst() }
    return String(slice)
  }
}
