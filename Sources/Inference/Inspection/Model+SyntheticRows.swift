extension Model {
  /// Rows that look like what the model was made for, for measurements where no real ones are at
  /// hand; the same for the same seed.
  ///
  /// Trees get values around their own thresholds, so that rows spread over their leaves; other
  /// numbers are normal, integers small, texts a few words, images soft colours. Nothing is missing.
  public func syntheticRows(count: Int, seed: UInt64 = 42) -> Batch {
    var random = SplitMix(state: seed)
    let cuts = (predictor as? any ThresholdSource)?.thresholds ?? [:]
    let columns = signature.features.enumerated().map { index, feature in
      if let image = feature.image {
        return image.syntheticColumn(count: count, seed: seed &+ UInt64(index))
      }
      let own = cuts[index] ?? []
      // Open sizes are those of a short text.
      let shape = (feature.shape ?? []).map { $0 < 0 ? 16 : $0 }
      let elements = count * shape.reduce(1, *)
      let numbers: [Double] = (0..<elements).map { _ in
        let normal = random.normal()
        guard !own.isEmpty else { return normal }
        // Between two neighbours, or beyond the last by as much as they lie apart.
        let place = Int(random.next() % UInt64(own.count))
        let spread = place + 1 < own.count ? own[place + 1] - own[place] : 1
        return own[place] + (spread.isFinite ? spread * 0.5 * normal : normal)
      }
      let values: Column.Values =
        switch feature.type {
        case .bytes: .bytes(Array(repeating: [], count: elements))
        case .float32: .float32(numbers.map { Float($0) })
        case .float64: .float64(numbers)
        // Numbers of a tensor count something, or are places in a list.
        case .int64 where !shape.isEmpty:
          .int64(numbers.map { Int64(min($0.magnitude, 9).rounded()) })
        case .int64: .int64(numbers.map { Int64(max(-9e15, min(9e15, $0.rounded()))) })
        case .bool: .bool(numbers.map { $0 > 0 })
        case .string: .string((0..<elements).map { _ in random.words() })
        }
      return Column(values, shape: shape)
    }
    return Batch(rowCount: count, columns: columns)
  }
}

/// A predictor that knows thresholds of its features.
protocol ThresholdSource {
  /// Ascending, by the number of the feature.
  var thresholds: [Int: [Double]] { get }
}

extension ForestPredictor: ThresholdSource {
  var thresholds: [Int: [Double]] {
    switch self {
    case .float(let scoring): Self.thresholds(scoring.plan)
    case .double(let scoring): Self.thresholds(scoring.plan)
    }
  }

  private static func thresholds(_ plan: ForestPlan) -> [Int: [Double]] {
    Dictionary(
      zip(plan.features, plan.thresholds).map { ($0, $1.map(Double.init)) },
      uniquingKeysWith: { first, _ in first })
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
private struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Nearly normal: the sum of twelve uniform numbers.
  mutating func normal() -> Double {
    (0..<12).reduce(-6) { sum, _ in sum + Double(next() >> 11) * 0x1p-53 }
  }

  private static let vocabulary = [
    "the", "red", "fox", "order", "late", "never", "came", "again", "thank", "you", "price", "low",
    "broken", "screen", "works", "fine",
  ]

  mutating func words() -> String {
    (0..<(3 + Int(next() % 10))).map { _ in Self.vocabulary[Int(next() % 16)] }
      .joined(separator: " ")
  }
}
