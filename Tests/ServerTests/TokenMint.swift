import Crypto
import CryptoExtras
import Foundation
import Glibc
import Server

/// An issuer of tokens: its keys, the file that publishes them, and tokens of all kinds, right and wrong.
struct TokenMint: Sendable {
  static let issuer = "https://id.test/tenant"
  static let audience = "rowcast-test"

  let rsa: _RSA.Signing.PrivateKey
  let curve = P256.Signing.PrivateKey()
  let path: String

  /// - Parameter path: Where the keys are published, by `publish`.
  init(at path: String) throws {
    rsa = try _RSA.Signing.PrivateKey(keySize: .bits2048)
    self.path = path
    try publish()
  }

  /// An issuer for the body, whose file is gone afterwards.
  static func using(_ body: (TokenMint) async throws -> Void) async throws {
    let mint = try TokenMint(at: "/tmp/rowcast-test-\(getpid())-\(UUID()).json")
    defer { try? FileManager.default.removeItem(atPath: mint.path) }
    try await body(mint)
  }

  var configuration: HTTPConfiguration.Tokens {
    .init(jwksPath: path, issuer: Self.issuer, audience: Self.audience)
  }

  // MARK: Keys

  func publish() throws { try publish([rsaEntry("rsa"), curveEntry("curve")]) }

  func publish(_ keys: [[String: Any]]) throws {
    try JSONSerialization.data(withJSONObject: ["keys": keys])
      .write(to: URL(filePath: path), options: .atomic)
  }

  func rsaEntry(_ kid: String) throws -> [String: Any] {
    let numbers = try rsa.publicKey.getKeyPrimitives()
    return [
      "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": Self.text(numbers.modulus),
      "e": Self.text(numbers.publicExponent),
    ]
  }

  func curveEntry(_ kid: String) -> [String: Any] {
    let point = curve.publicKey.rawRepresentation
    return [
      "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
      "x": Self.text(point.prefix(32)), "y": Self.text(point.suffix(32)),
    ]
  }

  // MARK: Tokens

  /// Claims that are right for a role; nil takes one away.
  static func claims(_ role: Any?, _ changes: [String: Any?] = [:]) -> [String: Any] {
    var claims: [String: Any] = [
      "iss": issuer, "aud": audience, "sub": "ann", "exp": Int(Date().timeIntervalSince1970) + 300,
    ]
    claims["role"] = role
    for (name, value) in changes { claims[name] = value }
    return claims
  }

  typealias Signature = (Data) throws -> Data

  /// A token as it is told, whether that makes sense or not.
  static func token(
    _ header: [String: Any], _ claims: [String: Any], _ sign: Signature
  ) throws -> String {
    let head = try JSONSerialization.data(withJSONObject: header)
    let payload = try JSONSerialization.data(withJSONObject: claims)
    let signed = "\(text(head)).\(text(payload))"
    return "\(signed).\(text(try sign(Data(signed.utf8))))"
  }

  func byRSA(_ claims: [String: Any], header: [String: Any] = [:]) throws -> String {
    try Self.token(
      ["alg": "RS256", "kid": "rsa", "typ": "JWT"].merging(header) { $1 }, claims, signRSA)
  }

  func byCurve(_ claims: [String: Any], header: [String: Any] = [:]) throws -> String {
    try Self.token(
      ["alg": "ES256", "kid": "curve", "typ": "JWT"].merging(header) { $1 }, claims, signCurve)
  }

  func signRSA(_ data: Data) throws -> Data {
    try rsa.signature(for: SHA256.hash(data: data), padding: .insecurePKCS1v1_5).rawRepresentation
  }

  func signCurve(_ data: Data) throws -> Data {
    try curve.signature(for: data).rawRepresentation
  }

