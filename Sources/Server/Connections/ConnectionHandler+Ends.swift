internal import NIOCore

/// Whoever answers wants the body of the request that the router has.
struct BodyWanted: Sendable {}

/// How connections end.
extension ConnectionHandler {
  /// How long a client is heard that has had its last answer: bytes that came to a closed socket would have the
  /// system take back what is still on the way to it.
  private static let hearing = TimeAmount.seconds(1)
  /// How long a stopping server waits for requests that are on the way through the system.
  private static let grace = TimeAmount.milliseconds(50)
  /// How long a stopping server waits for a client to take its answers, or to send the rest of its request.
  private static let longestEnd = TimeAmount.seconds(10)

  // MARK: The last answer

  /// Closes the connection once all that was answered is sent.
  func endConnection(_ context: ChannelHandlerContext) {
    if case .closing = turn { return }
    letGo()
    guard hasAnswered else { return context.close(promise: nil) }
    let sent = context.eventLoop.makePromise(of: Void.self)
    sent.futureResult.assumeIsolated().whenComplete { _ in self.sayNoMore(context) }
    encoder?.writeAndFlush(NIOAny(IOData.byteBuffer(ByteBuffer())), promise: sent)
  }

  /// Nothing else is answered.
  func letGo() {
    if case .scoring(let request) = turn { release(request) }
    forget()
    turn = .closing
  }

  private func sayNoMore(_ context: ChannelHandlerContext) {
    hasSaidAll = true
    guard context.channel.isActive, !hasInputEnded else { return context.close(promise: nil) }
    context.close(mode: .output, promise: nil)
    context.read()
    timer?.cancel()
    timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.hearing) {
      context.close(promise: nil)
    }
  }

  /// The client of a connection that ends says nothing more.
  func hearOut(_ context: ChannelHandlerContext) {
    if hasSaidAll { context.close(promise: nil) }
  }

  /// The router is done with the connection: what was answered is sent first.
  func close(
    context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?
  ) {
    if case .input = mode { return context.close(mode: mode, promise: promise) }
    guard context.channel.isActive else { return context.close(mode: mode, promise: promise) }
    if let promise { context.channel.closeFuture.cascade(to: promise) }
    endConnection(context)
  }

  // MARK: The server's end

  /// The server stops: what was asked is answered, and the connection ends.
  func quiesce(_ context: ChannelHandlerContext) {
    isQuiescing = true
    isUnheard = !context.channel.isActive
    endWhenQuiet(context)
    let end = context.eventLoop.assumeIsolated().scheduleTask(in: Self.longestEnd) {
      self.context?.close(promise: nil)
    }
    context.channel.closeFuture.assumeIsolated().whenComplete { _ in end.cancel() }
  }

  /// Requests that lie in the socket are read meanwhile.
  private func endWhenQuiet(_ context: ChannelHandlerContext) {
    context.eventLoop.assumeIsolated().scheduleTask(in: Self.grace) {
      guard let context = self.context else { return }
      // The port may be closed between a connection's welcome and its beginning.
      guard context.channel.isActive else { return context.close(promise: nil) }
      if case .closing = self.turn { return }
      if self.isQuiet { self.endConnection(context) } else { self.endWhenQuiet(context) }
    }
  }

  // MARK: Time

  /// Who says nothing, or not the rest of what was begun, or takes nothing of an answer, is not waited for.
  func watch(_ context: ChannelHandlerContext, for time: TimeAmount) {
    timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) { self.look() }
  }

  private func look() {
    guard let context else { return }
    let unsent = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    if unsent > 0 { return lookWhatIsTaken(context) }
    if takenByteCount != nil {
      takenByteCount = nil
      lastHeard = .now()
    }
    guard takesParts else { return watch(context, for: prompt.patience) }
    let left = lastHeard + prompt.patience - .now()
    if left > .zero { watch(context, for: left) } else { context.close(promise: nil) }
  }

  /// Closes the connection where nothing was taken since it was last looked at. Bytes count that the client's
  /// system confirmed: this one's may hold more than a slow client takes in all that time.
  private func lookWhatIsTaken(_ context: ChannelHandlerContext) {
    guard let socket = context.channel as? any SocketOptionProvider else {
      return watch(context, for: prompt.patience)
    }
    let figures: EventLoopFuture<SocketFigures> = socket.unsafeGetSocketOption(
      level: .tcp, name: .tcp_info)
    figures.assumeIsolated().whenComplete { figures in
      // A socket that does not say it is as one that took nothing.
      let taken = (try? figures.get())?.confirmedByteCount ?? self.takenByteCount ?? 0
      guard taken != self.takenByteCount else { return context.close(promise: nil) }
      self.takenByteCount = taken
      self.watch(context, for: self.prompt.patience)
    }
  }
}

/// Linux' `tcp_info`, of which the C library's header has only the first half.
private struct SocketFigures {
  private var words: InlineArray<16, UInt64>
  /// `tcpi_bytes_acked`.
  var confirmedByteCount: UInt64 { words[15] }
}
