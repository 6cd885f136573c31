/// Numbers distinct pairs of a view and a threshold as they come.
///
/// A hash table of its own: boosted models repeat a few thousand thresholds a million times, and
/// this is most of the work of making such a model ready.
struct ForestThresholds {
  private(set) var views: [Int32] = []
  private(set) var values: [Double] = []
  private var slots: [Int32]
  private var shift: UInt64

  /// - Parameter count: about how many numbers are asked for.
  init(count: Int = .max) {
    let bits = min(max(Int.bitWidth - count.leadingZeroBitCount, 4), 12)
    slots = Array(repeating: -1, count: 1 << bits)
    shift = UInt64(64 - bits)
  }

  /// The pair's number; zeros of both signs are one.
  mutating func number(view: Int32, value: Double) -> Int32 {
    let value = value == 0 ? 0 : value
    if values.count * 2 >= slots.count { grow() }
    let mask = slots.count - 1
    var slot = Self.slot(view, value, shift)
    while true {
      let known = slots[slot]
      if known < 0 { break }
      if values[Int(known)] == value, views[Int(known)] == view { return known }
      slot = (slot + 1) & mask
    }
    let number = Int32(values.count)
    slots[slot] = number
    views.append(view)
    values.append(value)
    return number
  }

  private static func slot(_ view: Int32, _ value: Double, _ shift: UInt64) -> Int {
    let key = value.bitPattern ^ (UInt64(UInt32(bitPattern: view)) << 20)
    let mixed = key &* 0x9E37_79B9_7F4A_7C15
    return Int(((mixed ^ (mixed >> 29)) &* 0xBF58_476D_1CE4_E5B9) >> shift)
  }

  private mutating func grow() {
    shift -= 1
    slots = Array(repeating: -1, count: slots.count * 2)
    let mask = slots.count - 1
    for number in values.indices {
      var slot = Self.slot(views[number], values[number], shift)
      while slots[slot] >= 0 { slot = (slot + 1) & mask }
      slots[slot] = Int32(number)
    }
  }
}
