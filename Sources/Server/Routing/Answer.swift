internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// An answer whose body is all there, before it has what every answer carries.
struct Answer: Sendable {
  var status = HTTPResponse.Status.ok
  var fields: [HTTPField]
  var bytes: [UInt8]

  static func json(_ bytes: [UInt8], status: HTTPResponse.Status = .ok) -> Answer {
    Answer(
      status: status, fields: [HTTPField(name: .contentType, value: "application/json")],
      bytes: bytes)
  }

  var response: Response {
    Response(
      status: status, headers: HTTPFields(fields),
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }
}
