internal import Glibc
internal import Inference
internal import Scoring

/// Requests to a model that differ in nothing but the numbers of their tensors.
///
/// Clients make requests by one piece of code each, so that the bytes around the lists of numbers are the same
/// every time. What these ask was read the first time; and since a list of numbers may stand wherever another
/// did, comparing them and reading the lists reads the request whole.
struct InferPattern {
  /// Around the lists: one more than inputs.
  private let texts: [[UInt8]]
  private var inputs: [Tensor]
  private let counts: [Int]
  private let timeout: Duration?
  private let isRanked: Bool
  private let answer: @Sendable (Predictions) throws(Problem) -> Answer
  /// The rows of the last request, into whose memory those of the next are written.
  private var batch: Batch

  /// Bytes around lists, and elements, that are remembered at most.
  private static let longest = 4096
  private static let most = 1024

  /// - Parameter read: What the body came to.
  /// - Returns: nil for requests that are not worth it, or not read this way.
  init?(_ request: InferRequest, _ body: [UInt8], _ read: ReadRequest) {
    guard request.lists.count == request.inputs.count,
      request.inputs.allSatisfy({ $0.type != .bytes })
    else { return nil }
    let listed = request.lists.reduce(0) { $0 + $1.count }
    counts = request.inputs.map(\.elements.count)
    guard body.count - listed <= Self.longest, counts.reduce(0, +) <= Self.most else { return nil }
    let starts = [0] + request.lists.map(\.upperBound)
    let ends = request.lists.map(\.lowerBound) + [body.count]
    texts = zip(starts, ends).map { Array(body[$0..<$1]) }
    inputs = request.inputs
    (batch, timeout, isRanked, answer) = (read.batch, read.timeout, read.isRanked, read.answer)
  }

  /// - Returns: nil for any other request.
  mutating func read(
    _ body: [UInt8], _ model: LoadedModel, _ plan: TensorPlan
  ) -> ReadRequest? {
    var reader = JSONReader(body, limits: ModelLimits())
    for index in texts.indices {
      guard reader.pass(texts[index]) else { return nil }
      guard index < inputs.count else { break }
      let start = reader.offset
      guard
        let elements = try? TensorElements.read(
          &reader, as: inputs[index].type, named: inputs[index].name),
        elements.count == counts[index], Self.isFlat(body, start..<reader.offset)
      else { return nil }
      inputs[index].elements = elements
    }
    guard reader.offset == body.count, (try? plan.read(inputs, into: &batch)) != nil else {
      return nil
    }
    return ReadRequest(
      model: model, batch: batch, timeout: timeout, isRanked: isRanked, answer: answer)
  }
}

extension InferPattern {
  /// Whether a list has none in it: how deep these may be depends on what is around them.
  private static func isFlat(_ body: [UInt8], _ list: Range<Int>) -> Bool {
    body.withUnsafeBytes { bytes in
      let list = UnsafeRawBufferPointer(rebasing: bytes[list])
      guard let base = list.baseAddress, let open = memchr(base, 0x5B, list.count) else {
        return false
      }
      let next = UnsafeRawPointer(open) + 1
      return memchr(next, 0x5B, list.count - (next - base)) == nil
    }
  }
}

/// How a model was asked of late on an event loop; touched on that loop alone.
final class InferPatterns {
  private var patterns: [InferPattern] = []
  private var next = 0
  private var misses = 0
  private static let most = 4

  /// - Returns: nil for a request that is not like those before.
  func read(_ body: [UInt8], _ model: LoadedModel, _ plan: TensorPlan) -> ReadRequest? {
    for index in patterns.indices {
      guard let read = patterns[index].read(body, model, plan) else { continue }
      misses = 0
      return read
    }
    return nil
  }

  /// Remembers a request; less and less often where none is like another.
  func learn(_ request: InferRequest, _ body: [UInt8], _ read: ReadRequest) {
    misses += 1
    guard misses & (misses - 1) == 0, let pattern = InferPattern(request, body, read) else {
      return
    }
    if patterns.count < Self.most {
      patterns.append(pattern)
    } else {
      patterns[next] = pattern
      next = (next + 1) % Self.most
    }
  }
}
