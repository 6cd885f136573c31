import Foundation
import Glibc
public import Postgres
import Synchronization

/// A TCP port of localhost that leads to a server's socket, over a line that can be disturbed.
public final class Proxy: Sendable {
  public enum Line: Sendable, Equatable {
    case clear
    /// Each piece arrives this much later, in both directions.
    case slow(Duration)
    /// Nothing arrives, and nobody is told; what is under way waits.
    case silent
    /// The next connection whose client says these words, one after the other, is lost to it then. Where the last
    /// ones are heard their answer is what does not arrive; else the server does not hear of the loss either.
    case losing(at: [String], isHeard: Bool)
  }

  struct Failure: Error {}

  private struct State {
    var line = Line.clear
    var isOver = false
    /// Both ends of each connection.
    var open: [Int: (Int32, Int32)] = [:]
    var next = 0
  }

  private let state = Mutex(State())
  private let listener: Int32
  /// The path of the server's socket.
  private let target: String
  private let port: Int

  /// To the server of a database.
  public init(to settings: ConnectionSettings) throws {
    guard let folder = settings["host"], let number = settings["port"] else { throw Failure() }
    target = "\(folder)/.s.PGSQL.\(number)"
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = listener
    let isListening = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard isListening else { throw Failure() }
    port = Int(UInt16(bigEndian: address.sin_port))
    Thread { [self] in accept() }.start()
  }

  /// The settings, over this line.
  public func settings(_ settings: ConnectionSettings) -> ConnectionSettings {
    settings.setting("host", to: "127.0.0.1").setting("port", to: "\(port)")
  }

  public func set(_ line: Line) { state.withLock { $0.line = line } }

  /// Ends each connection without a word, as a machine does that was switched off and on again.
  public func reset() {
    state.withLock { state in
      for ends in state.open.values {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
          ends.0, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        shutdown(ends.0, Int32(SHUT_RDWR))
        shutdown(ends.1, Int32(SHUT_RDWR))
      }
    }
  }

  public func close() {
    state.withLock { $0.isOver = true }
    reset()
    shutdown(listener, Int32(SHUT_RDWR))
  }

  // MARK: Pumping

  private func accept() {
    while true {
      let client = Glibc.accept(listener, nil, nil)
      guard client >= 0, !state.withLock(\.isOver) else { break }
      Thread { [self] in connect(client) }.start()
    }
    Glibc.close(listener)
  }

  private func connect(_ client: Int32) {
    // A new connection meets the line as it is, too.
    guard let server = wait() ? openTarget() : nil else {
      Glibc.close(client)
      return
    }
    let number = state.withLock { state in
      state.next += 1
      state.open[state.next] = (client, server)
      return state.next
    }
    let back = DispatchSemaphore(value: 0)
    let loss = Loss()
    Thread { [self] in
      _ = pump(from: server, to: client) { _ in !loss.isDue }
      end(client, server)
      back.signal()
    }.start()
    let isKept = pump(from: client, to: server) { [self] piece in arrives(piece, loss) }
    if isKept { end(client, server) } else { shutdown(client, Int32(SHUT_RDWR)) }
    back.wait()
    state.withLock { $0.open[number] = nil }
    Glibc.close(client)
    Glibc.close(server)
  }

  /// What a connection's client has said of the words at which it is lost.
  private final class Loss: Sendable {
    private let state = Mutex((said: 0, isDue: false))

    /// Whether the next answer is not to arrive.
    var isDue: Bool {
      get { state.withLock(\.isDue) }
      set { state.withLock { $0.isDue = newValue } }
    }

    /// Whether all of the words were said.
    func hear(_ piece: ArraySlice<UInt8>, _ words: [String]) -> Bool {
      let text = String(decoding: piece, as: UTF8.self)
      return state.withLock { state in
        while state.said < words.count, text.contains(words[state.said]) { state.said += 1 }
        return state.said == words.count
      }
    }
  }

  private func arrives(_ piece: ArraySlice<UInt8>, _ loss: Loss) -> Bool {
    state.withLock { state in
      guard case .losing(let words, let isHeard) = state.line, loss.hear(piece, words) else {
        return true
      }
      state.line = .clear
      if isHeard { loss.isDue = true }
      return isHeard
    }
  }

  private func end(_ client: Int32, _ server: Int32) {
    shutdown(client, Int32(SHUT_RDWR))
    shutdown(server, Int32(SHUT_RDWR))
  }

  /// Until one side ends, the proxy does, or a piece is not to arrive; false where that is not to be told.
  private func pump(
    from source: Int32, to sink: Int32, _ arrives: (ArraySlice<UInt8>) -> Bool
  ) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(source, &buffer, buffer.count)
      guard count > 0, wait() else { return true }
      guard arrives(buffer[..<count]) else { return false }
      var sent = 0
      while sent < count {
        let written = buffer.withUnsafeBytes {
          send(sink, $0.baseAddress! + sent, count - sent, Int32(MSG_NOSIGNAL))
        }
        guard written > 0 else { return true }
        sent += written
      }
    }
  }

  /// As long as the line takes; false when the proxy is over.
  private func wait() -> Bool {
    while true {
      let (line, isOver) = state.withLock { ($0.line, $0.isOver) }
      if isOver { return false }
      switch line {
      case .clear, .losing: return true
      case .slow(let delay):
        Thread.sleep(forTimeInterval: delay / .seconds(1))
        return true
      case .silent: usleep(5000)
      }
    }
  }

  private func openTarget() -> Int32? {
    let server = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: target.utf8.prefix(107)) }
    let isOpen = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(server, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
      }
    }
    if !isOpen { Glibc.close(server) }
    return isOpen ? server : nil
  }
}
