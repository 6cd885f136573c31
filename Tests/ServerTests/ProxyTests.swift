import Foundation
import Server
import TestSupport
import Testing

/// Addresses, ranges of them, and what fields of forwarding say.
struct NetworkAddressTests {
  @Test(arguments: [
    ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false),
    ("10.1.2.3/8", "10.9.9.9", true), ("10.0.0.0/8", "::ffff:10.0.0.1", true),
    ("10.0.0.1", "10.0.0.1", true), ("10.0.0.1", "10.0.0.2", false),
    ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "2001:db8::1", false),
    ("::/0", "2001:db8::1", true), ("::/0", "203.0.113.9", false),
    ("::ffff:10.0.0.0/104", "10.9.9.9", true), ("::ffff:10.0.0.1", "10.0.0.1", true),
    ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::1", false),
    ("2001:db8::1/128", "2001:0DB8:0:0::0001", true), ("::1", "127.0.0.1", false),
    ("192.0.2.128/25", "192.0.2.127", false), ("192.0.2.128/25", "192.0.2.128", true),
  ])
  func rangesCoverTheirAddresses(_ range: String, _ address: String, _ isInside: Bool) throws {
    let found = try #require(AddressRange(range)).contains(try #require(NetworkAddress(address)))
    #expect(found == isInside)
  }

  @Test(arguments: [
    "", "/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/", "10.0.0/8", "::/129",
    "10.0.0.0/8/8", "localhost", "10.0.0.1:80", "[::1]", "fe80::1%eth0", "10.0.0.0/8 ",
  ])
  func whatIsNoRangeIsRefused(_ text: String) { #expect(AddressRange(text) == nil) }

  @Test(arguments: [
    "192.0.2.1", "255.255.255.255", "2001:db8::1", "::1", "::",
  ])
  func addressesAreWrittenAsTheyAreRead(_ text: String) {
    #expect(NetworkAddress(text)?.description == text)
  }

  /// The proxies are 10.0.0.0/8 and 2001:db8::/32; the peer, two fields, and who is the client.
  @Test(arguments: [
    // Nobody else is believed.
    ("203.0.113.9", ["198.51.100.7"], [], "203.0.113.9"),
    ("10.0.0.1", [], [], "10.0.0.1"),
    ("10.0.0.1", ["198.51.100.7"], [], "198.51.100.7"),
    ("::ffff:10.0.0.1", ["198.51.100.7"], [], "198.51.100.7"),
    // What the client wrote itself stands first.
    ("10.0.0.1", ["1.2.3.4, 198.51.100.7"], [], "198.51.100.7"),
    ("10.0.0.1", ["1.2.3.4", "198.51.100.7 ,\t10.0.0.2"], [], "198.51.100.7"),
    ("10.0.0.1", ["10.0.0.3, 198.51.100.7, 10.0.0.2"], [], "198.51.100.7"),
    // All are proxies: the farthest.
    ("10.0.0.1", ["10.0.0.3,10.0.0.2"], [], "10.0.0.3"),
    // What cannot be read ends what is believed.
    ("10.0.0.1", ["198.51.100.7, nonsense, 10.0.0.2"], [], "10.0.0.2"),
    ("10.0.0.1", ["nonsense"], [], "10.0.0.1"), ("10.0.0.1", [""], [], "10.0.0.1"),
    ("10.0.0.1", ["198.51.100.7:4711"], [], "198.51.100.7"),
    ("10.0.0.1", ["[2001:db9::1]:4711"], [], "2001:db9::1"),
    ("2001:db8::5", ["2001:db9::1"], [], "2001:db9::1"),
    ("10.0.0.1", ["198.51.100.7:x"], [], "10.0.0.1"),
    ("10.0.0.1", [], ["for=198.51.100.7"], "198.51.100.7"),
    ("10.0.0.1", [], [#"For="[2001:db9::1]:80";proto=https;by=10.0.0.1"#], "2001:db9::1"),
    (
      "10.0.0.1", [], [#"for=1.2.3.4, proto=http;for="198.51.100.7:80", for=10.0.0.9"#],
      "198.51.100.7"
    ),
    ("10.0.0.1", [], ["for=unknown"], "10.0.0.1"),
    ("10.0.0.1", [], ["for=_x, for=10.0.0.9"], "10.0.0.9"),
    ("10.0.0.1", [], ["proto=https"], "10.0.0.1"),
    // A proxy writes one of the two; the other came from whoever asked.
    ("10.0.0.1", ["198.51.100.7"], ["for=1.2.3.4"], "10.0.0.1"),
    ("10.0.0.1", ["198.51.100.7"], ["for=198.51.100.7"], "198.51.100.7"),
  ])
  func theClientIsTheLastWhomAProxyHeard(
    _ peer: String, _ forwardedFor: [String], _ forwarded: [String], _ client: String
  ) throws {
    let ranges = try ["10.0.0.0/8", "2001:db8::/32"].map { try #require(AddressRange($0)) }
    let found = TrustedProxies(ranges).client(
      peer: try #require(NetworkAddress(peer)), forwardedFor: forwardedFor, forwarded: forwarded)
    #expect(found == NetworkAddress(client), "\(found)")
    let without = TrustedProxies([]).client(
      peer: try #require(NetworkAddress(peer)), forwardedFor: forwardedFor, forwarded: forwarded)
    #expect(without == NetworkAddress(peer))
  }
}

/// Whom a request comes from, where proxies stand between.
@Suite(.database) struct ProxyTests {
  @Test func addressesAreLimitedBehindATrustedProxyOnly() async throws {
    for isTrusted in [true, false] {
      try await ServerScene.run({
        $0.needsKeys = false
        $0.addressRequestsPerSecond = 0.001
        $0.trustedProxies = isTrusted ? [AddressRange("127.0.0.0/8")].compactMap { $0 } : []
      }) { scene in
        func status(_ client: String) async throws -> Int {
          try await scene.get("/v2", headers: ["X-Forwarded-For": client]).status
        }
        #expect(try await status("198.51.100.7") == 200)
        #expect(try await status("198.51.100.7") == 429)
        #expect(try await status("198.51.100.8") == (isTrusted ? 200 : 429))
        #expect(try await status("2001:db8:1:2::1") == (isTrusted ? 200 : 429))
        // An address of the same network of IPv6 is the same asker.
        #expect(try await status("2001:db8:1:2:ffff::9") == 429)
        #expect(try await status("2001:db8:1:3::1") == (isTrusted ? 200 : 429))
        // TLS that a proxy took off is told on to browsers.
        let answer = try await scene.get(
          "/v2/health/live", headers: ["X-Forwarded-Proto": "https"])
        #expect((answer.headers["strict-transport-security"] != nil) == isTrusted)
      }
    }
  }
}
