extension NumberText {
  /// A floating-point number as Python writes it: the fewest digits that give it back, with an
  /// exponent below 1e-4 and from 1e16 on.
  static func python(_ value: Double, _ type: TensorType) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    // Swift finds the digits; only their layout differs.
    let text = type == .float64 ? "\(value.magnitude)" : "\(Float(value).magnitude)"
    let parts = text.split(separator: "e")
    let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    let (whole, fraction) = (mantissa[0], mantissa.count > 1 ? mantissa[1] : "")
    var digits = Array((whole + fraction).utf8)
    // The value is 0.d1d2d3... times ten to the power of `point`.
    var point = whole.count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
    while digits.count > 1, digits.first == UInt8(ascii: "0") {
      digits.removeFirst()
      point -= 1
    }
    while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
    func string(_ bytes: some Sequence<UInt8>) -> String {
      String(decoding: Array(bytes), as: UTF8.self)
    }
    let sign = value.sign == .minus ? "-" : ""
    if digits == [UInt8(ascii: "0")] { return sign + "0.0" }
    if point > 16 || point < -3 {
      let exponent = point - 1
      let size = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
      let rest = digits.count > 1 ? "." + string(digits.dropFirst()) : ""
      return sign + string(digits.prefix(1)) + rest + "e" + (exponent < 0 ? "-" : "+") + size
    }
    if point <= 0 {
      return sign + "0." + String(repeating: "0", count: -point) + string(digits)
    }
    if point >= digits.count {
      return sign + string(digits) + String(repeating: "0", count: point - digits.count) + ".0"
    }
    return sign + string(digits.prefix(point)) + "." + string(digits.dropFirst(point))
  }
}
