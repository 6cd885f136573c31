internal import Crypto
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// What pages load beside themselves: a style sheet, a script and a sign, of the server's own and the same for all.
struct ConsoleAsset: Sendable {
  let route: String
  /// What the document calls it.
  let id: String
  private let type: String
  private let bytes: [UInt8]
  private let tag: String

  init(_ id: String, _ route: String, _ type: String, _ text: String) {
    (self.id, self.route, self.type) = (id, route, type)
    bytes = Array(text.utf8)
    tag = SHA256.hash(data: bytes).prefix(8).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  /// Without its parameters.
  var media: String { String(type.prefix { $0 != ";" }) }

  /// As pages name it: with the next release it is another one.
  var path: String { "\(route)?v=\(tag)" }

  func response(to request: Request) -> Response {
    let quoted = "\"\(tag)\""
    // Another release's page may still ask for its own.
    let isNamed = request.uri.query == "v=\(tag)"
    let headers: HTTPFields = [
      .contentType: type, .eTag: quoted,
      .cacheControl: isNamed ? "public, max-age=31536000, immutable" : "no-cache",
    ]
    let known = request.headers[.ifNoneMatch]?.split(separator: ",")
      .map { $0.trimmingPrefix { $0 == " " }.trimmingPrefix("W/") }
    if known?.contains(where: { $0 == quoted || $0 == "*" }) ?? false {
      return Response(status: .notModified, headers: headers)
    }
    return Response(
      status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }
}

enum ConsoleAssets {
  static let style = ConsoleAsset(
    "consoleStyle", "/console/style.css", "text/css; charset=utf-8", ConsoleStyle.text)
  static let script = ConsoleAsset(
    "consoleScript", "/console/script.js", "text/javascript; charset=utf-8", ConsoleScript.text)
  static let icon = ConsoleAsset(
    "consoleIcon", "/console/icon.svg", "image/svg+xml",
    """
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="5" fill="#0b5d57"/>\
    <g fill="#9fd8d1"><rect x="5" y="5.5" width="14" height="3.4" rx="1.2"/><rect x="5" y="15.1" width="14" \
    height="3.4" rx="1.2"/></g><rect x="5" y="10.3" width="14" height="3.4" rx="1.2" fill="#fff"/></svg>
    """)

  static let all = [style, script, icon]

  static var routes: [Route] {
    all.map { asset in
      .get(
        asset.route, .open,
        Operation(
          asset.id, .console, "What pages look like.",
          answers: [
            .body(200, asset.media, "The file."),
            .init(status: 304, summary: "It is the same still.", contents: []),
          ])
      ) { request, _, _ in asset.response(to: request) }
    }
  }
}
