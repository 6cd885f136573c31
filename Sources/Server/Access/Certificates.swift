internal import FoundationEssentials
internal import Logging
internal import NIOCore
internal import NIOSSL
internal import ServiceLifecycle
internal import Synchronization

/// The certificate that new connections are shown, read again when its files change.
///
/// A pair that cannot be read, or does not fit together, leaves the one before in place.
final class Certificates: Sendable, Service {
  private struct Pair: Sendable {
    var chain: [NIOSSLCertificate]
    var key: NIOSSLPrivateKey
    var stamp: [Date]
  }

  private let paths: HTTPConfiguration.TLS
  private let pair: Mutex<Pair>
  private let refusals = Atomic<Int>(0)
  private let logger: Logger

  /// - Throws: Where the files cannot be read, or the key is not the certificate's.
  init(_ paths: HTTPConfiguration.TLS, logger: Logger) throws {
    self.paths = paths
    self.logger = logger
    let first = try Self.read(paths)
    pair = Mutex(first)
    // Refuses a key that is another certificate's.
    _ = try NIOSSLContext(configuration: Self.configuration(first))
  }

  /// TLS 1.2 and later.
  var configuration: TLSConfiguration {
    var configuration = Self.configuration(pair.withLock { $0 })
    configuration.sslContextCallback = { [self] _, promise in
      let pair = pair.withLock { $0 }
      var override = NIOSSLContextConfigurationOverride()
      override.certificateChain = pair.chain.map { .certificate($0) }
      override.privateKey = .privateKey(pair.key)
      promise.succeed(override)
    }
    return configuration
  }

  /// When the first of the chain that is shown expires, in seconds since 1970.
  var expiry: Int { pair.withLock { $0.chain.map { Int($0.notValidAfter) }.min() ?? 0 } }

  /// How often files that had changed could not be used.
  var refusalCount: Int { refusals.load(ordering: .relaxed) }

  private static func configuration(_ pair: Pair) -> TLSConfiguration {
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: pair.chain.map { .certificate($0) }, privateKey: .privateKey(pair.key))
    configuration.minimumTLSVersion = .tlsv12
    configuration.applicationProtocols = ["http/1.1"]
    return configuration
  }

  /// Looks for other files each second, until the server stops.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      while true {
        do { try await Task.sleep(for: .seconds(1)) } catch { return }
        self.renew()
      }
    }
  }

  private func renew() {
    let stamp = Self.stamp(paths)
    guard stamp.count == 2, stamp != pair.withLock(\.stamp) else { return }
    do {
      let next = try Self.read(paths)
      _ = try NIOSSLContext(configuration: Self.configuration(next))
      pair.withLock { $0 = next }
      logger.notice("the certificate was renewed")
    } catch {
      // Perhaps half of the pair is written; the next look tries again.
      refusals.add(1, ordering: .relaxed)
      logger.warning("the certificate's files cannot be used, the one before stays")
    }
  }

  private static func read(_ paths: HTTPConfiguration.TLS) throws -> Pair {
    Pair(
      chain: try NIOSSLCertificate.fromPEMFile(paths.certificatePath),
      key: try NIOSSLPrivateKey(file: paths.keyPath, format: .pem), stamp: stamp(paths))
  }

  private static func stamp(_ paths: HTTPConfiguration.TLS) -> [Date] {
    [paths.certificatePath, paths.keyPath].compactMap { path in
      (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
    }
  }
}
