internal import Inference
internal import NIOCore
internal import NIOHTTP1
internal import Scoring

/// What the connections of one event loop have in common; touched on that loop alone.
final class Desk {
  /// Among those of the server.
  let number: Int
  let loop: any EventLoop
  var writer = ResponseWriter()
  private let workspace = Workspace()
  private var turnstile = Turnstile<ConnectionHandler>()
  /// Connections with answers that are not sent yet.
  private var answered: [ConnectionHandler] = []
  private var isEndAhead = false
  private var isRoundAhead = false
  private var scored = 0

  /// Rows that take no longer are scored on the loop: that costs less than waking a thread, and every other
  /// request of the loop waits for it.
  private static let longest = Duration.microseconds(100)
  /// One in so many is measured, which costs as much as scoring a few rows of a small model.
  private static let sampling = 16

  init(number: Int, loop: any EventLoop) {
    self.number = number
    self.loop = loop
  }

  // MARK: Targets

  /// Whom a request is for.
  struct Found {
    var match: PromptRoutes.Match
    /// nil for what no model is asked.
    var question: PromptRequest.Question?
  }

  private final class Known {
    let subject: PromptRequest.Subject
    /// The models' memory is bounded elsewhere.
    weak var model: LoadedModel?
    var uses = 1

    init(_ question: PromptRequest.Question) {
      (subject, model) = (question.subject, question.model)
    }

    func found(_ model: LoadedModel) -> Found {
      uses += 1
      return Found(match: subject.match, question: .init(subject: subject, model: model))
    }
  }

  /// What targets of requests for scores came to in the catalog of a generation, so that loops which look for
  /// the same at every request need not wait for each other.
  private var known: [String: Known] = [:]
  private var generation = 0
  private static let mostKnown = 256
  /// So often a model that is used is looked for all the same: it counts as used then.
  private static let lookUpInterval = 64

  /// nil where the router shall answer: it says what is wrong, or loads the model.
  func find(_ method: HTTPMethod, _ target: String, _ prompt: PromptServer) -> Found? {
    let library = prompt.server.library
    if generation != library.generation {
      generation = library.generation
      known = [:]
    }
    if method == .POST, let known = known[target], known.uses % Self.lookUpInterval != 0,
      let model = known.model
    {
      return known.found(model)
    }
    guard let match = prompt.routes.match(method, target) else { return nil }
    guard case .scoring(let endpoint) = match.prompt else { return Found(match: match) }
    guard method == .POST, let asked = try? endpoint.ask(match.parameters, Caller()),
      let (model, plan) = library.loadedModel(asked.target)
    else { return nil }
    // What was learned of its requests is kept.
    if let known = known[target], known.model === model { return known.found(model) }
    let question = PromptRequest.Question(subject: .init(match, asked, plan), model: model)
    if known.count >= Self.mostKnown { known = [:] }
    known[target] = Known(question)
    return Found(match: match, question: question)
  }

  // MARK: Names

  private let firstName = UInt64.random(in: .min ... .max)
  private var named: UInt64 = 0

  /// A name for a request that has none of its own.
  func name() -> RequestName {
    named += 1
    return RequestName(
      made: String(unsafeUninitializedCapacity: 32) { digits in
        for place in 0..<32 {
          let word = place < 16 ? firstName : named
          let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (place & 15)) & 15)
          digits[place] = digit + (digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10)
        }
        return 32
      })
  }

  // MARK: Scoring

  /// Whether rows of the model are scored here, by what is known of it.
  static func isQuick(_ model: LoadedModel, rows: Int, _ limits: ScoringQueue.Limits) -> Bool {
    guard limits.longestWait == .zero, let expected = model.pace.expected(rows: rows) else {
      return false
    }
    return expected <= longest
  }

  func score(_ request: ReadRequest) -> Result<Predictions, any Error> {
    let (model, batch) = (request.model.model, request.batch)
    scored &+= 1
    do throws(ModelError) {
      guard scored % Self.sampling == 0 else {
        return .success(try model.predict(batch, workspace: workspace))
      }
      return .success(
        try request.model.pace.measure(rows: batch.rowCount) { () throws(ModelError) in
          try model.predict(batch, workspace: workspace)
        })
    } catch {
      return .failure(Problem(error))
    }
  }

  // MARK: Turns

  /// Counts a request for scoring.
  func ask() {
    turnstile.ask()
    endLater()
  }

  var isFull: Bool { turnstile.isFull }

  /// Has the connection go on when its turn comes.
  func wait(_ connection: ConnectionHandler) { turnstile.wait(connection) }

  /// Sends the connection's answers when all that is read in this round was answered: bytes that come in a row
  /// find their readers awake.
  func sendLater(_ connection: ConnectionHandler) {
    answered.append(connection)
    endLater()
  }

  /// What is executed runs once the round's connections have been read.
  private func endLater() {
    guard !isEndAhead else { return }
    isEndAhead = true
    loop.assumeIsolated().execute {
      self.isEndAhead = false
      self.endRound()
    }
  }

  private func endRound() {
    let sending = answered
    answered = []
    for connection in sending { connection.flush() }
    for connection in turnstile.nextRound() { connection.resume() }
    guard !turnstile.isEmpty, !isRoundAhead else { return }
    // Where nobody asks meanwhile, too.
    isRoundAhead = true
    loop.assumeIsolated().scheduleTask(in: .milliseconds(1)) {
      self.isRoundAhead = false
      self.endRound()
    }
  }
}

/// The desks of a server's loops.
final class Desks: Sendable {
  private let desks: [ObjectIdentifier: NIOLoopBoundBox<Desk?>]
  private let numbers: [ObjectIdentifier: Int]

  init(_ group: any EventLoopGroup) {
    var desks: [ObjectIdentifier: NIOLoopBoundBox<Desk?>] = [:]
    var numbers: [ObjectIdentifier: Int] = [:]
    for loop in group.makeIterator() {
      numbers[ObjectIdentifier(loop)] = numbers.count
      desks[ObjectIdentifier(loop)] = NIOLoopBoundBox<Desk?>.makeEmptyBox(eventLoop: loop)
    }
    (self.desks, self.numbers) = (desks, numbers)
  }

  /// To be called on the loop.
  func desk(of loop: any EventLoop) -> Desk {
    let id = ObjectIdentifier(loop)
    guard let box = desks[id], let number = numbers[id] else {
      preconditionFailure("a connection on a loop of another server")
    }
    if let desk = box.value { return desk }
    let desk = Desk(number: number, loop: loop)
    box.value = desk
    return desk
  }
}
