/// Writes protobuf's wire format: the least that an ONNX file needs.
package struct ProtobufWriter {
  package private(set) var bytes: [UInt8] = []

  package init() {}

  private mutating func varint(_ value: UInt64) {
    var value = value
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    bytes.append(UInt8(value))
  }

  package mutating func int(_ field: Int, _ value: Int64) {
    varint(UInt64(field) << 3)
    varint(UInt64(bitPattern: value))
  }

  package mutating func float(_ field: Int, _ value: Float) {
    varint(UInt64(field) << 3 | 5)
    bytes += withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
  }

  package mutating func bytes(_ field: Int, _ value: some Sequence<UInt8>) {
    let value = Array(value)
    varint(UInt64(field) << 3 | 2)
    varint(UInt64(value.count))
    bytes += value
  }

  package mutating func string(_ field: Int, _ value: String) { bytes(field, value.utf8) }

  package mutating func message(_ field: Int, _ write: (inout ProtobufWriter) -> Void) {
    var inner = ProtobufWriter()
    write(&inner)
    bytes(field, inner.bytes)
  }

  package mutating func packed(_ field: Int, floats: [Float]) {
    bytes(
      field,
      floats.flatMap { value in
        withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
      })
  }

  package mutating func packed(_ field: Int, ints: [Int64]) {
    var inner = ProtobufWriter()
    for value in ints { inner.varint(UInt64(bitPattern: value)) }
    bytes(field, inner.bytes)
  }
}
