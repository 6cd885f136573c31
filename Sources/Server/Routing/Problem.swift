internal import HTTPTypes
internal import Hummingbird
internal import Inference
internal import Postgres
internal import Scoring

/// Why a request is refused, as its answer says it: `{"error": …, "code": …, "hint": …}`.
///
/// Every route answers errors so; `error` is the member that the Open Inference Protocol asks for. The text
/// is fit for strangers: it may name what the request named, and never a secret, even the request's own, or the
/// database.
struct Problem: Error, Equatable {
  var status: HTTPResponse.Status
  /// One word to switch on.
  var code: String
  /// One clause, no capital, no full stop.
  var message: String
  /// What to do next, as a sentence.
  var hint: String?
  /// Seconds after which the same request may succeed.
  var retryAfter: Int?
  /// The methods that the path is answered for, where the request's is none of them.
  private var allowed: [HTTPRequest.Method] = []

  init(
    _ status: HTTPResponse.Status, _ code: String, _ message: String, hint: String? = nil,
    retryAfter: Int? = nil
  ) {
    self.status = status
    self.code = code
    self.message = Scrubber.scrub(message)
    self.hint = hint.map { Scrubber.scrub($0) }
    self.retryAfter = retryAfter
  }

  /// The request is not what the route or the model takes.
  static func badRequest(_ message: String, hint: String? = nil) -> Problem {
    Problem(.badRequest, "bad_request", message, hint: hint)
  }

  static func notFound(_ message: String, hint: String? = nil) -> Problem {
    Problem(.notFound, "not_found", message, hint: hint)
  }

  static func unsupportedMethod(allowed: [HTTPRequest.Method]) -> Problem {
    var problem = Problem(
      .methodNotAllowed, "bad_method", "the path is not answered for this method",
      hint: "Use \(allowed.map(\.rawValue).joined(separator: " or ")).")
    problem.allowed = allowed
    return problem
  }

  /// What the engine says of a batch, or what a reader says of a body.
  init(_ error: ModelError) {
    switch error.code {
    case .truncated: self = .badRequest("the body ends inside of a value")
    case .tooLarge, .malformed: self = .badRequest("the body is not read: \(error.message)")
    case .mismatch: self = .badRequest(error.message, hint: error.hint)
    case .unsupported: self = Problem(.unprocessableContent, "unsupported", error.message)
    }
  }

  /// What keeps a model from being loaded. An error of the database is for its operator.
  init(_ error: WorkError, model: String) {
    switch error {
    case .postgres:
      self = Problem(
        .serviceUnavailable, "unavailable", "model \"\(model)\" cannot be loaded now",
        retryAfter: 1)
    case .model(let error):
      self = Problem(
        .unprocessableContent, "unfit_model", "model \"\(model)\": \(error.message)",
        hint: error.hint)
    case .scoring(let error):
      self = Problem(
        .unprocessableContent, "unfit_model", "model \"\(model)\": \(error.message)",
        hint: error.hint)
    }
  }

  var answer: Answer {
    var bytes: [UInt8] = []
    JSONText.open("{", &bytes)
    JSONText.member("code", string: code, &bytes)
    JSONText.member("error", string: message, &bytes)
    if let hint { JSONText.member("hint", string: hint, &bytes) }
    JSONText.close("}", &bytes)
    var answer = Answer.json(bytes, status: status)
    func add(_ name: HTTPField.Name, _ value: String) {
      answer.fields.append(HTTPField(name: name, value: value))
    }
    if let retryAfter { add(.retryAfter, String(retryAfter)) }
    if status == .unauthorized { add(.wwwAuthenticate, "Bearer") }
    if !allowed.isEmpty { add(.allow, allowed.map(\.rawValue).joined(separator: ", ")) }
    return answer
  }

  var response: Response { answer.response }
}

extension StringProtocol {
  /// The beginning, as a message may show it: cut after secrets were taken out, since half of one is not known for
  /// one.
  func excerpt(_ count: Int) -> Substring { Scrubber.scrub(String(self)).prefix(count) }
}

extension Problem: HTTPResponseError {
  func response(from request: Request, context: some RequestContext) throws -> Response { response }
}
