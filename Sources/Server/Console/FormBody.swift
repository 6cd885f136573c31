internal import HTTPTypes

/// What browsers send of forms.
enum FormBody {
  /// Fields of `application/x-www-form-urlencoded`; of several with one name the last.
  static func fields(of body: [UInt8]) -> [String: String] {
    var fields: [String: String] = [:]
    for pair in body.split(separator: UInt8(ascii: "&")) {
      let parts = pair.split(
        separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      fields[decoded(parts[0])] = parts.count > 1 ? decoded(parts[1]) : ""
    }
    return fields
  }

  private static func decoded(_ bytes: ArraySlice<UInt8>) -> String {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var rest = bytes
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "+") {
        result.append(0x20)
      } else if byte == UInt8(ascii: "%"),
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
        rest.count >= 2
      {
        result.append(value)
        rest = rest.dropFirst(2)
      } else {
        result.append(byte)
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// Parts of `multipart/form-data` (RFC 7578) by name: texts and files alike, each as its bytes.
  ///
  /// - Throws: `Problem` where the body is not of such parts.
  static func parts(of body: [UInt8], contentType: String) throws(Problem) -> [String: ArraySlice<
    UInt8
  >] {
    let bad = Problem.badRequest("the form's parts are not read")
    guard let boundary = parameter("boundary", of: contentType),
      (1...70).contains(boundary.utf8.count)
    else { throw bad }
    let line = Array("\r\n--\(boundary)".utf8)
    // The first one needs no line break before it.
    let opening = line.dropFirst(2)
    guard body.starts(with: opening) else { throw bad }
    var rest = body[opening.count...]
    var parts: [String: ArraySlice<UInt8>] = [:]
    while !rest.starts(with: "--".utf8) {
      guard rest.starts(with: "\r\n".utf8), parts.count < 2000,
        let head = find(Array("\r\n\r\n".utf8), in: rest),
        let end = find(line, in: rest[(head + 4)...])
      else { throw bad }
      let fields = String(decoding: rest[rest.startIndex..<head], as: UTF8.self).split(
        separator: "\r\n")
      for field in fields where field.lowercased().hasPrefix("content-disposition:") {
        guard let name = parameter("name", of: String(field)) else { throw bad }
        parts[name] = body[(head + 4)..<end]
      }
      rest = body[(end + line.count)...]
    }
    return parts
  }

  /// The value of a parameter as in `form-data; name="x"`. Browsers write a quote in it as `%22`.
  private static func parameter(_ name: String, of field: String) -> String? {
    var rest = Substring(field)
    while let semicolon = rest.firstIndex(of: ";") {
      rest = rest[semicolon...].dropFirst().drop { $0 == " " }
      guard rest.lowercased().hasPrefix("\(name)=") else { continue }
      let value = rest.dropFirst(name.count + 1)
      let text =
        value.first == "\"" ? value.dropFirst().prefix { $0 != "\"" } : value.prefix { $0 != ";" }
      return String(text.replacing("%22", with: "\"").replacing("%0D%0A", with: "\n"))
    }
    return nil
  }

  /// Where the pattern begins first.
  private static func find(_ pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
    var at = bytes.startIndex
    while at + pattern.count <= bytes.endIndex {
      guard let next = bytes[at...].firstIndex(of: pattern[0]) else { return nil }
      at = next
      if bytes[at...].starts(with: pattern) { return at }
      at += 1
    }
    return nil
  }
}
