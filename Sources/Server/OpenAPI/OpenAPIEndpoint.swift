internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// The document that describes all other routes, and itself.
///
/// It is open: it tells what paths a release has, which its documentation tells anybody as well, and nothing
/// of the models, services or keys of an installation. Tools that make clients, and browsers, read it
/// without having to be given a secret.
struct OpenAPIEndpoint: Sendable {
  static let path = "/openapi.json"

  /// - Parameter others: The routes that the document describes beside its own.
  static func route(describing others: [Route], release: String) -> Route {
    func route(_ document: ByteBuffer) -> Route {
      .get(
        path, .open,
        Operation(
          "openapi", .server, "This document.",
          answers: [.json(["type": "object"], "A document of OpenAPI 3.1.")])
      ) { _, _, _ in
        Response(
          status: .ok, headers: [.contentType: "application/json"],
          body: ResponseBody(byteBuffer: document))
      }
    }
    let document = OpenAPIDocument.make(of: others + [route(ByteBuffer())], release: release)
    return route(ByteBuffer(bytes: document.bytes))
  }
}
