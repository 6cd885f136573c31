/// The binary image of a one-dimensional array, as `array_send` and `array_recv` have it.
enum ArrayImage {
  /// An empty array has no dimension at all.
  static func appendHeader(count: Int, hasNulls: Bool, element: OID, to bytes: inout [UInt8]) {
    bytes.append(bigEndian: Int32(count == 0 ? 0 : 1))
    bytes.append(bigEndian: Int32(hasNulls ? 1 : 0))
    bytes.append(bigEndian: element.rawValue)
    guard count > 0 else { return }
    bytes.append(bigEndian: Int32(count))
    bytes.append(bigEndian: Int32(1))  // The lower bound.
  }

  /// Appends one element: length and image, or -1 for NULL.
  static func append(_ value: some PostgresEncodable, to bytes: inout [UInt8]) {
    let start = bytes.count
    bytes.append(bigEndian: Int32(-1))
    guard case .null = value.encode(into: &bytes) else {
      let length = Int32(bytes.count - start - 4)
      withUnsafeBytes(of: length.bigEndian) {
        for (index, byte) in $0.enumerated() { bytes[start + index] = byte }
      }
      return
    }
  }

  /// Appends an array of some values of one width, in one pass.
  @inline(__always)
  static func append<Value, Image: FixedWidthInteger>(
    _ values: [Value], _ rows: Range<Int>? = nil, nulls: [UInt64]?, element: OID,
    to bytes: inout [UInt8], image: (Value) -> Image
  ) {
    let rows = rows ?? 0..<values.count
    appendHeader(count: rows.count, hasNulls: nulls != nil, element: element, to: &bytes)
    let width = MemoryLayout<Image>.size
    let length = Int32(width).bigEndian
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: rows.count * (4 + width)))
    var unused = 0
    bytes.withUnsafeMutableBytes { buffer in
      var out = buffer.baseAddress! + start
      values.withUnsafeBufferPointer { values in
        if let nulls {
          for row in rows {
            if nulls[row >> 6] & (1 << UInt64(row & 63)) != 0 {
              out.storeBytes(of: -1, as: Int32.self)
              out += 4
              unused += width
            } else {
              out.storeBytes(of: length, as: Int32.self)
              (out + 4).storeBytes(of: image(values[row]), as: Image.self)
              out += 4 + width
            }
          }
        } else {
          for row in rows {
            out.storeBytes(of: length, as: Int32.self)
            (out + 4).storeBytes(of: image(values[row]), as: Image.self)
            out += 4 + width
          }
        }
      }
    }
    bytes.removeLast(unused)
  }
}
