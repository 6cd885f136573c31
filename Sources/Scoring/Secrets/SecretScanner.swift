/// Finds secrets in UTF-8 by their form.
struct SecretScanner {
  private let bytes: UnsafeBufferPointer<UInt8>

  init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  /// Where the secrets are, ascending and apart.
  func secrets() -> [Range<Int>] {
    var found: [Range<Int>] = []
    var index = 0
    while index < bytes.count {
      guard let secret = secret(at: index) else {
        index += 1
        continue
      }
      if !secret.isEmpty, !isMarked(secret) { found.append(secret) }
      index = max(secret.upperBound, index + 1)
    }
    return found
  }

  /// A secret that the byte is a sign of.
  private func secret(at index: Int) -> Range<Int>? {
    switch bytes[index] {
    case UInt8(ascii: "="): assignment(at: index)
    case UInt8(ascii: ":"): userInfo(at: index) ?? assignment(at: index)
    case UInt8(ascii: "-"): block(at: index)
    case UInt8(ascii: "0")...UInt8(ascii: "9"): CardNumber.range(in: bytes, at: index)
    case UInt8(ascii: "b"), UInt8(ascii: "B"): credentials(at: index)
    case UInt8(ascii: "e"): webToken(at: index)
    case UInt8(ascii: "r"): ownKey(at: index) ?? knownToken(at: index)
    case UInt8(ascii: "A"), UInt8(ascii: "g"), UInt8(ascii: "h"), UInt8(ascii: "s"),
      UInt8(ascii: "x"):
      knownToken(at: index)
    default: nil
    }
  }

  /// Whether somebody took it out before.
  private func isMarked(_ range: Range<Int>) -> Bool {
    // A value without quotes ends at the closing bracket, which the mark has.
    (range.count == 9 || range.count == 10 && bytes[range.upperBound - 1] == UInt8(ascii: "]"))
      && has("[redacted", at: range.lowerBound)
  }

  // MARK: Bytes

  private func has(_ word: StaticString, at index: Int) -> Bool {
    guard index >= 0, index + word.utf8CodeUnitCount <= bytes.count else { return false }
    return word.withUTF8Buffer { word in
      word.indices.allSatisfy { bytes[index + $0] == word[$0] }
    }
  }

  private func hasAnyCase(_ word: StaticString, at index: Int) -> Bool {
    guard index + word.utf8CodeUnitCount <= bytes.count else { return false }
    return word.withUTF8Buffer { word in
      word.indices.allSatisfy { bytes[index + $0].lowercased == word[$0] }
    }
  }

  /// Whether a word may begin here.
  private func isStart(_ index: Int) -> Bool {
    index == 0 || !bytes[index - 1].isOfWord
  }

  /// The end of the bytes from there on that are of the kind.
  private func end(from start: Int, where isOf: (UInt8) -> Bool) -> Int {
    var index = start
    while index < bytes.count, isOf(bytes[index]) { index += 1 }
    return index
  }

  // MARK: Tokens

  /// `rck_<id>_<secret>`: the id may be told, and says which key it was.
  private func ownKey(at index: Int) -> Range<Int>? {
    guard isStart(index), has("rck_", at: index) else { return nil }
    let id = end(from: index + 4) { $0.isAlphanumeric }
    guard id > index + 4, id < bytes.count, bytes[id] == UInt8(ascii: "_") else { return nil }
    let secret = id + 1..<end(from: id + 1) { $0.isOfWord || $0 == UInt8(ascii: "-") }
    return secret.isEmpty ? nil : secret
  }

  /// A JSON Web Token, or the beginning of one: base64 of an object, and what dots join to it.
  private func webToken(at index: Int) -> Range<Int>? {
    guard isStart(index), has("eyJ", at: index) else { return nil }
    let end = end(from: index) { $0.isOfURLBase64 || $0 == UInt8(ascii: ".") }
    return end - index >= 20 ? index..<end : nil
  }

  private struct Known {
    var prefix: StaticString
    /// Bytes behind it at least.
    var least: Int
  }

