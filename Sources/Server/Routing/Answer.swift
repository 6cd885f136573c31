internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// An answer whose body is all there, before it has what every answer carries.
struct Answer: Sendable {
  var status = HTTPResponse.Status.ok
  /// The media type of the body.
  var type: String
  /// Beside the type.
  var fields: [HTTPField] = []
  var bytes: [UInt8]

  private static let json = "application/json"

  static func json(_ bytes: [UInt8], status: HTTPResponse.Status = .ok) -> Answer {
    Answer(status: status, type: json, bytes: bytes)
  }

  /// Whether its head says nothing but that it is JSON, as that of most answers.
  var isPlainJSON: Bool { status == .ok && fields.isEmpty && type == Self.json }

  var response: Response {
    var headers = HTTPFields(fields)
    headers[.contentType] = type
    return Response(
      status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }
}
