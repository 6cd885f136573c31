internal import FoundationEssentials
internal import HTTPTypes
internal import Logging
internal import Postgres
internal import Scoring
internal import Synchronization

/// Reads what the console shows, on a thread and a connection of its own while somebody looks.
///
/// All who look share what was read: a page is read once a second at most, however many have it open, and
/// what takes long seldomer. A page that the database does not give in time is refused; the others go on.
final class ConsoleReader: Sendable {
  /// What can be asked for. `models` are those that the looker may see, nil for all.
  enum Question: Hashable, Sendable {
    case overview(models: [String]?)
    case scorer(String)
    case models(among: [String]?, after: String?)
    case model(String, before: Int32?)
    case jobs(of: [String]?, before: Int64?)
    case failures(of: [String], skip: Int32)
    case drift(of: String)
    case workers
  }

  /// A document of JSON, and how long ago it was true.
  struct Answer: Sendable {
    var document: Data
    var readAt: ContinuousClock.Instant
  }

  private typealias Waiter = CheckedContinuation<Answer, any Error>

  private struct State {
    var answers: [Question: Answer] = [:]
    var order: [Question] = []
    var waiters: [Question: [Waiter]] = [:]
    var isStopped = false
  }

  private let state = Mutex(State())
  private let wakeUp = WakeUp()
  private let settings: ConnectionSettings
  private let logger: Logger
  /// How long the connection is kept after the last question.
  private static let patience = Duration.seconds(10)
  /// Questions that wait, and answers that are kept, at most.
  private static let most = 256

  init(settings: ConnectionSettings, logger: Logger) {
    self.settings = settings.setting("application_name", to: "rowcast console")
    self.logger = logger
  }

  /// - Throws: `Problem` where the database does not answer.
  func read<Value: Decodable>(
    _ question: Question, as type: Value.Type = Value.self
  ) async throws -> Value {
    try JSONDecoder().decode(type, from: try await answer(question).document)
  }

  private func answer(_ question: Question) async throws -> Answer {
    try await withCheckedThrowingContinuation { continuation in
      enum Outcome {
        case known(Answer)
        case refused(Problem)
        case waiting
      }
      let outcome = state.withLock { state -> Outcome in
        if let answer = state.answers[question],
          answer.readAt.duration(to: .now) < question.lifetime
        {
          return .known(answer)
        }
        guard !state.isStopped, state.order.count < Self.most else {
          return .refused(Self.silent)
        }
        if state.waiters[question] == nil { state.order.append(question) }
        state.waiters[question, default: []].append(continuation)
        return .waiting
      }
      switch outcome {
      case .known(let answer): continuation.resume(returning: answer)
      case .refused(let problem): continuation.resume(throwing: problem)
      case .waiting: wakeUp.signal()
      }
    }
  }

  private static let silent = Problem(
    .serviceUnavailable, "unavailable", "the database does not answer in time", retryAfter: 2)

  /// Ends `run`.
  func stop() {
    let waiters = state.withLock { state in
      state.isStopped = true
      defer { state.waiters = [:] }
      return state.waiters.values.flatMap { $0 }
    }
    for waiter in waiters { waiter.resume(throwing: Self.silent) }
    wakeUp.signal()
  }

  // MARK: The thread

  private enum Next {
    case ask(Question), wait, stop
  }

  func run() {
    var connection: Connection?
    defer { connection?.close() }
    while true {
      wakeUp.clear()
      let next = state.withLock { state -> Next in
        if state.isStopped { return .stop }
        return state.order.isEmpty ? .wait : .ask(state.order.removeFirst())
      }
      switch next {
      case .stop: return
      case .wait:
        if !wakeUp.wait(timeout: connection == nil ? nil : Self.patience) {
          connection?.close()
          connection = nil
        }
      case .ask(let question): answer(question, with: &connection)
      }
    }
  }

  private func answer(_ question: Question, with connection: inout Connection?) {
    var outcome: Result<Answer, any Error>
    do throws(PostgresError) {
      let document = try document(question, with: &connection)
      outcome = .success(Answer(document: Data(document.utf8), readAt: .now))
    } catch {
      logger.warning(
        "a page of the console was not read",
        metadata: ["reason": "\(error.message)", "sqlstate": "\(error.sqlState)"])
      outcome = .failure(Self.silent)
    }
    let waiters = state.withLock { state in
      if case .success(let answer) = outcome {
        if state.answers.count >= Self.most {
          state.answers = state.answers.filter {
            $0.value.readAt.duration(to: .now) < $0.key.lifetime
          }
        }
        if state.answers.count < Self.most { state.answers[question] = answer }
      }
      return state.waiters.removeValue(forKey: question) ?? []
    }
    for waiter in waiters { waiter.resume(with: outcome) }
  }

  private func document(
    _ question: Question, with connection: inout Connection?
  ) throws(PostgresError) -> String {
    if connection?.isUsable != true {
      let opened = try Connection(settings, timeout: .seconds(3))
      try opened.runScript(
        "set statement_timeout = '3s'; set jit = off; set default_transaction_read_only = on")
      connection = opened
    }
    return try connection!.run(question.query).value(0, 0, as: String?.self) ?? "null"
  }
}

extension ConsoleReader.Question {
  /// How long an answer counts as new.
  fileprivate var lifetime: Duration {
    switch self {
    case .overview, .scorer, .jobs, .workers: .seconds(1)
    case .models, .model, .failures: .seconds(2)
    case .drift: .seconds(10)
    }
  }

  fileprivate var query: Query {
    switch self {
    case .overview(let models): Self.of(models, "select rowcast.console_overview(MODELS)::text")
    case .scorer(let name): "select rowcast.console_scorer(\(name))::text"
    case .models(let models, let after):
      Self.of(models, "select rowcast.console_models(MODELS, $3)::text", [after])
    case .model(let name, let before):
      Query(text: "select rowcast.console_model($1, $2)::text", values: [name, before])
    case .jobs(let models, let before):
      Self.of(models, "select rowcast.console_jobs(MODELS, $3)::text", [before])
    case .failures(let scorers, let skip):
      Query(text: "select rowcast.console_failures($1, $2)::text", values: [scorers, skip])
    case .drift(let scorer): "select rowcast.console_drift(\(scorer))::text"
    case .workers: "select rowcast.console_workers()::text"
    }
  }

  /// No models are not all of them.
  private static func of(
    _ models: [String]?, _ text: String, _ others: [any PostgresEncodable] = []
  ) -> Query {
    Query(
      text: text.replacing("MODELS", with: "case when $1::boolean then $2::text[] end"),
      values: [models != nil, models ?? []] + others)
  }
}
