public import Postgres

/// How the server serves, beside which database.
public struct HTTPConfiguration: Sendable {
  /// Certificate and key, in PEM; both are read again when they change.
  public struct TLS: Sendable {
    /// The server's certificate, then those that lead to its root.
    public var certificatePath: String
    public var keyPath: String

    public init(certificatePath: String, keyPath: String) {
      self.certificatePath = certificatePath
      self.keyPath = keyPath
    }
  }

  /// Whose tokens are taken, beside keys.
  public struct Tokens: Sendable {
    /// The issuer's JSON Web Key Set, read again when it changes.
    public var jwksPath: String
    public var issuer: String
    public var audience: String
    /// The claim that names a role of the database.
    public var roleClaim: String

    public init(jwksPath: String, issuer: String, audience: String, roleClaim: String = "role") {
      self.jwksPath = jwksPath
      self.issuer = issuer
      self.audience = audience
      self.roleClaim = roleClaim
    }
  }

  public var settings: ConnectionSettings
  public var host = "127.0.0.1"
  /// 0 for any that is free.
  public var port = 8080
  /// nil for plain HTTP.
  public var tls: TLS?
  /// Whether plain HTTP may be spoken on other addresses than the loopback's.
  public var allowsPlainHTTP = false
  /// Where plain HTTP is answered by a redirection to TLS; nil for nowhere, 0 for any port that is free.
  public var redirectPort: Int?
  /// What that redirection calls this server; nil for what each request calls it.
  public var publicHost: PublicHost?
  /// Proxies that are believed whom they speak for.
  public var trustedProxies: [AddressRange] = []
  /// nil where keys alone are taken.
  public var tokens: Tokens?
  /// Whether requests need a key; only a server on the loopback may do without.
  public var needsKeys = true
  /// Threads that score requests.
  public var laneCount: Int
  /// Bytes of models kept loaded, where no worker of the process says it.
  public var modelByteCount: Int
  /// Models that are loaded at once and kept, and without which the server is not ready.
  public var pinnedModels: [PinnedModel] = []
  /// Rows that are scored at once, if several requests bring them.
  public var batchRows = 256
  /// How long a request may wait for others to be scored with.
  public var longestWait = Duration.zero
  /// How long a request may take from its arrival to its scoring, unless it says less.
  public var deadline = Duration.seconds(10)
  /// Requests that wait at most; more are refused at once.
  public var waitingRequests = 1024
  /// Requests a second of each key, and of each address; twice as many may come at once. nil for no limit.
  public var requestsPerSecond: Double?
  public var addressRequestsPerSecond: Double?
  /// Bytes of a body at most, and of all bodies in work.
  public var bodyByteCount = 32 << 20
  public var bodiesByteCount = 256 << 20
  /// Bytes of a model that is pushed, and of the rows of a job, at most; both go to the disk first.
  public var modelBodyByteCount = 256 << 20
  public var uploadByteCount = 1 << 30
  /// Bytes of all headers of a request.
  public var headerByteCount = 16 << 10
  /// How long a client may take for its headers, for its body, with nothing in between, or without taking any of an
  /// answer.
  public var patience = Duration.seconds(30)
  public var connectionCount = 4096
  /// Of the bodies that bring rows to be scored, how many are logged; none where 0, all where 1.
  public var payloadShare = 0.0
  /// How long keys count as valid while the database cannot be asked.
  public var keyTrust = Duration.seconds(60)
  /// How often the database is asked for what `/metrics` tells of it, at most.
  public var figureInterval = Duration.seconds(5)

  public init(settings: ConnectionSettings, laneCount: Int, modelByteCount: Int) {
    self.settings = settings
    self.laneCount = laneCount
    self.modelByteCount = modelByteCount
  }

  /// Whether only this machine can connect.
  public var isLoopback: Bool { ["127.0.0.1", "::1", "localhost"].contains(host) }
}

/// Why a server cannot be made as it is wanted.
public struct HTTPConfigurationError: Error, Sendable, CustomStringConvertible {
  /// One clause, no capital, no full stop.
  public var message: String
  /// What to do, as a sentence.
  public var hint: String?

  public var description: String { message }
}

extension HTTPConfiguration {
  /// - Throws: Where strangers would see what goes over the wire, or need no key.
  func check() throws(HTTPConfigurationError) {
    guard needsKeys || tokens == nil else {
      throw HTTPConfigurationError(
        message: "a server without keys does not look at tokens",
        hint: "Leave out --without-keys or --jwks.")
    }
    guard redirectPort == nil || tls != nil else {
      throw HTTPConfigurationError(
        message: "there is no TLS to redirect plain HTTP to",
        hint: "Give --tls-certificate and --tls-key, or leave out --redirect-port.")
    }
    guard isLoopback else {
      guard needsKeys else {
        throw HTTPConfigurationError(
          message: "a server without keys may listen on the loopback only, not on \"\(host)\"",
          hint: "Make keys with \"rowcast keys create\".")
      }
      guard tls != nil || allowsPlainHTTP else {
        throw HTTPConfigurationError(
          message: "keys and rows would cross the network in plain text from \"\(host)\"",
          hint: "Give --tls-certificate and --tls-key, or --plain-http behind a proxy of your own.")
      }
      return
    }
  }
}
