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
///
/// From each of them the connection's last answer leads to `closing`. No more is answered than the client takes:
/// while answers wait to be sent, nothing else is taken or read.
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
    /// Nobody's: the connection is closed when all that was answered is sent.
    case closing
  }

  struct Passing {
    var isRead = false
    var isAnswered = false
    /// Whether its answer is the connection's last.
    var isLast: Bool
    /// Whether the client waits to be asked for the body.
    var isAwaited: Bool
  }

  private struct Held {
    var part: HTTPServerRequestPart
    /// Of a head.
    var shape: RequestShape?

    var isHead: Bool { shape != nil }
  }

  let prompt: PromptServer
  let client = ClientPresence()
  let desk: Desk
  var turn = Turn.idle
  /// Whether the server is stopping: the answer to the last request that came is the connection's last.
  var isQuiescing = false
  /// Whether the server began to stop before it heard of the connection: nobody is behind this handler.
  var isUnheard = false
  private(set) var context: ChannelHandlerContext?
  /// Who is at the other end; asked for once, which costs a system call.
  private(set) lazy var peer = context?.remoteAddress
  /// Where bytes of answers are written, behind what would make bytes of them.
  private(set) var encoder: ChannelHandlerContext?
  private let decoder: RequestDecoder
  private var pace: BodyPace
  /// Whether the request that is being read would go over to another protocol.
  private var goesOver = false

  /// Parts that came and cannot be taken yet.
  private var held = CircularBuffer<Held>()
  private var heldError: (any Error)?
  private var hasParserFailed = false
  private var hasHeldEnd = false
  private var isTaking = false
  private var isSettling = false
  /// Between a part that is read and the end of the round's reading.
  private var isReading = false
  private var hasPassed = false
  private var needsFlush = false
  /// Whether anything was answered yet.
  private(set) var hasAnswered = false
  /// Whether all of that is sent, and nothing else will be.
  var hasSaidAll = false
  /// Whether the client says nothing more.
  private(set) var hasInputEnded = false

  private var wantsRead = false
  private var waitsForTurn = false
  /// Whether the last request was one for scores: these are read by turns.
  var asksForScores = false

  var lastHeard = NIODeadline.now()
  /// Bytes that the client had taken when it was last looked at, where more waited for it.
  var takenByteCount: UInt64?
  var timer: Scheduled<Void>?

  init(_ prompt: PromptServer, desk: Desk, decoder: RequestDecoder) {
    self.prompt = prompt
    self.desk = desk
    self.decoder = decoder
    pace = BodyPace(patience: prompt.patience)
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    prompt.server.clients.add(client, for: context.channel)
    encoder = try? context.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self)
    lastHeard = .now()
    watch(context, for: prompt.patience)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    timer?.cancel()
    client.leave()
    prompt.server.clients.remove(context.channel)
    (self.context, encoder) = (nil, nil)
  }

  // MARK: Reading

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    isReading = true
    let part = unwrapInboundIn(data)
    var shape: RequestShape?
    switch part {
    case .head(let head):
      let known = decoder.shape(of: head)
      goesOver = known.upgrade == .wanted
      shape = known
      pace.begin()
    case .end: decoder.end(wasLeft: goesOver)
    case .body(let bytes):
      guard pace.isKept(bytes.readableBytes) else {
        // Over TLS more is read before that is done.
        letGo()
        return context.close(promise: nil)
      }
    }
    if case .closing = turn { return }
    let next = Held(part: part, shape: shape)
    // When the server stops, an answer is the last one where no other request came with its own.
    guard !isQuiescing, !isTaking, held.isEmpty, takesParts else {
      held.append(next)
      if !isQuiescing { takeHeld(context) }
      return
    }
    isTaking = true
    take(next, context)
    isTaking = false
    takeHeld(context)
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    lastHeard = .now()
    isReading = false
    takeHeld(context)
    if needsFlush, asksForScores { desk.sendLater(self) } else { flush() }
    // What was read for others is all that they need to hear the end of.
    if hasPassed {
      hasPassed = false
      context.fireChannelReadComplete()
    }
    goOn(context)
    // What is still said is read and dropped.
    if case .closing = turn { context.read() }
  }

  /// Takes parts as long as somebody takes them.
  private func takeHeld(_ context: ChannelHandlerContext) {
    guard !isTaking else { return }
    isTaking = true
    defer { isTaking = false }
    while takesParts, let next = held.popFirst() { take(next, context) }
  }

  var takesParts: Bool {
    switch turn {
    case .idle: !isStuffed
    case .reading, .skipping, .passed, .closing: true
    case .passing(let passing): !passing.isRead
    case .scoring: false
    }
  }

  /// Whether so much of answers waits for the client to take it that no more are made.
  private var isStuffed: Bool {
    guard case .idle = turn, let context else { return false }
    return !context.channel.isWritable
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { settle(context) }
    context.fireChannelWritabilityChanged()
  }

  private func take(_ next: Held, _ context: ChannelHandlerContext) {
    switch (turn, next.part) {
    case (.idle, .head(let head)):
      guard let shape = next.shape, !begin(head, shape, context) else { return }
      asksForScores = false
      turn = .passing(
        Passing(
          isLast: !head.isKeepAlive || shape.upgrade == .unclear, isAwaited: shape.isAwaited))
      pass(next.part, context)
    case (.reading(let request), .body(let bytes)): request.append(bytes)
    case (.reading(let request), .end): score(request)
    case (.skipping(let isLast), .end):
      turn = .idle
      if isLast { endConnection(context) }
    case (.skipping, _), (.closing, _): break
    case (.passing(var passing), .body):
      // Who sends it does not wait.
      passing.isAwaited = false
      turn = .passing(passing)
      pass(next.part, context)
    case (.passing(var passing), _):
      pass(next.part, context)
      guard case .end = next.part else { return }
      passing.isRead = true
      pass(on: passing)
    case (.idle, _), (.reading, _), (.scoring, _), (.passed, _): pass(next.part, context)
    }
  }

  /// Whether the answer to a request is the connection's last.
  func isLast(_ head: HTTPRequestHead) -> Bool { !head.isKeepAlive || isLastToCome }

  /// Whether no other request is taken behind the one that is being answered.
  private var isLastToCome: Bool { isQuiescing && !held.contains(where: \.isHead) }

  /// Whether the connection does nothing, and nothing that came waits to be looked at.
  var isQuiet: Bool {
    guard case .idle = turn else { return false }
    return held.isEmpty && !waitsForTurn
  }

  private func pass(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
    hasPassed = true
    context.fireChannelRead(wrapInboundOut(part))
  }

  private func pass(on passing: Passing) {
    turn = passing.isRead && passing.isAnswered ? .idle : .passing(passing)
  }

  /// Takes what waited for the end of a turn, where nothing is being read.
  func settle(_ context: ChannelHandlerContext) {
    guard !isReading, !isTaking, !isSettling else { return }
    isSettling = true
    repeat {
      takeHeld(context)
      // What the system takes at once makes room for more answers.
      flush()
    } while takesParts && !held.isEmpty
    isSettling = false
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
    guard held.isEmpty, !waitsForTurn, !isStuffed else {
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
    if held.isEmpty, !isStuffed { context?.read() } else { wantsRead = true }
  }

  // MARK: Writing

  /// The router's answers; those of this handler take another way.
  func write(
    context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
  ) {
    hasAnswered = true
    guard case .passing(var passing) = turn else {
      return context.write(data, promise: promise)
    }
    switch unwrapOutboundIn(data) {
    case .head(var head):
      let says = head.headers[canonicalForm: "connection"].contains { $0.lowercased() == "close" }
      // Who was not asked for a body may send it or not: nobody knows where the next request begins.
      passing.isLast = passing.isLast || says || passing.isAwaited || isLastToCome
      turn = .passing(passing)
      if passing.isLast { head.headers.replaceOrAdd(name: "Connection", value: "close") }
      context.write(wrapOutboundOut(.head(head)), promise: promise)
    case .body: context.write(data, promise: promise)
    case .end:
      context.write(data, promise: promise)
      lastHeard = .now()
      guard !passing.isLast else { return endConnection(context) }
      passing.isAnswered = true
      pass(on: passing)
      guard passing.isRead else { return }
      context.flush()
      settle(context)
    }
  }

  /// Whoever reads the body of the router's request wants it.
  func triggerUserOutboundEvent(
    context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
  ) {
    guard event is BodyWanted else {
      return context.triggerUserOutboundEvent(event, promise: promise)
    }
    promise?.succeed()
    guard case .passing(var passing) = turn, passing.isAwaited else { return }
    passing.isAwaited = false
    turn = .passing(passing)
    askForBody()
  }

  /// Tells a client that waits for it to send the body.
  func askForBody() {
    hasAnswered = true
    let line = ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")
    encoder?.writeAndFlush(NIOAny(IOData.byteBuffer(line)), promise: nil)
  }

  /// Sends bytes once what is being read was read.
  func send(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
    lastHeard = .now()
    hasAnswered = true
    encoder?.write(NIOAny(IOData.byteBuffer(bytes)), promise: nil)
    needsFlush = true
  }

  func flush() {
    guard needsFlush else { return }
    needsFlush = false
    encoder?.flush()
  }

  // MARK: Ends

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case is ChannelShouldQuiesceEvent: return quiesce(context)
    case let event as ChannelEvent where event == .inputClosed:
      client.leave()
      hasInputEnded = true
      if case .closing = turn { return hearOut(context) }
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

  /// Whether the router has a request whole.
  private var isBeingAnswered: Bool {
    if case .passing(let passing) = turn { return passing.isRead }
    return false
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if case .closing = turn { return }
    // Nothing behind it is understood.
    if hasParserFailed, error is ByteToMessageDecoderError { return }
    if error is HTTPParserError {
      hasParserFailed = true
      // What came before is answered first; then the router says what is wrong.
      if isBusy || isBeingAnswered {
        heldError = error
        return
      }
      if isUnheard { return endConnection(context) }
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
    client.leave()
    timer?.cancel()
    forget()
    context.fireChannelInactive()
  }

  /// Lets go of what was not answered. What is being scored is let go of when that ends.
  func forget() {
    held.removeAll()
    needsFlush = false
    if case .reading(let request) = turn {
      release(request)
      turn = .closing
    }
  }
}