  /// AWS, GitHub, GitLab, Slack, Stripe, Google, Hugging Face and others of the form.
  private static let known: [Known] = [
    Known(prefix: "AKIA", least: 16), Known(prefix: "ASIA", least: 16),
    Known(prefix: "AIza", least: 30), Known(prefix: "ghp_", least: 20),
    Known(prefix: "gho_", least: 20), Known(prefix: "ghu_", least: 20),
    Known(prefix: "ghs_", least: 20), Known(prefix: "ghr_", least: 20),
    Known(prefix: "github_pat_", least: 20), Known(prefix: "glpat-", least: 16),
    Known(prefix: "hf_", least: 20), Known(prefix: "sk_live_", least: 10),
    Known(prefix: "sk_test_", least: 10), Known(prefix: "rk_live_", least: 10),
    Known(prefix: "sk-", least: 32), Known(prefix: "xoxb-", least: 10),
    Known(prefix: "xoxp-", least: 10), Known(prefix: "xoxa-", least: 10),
    Known(prefix: "xoxs-", least: 10),
  ]

  private func knownToken(at index: Int) -> Range<Int>? {
    guard isStart(index) else { return nil }
    for known in Self.known where has(known.prefix, at: index) {
      let start = index + known.prefix.utf8CodeUnitCount
      let end = end(from: start) { $0.isOfURLBase64 }
      if end - start >= known.least { return index..<end }
    }
    return nil
  }

  /// What stands behind `Bearer` or `Basic`, where it is no word of a sentence.
  private func credentials(at index: Int) -> Range<Int>? {
    guard isStart(index) else { return nil }
    let scheme: Int
    if hasAnyCase("bearer", at: index) {
      scheme = index + 6
    } else if hasAnyCase("basic", at: index) {
      scheme = index + 5
    } else {
      return nil
    }
    let start = end(from: scheme) { $0 == UInt8(ascii: " ") }
    guard start > scheme else { return nil }
    let value = start..<end(from: start) { $0.isOfURLBase64 || $0.isOneOf("+/~=.") }
    guard value.count >= (isWord(value) ? 16 : 8) else { return nil }
    // The id of a key of ours may be told.
    let isMarkedKey = has("rck_", at: start) && has("[redacted]", at: value.upperBound)
    return isMarkedKey ? nil : ownKey(at: start) ?? value
  }

  /// Whether it may be one of a sentence: no digits, and capitals at its beginning or everywhere.
  private func isWord(_ range: Range<Int>) -> Bool {
    let hasSmall = range.contains { bytes[$0] >= UInt8(ascii: "a") }
    return range.allSatisfy { index in
      let byte = bytes[index]
      let isCapital = byte != byte.lowercased
      return !byte.isDigit && (!isCapital || !hasSmall || index == range.lowerBound)
    }
  }

  // MARK: Blocks and URIs

  /// From `-----BEGIN` to the end of `-----END …-----`, or of the text.
  private func block(at index: Int) -> Range<Int>? {
    guard has("-----BEGIN ", at: index) else { return nil }
    var last = index + 11
    while last < bytes.count, !has("-----END ", at: last) { last += 1 }
    guard last < bytes.count else { return index..<bytes.count }
    last += 9
    while last < bytes.count, !has("-----", at: last) { last += 1 }
    return index..<min(last + 5, bytes.count)
  }

