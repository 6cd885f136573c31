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
  func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) -> Bool {
    guard let length = head.plainBodyLength,
      let found = desk.find(head.method, head.uri, prompt)
    else { return false }
    let request = PromptRequest(
      head, path: found.match.path,
      name: RequestName(head.headers[.requestID]) ?? desk.name(), question: found.question)
    switch found.match.prompt {
    case .answer(let make):
      guard length == 0 else { return false }
      asksForScores = false
      turn = .skipping(isLast: !head.isKeepAlive)
      write(make(), to: request)
    case .scoring(let endpoint):
      guard length <= min(Self.longestBody, prompt.server.bodies.perRequest) else { return false }
      asksForScores = true
      desk.ask()
      do throws(Problem) {
        try admit(request, found.match, endpoint)
        try prompt.server.bodies.hold(length)
        request.heldByteCount = length
        turn = .reading(request)
      } catch {
        turn = .skipping(isLast: !head.isKeepAlive)
        write(error.answer, to: request)
      }
    }
    return true
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
      if Desk.isQuick(read.model, rows: rows, prompt.server.queue.limits) {
        prompt.server.queue.count(rows: rows)
        let result = desk.score(read)
        return end(request) { try answer(to: request, read, result) }
      }
      request.read = read
      turn = .scoring(request)
      let deadline = prompt.server.deadline(timeout: read.timeout)
      let handler = NIOLoopBound(self, eventLoop: desk.loop)
      try prompt.server.queue.add(
        ScoringQueue.Entry(
          model: read.model, batch: read.batch, deadline: deadline, client: client,
          loop: desk.loop, end: { handler.value.finish($0) }))
    } catch {
      end(request) { throw error }
    }
  }

  /// A thread has scored, or will not.
  private func finish(_ result: Result<Predictions, any Error>) {
    guard case .scoring(let request) = turn, let read = request.read else { return }
    end(request) { try answer(to: request, read, result) }
    if let context { settle(context) }
  }

  private func answer(
    to request: PromptRequest, _ read: ReadRequest, _ result: Result<Predictions, any Error>
  ) throws -> Answer {
    let predictions = try result.get()
    prompt.server.recorder.add(
      read.model, read.batch, predictions, unreadable: read.unreadable, from: request.origin)
    return try read.answer(predictions)
  }

  private func end(_ request: PromptRequest, _ make: () throws -> Answer) {
    let answer: Answer
    do {
      answer = try make()
    } catch {
      answer = prompt.around.problem(error, request.name).answer
    }
    let isLast = !request.head.isKeepAlive || isQuiescing
    turn = .idle
    write(answer, to: request)
    if isLast, let context { endConnection(context) }
  }

  private func write(_ answer: Answer, to request: PromptRequest) {
    release(request)
    if let context, context.channel.isActive {
      var buffer = context.channel.allocator.buffer(capacity: answer.bytes.count + 768)
      desk.writer.write(
        answer,
        ResponseWriter.Facts(
          name: request.name, trace: request.trace,
          isSecure: prompt.around.hasSecureClient(peer, request.head.headers),
          isHead: request.head.method == .HEAD,
          closes: !request.head.isKeepAlive || isQuiescing), into: &buffer)
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
