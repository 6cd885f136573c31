internal import FoundationEssentials
internal import JWTKit

/// The public keys with which a token may have been signed, by name and algorithm.
///
/// A token says which key and which algorithm it was signed with. It is believed only where the key is of that
/// algorithm: the file says what a key is for, so no token can have an RSA key taken for a shared secret, and
/// `none` is no algorithm here.
struct TokenKeys: Sendable {
  enum Algorithm: String, Sendable {
    case rs256 = "RS256"
    case es256 = "ES256"
  }

  private struct Name: Hashable {
    var kid: String
    var algorithm: Algorithm
  }

  private var keys: [Name: any JWTAlgorithm] = [:]

  /// Whether the token was signed with one of these keys.
  func signed(_ token: AccessToken) -> Bool {
    guard let algorithm = Algorithm(rawValue: token.header.alg),
      let key = keys[Name(kid: token.header.kid, algorithm: algorithm)]
    else { return false }
    return (try? key.verify(token.signature, signs: token.signed)) ?? false
  }

  // MARK: The file

  /// Why a set of keys is not used. One clause, no capital, no full stop.
  struct Unfit: Error { var message: String }

  /// A member of a JSON Web Key that matters here; what is missing or of another type is nil.
  private struct Entry: Decodable {
    var kty, kid, use, alg, crv, n, e, x, y: String?
    var operations: [String]?

    private enum CodingKeys: String, CodingKey {
      case kty, kid, use, alg, crv, n, e, x, y
      case operations = "key_ops"
    }

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      func text(_ key: CodingKeys) -> String? { try? members.decode(String.self, forKey: key) }
      kty = text(.kty)
      kid = text(.kid)
      use = text(.use)
      alg = text(.alg)
      crv = text(.crv)
      n = text(.n)
      e = text(.e)
      x = text(.x)
      y = text(.y)
      operations = try? members.decode([String].self, forKey: .operations)
    }

    /// What the key may sign; nil where that is nothing that is accepted here.
    var algorithm: Algorithm? {
      guard use ?? "sig" == "sig", operations?.contains("verify") ?? true else { return nil }
      let algorithm: Algorithm? =
        switch (kty, crv) {
        case ("RSA", nil): .rs256
        case ("EC", "P-256"): .es256
        default: nil
        }
      return alg == nil || alg == algorithm?.rawValue ? algorithm : nil
    }
  }

  private struct Document: Decodable { var keys: [Entry] }

  private static let longest = 1 << 20

  /// Reads a JSON Web Key Set. Keys of other kinds are passed over.
  ///
  /// - Throws: `Unfit` where it is none, a key in it is damaged, two have one name, or none is of use.
  init(jwks bytes: Data) async throws {
    guard bytes.count <= Self.longest,
      let document = try? JSONDecoder().decode(Document.self, from: bytes)
    else { throw Unfit(message: "it is not a JSON Web Key Set") }
    for entry in document.keys {
      guard let algorithm = entry.algorithm, let kid = entry.kid else { continue }
      let name = Name(kid: kid, algorithm: algorithm)
      guard keys[name] == nil else { throw Unfit(message: "two keys are called \"\(kid)\"") }
      let jwk: JWK =
        switch algorithm {
        case .rs256:
          .rsa(.rs256, identifier: .init(string: kid), modulus: entry.n, exponent: entry.e)
        case .es256:
          .ecdsa(.es256, identifier: .init(string: kid), x: entry.x, y: entry.y, curve: .p256)
        }
      do {
        keys[name] = try await JWTKeyCollection().add(jwk: jwk).getKey(for: .init(string: kid))
      } catch {
        // RSA keys below 2048 bits, and points that are not on the curve, too.
        throw Unfit(message: "key \"\(kid)\" cannot be used for \(algorithm.rawValue)")
      }
    }
    guard !keys.isEmpty else {
      throw Unfit(message: "it has no key with a \"kid\" for RS256 or ES256")
    }
  }
}
