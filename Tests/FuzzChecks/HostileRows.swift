internal import Inference

/// Rows of values that programs stumble over, beside a few ordinary ones.
enum HostileRows {
  private static let numbers: [Double] = [
    0, -0.0, 1, -1, 0.5, .nan, .infinity, -.infinity, .leastNonzeroMagnitude,
    .greatestFiniteMagnitude, 1e-40, 3.4e38, -3.5e38, 2_147_483_648, 9.3e18, 12.25,
  ]

  static let texts = [
    "", " ", "a", "A b c", "the quick brown fox", "naïve café", "e\u{301}", "🦊🦊", "\u{0}", "0",
    "-1.5", "nan", "ÀÉÎ ǅ ß", "\u{FFFD}", "a,b;c\n\td", String(repeating: "word ", count: 40),
  ]

  static let count = 16

  /// Tensors in place of single values: every other row with extremes among ordinary elements, and one
  /// with what is no number.
  static func tensors(for model: Model, count: Int) -> Batch {
    let synthetic = model.syntheticRows(count: count)
    let columns = zip(model.signature.features, synthetic.columns).map { feature, ordinary in
      guard ordinary.width > 0 else { return ordinary }
      var column = ordinary
      func extremes<T>(_ values: [T], _ extreme: (Int) -> T) -> [T] {
        values.indices.map { index in
          index / ordinary.width % 2 == 1 && index % 3 == 0 ? extreme(index) : values[index]
        }
      }
      switch ordinary.values {
      case .float32(let values):
        var list = extremes(values) { Float(numbers[$0 * 7 % 16 < 5 ? $0 % 5 : 8 + $0 % 5]) }
        if count > 3 { list[3 * ordinary.width] = .nan }
        column.values = .float32(list.map { $0.isInfinite ? 1 : $0 })
      case .int64(let values):
        let odd: [Int64] = [-1, 0, 1, 7, 100, .max, .min]
        column.values = .int64(extremes(values) { odd[$0 / 3 % odd.count] })
      case .string(let values):
        column.values = .string(extremes(values) { texts[$0 % texts.count] })
      default: break
      }
      return column
    }
    return Batch(rowCount: count, columns: columns)
  }

  static func batch(for model: Model) -> Batch {
    let synthetic = model.syntheticRows(count: count)
    let columns = model.signature.features.enumerated().map { index, feature in
      hostile(feature.type, seed: index, synthetic.columns[index])
    }
    return Batch(rowCount: count, columns: columns)
  }

  /// Even rows are hostile; each column starts elsewhere, so that rows mix the values.
  private static func hostile(_ type: ElementType, seed: Int, _ ordinary: Column) -> Column {
    func number(_ row: Int) -> Double { numbers[(row + seed) % numbers.count] }
    let rows = 0..<count
    func isOrdinary(_ row: Int) -> Bool { row % 2 == 1 }
    var column: Column
    switch (type, ordinary.values) {
    case (.float32, .float32(let v)):
      column = Column(.float32(rows.map { isOrdinary($0) ? v[$0] : Float(number($0)) }))
    case (.float64, .float64(let v)):
      column = Column(.float64(rows.map { isOrdinary($0) ? v[$0] : number($0) }))
    case (.int64, .int64(let v)):
      let extremes: [Int64] = [.min, .max, 0, -1, 1, 1 << 31, -1 << 31, 1 << 53]
      column = Column(
        .int64(rows.map { isOrdinary($0) ? v[$0] : extremes[($0 / 2 + seed) % extremes.count] }))
    case (.bool, .bool(let v)): column = Column(.bool(v))
    case (.string, .string(let v)):
      column = Column(
        .string(rows.map { isOrdinary($0) ? v[$0] : texts[($0 + seed) % texts.count] }))
    default: return ordinary
    }
    column.nulls = [seed % 3 == 0 ? 1 << 6 : 0]
    return column
  }
}
