internal import Inference

extension Column {
  /// A column of vectors as PostgreSQL writes arrays: `{0.25,-1}`; the shape of each is kept.
  ///
  /// Lanes give values of all rows as one array, and an array of arrays cannot be taken apart row by row.
  /// Numbers are written with as many digits as they need to be read as the same.
  var asArrays: Column {
    Column(.string((0..<count).map { isNull($0) ? "" : array($0) }), nulls: nulls)
  }

  /// A row's vector as an array of SQL, or of JSON, which has no numbers that are not finite: these are null.
  func array(_ row: Int, asJSON: Bool = false) -> String {
    var text = ""
    text.reserveCapacity(width * 13 + 2)
    write(shape[...], counts?[row], from: row * width, width, asJSON, to: &text)
    return text
  }

  /// - Parameter count: Places of the first axis that are written; nil for all.
  private func write(
    _ sizes: ArraySlice<Int>, _ count: Int? = nil, from start: Int, _ width: Int, _ asJSON: Bool,
    to text: inout String
  ) {
    guard let size = sizes.first else { return text.append(element(start, asJSON)) }
    let part = size == 0 ? 0 : width / size
    text.append(asJSON ? "[" : "{")
    for index in 0..<(count ?? size) {
      if index > 0 { text.append(",") }
      write(sizes.dropFirst(), from: start + index * part, part, asJSON, to: &text)
    }
    text.append(asJSON ? "]" : "}")
  }

  private func element(_ place: Int, _ asJSON: Bool) -> String {
    switch values {
    case .int16(let v): v[place].description
    case .int32(let v): v[place].description
    case .int64(let v): v[place].description
    case .float32(let v): asJSON && !v[place].isFinite ? "null" : v[place].description
    case .float64(let v): asJSON && !v[place].isFinite ? "null" : v[place].description
    case .bool(let v): v[place].description
    case .string(let v): asJSON ? Self.quotedJSON(v[place]) : Self.quoted(v[place])
    // No output is a tensor of these.
    case .bytes: asJSON ? "null" : "NULL"
    }
  }

  /// As an element of an array of PostgreSQL, whatever the text.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for character in text.unicodeScalars {
      if character == "\"" || character == "\\" { result.append("\\") }
      result.unicodeScalars.append(character)
    }
    return result + "\""
  }

  private static func quotedJSON(_ text: String) -> String {
    var bytes: [UInt8] = []
    AnswerWriter.append(json: text, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