  /// The password of `scheme://user:password@host`, also as JSON may write slashes.
  private func userInfo(at index: Int) -> Range<Int>? {
    let isEscaped = has(#":\/\/"#, at: index)
    guard isEscaped || has("://", at: index) else { return nil }
    let start = index + (isEscaped ? 5 : 3)
    let end = end(from: start) { $0 > 0x20 && !$0.isOneOf("/?#\"'<>") }
    // A password that holds an @ itself is not told in part.
    guard let at = bytes[start..<end].lastIndex(of: UInt8(ascii: "@")),
      let colon = bytes[start..<at].firstIndex(of: UInt8(ascii: ":")), colon + 1 < at
    else { return nil }
    return colon + 1..<at
  }

  // MARK: Named values

  /// The value of `password=…`, `"secret": "…"`, `Authorization: …` and the like, the sign between them at
  /// the index.
  private func assignment(at index: Int) -> Range<Int>? {
    var before = index
    var isQuoted = false
    while before > 0, index - before < 4, bytes[before - 1].isOneOf(" \"'\\") {
      before -= 1
      if bytes[before] != 0x20 { isQuoted = true }
    }
    guard let name = SecretName(endOf: bytes, at: before) else { return nil }
    let start = end(from: index + 1) { $0.isOneOf(" \t") }
    // A type behind two colons.
    guard start < bytes.count, bytes[start] != UInt8(ascii: ":") else { return nil }
    if let quoted = quoted(at: start) { return quoted }
    let value =
      start..<end(from: start) { byte in
        name.isField ? !byte.isOneOf("\r\n") : byte > 0x20 && !byte.isOneOf("&;,)}]\"'<>")
      }
    if isLiteral(value) { return nil }
    // A word that others use for other things.
    let isPlain = bytes[index] == UInt8(ascii: ":") && !isQuoted
    if name.isVague, value.count < (isPlain ? 16 : 8) { return nil }
    return value
  }

  /// Whether a value is one of JSON's that is no text and no number.
  private func isLiteral(_ value: Range<Int>) -> Bool {
    let literals: [StaticString] = ["null", "true", "false"]
    return literals.contains {
      value.count == $0.utf8CodeUnitCount && has($0, at: value.lowerBound)
    }
  }

  /// What stands between quotes, which may be escaped themselves; to the end where they are not closed.
  private func quoted(at start: Int) -> Range<Int>? {
    let quote = end(from: start) { $0 == UInt8(ascii: "\\") }
    guard quote < bytes.count, bytes[quote].isOneOf("\"'") else { return nil }
    let depth = quote - start
    var slashes = 0
    for index in quote + 1..<bytes.count {
      if bytes[index] == UInt8(ascii: "\\") {
        slashes += 1
      } else {
        if bytes[index] == bytes[quote], slashes <= depth { return quote + 1..<index - slashes }
        slashes = 0
      }
    }
    return quote + 1..<bytes.count
  }
}

/// A name whose value is a secret.
struct SecretName {
  /// Of a header, whose value goes to the end of the line.
  let isField: Bool
  /// A word for other things too.
  let isVague: Bool

  private static let fields: [StaticString] = ["authorization", "cookie", "x-api-key"]
  private static let names: [StaticString] = [
    "password", "passwd", "pwd", "passphrase", "secret", "secret_key", "private_key", "access_key",
    "api_key", "api-key", "apikey", "access_token", "refresh_token", "id_token", "auth_token",
  ]
  private static let vague: [StaticString] = ["token"]

  /// - Parameter end: Behind the name's last byte; `db_password` ends in a name, `passwords` does not.
  init?(endOf bytes: UnsafeBufferPointer<UInt8>, at end: Int) {
    guard end > 0, Self.lastBytes.contains(bytes[end - 1].lowercased) else { return nil }
    func ends(_ name: StaticString) -> Bool {
      let start = end - name.utf8CodeUnitCount
      guard start >= 0 else { return false }
      return name.withUTF8Buffer { name in
        name.indices.allSatisfy { bytes[start + $0].lowercased == name[$0] }
      }
    }
    isField = Self.fields.contains(where: ends)
    isVague = !isField && !Self.names.contains(where: ends)
    if isVague, !Self.vague.contains(where: ends) { return nil }
  }

  /// Of all those names.
  private static let lastBytes: [UInt8] = Array("ndety".utf8)
}

extension UInt8 {
  var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

  var lowercased: UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self
  }

  var isAlphanumeric: Bool {
    isDigit || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(lowercased)
  }

  var isOfWord: Bool { isAlphanumeric || self == UInt8(ascii: "_") }

  /// Of base64 as URLs have it.
  var isOfURLBase64: Bool { isOfWord || self == UInt8(ascii: "-") }

  /// Whether it is a character of the text, which is ASCII.
  fileprivate func isOneOf(_ text: StaticString) -> Bool {
    text.withUTF8Buffer { $0.contains(self) }
  }
}
