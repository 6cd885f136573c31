internal import Inference

extension Column {
  /// A column of vectors as PostgreSQL writes arrays: `{0.25,-1}`; the shape of each is kept.
  ///
  /// Lanes give values of all rows as one array, and an array of arrays cannot be taken apart row by row.
  /// Numbers are written with as many digits as they need to be read as the same.
  var asArrays: Column {
    let count = count
    return Column(.string((0..<count).map { isNull($0) ? "" : array($0) }), nulls: nulls)
  }

  private func array(_ row: Int) -> String {
    let sizes = shape.isEmpty ? [1] : shape
    var text = ""
    text.reserveCapacity(width * 13 + 2)
    write(sizes[...], from: row * width, width, to: &text)
    return text
  }

  private func write(
    _ sizes: ArraySlice<Int>, from start: Int, _ width: Int, to text: inout String
  ) {
    guard let size = sizes.first else { return append(start, to: &text) }
    let part = size == 0 ? 0 : width / size
    text.append("{")
    for index in 0..<size {
      if index > 0 { text.append(",") }
      write(sizes.dropFirst(), from: start + index * part, part, to: &text)
    }
    text.append("}")
  }

  private func append(_ element: Int, to text: inout String) {
    switch values {
    case .int16(let v): text.append(v[element].description)
    case .int32(let v): text.append(v[element].description)
    case .int64(let v): text.append(v[element].description)
    case .float32(let v): text.append(v[element].description)
    case .float64(let v): text.append(v[element].description)
    case .bool(let v): text.append(v[element] ? "t" : "f")
    case .string: text.append("NULL")
    }
  }
}
