internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1
internal import Scoring

/// A request that is answered on the loop of its connection.
final class PromptRequest {
  /// What is asked for scores, by a target that a loop knows.
  struct Question {
    let subject: Subject
    let model: LoadedModel
  }

  /// What requests of one target have in common.
  final class Subject {
    let match: PromptRoutes.Match
    let asked: Asked
    let plan: TensorPlan
    let patterns = InferPatterns()

    init(_ match: PromptRoutes.Match, _ asked: Asked, _ plan: TensorPlan) {
      (self.match, self.asked, self.plan) = (match, asked, plan)
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
