internal import Glibc
internal import HTTPTypes
internal import NIOCore

/// Writes answers as HTTP/1.1 has them, with the fields that every answer carries.
struct ResponseWriter {
  /// What is said of the request that is answered.
  struct Facts {
    var name: RequestName?
    var trace: TraceContext?
    /// Whether nobody on the way could read it.
    var isSecure: Bool
    /// Whether only the head is wanted.
    var isHead: Bool
    /// Whether this is the connection's last answer.
    var closes: Bool
  }

  private let common: [UInt8]
  /// The beginning of most answers.
  private var plain: [UInt8] = []
  /// The date's field, and the second that it is of.
  private var date: (second: time_t, field: [UInt8]) = (-1, [])

  init() {
    var common: [UInt8] = []
    for (name, value) in Guard.always + Guard.defaults {
      common.append(contentsOf: "\(name.rawName): \(value)\r\n".utf8)
    }
    self.common = common
    var buffer = ByteBuffer()
    writeBeginning(.json([]), into: &buffer)
    plain = Array(buffer.readableBytesView)
  }

  mutating func write(_ answer: Answer, _ facts: Facts, into buffer: inout ByteBuffer) {
    if answer.isPlainJSON {
      buffer.writeBytes(plain)
    } else {
      writeBeginning(answer, into: &buffer)
    }
    for field in answer.fields { Self.write(field.name, field.value, into: &buffer) }
    Self.write(.contentLength, String(answer.bytes.count), into: &buffer)
    if facts.isSecure {
      Self.write(.strictTransportSecurity, Guard.strictTransport, into: &buffer)
    }
    if let name = facts.name { Self.write(.requestID, name.text, into: &buffer) }
    if let trace = facts.trace { Self.write(.traceResponse, trace.response, into: &buffer) }
    if facts.closes { Self.write(.connection, "close", into: &buffer) }
    buffer.writeBytes(dateField(at: time(nil)))
    buffer.writeStaticString("\r\n")
    if !facts.isHead { buffer.writeBytes(answer.bytes) }
  }

  /// The status, what all answers say, and the media type.
  private func writeBeginning(_ answer: Answer, into buffer: inout ByteBuffer) {
    buffer.writeString("HTTP/1.1 \(answer.status.code) \(answer.status.reasonPhrase)\r\n")
    buffer.writeBytes(common)
    Self.write(.contentType, answer.type, into: &buffer)
  }

  private static func write(
    _ name: HTTPField.Name, _ value: String, into buffer: inout ByteBuffer
  ) {
    buffer.writeString(name.rawName)
    buffer.writeStaticString(": ")
    buffer.writeString(value)
    buffer.writeStaticString("\r\n")
  }

  /// `Date: Sun, 06 Nov 1994 08:49:37 GMT`.
  mutating func dateField(at second: time_t) -> [UInt8] {
    if date.second == second { return date.field }
    var seconds = second
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func digits(_ number: Int32) -> String { (number < 10 ? "0" : "") + String(number) }
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    let day = "\(days[Int(parts.tm_wday)]), \(digits(parts.tm_mday)) \(months[Int(parts.tm_mon)])"
    let hour = "\(digits(parts.tm_hour)):\(digits(parts.tm_min)):\(digits(parts.tm_sec))"
    date = (second, Array("Date: \(day) \(parts.tm_year + 1900) \(hour) GMT\r\n".utf8))
    return date.field
  }
}
