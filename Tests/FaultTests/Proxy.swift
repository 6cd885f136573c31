import Foundation
import Glibc
import Synchronization

/// A TCP port of localhost that leads to a server's socket, over a line that can be disturbed.
final class Proxy: Sendable {
  enum Line: Sendable, Equatable {
    case clear
    /// Each piece arrives this much later, in both directions.
    case slow(Duration)
    /// Nothing arrives, and nobody is told; what is under way waits.
    case silent
  }

  private struct State {
    var line = Line.clear
    var isOver = false
    /// Both ends of each connection.
    var open: [Int: (Int32, Int32)] = [:]
    var next = 0
  }

  private let state = Mutex(State())
  private let listener: Int32
  private let target: String
  let port: Int

  /// - Parameter target: The path of the server's socket.
  init(to target: String) throws {
    self.target = target
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
    guard isListening else { throw Shell.Failure(description: "no port can be listened on") }
    port = Int(UInt16(bigEndian: address.sin_port))
    Thread { [self] in accept() }.start()
  }

  func set(_ line: Line) { state.withLock { $0.line = line } }

  /// Ends each connection without a word, as a machine does that was switched off and on again.
  func reset() {
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

  func close() {
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
    Thread { [self] in
      pump(from: server, to: client)
      back.signal()
    }.start()
    pump(from: client, to: server)
    back.wait()
    state.withLock { $0.open[number] = nil }
    Glibc.close(client)
    Glibc.close(server)
  }

  /// Until one side ends, or the proxy does.
  private func pump(from source: Int32, to sink: Int32) {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(source, &buffer, buffer.count)
      guard count > 0, wait() else { break }
      var sent = 0
      while sent < count {
        let written = buffer.withUnsafeBytes {
          send(sink, $0.baseAddress! + sent, count - sent, Int32(MSG_NOSIGNAL))
        }
        guard written > 0 else { break }
        sent += written
      }
      if sent < count { break }
    }
    shutdown(source, Int32(SHUT_RDWR))
    shutdown(sink, Int32(SHUT_RDWR))
  }

  /// As long as the line takes; false when the proxy is over.
  private func wait() -> Bool {
    while true {
      let (line, isOver) = state.withLock { ($0.line, $0.isOver) }
      if isOver { return false }
      switch line {
      case .clear: return true
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
