internal import CKernels

/// Lists of plain numbers in text, many at once.
///
/// A list's last number, and whatever is not plain, is left to a reader that knows the format.
enum NumberList {
  /// Adds the numbers at the start of `text` that `separator` follows.
  ///
  /// - Returns: How many bytes they take, separators included.
  static func append(
    _ text: UnsafeRawBufferPointer, _ separator: UInt8, to values: inout [Double]
  ) -> Int {
    read(text, to: &values) { text, count, numbers, most, next in
      ck_parse_list_f64(text, count, CChar(separator), numbers, most, &next)
    }
  }

  static func append(
    _ text: UnsafeRawBufferPointer, _ separator: UInt8, to values: inout [Float]
  ) -> Int {
    read(text, to: &values) { text, count, numbers, most, next in
      ck_parse_list_f32(text, count, CChar(separator), numbers, most, &next)
    }
  }

  /// Integers within the type's range, of at most 18 digits.
  static func append<Value: FixedWidthInteger>(
    _ text: UnsafeRawBufferPointer, _ separator: UInt8, to values: inout [Value]
  ) -> Int {
    let least = Int64(clamping: Value.min)
    let greatest = Int64(clamping: Value.max)
    return read(text, to: &values) { text, count, numbers, most, next in
      ck_parse_list_i64(text, count, CChar(separator), least, greatest, numbers, most, &next)
    } convert: {
      Value(truncatingIfNeeded: $0)
    }
  }

  @inline(__always)
  private static func read<Value>(
    _ text: UnsafeRawBufferPointer, to values: inout [Value],
    _ parse: (UnsafePointer<CChar>, Int, UnsafeMutablePointer<Value>, Int, inout Int) -> Int
  ) -> Int {
    read(text, to: &values, parse, convert: { $0 })
  }

  @inline(__always)
  private static func read<Number, Value>(
    _ text: UnsafeRawBufferPointer, to values: inout [Value],
    _ parse: (UnsafePointer<CChar>, Int, UnsafeMutablePointer<Number>, Int, inout Int) -> Int,
    convert: (Number) -> Value
  ) -> Int {
    guard let base = text.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
    return withUnsafeTemporaryAllocation(of: Number.self, capacity: 256) { numbers in
      var taken = 0
      while true {
        var next = 0
        let count = parse(
          base + taken, text.count - taken, numbers.baseAddress!, numbers.count, &next)
        taken += next
        // Most lists are short, and one more is left to the caller.
        if values.isEmpty { values.reserveCapacity(count + 1) }
        values.append(
          contentsOf: UnsafeBufferPointer(rebasing: numbers[..<count]).lazy.map(convert))
        if count < numbers.count { return taken }
      }
    }
  }
}
