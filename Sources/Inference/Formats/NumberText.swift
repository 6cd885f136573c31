internal import CKernels

/// Decimal text to numbers, exactly and whatever the locale is.
package enum NumberText {
  /// The nearest double, or nil where the whole text is not one number. "inf" and "nan" are
  /// numbers here; a hexadecimal number, a space or a trailing byte is not.
  package static func double(_ text: UnsafeRawBufferPointer) -> Double? {
    var value = 0.0
    guard let base = text.baseAddress,
      ck_parse_f64(base.assumingMemoryBound(to: CChar.self), text.count, &value) == 1
    else { return nil }
    return value
  }

  /// The nearest float, not by way of the nearest double.
  package static func float(_ text: UnsafeRawBufferPointer) -> Float? {
    var value: Float = 0
    guard let base = text.baseAddress,
      ck_parse_f32(base.assumingMemoryBound(to: CChar.self), text.count, &value) == 1
    else { return nil }
    return value
  }

  /// [+-]digits within the type's range.
  static func integer<Value: FixedWidthInteger>(
    _ text: UnsafeRawBufferPointer, as type: Value.Type = Value.self
  ) -> Value? {
    var digits = text[...]
    let isNegative = digits.first == UInt8(ascii: "-")
    if isNegative || digits.first == UInt8(ascii: "+") { digits.removeFirst() }
    guard !digits.isEmpty, digits.count <= 20 else { return nil }
    var value: Value = 0
    for digit in digits {
      guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
      let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
      let step = Value(digit - UInt8(ascii: "0"))
      let (next, carried) =
        isNegative
        ? scaled.subtractingReportingOverflow(step) : scaled.addingReportingOverflow(step)
      guard !overflow, !carried else { return nil }
      value = next
    }
    return value
  }
}
