internal import NIOCore
internal import NIOHTTP1

/// Answers a connection's requests for scores and for the server's state where they are read, and hands all
/// others to the router as they came.
///
/// Requests are answered in their order, whoever answers them: parts of the next one are kept until the one
/// before is answered, and while some are kept nothing more is read. What only the router understands (bodies
/// in chunks, coded, large or expected, models that must be loaded first) it is given whole, so that such a
/// request is answered as if this handler were not there.
///
/// ```
///            head, for here                 end                 answer
///   idle ───────────────────► reading ─────────────► scoring ──────────► idle
///    │ head, for the router      │ refused: answer
///    ▼                           ▼            end
///   passing ──────► idle      skipping ─────────────► idle
///      end and answer
/// ```
final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  enum Turn {
    case idle
    case reading(PromptRequest)
    case scoring(PromptRequest)
    /// Answered before its end was here; the rest is passed over.
    case skipping(isLast: Bool)
    /// The router's, until all of it was read and answered.
    case passing(Passing)
    /// The router's for good.
    case passed
    /// Nobody's: the connection is about to be closed.
    case closing
  }

  struct Passing {
    var isRead = false
    var isAnswered = false
    var isLast: Bool
  }

  let prompt: PromptServer
  let client: ClientPresence
  let desk: Desk
  var turn = Turn.idle
  /// Whether the server is stopping: each answer is the connection's last.
  private(set) var isQuiescing = false
  private(set) var context: ChannelHandlerContext?
  /// Who is at the other end; asked for once, which costs a system call.
  private(set) lazy var peer = context?.remoteAddress
  /// Where bytes of answers are written, behind what would make bytes of them.
  private var encoder: ChannelHandlerContext?

  /// Parts that came and cannot be taken yet.
  private var held = CircularBuffer<HTTPServerRequestPart>()
  private var heldError: (any Error)?
  private var hasHeldEnd = false
  private var isTaking = false
  /// Between a part that is read and the end of the round's reading.
  private var isReading = false
  private var hasPassed = false
  private var needsFlush = false

  private var wantsRead = false
  private var waitsForTurn = false
  /// Whether the last request was one for scores: these are read by turns.
  var asksForScores = false

  private var lastHeard = NIODeadline.now()
  private var timer: Scheduled<Void>?

  init(_ prompt: PromptServer, client: ClientPresence, desk: Desk) {
    self.prompt = prompt
    self.client = client
    self.desk = desk
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    encoder = try? context.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self)
    lastHeard = .now()
    watch(context, for: prompt.patience)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    timer?.cancel()
    (self.context, encoder) = (nil, nil)
  }

  // MARK: Reading

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    isReading = true
    held.append(unwrapInboundIn(data))
    takeHeld(context)
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    lastHeard = .now()
    isReading = false
    if needsFlush, asksForScores { desk.sendLater(self) } else { flush() }
    // What was read for others is all that they need to hear the end of.
    if hasPassed {
      hasPassed = false
      context.fireChannelReadComplete()
    }
    goOn(context)
  }

  /// Takes parts as long as somebody takes them.
  private func takeHeld(_ context: ChannelHandlerContext) {
    guard !isTaking else { return }
    isTaking = true
    defer { isTaking = false }
    while takesParts, let part = held.popFirst() { take(part, context) }
  }

  private var takesParts: Bool {
    switch turn {
    case .idle, .reading, .skipping, .passed, .closing: true
    case .passing(let passing): !passing.isRead
    case .scoring: false
    }
  }

  private func take(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
    switch (turn, part) {
    case (.idle, .head(let head)):
      if begin(head, context) { return }
      asksForScores = false
      turn = .passing(Passing(isLast: !head.isKeepAlive))
      pass(part, context)
    case (.reading(let request), .body(let bytes)): request.append(bytes)
    case (.reading(let request), .end): score(request)
    case (.skipping(let isLast), .end):
      turn = .idle
      if isLast || isQuiescing { endConnection(context) }
    case (.skipping, _), (.closing, _): break
    case (.passing(var passing), _):
      pass(part, context)
      guard case .end = part else { return }
      passing.isRead = true
      pass(on: passing)
    case (.idle, _), (.reading, _), (.scoring, _), (.passed, _): pass(part, context)
    }
  }

  private func pass(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
    hasPassed = true
    context.fireChannelRead(wrapInboundOut(part))
  }

  private func pass(on passing: Passing) {
    let isOver = passing.isRead && passing.isAnswered
    turn = !isOver ? .passing(passing) : passing.isLast ? .passed : .idle
  }

  /// Takes what waited for the end of a turn, where nothing is being read.
  func settle(_ context: ChannelHandlerContext) {
    guard !isReading, !isTaking else { return }
    takeHeld(context)
    flush()
    if hasPassed {
      hasPassed = false
      context.fireChannelReadComplete()
    }
    goOn(context)
  }

  /// Does what waited for the end of all turns.
  private func goOn(_ context: ChannelHandlerContext) {
    guard takesParts else { return }
    if let error = heldError {
      heldError = nil
      errorCaught(context: context, error: error)
    }
    if hasHeldEnd {
      hasHeldEnd = false
      context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }
    if wantsRead {
      wantsRead = false
      read(context: context)
    }
  }

  func read(context: ChannelHandlerContext) {
    guard held.isEmpty, !waitsForTurn else {
      wantsRead = true
      return
    }
    if asksForScores, desk.isFull {
      waitsForTurn = true
      desk.wait(self)
    } else {
      context.read()
    }
  }

  /// It is this connection's turn to be read from.
  func resume() {
    guard waitsForTurn else { return }
    (waitsForTurn, wantsRead) = (false, false)
    if held.isEmpty { context?.read() } else { wantsRead = true }
  }

  // MARK: Writing

  /// The router's answers; those of this handler take another way.
  func write(
    context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
  ) {
    let part = unwrapOutboundIn(data)
    context.write(data, promise: promise)
    guard case .end = part, case .passing(var passing) = turn else { return }
    lastHeard = .now()
    passing.isAnswered = true
    pass(on: passing)
    guard passing.isRead else { return }
    context.flush()
    settle(context)
  }

  /// Sends bytes once what is being read was read.
  func send(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
    lastHeard = .now()
    encoder?.write(NIOAny(IOData.byteBuffer(bytes)), promise: nil)
    needsFlush = true
  }

  func flush() {
    guard needsFlush else { return }
    needsFlush = false
    encoder?.flush()
  }

  /// Closes the connection once all that was answered is sent.
  func endConnection(_ context: ChannelHandlerContext) {
    turn = .closing
    needsFlush = false
    let sent = context.eventLoop.makePromise(of: Void.self)
    sent.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
    encoder?.writeAndFlush(NIOAny(IOData.byteBuffer(ByteBuffer())), promise: sent)
  }

  // MARK: Ends

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case is ChannelShouldQuiesceEvent:
      isQuiescing = true
      switch turn {
      // Ended by their answer.
      case .reading, .scoring, .skipping, .closing: return
      case .idle, .passing, .passed: break
      }
    case let event as ChannelEvent where event == .inputClosed:
      // Who says nothing more may still be owed answers.
      if isBusy {
        hasHeldEnd = true
        return
      }
    default: break
    }
    context.fireUserInboundEventTriggered(event)
  }

  private var isBusy: Bool {
    if case .scoring = turn { return true }
    return !held.isEmpty
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if error is HTTPParserError {
      // What came before is answered first; then the router says what is wrong.
      if isBusy {
        heldError = error
        return
      }
      switch turn {
      case .reading(let request):
        release(request)
        turn = .passed
      case .idle, .skipping: turn = .passed
      case .scoring, .passing, .passed, .closing: break
      }
    }
    context.fireErrorCaught(error)
  }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    held.removeAll()
    // One that is being scored is let go of when that ends.
    if case .reading(let request) = turn {
      release(request)
      turn = .closing
    }
    context.fireChannelInactive()
  }

  // MARK: Time

  /// Who says nothing, or not the rest of what was begun, is not waited for.
  private func watch(_ context: ChannelHandlerContext, for time: TimeAmount) {
    timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) { self.look() }
  }

  private func look() {
    guard let context else { return }
    guard takesParts else { return watch(context, for: prompt.patience) }
    let left = lastHeard + prompt.patience - .now()
    if left > .zero { watch(context, for: left) } else { context.close(promise: nil) }
  }
}