  /// Tokens with right claims, or nearly, that nobody may believe, each with what is wrong with it.
  func refused(for role: String) throws -> [String: String] {
    let right = Self.claims(role)
    let now = Int(Date().timeIntervalSince1970)
    let none: Signature = { _ in Data() }
    func hash(_ secret: Data) -> Signature {
      { Data(HMAC<SHA256>.authenticationCode(for: $0, using: SymmetricKey(data: secret))) }
    }
    let stranger = try _RSA.Signing.PrivateKey(keySize: .bits2048)
    let byStranger: Signature = { data in
      try stranger.signature(for: SHA256.hash(data: data), padding: .insecurePKCS1v1_5)
        .rawRepresentation
    }
    let numbers = try stranger.publicKey.getKeyPrimitives()
    let embedded: [String: Any] = [
      "kty": "RSA", "n": Self.text(numbers.modulus), "e": Self.text(numbers.publicExponent),
    ]
    let good = try byRSA(right)
    let parts = good.split(separator: ".").map(String.init)
    var tokens = [
      "expired": try byRSA(Self.claims(role, ["exp": now - 120])),
      "never expires": try byRSA(Self.claims(role, ["exp": nil])),
      "expires as text": try byRSA(Self.claims(role, ["exp": "\(now + 300)"])),
      "not valid yet": try byCurve(Self.claims(role, ["nbf": now + 120])),
      "valid from when it says nothing of": try byCurve(Self.claims(role, ["nbf": "now"])),
      "another's issuer": try byRSA(Self.claims(role, ["iss": Self.issuer + "/"])),
      "no issuer": try byRSA(Self.claims(role, ["iss": nil])),
      "for another": try byRSA(Self.claims(role, ["aud": "rowcast"])),
      "for others": try byRSA(Self.claims(role, ["aud": ["a", "b"]])),
      "for nobody": try byRSA(Self.claims(role, ["aud": nil])),
      "no role": try byRSA(Self.claims(nil)),
      "roles": try byRSA(Self.claims([role])),
      "none": try Self.token(["alg": "none", "kid": "rsa"], right, none),
      "None": try Self.token(["alg": "None", "kid": "rsa"], right, none),
      "none, and no key": try Self.token(["alg": "none"], right, none),
      "none, signed": try Self.token(["alg": "none", "kid": "rsa"], right, signRSA),
      "RS256 without a signature": try Self.token(["alg": "RS256", "kid": "rsa"], right, none),
      "RSA key as secret, PEM": try Self.token(
        ["alg": "HS256", "kid": "rsa"], right, hash(Data(rsa.publicKey.pemRepresentation.utf8))),
      "RSA key as secret, DER": try Self.token(
        ["alg": "HS256", "kid": "rsa"], right, hash(rsa.publicKey.derRepresentation)),
      "RSA key as secret, modulus": try Self.token(
        ["alg": "HS256", "kid": "rsa"], right, hash(try rsa.publicKey.getKeyPrimitives().modulus)),
      "another algorithm of the key": try Self.token(["alg": "RS512", "kid": "rsa"], right) {
        try rsa.signature(for: SHA512.hash(data: $0), padding: .insecurePKCS1v1_5).rawRepresentation
      },
      "another padding": try Self.token(["alg": "PS256", "kid": "rsa"], right) {
        try rsa.signature(for: SHA256.hash(data: $0), padding: .PSS).rawRepresentation
      },
      "a key of the other kind": try byRSA(right, header: ["kid": "curve"]),
      "an algorithm of the other kind": try byRSA(right, header: ["alg": "ES256"]),
      "another's key of the name": try Self.token(
        ["alg": "RS256", "kid": "rsa"], right, byStranger),
      "a key that it brings": try Self.token(
        ["alg": "RS256", "kid": "rsa", "jwk": embedded], right, byStranger),
      "a key that is not there": try byRSA(right, header: ["kid": "other"]),
      "an extension": try byRSA(right, header: ["crit": ["exp"]]),
      "another type": try byRSA(right, header: ["typ": "logout+jwt"]),
      "other claims": "\(parts[0]).\(Self.text(Data("{}".utf8))).\(parts[2])",
      "padding": good + "=", "four parts": good + ".", "two parts": "\(parts[0]).\(parts[1])",
      "a point of zeroes": try Self.token(["alg": "ES256", "kid": "curve"], right) { _ in
        Data(count: 64)
      },
      "empty": "..", "no JSON": "eyJ.eyJ.eyJ",
    ]
    tokens["no key's name"] = try Self.token(["alg": "RS256"], right, signRSA)
    return tokens
  }

  static func text(_ data: Data) -> String {
    data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
      .replacing("=", with: "")
  }
}
