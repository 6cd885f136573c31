internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1

/// The pipeline of a connection: parts of HTTP/1.1, requests that are answered at once, and behind these the
/// router for all others.
struct ConnectionChannel: HTTPChannelHandler {
  typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

  let responder: Responder
  let prompt: PromptServer
  let headerByteCount: Int

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      var limits = NIOHTTPDecoderLimitConfiguration()
      limits.maxHeaderFieldSize = headerByteCount
      limits.maxHeaderListSize = headerByteCount
      limits.maxHeaderFieldCount = 100
      let pipeline = channel.pipeline.syncOperations
      // The router's answers come one at a time, with fields that were checked, and errors are its own.
      try pipeline.addHandler(HTTPResponseEncoder())
      let decoder = RequestDecoder(limits)
      try pipeline.addHandler(ByteToMessageHandler(decoder))
      try pipeline.addHandler(
        ConnectionHandler(
          prompt, desk: prompt.desks.desk(of: channel.eventLoop), decoder: decoder))
      try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
      let value = try Value(
        wrappingChannelSynchronously: channel,
        configuration: .init(isOutboundHalfClosureEnabled: true))
      // A server that stops drops what it has not begun to handle, and this must not end before its channel.
      channel.closeFuture.whenComplete { _ in withExtendedLifetime(value) {} }
      return value
    }
  }

  func handle(value: Value, logger: Logger) async {
    await handleHTTP(asyncChannel: value, logger: logger)
  }
}

/// What connections need to answer requests themselves.
///
/// An object: loops that each took all of its parts in hand at every request would wait for each other.
final class PromptServer: Sendable {
  let server: ServerParts
  let routes: PromptRoutes
  let gate: Gate
  let around: Guard
  let desks: Desks
  /// How long a client may take for its headers, or be silent.
  let patience: TimeAmount

  init(
    server: ServerParts, routes: PromptRoutes, gate: Gate, around: Guard, desks: Desks,
    patience: TimeAmount
  ) {
    (self.server, self.routes, self.gate) = (server, routes, gate)
    (self.around, self.desks, self.patience) = (around, desks, patience)
  }
}
