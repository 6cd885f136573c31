internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// The document that describes all other routes, and itself.
///
/// It tells what paths a release has and nothing of the models, services or keys of an installation; still it
/// is for callers alone, as everything is but the server's health and the way in to the console.
struct OpenAPIEndpoint: Sendable {
  static let path = "/openapi.json"

  /// - Parameter others: The routes that the document describes beside its own.
  static func route(describing others: [Route], release: String) -> Route {
    func route(_ document: ByteBuffer) -> Route {
      .get(
        path, .key(.read),
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
