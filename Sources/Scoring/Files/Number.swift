internal import Glibc

/// Numbers as PostgreSQL, Python and JSON write them: digits, `NaN`, `inf`, `-Infinity`.
enum Number {
  static func double(_ reader: CSVReader, _ field: CSVReader.Field) -> Double? {
    read(reader.bytes[field.range], as: Double.self)
  }

  /// The nearest value of the type to the text, rounded once; nil where it is not a number.
  static func read<Value: DecimalReadable>(
    _ text: ArraySlice<UInt8>, as type: Value.Type
  ) -> Value? {
    text.withUnsafeBufferPointer { text in
      if let decimal = Decimal(text), let value = Value(exactly: decimal) { return value }
      return readSlowly(text)
    }
  }

  private static func readSlowly<Value: DecimalReadable>(
    _ text: UnsafeBufferPointer<UInt8>
  ) -> Value? {
    guard text.count <= 64 else { return nil }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65) { copy in
      for (index, byte) in text.enumerated() {
        // C would also read hexadecimal digits, and white space before the number.
        guard byte != UInt8(ascii: "x"), byte != UInt8(ascii: "X"), byte > 32 else { return nil }
        copy[index] = CChar(bitPattern: byte)
      }
      copy[text.count] = 0
      guard !text.isEmpty, let base = copy.baseAddress else { return nil }
      var end: UnsafeMutablePointer<CChar>?
      let value = Value.fromC(base, &end)
      return end == base + text.count ? value : nil
    }
  }

  /// `digits * 10^exponent`, as most numbers of a file are: few digits, a small exponent.
  struct Decimal {
    private(set) var digits: UInt64 = 0
    private(set) var exponent = 0
    private(set) var isNegative = false

    /// - Returns: nil for anything longer or otherwise written, which is not to say that it is no
    ///   number.
    init?(_ text: UnsafeBufferPointer<UInt8>) {
      var index = 0
      if index < text.count, text[index] == UInt8(ascii: "-") {
        isNegative = true
        index = 1
      }
      let start = index
      var digitCount = 0
      func isDigit(_ index: Int) -> Bool { index < text.count && text[index] &- 0x30 < 10 }
      while isDigit(index) {
        digits = digits &* 10 &+ UInt64(text[index] - 0x30)
        digitCount += 1
        index += 1
      }
      if index < text.count, text[index] == UInt8(ascii: ".") {
        index += 1
        while isDigit(index) {
          digits = digits &* 10 &+ UInt64(text[index] - 0x30)
          digitCount += 1
          exponent -= 1
          index += 1
        }
      }
      // Nineteen digits fit 64 bits whatever they are.
      guard digitCount > 0, index - start <= 20, digitCount <= 19 else { return nil }
      if index < text.count, text[index] | 0x20 == UInt8(ascii: "e") {
        index += 1
        var isSmall = false
        if index < text.count, text[index] == UInt8(ascii: "-") || text[index] == UInt8(ascii: "+")
        {
          isSmall = text[index] == UInt8(ascii: "-")
          index += 1
        }
        let first = index
        var power = 0
        while isDigit(index), index - first < 4 {
          power = power * 10 + Int(text[index] - 0x30)
          index += 1
        }
        guard index > first else { return nil }
        exponent += isSmall ? -power : power
      }
      guard index == text.count else { return nil }
    }
  }
}

/// A type that decimal digits can be rounded to.
protocol DecimalReadable: BinaryFloatingPoint {
  /// The nearest value, where it can be had without long arithmetic.
  init?(exactly decimal: Number.Decimal)
  static func fromC(
    _ text: UnsafePointer<CChar>, _ end: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  ) -> Self
}

extension Double: DecimalReadable {
  private static let powers: [Double] = (0...22).map { power in
    (0..<power).reduce(1.0) { product, _ in product * 10 }
  }

  /// Digits below 2^53 and powers of ten up to 10^22 are doubles, and one operation on two of them
  /// rounds once (Clinger, "How to read floating point numbers accurately", 1990).
  init?(exactly decimal: Number.Decimal) {
    guard decimal.digits < 1 << 53, abs(decimal.exponent) <= 22 else { return nil }
    let digits = Double(decimal.digits)
    let power = Self.powers[abs(decimal.exponent)]
    let value = decimal.exponent < 0 ? digits / power : digits * power
    self = decimal.isNegative ? -value : value
  }

  static func fromC(
    _ text: UnsafePointer<CChar>, _ end: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  ) -> Double {
    strtod(text, end)
  }
}

extension Float: DecimalReadable {
  /// By way of the nearest double, which rounds to the same float unless it lies exactly between
  /// two: rounding never passes a number that both types can hold.
  init?(exactly decimal: Number.Decimal) {
    guard let value = Double(exactly: decimal) else { return nil }
    let isBetween = value.bitPattern & 0x1FFF_FFFF == 0x1000_0000
    let magnitude = abs(value)
    guard
      magnitude == 0
        || !isBetween && magnitude >= Double(Float.leastNormalMagnitude)
          && magnitude <= Double(Float.greatestFiniteMagnitude)
    else { return nil }
    self = Float(value)
  }

  static func fromC(
    _ text: UnsafePointer<CChar>, _ end: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  ) -> Float {
    strtof(text, end)
  }
}
