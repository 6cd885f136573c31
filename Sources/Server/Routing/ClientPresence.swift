internal import Hummingbird
internal import NIOCore
internal import NIOSSL
internal import Synchronization

/// Whether the client of a connection still waits: a request that nobody reads the answer of is not scored.
///
/// A client that only half closes, to read the answer still, counts as gone: none of those that speak HTTP
/// to scoring services does that.
package final class ClientPresence: Sendable {
  private let gone = Atomic<Bool>(false)

  package init() {}

  package var isGone: Bool { gone.load(ordering: .relaxed) }
  package func leave() { gone.store(true, ordering: .relaxed) }

  /// Whether the error is that the client's connection ended before its request did. Over TLS that is an end
  /// without the message that announces it.
  static func isLost(by error: any Error) -> Bool {
    error is IOError || error is ChannelError || error is NIOSSLError || error is BoringSSLError
  }
}

/// The presences of all connections, by channel.
final class ClientRegistry: Sendable {
  private let presences = Mutex<[ObjectIdentifier: ClientPresence]>([:])

  func presence(of channel: any Channel) -> ClientPresence? {
    presences.withLock { $0[ObjectIdentifier(channel)] }
  }

  var count: Int { presences.withLock(\.count) }

  func add(_ presence: ClientPresence, for channel: any Channel) {
    presences.withLock { $0[ObjectIdentifier(channel)] = presence }
  }

  func remove(_ channel: any Channel) {
    presences.withLock { $0[ObjectIdentifier(channel)] = nil }
  }
}
