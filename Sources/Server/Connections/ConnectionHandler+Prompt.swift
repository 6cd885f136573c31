internal import HTTPTypes
internal import Inference
internal import NIOCore
internal import NIOHTTP1
internal import Scoring

/// Requests that are answered here.
extension ConnectionHandler {
  /// Bytes of a body that is gathered here at most; what is larger is read piece by piece, by the router.
  private static let longestBody = 64 << 10

  /// Takes a request that is answered here, and answers it where its head is enough for that.
  ///
  /// - Returns: false where the router shall have it.
  func begin(
    _ head: HTTPRequestHead, _ shape: RequestShape, _ context: ChannelHandlerContext
  ) -> Bool {
    let problem =
      shape.problem ?? (shape.isTooLong ? prompt.server.bodies.tooLarge : nil)
      ?? (isUnheard ? ScoringQueue.stopping : nil)
    if let problem {
      refuse(head, problem, context)
      return true
    }
    guard let length = shape.plainLength,
      let found = desk.find(head.method, head.uri, prompt)
    else { return false }
    let request = PromptRequest(
      head, path: found.match.path,
      name: RequestName(head.headers[.requestID]) ?? desk.name(), question: found.question)
    switch found.match.prompt {
    case .answer(let make):
      guard length == 0 else { return false }
      asksForScores = false
      let isLast = isLast(head)
      turn = .skipping(isLast: isLast)
      write(make(), to: request, isLast: isLast)
    case .scoring(let endpoint):
      guard length <= min(Self.longestBody, prompt.server.bodies.perRequest) else { return false }
      asksForScores = true
      desk.ask()
      do throws(Problem) {
        try admit(request, found.match, endpoint)
        try prompt.server.bodies.hold(length)
        request.heldByteCount = length
        turn = .reading(request)
        if shape.isAwaited, length > 0 { askForBody() }
      } catch {
        // Who was not asked for a body may send it or not: nobody knows where the next request begins.
        let isLast = shape.isAwaited || isLast(head)
        turn = .skipping(isLast: isLast)
        write(error.answer, to: request, isLast: isLast)
        if shape.isAwaited { endConnection(context) }
      }
    }
    return true
  }

  /// Answers a request that is nobody's, as the connection's last.
  private func refuse(
    _ head: HTTPRequestHead, _ problem: Problem, _ context: ChannelHandlerContext
  ) {
    asksForScores = false
    let request = PromptRequest(
      head, path: "other", name: RequestName(head.headers[.requestID]) ?? desk.name(),
      question: nil)
    write(problem.answer, to: request, isLast: true)
    endConnection(context)
  }

  /// - Throws: Why the request is refused before anything of its body is looked at.
  private func admit(
    _ request: PromptRequest, _ match: PromptRoutes.Match, _ endpoint: ScoringEndpoint
  ) throws(Problem) {
    if let action = match.action {
      let caller = try prompt.gate.admit(request.head.headers, from: peer, to: action)
      // Whether the caller is let to what the path asks; the question itself is known.
      request.caller = caller
      if caller.models != nil { _ = try endpoint.ask(match.parameters, caller) }
    }
    guard let model = request.question?.model else { return }
    if !Desk.isQuick(model, rows: 1, prompt.server.queue.limits) {
      try prompt.server.queue.requireRoom()
    }
  }

  /// Reads the body and has its rows scored: here where that is quick, else by a thread.
  func score(_ request: PromptRequest) {
    guard let question = request.question else { return }
    prompt.server.payloads.note(request.body, request.head.headers, from: request.origin)
    do throws(Problem) {
      let head = RequestHead(fields: request.head.headers, target: request.head.uri)
      let subject = question.subject
      let read = try subject.asked.read(
        head, request.body, question.model, subject.plan, subject.patterns)
      let rows = read.batch.rowCount
      guard rows > 0 else { throw ServerParts.noRows }
      request.body = []
      let isShort = read.isShort
      let recorder = prompt.server.recorder
      if isShort, Desk.isQuick(read.model, rows: rows, prompt.server.queue.limits) {
        prompt.server.queue.count(rows: rows)
        let result = desk.score(read)
        return end(request) { try Self.answer(read, result, from: request.origin, recorder) }
      }
      turn = .scoring(request)
      let deadline = prompt.server.deadline(timeout: read.timeout)
      let (loop, handler) = (desk.loop, NIOLoopBound(self, eventLoop: desk.loop))
      let origin = request.origin
      // Who composes a long answer would keep the loop's other connections waiting.
      try prompt.server.queue.add(
        ScoringQueue.Entry(
          model: read.model, batch: read.batch, deadline: deadline, client: client,
          loop: isShort ? loop : nil
        ) { result in
          let answer = Result { try Self.answer(read, result, from: origin, recorder) }
          if isShort { return handler.value.finish(answer) }
          loop.execute { handler.value.finish(answer) }
        })
    } catch {
      end(request) { throw error }
    }
  }

  /// A thread has scored, or will not.
  private func finish(_ answer: Result<Answer, any Error>) {
    guard case .scoring(let request) = turn else { return }
    end(request) { try answer.get() }
    if let context { settle(context) }
  }

  private static func answer(
    _ read: ReadRequest, _ result: Result<Predictions, any Error>,
    from origin: @autoclosure () -> RequestOrigin, _ recorder: RequestRecorder
  ) throws -> Answer {
    let predictions = try result.get()
    recorder.add(
      read.model, read.batch, predictions, unreadable: read.unreadable, from: origin())
    return try read.answer(predictions)
  }

  private func end(_ request: PromptRequest, _ make: () throws -> Answer) {
    let answer: Answer
    do {
      answer = try make()
    } catch {
      answer = prompt.around.problem(error, request.name).answer
    }
    let isLast = isLast(request.head)
    turn = .idle
    write(answer, to: request, isLast: isLast)
    if isLast, let context { endConnection(context) }
  }

  private func write(_ answer: Answer, to request: PromptRequest, isLast: Bool) {
    release(request)
    if let context, context.channel.isActive {
      var buffer = context.channel.allocator.buffer(capacity: answer.bytes.count + 768)
      desk.writer.write(
        answer,
        ResponseWriter.Facts(
          name: request.name, trace: request.trace,
          isSecure: prompt.around.hasSecureClient(peer, request.head.headers),
          isHead: request.head.method == .HEAD,
          closes: isLast), into: &buffer)
      send(buffer, context)
    }
    prompt.around.note(
      Guard.Ended(
        method: .init(rawValue: request.head.method.rawValue) ?? .post, route: request.path,
        name: request.name, trace: request.trace, fields: request.head.headers, peer: peer,
        status: answer.status.code,
        duration: request.startedAt.duration(to: .now), place: desk.number + 1))
  }

  /// Its body counts no more.
  func release(_ request: PromptRequest) {
    prompt.server.bodies.release(request.heldByteCount)
    request.heldByteCount = 0
  }
}
