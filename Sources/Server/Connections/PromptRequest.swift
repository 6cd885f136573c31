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
  /// What a thread scores.
  var read: ReadRequest?

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

extension HTTPRequestHead {
  /// Bytes of the body that is announced; nil where the head says of it what only the router looks at.
  var plainBodyLength: Int? {
    guard version == .http1_1 else { return nil }
    var length: Int?
    for (name, value) in headers {
      switch name.utf8.count {
      case 14 where name.isSame(as: "content-length"):
        guard length == nil, (1...9).contains(value.utf8.count), let count = Int(value),
          value.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        length = count
      case 6 where name.isSame(as: "expect"), 7 where name.isSame(as: "upgrade"),
        16 where name.isSame(as: "content-encoding"), 17 where name.isSame(as: "transfer-encoding"):
        return nil
      default: continue
      }
    }
    return length ?? 0
  }
}

extension String {
  /// Whether it is the word, in any case.
  fileprivate func isSame(as word: StaticString) -> Bool {
    word.withUTF8Buffer { word in utf8.elementsEqual(word) { $0 | 0x20 == $1 | 0x20 } }
  }
}
