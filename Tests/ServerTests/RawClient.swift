import Foundation
import Glibc
import Testing

/// Runs what blocks on a thread of its own: the server under test lives on Swift's pool.
func offThePool<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
  await withCheckedContinuation { continuation in
    Thread { continuation.resume(returning: body()) }.start()
  }
}

/// Nobody listens.
struct Refused: Error {}

/// A connection that says what it is told to, which HTTP's own clients refuse.
final class RawClient: Sendable {
  private let descriptor: Int32

  /// - Parameter room: Bytes that the system keeps until they are read; nil for as many as it likes.
  convenience init(_ scene: ServerScene, room: Int32? = nil) throws {
    let port = try #require(scene.url.split(separator: ":").last.flatMap { UInt16($0) })
    try self.init(port: port, room: room)
  }

  init(port: UInt16, room: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    if var room { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &room, 4) }
    guard Self.connect(descriptor, to: port) else { throw Refused() }
    var timeout = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    // Pieces go out as they are said.
    var isPrompt: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &isPrompt, 4)
  }

  private static func connect(_ descriptor: Int32, to port: UInt16) -> Bool {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }

  /// Whether somebody listens.
  static func isHeard(port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    return connect(descriptor, to: port)
  }

  deinit { close(descriptor) }

  /// False where the server has closed.
  @discardableResult
  func say(_ text: String) -> Bool { say(Array(text.utf8)) }

  @discardableResult
  func say(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  /// Says the same over and over, until nobody has listened for a second or so many bytes were said.
  ///
  /// - Returns: How often all of it was said, and what is left where the last time ended in its middle.
  func sayUntilStuck(_ bytes: [UInt8], most: Int) -> (times: Int, rest: [UInt8]) {
    var sent = 0
    while sent < most {
      let start = sent % bytes.count
      let count = bytes.withUnsafeBytes {
        send(
          descriptor, $0.baseAddress! + start, bytes.count - start,
          Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      }
      if count > 0 {
        sent += count
      } else {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        if poll(&entry, 1, 1000) == 0 { break }
      }
    }
    let start = sent % bytes.count
    return (sent / bytes.count, start == 0 ? [] : Array(bytes[start...]))
  }

  /// Reads so many bytes at most; 0 where the server has closed.
  func read(_ most: Int) -> Int {
    var buffer = [UInt8](repeating: 0, count: most)
    return max(0, recv(descriptor, &buffer, most, 0))
  }

  /// Says that nothing more will be said.
  func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Whether there is something to read, without waiting for it.
  var hasAnswer: Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 1
  }

  /// What comes until the server closes.
  func readToEnd() async -> String { await offThePool { self.readToEndBlocking() } }

  func readToEndBlocking() -> String {
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      guard count > 0 else { return String(decoding: text, as: UTF8.self) }
      text += buffer[..<count]
    }
  }

  /// One answer of a known length; empty where the server closes before its end.
  func readAnswer() async -> String { await offThePool { self.readAnswerBlocking() } }

  func readAnswerBlocking() -> String {
    var text: [UInt8] = []
    var wanted: Int?
    var byte: UInt8 = 0
    while wanted.map({ text.count < $0 }) ?? true {
      guard recv(descriptor, &byte, 1, 0) == 1 else { return "" }
      text.append(byte)
      if wanted == nil, text.suffix(4) == [13, 10, 13, 10] {
        let length = String(decoding: text, as: UTF8.self).lowercased().split(separator: "\r\n")
          .first { $0.hasPrefix("content-length:") }
        guard let length, let count = Int(length.dropFirst(15).filter { $0 != " " }) else {
          return String(decoding: text, as: UTF8.self)
        }
        wanted = text.count + count
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
