/// Small containers that are nothing but bytes, so that a state of the model is a block of memory:
/// hashed, compared and kept as such.

/// A set of transactions, by number 0 to 15.
package struct Transactions: Equatable {
  private var low: UInt8 = 0
  private var high: UInt8 = 0

  package init() {}
  init(_ numbers: UInt8...) { numbers.forEach { insert($0) } }

  private var bits: UInt16 {
    get { UInt16(high) << 8 | UInt16(low) }
    set { (low, high) = (UInt8(truncatingIfNeeded: newValue), UInt8(newValue >> 8)) }
  }

  var isEmpty: Bool { low == 0 && high == 0 }
  func contains(_ number: UInt8) -> Bool { bits & (1 << UInt16(number)) != 0 }
  mutating func insert(_ number: UInt8) { bits |= 1 << UInt16(number) }
  func union(_ other: Self) -> Self { with(bits | other.bits) }
  func intersection(_ other: Self) -> Self { with(bits & other.bits) }
  func subtracting(_ other: Self) -> Self { with(bits & ~other.bits) }
  private func with(_ bits: UInt16) -> Self {
    var result = Self()
    result.bits = bits
    return result
  }

  /// The lowest number that is not in the set: of a snapshot, its xmin.
  var firstMissing: UInt8 { UInt8((~bits).trailingZeroBitCount) }
  /// One more than the highest: of a snapshot, its xmax.
  var end: UInt8 { UInt8(16 - bits.leadingZeroBitCount) }
  /// Those from a number on.
  func from(_ first: UInt8) -> Self { first > 15 ? Self() : with(bits & (.max << UInt16(first))) }

  func forEach(_ body: (UInt8) -> Void) {
    var rest = bits
    while rest != 0 {
      body(UInt8(rest.trailingZeroBitCount))
      rest &= rest - 1
    }
  }
}

/// Two of a kind; the second one is idle where the bounds say one.
package struct Two<Element: Equatable>: Equatable {
  private var first: Element
  private var second: Element

  init(_ both: Element) { (first, second) = (both, both) }

  subscript(_ index: Int) -> Element {
    get { index == 0 ? first : second }
    set { if index == 0 { first = newValue } else { second = newValue } }
  }

  /// Whether the second one's bytes come after the first one's; one that is not used has the lowest.
  var isUnordered: Bool {
    withUnsafeBytes(of: first) { first in
      withUnsafeBytes(of: second) { second in
        for index in first.indices where first[index] != second[index] {
          return second[index] > first[index]
        }
        return false
      }
    }
  }

  mutating func swap() { (first, second) = (second, first) }
}

/// Sixteen bytes by index.
package struct Bytes: Equatable {
  static func isOrdered(_ a: Self, _ b: Self) -> Bool {
    (0..<16).first { a[$0] != b[$0] }.map { a[$0] < b[$0] } ?? false
  }

  private var first: Eight = Eight()
  private var second: Eight = Eight()

  private struct Eight: Equatable {
    var a: UInt8 = 0, b: UInt8 = 0, c: UInt8 = 0, d: UInt8 = 0
    var e: UInt8 = 0, f: UInt8 = 0, g: UInt8 = 0, h: UInt8 = 0
  }

  subscript(_ index: Int) -> UInt8 {
    get {
      precondition((0..<16).contains(index), "the bounds are larger than the model's memory")
      return withUnsafeBytes(of: self) { $0[index] }
    }
    set {
      precondition((0..<16).contains(index), "the bounds are larger than the model's memory")
      withUnsafeMutableBytes(of: &self) { $0[index] = newValue }
    }
  }
}
