internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import Synchronization

/// A body on the disk, in a file without a name: large ones take no memory while they come, and a client that
/// is slow to send keeps no session of the database waiting.
final class SpooledBody: Sendable {
  /// At its beginning when the body is whole.
  let descriptor: Int32
  let byteCount: Int

  fileprivate init(descriptor: Int32, byteCount: Int) {
    self.descriptor = descriptor
    self.byteCount = byteCount
  }

  deinit { close(descriptor) }

  /// All of it, in memory.
  ///
  /// - Throws: Where the disk cannot be read.
  func bytes() throws(Problem) -> [UInt8] {
    var done = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      while done < byteCount {
        let read = pread(descriptor, buffer.baseAddress! + done, byteCount - done, off_t(done))
        if read < 0 && errno == EINTR { continue }
        if read <= 0 { break }
        done += read
      }
      count = done
    }
    guard done == byteCount else { throw Spool.unavailable }
    return bytes
  }
}

/// Writes bodies to the disk as they come, a few at once.
final class Spool: Sendable {
  private let inWork = Mutex(0)
  /// Bodies that are there at once: they take so many times the limit of each of the disk.
  private static let most = 4
  private let patience: Duration

  init(patience: Duration) { self.patience = patience }

  /// Calls with the whole body, which is gone after the call.
  ///
  /// - Throws: 413 beyond the limit, 415 for a coded body, 408 where nothing comes for too long, 503 where
  ///   others are at it or the disk is full.
  func withBody<Value: Sendable>(
    of request: Request, _ context: ServerContext, limit: Int,
    _ use: (SpooledBody) async throws -> Value
  ) async throws -> Value {
    if let coding = request.headers[.contentEncoding], coding.lowercased() != "identity" {
      throw Problem(
        .unsupportedMediaType, "unsupported", "the body's coding is not supported",
        hint: "Send it without Content-Encoding.")
    }
    let declared = request.headers[.contentLength].flatMap { Int($0) } ?? 0
    guard declared <= limit else { throw Self.tooLarge(limit) }
    let isFree = inWork.withLock { count in
      guard count < Self.most else { return false }
      count += 1
      return true
    }
    guard isFree else {
      throw Problem(
        .serviceUnavailable, "overloaded", "too many large bodies are in work", retryAfter: 5)
    }
    defer { inWork.withLock { $0 -= 1 } }
    context.askForBody(of: request)
    return try await use(try await read(request, limit))
  }

  private func read(_ request: Request, _ limit: Int) async throws -> SpooledBody {
    let descriptor = try Self.open()
    var count = 0
    do {
      var last = ContinuousClock.now
      for try await buffer in request.body {
        count += buffer.readableBytes
        guard count <= limit else { throw Self.tooLarge(limit) }
        guard ContinuousClock.now - last < patience else {
          throw Problem(.requestTimeout, "timeout", "the body did not come in time")
        }
        last = .now
        try buffer.withUnsafeReadableBytes { try Self.write($0, to: descriptor) }
      }
      guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw Self.unavailable }
    } catch {
      close(descriptor)
      throw error
    }
    return SpooledBody(descriptor: descriptor, byteCount: count)
  }

  /// A file that nobody else can open, and that is gone when it is closed.
  private static func open() throws(Problem) -> Int32 {
    var name = Array((NSTemporaryDirectory() + "rowcast-body-XXXXXX").utf8CString)
    let descriptor = mkstemp(&name)
    guard descriptor >= 0 else { throw unavailable }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    unlink(name)
    return descriptor
  }

  /// To the page cache mostly: some tens of microseconds a buffer.
  private static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32
  ) throws(Problem) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Foundation.write(
        descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress!, rest.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw unavailable }
      rest = rest.dropFirst(count)
    }
  }

  fileprivate static let unavailable = Problem(
    .serviceUnavailable, "unavailable", "the body cannot be kept on the disk", retryAfter: 10)

  private static func tooLarge(_ limit: Int) -> Problem {
    Problem(.contentTooLarge, "too_large", "a body may have \(limit) bytes")
  }
}
