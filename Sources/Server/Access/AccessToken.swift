internal import FoundationEssentials

/// A JSON Web Token as it was presented: three parts, of which nothing is believed yet.
struct AccessToken {
  struct Header: Decodable {
    var alg: String
    var kid: String
    var typ: String?
    /// Extensions that must be understood; none is.
    var crit: [String]?
  }

  let header: Header
  /// What the signature is over.
  let signed: Data
  let signature: Data
  private let payload: Data

  /// Bytes of a token that is looked at.
  private static let longest = 8192

  /// nil where it is no token, or one of another kind.
  init?(_ text: String) {
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard text.utf8.count <= Self.longest, parts.count == 3,
      let head = Self.decoded(parts[0]), let payload = Self.decoded(parts[1]),
      let signature = Self.decoded(parts[2]),
      let header = try? JSONDecoder().decode(Header.self, from: head),
      header.crit == nil
    else { return nil }
    let types = ["jwt", "at+jwt", "application/at+jwt"]
    if let typ = header.typ, !types.contains(typ.lowercased()) { return nil }
    self.header = header
    self.payload = payload
    self.signature = signature
    signed = Data(text.utf8.prefix(parts[0].count + 1 + parts[1].count))
  }

  /// What the token says, once its signature is known to be right.
  struct Claims: Sendable, Decodable {
    var issuer: String
    var audiences: [String]
    /// Seconds since 1970.
    var expiresAt: Double
    var notBefore: Double?
    var subject: String?
    var role: String

    private struct Key: CodingKey {
      var stringValue: String
      var intValue: Int? { nil }
      init(_ name: String) { stringValue = name }
      init?(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    static let roleClaim = CodingUserInfoKey(rawValue: "role claim")!

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: Key.self)
      issuer = try members.decode(String.self, forKey: Key("iss"))
      if let one = try? members.decode(String.self, forKey: Key("aud")) {
        audiences = [one]
      } else {
        audiences = try members.decode([String].self, forKey: Key("aud"))
      }
      expiresAt = try members.decode(Double.self, forKey: Key("exp"))
      notBefore = try members.decodeIfPresent(Double.self, forKey: Key("nbf"))
      subject = try members.decodeIfPresent(String.self, forKey: Key("sub"))
      let claim = decoder.userInfo[Self.roleClaim] as? String ?? "role"
      role = try members.decode(String.self, forKey: Key(claim))
    }
  }

  /// nil where a claim is missing, or not of its type.
  func claims(role: String) -> Claims? {
    let decoder = JSONDecoder()
    decoder.userInfo[Claims.roleClaim] = role
    return try? decoder.decode(Claims.self, from: payload)
  }

  /// The base64 of URLs, without padding.
  private static func decoded(_ text: Substring.UTF8View) -> Data? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count + 3)
    for byte in text {
      switch byte {
      case UInt8(ascii: "-"): bytes.append(UInt8(ascii: "+"))
      case UInt8(ascii: "_"): bytes.append(UInt8(ascii: "/"))
      case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): return nil
      default: bytes.append(byte)
      }
    }
    while bytes.count % 4 != 0 { bytes.append(UInt8(ascii: "=")) }
    return Data(base64Encoded: Data(bytes))
  }
}
