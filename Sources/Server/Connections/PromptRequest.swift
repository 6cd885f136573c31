internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1
internal import Scoring

/// A request that is answered on the loop of its connection.
final class PromptRequest {
  /// What is asked for scores.
  struct Question {
    var asked: Asked
    var model: LoadedModel
    var plan: TensorPlan

    init(_ asked: Asked, _ model: LoadedModel, _ plan: TensorPlan) {
      (self.asked, self.model, self.plan) = (asked, model, plan)
    }
  }

  let head: HTTPRequestHead
  /// Its route, as it is declared.
  let path: String
  let name: RequestName?
  let trace: TraceContext?
  let startedAt = ContinuousClock.now
  let question: Question?
  /// Once it was admitted.
  var caller = Caller()
  var body: [UInt8] = []
  /// Bytes that count among all bodies in work.
  var heldByteCount = 0

  init(_ head: HTTPRequestHead, path: String, name: RequestName?, question: Question?) {
    self.head = head
    self.path = path
    self.name = name
    trace = TraceContext(head.headers[.traceParent])
    self.question = question
  }

  var origin: RequestOrigin {
    RequestOrigin(id: name?.text ?? "", route: path, caller: caller, arrivedAt: startedAt)
  }

  func append(_ bytes: ByteBuffer) {
    bytes.withUnsafeReadableBytes { body.append(contentsOf: $0) }
  }
}
