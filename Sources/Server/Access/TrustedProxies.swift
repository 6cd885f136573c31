internal import HTTPTypes
internal import NIOCore

/// Who asks, where proxies stand between: what they say is believed of those that are trusted, and of nobody else.
package struct TrustedProxies: Sendable {
  private let ranges: [AddressRange]

  package init(_ ranges: [AddressRange]) { self.ranges = ranges }

  private func trust(_ address: NetworkAddress) -> Bool {
    ranges.contains { $0.contains(address) }
  }

  /// The address of the client.
  ///
  /// Each proxy appends whom it heard, so the way is read from its end: the last hop that is not trusted is the
  /// client, and what stands before it anybody may have written. Where `X-Forwarded-For` and `Forwarded` are
  /// both there and name different clients, one was not written by the proxy: then the proxy itself counts.
  func client(_ peer: SocketAddress?, _ headers: some HeaderFields) -> NetworkAddress? {
    guard let peer = NetworkAddress(peer) else { return nil }
    return client(
      peer: peer, forwardedFor: headers[values: .forwardedFor],
      forwarded: headers[values: .forwarded])
  }

  package func client(
    peer: NetworkAddress, forwardedFor: [String], forwarded: [String]
  ) -> NetworkAddress {
    guard !ranges.isEmpty, trust(peer) else { return peer }
    let ways = [
      forwardedFor.flatMap(Self.elements).map(Self.address),
      forwarded.flatMap(Self.elements).map { Self.parameter("for", of: $0).flatMap(Self.address) },
    ].filter { !$0.isEmpty }
    let clients = ways.map { way in
      var client = peer
      for hop in way.reversed() {
        guard let hop else { break }
        client = hop
        guard trust(hop) else { break }
      }
      return client
    }
    guard let first = clients.first, clients.allSatisfy({ $0 == first }) else { return peer }
    return first
  }

  /// Whether a trusted proxy heard the request over TLS.
  func isSecure(_ peer: SocketAddress?, _ headers: some HeaderFields) -> Bool {
    guard !ranges.isEmpty, let peer = NetworkAddress(peer), trust(peer) else { return false }
    let last =
      headers[values: .forwardedProto].flatMap(Self.elements).last
      ?? headers[values: .forwarded].flatMap(Self.elements).last
      .flatMap { Self.parameter("proto", of: $0) }
    return last?.lowercased() == "https"
  }

  // MARK: Fields

  /// What commas separate, outside of quotes.
  private static func elements(_ field: String) -> [String] { split(field, at: ",") }

  private static func split(_ text: String, at separator: Character) -> [String] {
    var parts = [""]
    var isQuoted = false
    for character in text {
      if character == "\"" { isQuoted.toggle() }
      if character == separator, !isQuoted {
        parts.append("")
      } else {
        parts[parts.count - 1].append(character)
      }
    }
    return parts.map { trimmed($0) }
  }

  private static func trimmed(_ text: some StringProtocol) -> String {
    let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
    let start = text.drop(while: isSpace)
    return String(start.prefix(start.count - start.reversed().prefix(while: isSpace).count))
  }

  /// A value of an element of `Forwarded`, its quotes off.
  private static func parameter(_ name: String, of element: String) -> String? {
    for pair in split(element, at: ";") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0].lowercased() == name else { continue }
      let value = parts[1]
      guard value.hasPrefix("\"") else { return String(value) }
      return value.count > 1 && value.hasSuffix("\"") ? String(value.dropFirst().dropLast()) : nil
    }
    return nil
  }

  /// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
  private static func address(_ text: String) -> NetworkAddress? {
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]"), isPort(text[text.index(after: end)...]) else {
        return nil
      }
      return NetworkAddress(text[text.index(after: text.startIndex)..<end])
    }
    if let address = NetworkAddress(text) { return address }
    guard let colon = text.firstIndex(of: ":"), isPort(text[colon...]) else { return nil }
    return NetworkAddress(text[..<colon])
  }

  private static func isPort(_ text: Substring) -> Bool {
    text.isEmpty || text.first == ":" && UInt16(text.dropFirst()) != nil
  }
}

extension HTTPField.Name {
  static let forwarded = HTTPField.Name("Forwarded")!
  static let forwardedFor = HTTPField.Name("X-Forwarded-For")!
  static let forwardedProto = HTTPField.Name("X-Forwarded-Proto")!
}
