package import NIOCore
package import NIOHTTP1

/// Reads requests of HTTP/1.1: those with a head that the connection said before by themselves, all others by
/// HTTP's own decoder.
///
/// Which bytes begin a request is known at the beginning, and behind each request of which this and HTTP's decoder
/// both know the end, and agree. Where they do not, all that follows is the decoder's.
///
/// HTTP's decoder reads nothing behind a request that would rather go over to another protocol. A server that
/// speaks no other passes over the wish and goes on, as it may: clients that ask so with every request keep their
/// connections.
package final class RequestDecoder: ByteToMessageDecoder {
  package typealias InboundOut = HTTPServerRequestPart

  /// Where the next byte is.
  private enum Place {
    case between
    /// In the body of a request whose head was known, so many bytes before its end.
    case known(left: Int)
    /// In a request of HTTP's decoder, so many bytes before its end.
    case strange(left: Int)
    /// In what only HTTP's decoder looks at.
    case lost
  }

  private let limits: NIOHTTPDecoderLimitConfiguration
  private var decoder: HTTPRequestDecoder
  private var place = Place.between
  private var isOver = false

  private var patterns: [HeadPattern] = []
  private var next = 0
  /// Heads in a row that were not known.
  private var misses = 0
  private static let most = 4

  /// Of the head that is handed on, where it was known.
  private var knownShape: RequestShape?
  /// What HTTP's decoder handed on at its last call.
  private var begun: [(head: HTTPRequestHead, shape: RequestShape)] = []
  private var endCount = 0

  package init(_ limits: NIOHTTPDecoderLimitConfiguration) {
    self.limits = limits
    decoder = HTTPRequestDecoder(limitConfiguration: limits)
  }

  // MARK: What is handed on

  /// What is to be known of a head; to be called once for each, while it is handed on.
  package func shape(of head: HTTPRequestHead) -> RequestShape {
    if let shape = knownShape {
      knownShape = nil
      return shape
    }
    let shape = RequestShape(head)
    begun.append((head, shape))
    return shape
  }

  /// To be called once for each request's end, while it is handed on.
  ///
  /// - Parameter wasLeft: Whether the request would have gone over to another protocol: what is behind it is
  ///   read all the same.
  package func end(wasLeft: Bool) {
    endCount += 1
    if wasLeft { isOver = true }
  }

  // MARK: Bytes

  package func decoderAdded(context: ChannelHandlerContext) {
    decoder.decoderAdded(context: context)
  }
  package func decoderRemoved(context: ChannelHandlerContext) {
    decoder.decoderRemoved(context: context)
  }

  package func decode(
    context: ChannelHandlerContext, buffer: inout ByteBuffer
  ) throws -> DecodingState {
    switch place {
    case .between:
      guard let found = find(in: buffer) else { break }
      buffer.moveReaderIndex(forwardBy: found.byteCount)
      misses = 0
      knownShape = found.shape
      context.fireChannelRead(wrapInboundOut(.head(found.head)))
      return read(found.shape.plainLength ?? 0, context, &buffer)
    case .known(let left): return read(left, context, &buffer)
    case .strange, .lost: break
    }
    return try decodeStrange(context, &buffer)
  }

  package func decodeLast(
    context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
  ) throws -> DecodingState {
    while buffer.readableBytes > 0, case .continue = try decode(context: context, buffer: &buffer) {
    }
    if case .known = place, seenEOF { throw HTTPParserError.invalidEOFState }
    return try decoder.decodeLast(context: context, buffer: &buffer, seenEOF: seenEOF)
  }

  private func find(in buffer: ByteBuffer) -> HeadPattern.Found? {
    buffer.withUnsafeReadableBytes { bytes in
      for index in patterns.indices {
        if let found = patterns[index].find(in: bytes) { return found }
      }
      return nil
    }
  }

  /// Hands on what is there of a known request's body.
  private func read(
    _ left: Int, _ context: ChannelHandlerContext, _ buffer: inout ByteBuffer
  ) -> DecodingState {
    let count = min(left, buffer.readableBytes)
    place = left > count ? .known(left: left - count) : .between
    if count > 0, let bytes = buffer.readSlice(length: count) {
      context.fireChannelRead(wrapInboundOut(.body(bytes)))
    }
    if left == count { context.fireChannelRead(wrapInboundOut(.end(nil))) }
    return buffer.readableBytes > 0 ? .continue : .needMoreData
  }

  // MARK: HTTP's decoder

  private func decodeStrange(
    _ context: ChannelHandlerContext, _ buffer: inout ByteBuffer
  ) throws -> DecodingState {
    let bytes = buffer
    begun.removeAll(keepingCapacity: true)
    endCount = 0
    let state = try decoder.decode(context: context, buffer: &buffer)
    guard isOver else {
      follow(bytes, bytes.readableBytes - buffer.readableBytes)
      return state
    }
    isOver = false
    place = .lost
    decoder.decoderRemoved(context: context)
    decoder = HTTPRequestDecoder(limitConfiguration: limits)
    decoder.decoderAdded(context: context)
    return buffer.readableBytes > 0 ? .continue : .needMoreData
  }

  /// Finds out where the decoder is after so many of the bytes.
  private func follow(_ bytes: ByteBuffer, _ count: Int) {
    var left = 0
    switch place {
    case .between:
      guard begun.count == 1, let (head, shape) = begun.first, head.isKeepAlive, shape.isUsual,
        let length = shape.plainLength
      else { return place = .lost }
      let byteCount = bytes.withUnsafeReadableBytes { learn($0, head, shape) }
      guard let byteCount else { return place = .lost }
      left = byteCount + length
    case .strange(let wanted):
      guard begun.isEmpty else { return place = .lost }
      left = wanted
    case .known, .lost: return
    }
    switch (left - count, endCount) {
    case (0, 1): place = .between
    case (1..., 0): place = .strange(left: left - count)
    default: place = .lost
    }
  }

  /// Remembers a head, from the second of its kind on, and less and less often where none is like another.
  ///
  /// - Returns: Its bytes; nil where it is written in a way that not all understand alike.
  private func learn(
    _ bytes: UnsafeRawBufferPointer, _ head: HTTPRequestHead, _ shape: RequestShape
  ) -> Int? {
    guard let lines = HeadLines(bytes) else { return nil }
    misses += 1
    guard misses > 1, misses & (misses - 1) == 0,
      let pattern = HeadPattern(bytes, lines, head, shape)
    else { return lines.byteCount }
    if patterns.count < Self.most {
      patterns.append(pattern)
    } else {
      patterns[next] = pattern
      next = (next + 1) % Self.most
    }
    return lines.byteCount
  }
}
