internal import Glibc
internal import NIOCore

/// An address of IPv4 or IPv6; one of IPv4 that is written as IPv6 (`::ffff:192.0.2.1`) is the same.
package struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
  /// As IPv6, most significant bit first.
  let bits: UInt128

  private static let mapped: UInt128 = 0xFFFF << 32

  init(bits: UInt128) { self.bits = bits }

  /// - Parameter text: Digits alone: no name, no port, no brackets, no zone.
  package init?(_ text: some StringProtocol) {
    let text = String(text)
    var four = in_addr()
    var six = in6_addr()
    if inet_pton(AF_INET, text, &four) == 1 {
      bits = Self.mapped | UInt128(UInt32(bigEndian: four.s_addr))
    } else if inet_pton(AF_INET6, text, &six) == 1 {
      bits = Self.bits(six)
    } else {
      return nil
    }
  }

  /// nil for what is no internet address.
  init?(_ socket: SocketAddress?) {
    guard let text = socket?.ipAddress else { return nil }
    self.init(text)
  }

  private static func bits(_ address: in6_addr) -> UInt128 {
    withUnsafeBytes(of: address) { bytes in bytes.reduce(0) { $0 << 8 | UInt128($1) } }
  }

  var isIPv4: Bool { bits >> 32 == Self.mapped >> 32 }

  /// What counts as one asker: an address of IPv4, or the 64 bits of IPv6 that are given to one network.
  var asker: NetworkAddress { isIPv4 ? self : NetworkAddress(bits: (bits >> 64) << 64) }

  package var description: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    if isIPv4 {
      var four = in_addr(s_addr: UInt32(truncatingIfNeeded: bits).bigEndian)
      inet_ntop(AF_INET, &four, &text, socklen_t(text.count))
    } else {
      var six = bits.bigEndian
      inet_ntop(AF_INET6, &six, &text, socklen_t(text.count))
    }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// Addresses that begin alike: `10.0.0.0/8`, `2001:db8::/32`, or a single one.
public struct AddressRange: Sendable, Equatable {
  private let first: NetworkAddress
  /// Of 128.
  private let length: Int

  /// - Parameter text: An address, with the bits that count behind a slash or not.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = NetworkAddress(parts[0]) else { return nil }
    let isDotted = !parts[0].contains(":")
    var length = 128
    if parts.count == 2 {
      let digits = parts[1].utf8
      guard digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
        let count = Int(parts[1]), count <= (isDotted ? 32 : 128)
      else { return nil }
      length = isDotted ? 96 + count : count
    }
    self.length = length
    first = NetworkAddress(bits: length == 0 ? 0 : address.bits & (.max << (128 - length)))
  }

  /// A range of IPv6 that covers the place of IPv4's addresses means none of them.
  package func contains(_ address: NetworkAddress) -> Bool {
    guard address.isIPv4 == (length >= 96 && first.isIPv4) else { return false }
    return length == 0 || (address.bits ^ first.bits) >> (128 - length) == 0
  }
}
