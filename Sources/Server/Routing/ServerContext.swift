internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// What goes with a request through the server.
struct ServerContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  var origin = RequestOrigin()

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }

  /// Tells a client that waits for it that the body is taken; others send it anyway.
  func askForBody(of request: Request) {
    guard request.headers[.expect] != nil else { return }
    channel.triggerUserOutboundEvent(BodyWanted(), promise: nil)
  }
}
