internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import Synchronization

/// Reads bodies into memory, within bounds for each and for all of them.
final class BodyReader: Sendable {
  let perRequest: Int
  private let together: Int
  private let patience: Duration
  private let inWork = Atomic<Int>(0)

  init(perRequest: Int, together: Int, patience: Duration) {
    self.perRequest = perRequest
    self.together = max(together, perRequest)
    self.patience = patience
  }

  /// Calls with the whole body, which counts until the call is over.
  ///
  /// - Throws: 413 for more bytes than one body may have, 415 for a coded body, 503 where bodies of others
  ///   take all the memory, 408 where the client is too slow.
  func withBody<Value: Sendable>(
    of request: Request, _ context: ServerContext, _ use: ([UInt8]) async throws -> Value
  ) async throws -> Value {
    if let coding = request.headers[.contentEncoding], coding.lowercased() != "identity" {
      throw Problem(
        .unsupportedMediaType, "unsupported", "the body's coding is not supported",
        hint: "Send it without Content-Encoding.")
    }
    let declared = request.headers[.contentLength].flatMap { Int($0) } ?? 0
    guard declared <= perRequest else { throw tooLarge }
    var held = 0
    defer { release(held) }
    try hold(declared)
    held = declared
    context.askForBody(of: request)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(declared)
    let deadline = ContinuousClock.now.advanced(by: patience)
    for try await buffer in request.body {
      let count = bytes.count + buffer.readableBytes
      guard count <= perRequest else { throw tooLarge }
      if count > held {
        try hold(count - held)
        held = count
      }
      guard ContinuousClock.now < deadline else {
        throw Problem(.requestTimeout, "timeout", "the body did not come in time")
      }
      buffer.withUnsafeReadableBytes { bytes.append(contentsOf: $0) }
    }
    return try await use(bytes)
  }

  var tooLarge: Problem {
    Problem(
      .contentTooLarge, "too_large", "a body may have \(perRequest) bytes",
      hint: "Send fewer rows at once, or submit a job.")
  }

  /// Counts bytes of a body, until they are released.
  ///
  /// - Throws: 503 where bodies of others take all the memory.
  func hold(_ count: Int) throws(Problem) {
    let total = inWork.add(count, ordering: .relaxed).newValue
    guard total == count || total <= together else {
      release(count)
      throw Problem(
        .serviceUnavailable, "overloaded", "too many large requests are in work", retryAfter: 1)
    }
  }

  func release(_ count: Int) { inWork.subtract(count, ordering: .relaxed) }
}
