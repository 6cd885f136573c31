internal import Glibc
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import ServiceLifecycle
internal import Synchronization

/// Answers plain HTTP beside a server that speaks TLS: each request by 308, to the same path over TLS.
///
/// Nothing else of a request is read. The answer names the host that was asked, where that is written as a
/// host is and the server was not told its own name: so it leads to whom the client meant, and puts nothing
/// else into a header.
final class PlainRedirect: Sendable, Service {
  private let host: String
  private let port: Int
  private let publicHost: PublicHost?
  private let headerByteCount: Int
  private let patience: TimeAmount
  private let logger: Logger
  /// 0 until it is known.
  private let securePort = Atomic<Int>(0)
  private let ownPort = Atomic<Int>(0)
  private static let connectionCount = 256

  init(_ configuration: HTTPConfiguration, port: Int, logger: Logger) {
    host = configuration.host
    self.port = port
    publicHost = configuration.publicHost
    headerByteCount = configuration.headerByteCount
    patience = .nanoseconds(Int64(configuration.patience / .nanoseconds(1)))
    self.logger = logger
    securePort.store(configuration.port, ordering: .relaxed)
  }

  /// Says where TLS is spoken.
  func lead(to port: Int) { securePort.store(port, ordering: .relaxed) }

  /// Where plain HTTP is answered; 0 until it is.
  var listeningPort: Int { ownPort.load(ordering: .relaxed) }

  func run() async throws {
    var logger = logger
    logger.logLevel = max(logger.logLevel, .notice)
    let application = Application(
      responder: CallbackResponder<ServerContext> { [self] request, context in
        // One request a connection; what else is said on it is not heard for long.
        let channel = context.channel
        channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
        return answer(request)
      },
      server: .http1(
        configuration: .init(
          idleTimeout: patience,
          httpDecoderConfiguration: .init(
            maxHeaderFieldSize: headerByteCount, maxHeaderListSize: headerByteCount,
            maxHeaderFieldCount: 100))),
      configuration: ApplicationConfiguration(
        address: .hostname(host, port: port),
        availableConnectionsDelegate: .maximum(Self.connectionCount, logger: logger)),
      onServerRunning: { [self] channel in
        ownPort.store(channel.localAddress?.port ?? 0, ordering: .relaxed)
      },
      logger: logger)
    do {
      try await application.run()
    } catch let error as IOError {
      throw HTTPConfigurationError(
        message: "cannot listen on \(host), port \(port): "
          + String(cString: strerror(error.errnoCode)),
        hint: "Give another port with --redirect-port.")
    }
  }

  private func answer(_ request: Request) -> Response {
    let secure = securePort.load(ordering: .relaxed)
    let host =
      publicHost
      ?? request.head.authority.flatMap { PublicHost($0) }
      .map { PublicHost(name: $0.name, port: secure == 443 ? nil : secure) }
    guard let host, secure != 0 else {
      return Response(status: .badRequest, headers: [.connection: "close"])
    }
    var target = request.uri.path
    if let query = request.uri.query { target += "?" + query }
    // An absolute target, or `*`, has no path that begins so.
    if !target.hasPrefix("/") { target = "/" }
    return Response(
      status: .permanentRedirect,
      headers: [.location: "https://\(host)\(target)", .connection: "close"])
  }
}

/// What stands between `https://` and a path: a name or an address, and a port where it is not 443.
public struct PublicHost: Sendable, Equatable, CustomStringConvertible {
  let name: String
  let port: Int?

  fileprivate init(name: String, port: Int?) { (self.name, self.port) = (name, port) }

  /// - Returns: nil for what is neither a host's name, an address, nor one of them with a port.
  public init?(_ text: String) {
    guard text.utf8.count <= 300 else { return nil }
    let end: String.Index
    if text.hasPrefix("[") {
      guard let bracket = text.firstIndex(of: "]"),
        let address = NetworkAddress(text[text.index(after: text.startIndex)..<bracket]),
        !address.isIPv4
      else { return nil }
      end = text.index(after: bracket)
    } else {
      end = text.firstIndex(of: ":") ?? text.endIndex
      guard Self.isName(text[..<end]) else { return nil }
    }
    name = text[..<end].lowercased()
    guard end < text.endIndex else {
      port = nil
      return
    }
    let digits = text[text.index(after: end)...]
    guard text[end] == ":", (1...5).contains(digits.utf8.count),
      digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let port = UInt16(digits), port > 0
    else { return nil }
    self.port = port == 443 ? nil : Int(port)
  }

  /// Labels of letters, digits and dashes inside, with dots between.
  private static func isName(_ text: Substring) -> Bool {
    guard (1...253).contains(text.utf8.count) else { return false }
    return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
        && label.utf8.allSatisfy { byte in
          switch byte {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
          default: false
          }
        }
    }
  }

  public var description: String { name + (port.map { ":\($0)" } ?? "") }
}
