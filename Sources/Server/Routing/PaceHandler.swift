internal import NIOCore
internal import NIOHTTP1

/// Closes connections whose client takes its time with a body, read by anybody or not.
///
/// Who has been refused is heard to the end of what he announced, so that the connection can serve on: a byte
/// now and then would keep it for ever. Each body has the server's patience twice, and longer the more of it came.
final class PaceHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart

  private let patience: TimeAmount
  private var startedAt = NIODeadline.now()
  private var byteCount: Int64 = 0
  /// Bytes a second; what comes faster is not slow.
  private static let slowest: Int64 = 16 << 10

  init(patience: TimeAmount) { self.patience = patience * 2 }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head:
      startedAt = .now()
      byteCount = 0
    case .body(let buffer):
      byteCount += Int64(buffer.readableBytes)
      guard .now() - startedAt <= patience + .seconds(byteCount / Self.slowest) else {
        context.close(promise: nil)
        return
      }
    case .end: break
    }
    context.fireChannelRead(data)
  }
}
