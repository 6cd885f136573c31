internal import NIOCore
internal import NIOHTTP1

/// Reads requests of HTTP/1.1, also behind one that would rather go over to another protocol.
///
/// HTTP's own decoder reads nothing behind such a request. A server that speaks no other protocol passes over the
/// wish and goes on, as it may: clients that ask so with every request keep their connections.
final class RequestDecoder: ByteToMessageDecoder {
  typealias InboundOut = HTTPServerRequestPart

  private let limits: NIOHTTPDecoderLimitConfiguration
  private var decoder: HTTPRequestDecoder
  private var isOver = false

  init(_ limits: NIOHTTPDecoderLimitConfiguration) {
    self.limits = limits
    decoder = HTTPRequestDecoder(limitConfiguration: limits)
  }

  /// Reads on behind the request that ends; to be called while its end is handed on.
  func goOn() { isOver = true }

  func decoderAdded(context: ChannelHandlerContext) { decoder.decoderAdded(context: context) }
  func decoderRemoved(context: ChannelHandlerContext) { decoder.decoderRemoved(context: context) }

  func decode(
    context: ChannelHandlerContext, buffer: inout ByteBuffer
  ) throws -> DecodingState {
    let state = try decoder.decode(context: context, buffer: &buffer)
    guard isOver else { return state }
    isOver = false
    decoder.decoderRemoved(context: context)
    decoder = HTTPRequestDecoder(limitConfiguration: limits)
    decoder.decoderAdded(context: context)
    return buffer.readableBytes > 0 ? .continue : .needMoreData
  }

  func decodeLast(
    context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
  ) throws -> DecodingState {
    try decoder.decodeLast(context: context, buffer: &buffer, seenEOF: seenEOF)
  }
}
