import CKernels
import Inference
import TestRandom
import Testing

/// Moments and histograms of columns.
struct ColumnStatisticsTests {
  /// The definitions, without any of the kernels' ways.
  private static func plain(_ values: [Double?], edges: [Double]) -> (
    count: Int, missing: Int, mean: Double, m2: Double, bins: [Int64]
  ) {
    let finite = values.compactMap { $0 }.filter(\.isFinite)
    let mean = finite.isEmpty ? 0 : finite.reduce(0, +) / Double(finite.count)
    var bins = Array(repeating: Int64(0), count: edges.count + 1)
    for value in finite { bins[edges.count { $0 <= value }] += 1 }
    return (
      finite.count, values.count - finite.count, mean,
      finite.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }, bins
    )
  }

  private static func expect(
    _ column: Column, _ values: [Double?], edges: [Double],
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    var found = ColumnStatistics(binCount: edges.count + 1)
    found.add(column, by: .edges(edges))
    let wanted = plain(values, edges: edges)
    let finite = values.compactMap { $0 }.filter(\.isFinite)
    #expect(found.valueCount == wanted.count, sourceLocation: sourceLocation)
    #expect(found.missingCount == wanted.missing, sourceLocation: sourceLocation)
    #expect(found.bins == wanted.bins, sourceLocation: sourceLocation)
    #expect(found.minimum == finite.min() ?? .infinity, sourceLocation: sourceLocation)
    #expect(found.maximum == finite.max() ?? -.infinity, sourceLocation: sourceLocation)
    let scale = max(1, abs(wanted.mean))
    #expect(abs(found.mean - wanted.mean) <= 1e-12 * scale, sourceLocation: sourceLocation)
    #expect(
      abs(found.m2 - wanted.m2) <= 1e-9 * max(1, wanted.m2), sourceLocation: sourceLocation)
  }

  @Test(arguments: [0, 1, 7, 8, 9, 63, 64, 1023, 1024, 1025, 5000])
  func everyTypeAgreesWithTheDefinitions(count: Int) {
    var random = SplitMix64(seed: UInt64(count))
    let edges = [-3.0, -0.25, 0, 1, 2.5]
    let numbers = (0..<count).map { _ in
      switch random.next() % 20 {
      case 0: Double.nan
      case 1: Double.infinity
      case 2: edges[Int(random.next() % 5)]
      default: random.unit() * 10 - 5
      }
    }
    var nulls = Array(repeating: UInt64(0), count: (count + 63) / 64)
    for row in 0..<count where random.next() % 7 == 0 { nulls[row >> 6] |= 1 << UInt64(row & 63) }
    func present<T>(_ values: [T], _ isNull: Bool, _ number: (T) -> Double) -> [Double?] {
      values.enumerated().map { row, value in
        isNull && nulls[row >> 6] & (1 << UInt64(row & 63)) != 0 ? nil : number(value)
      }
    }
    for hasNulls in [false, true] {
      let bits = hasNulls ? nulls : nil
      let floats = numbers.map(Float.init)
      Self.expect(
        Column(.float64(numbers), nulls: bits), present(numbers, hasNulls) { $0 }, edges: edges)
      Self.expect(
        Column(.float32(floats), nulls: bits), present(floats, hasNulls, Double.init), edges: edges)
      let whole = numbers.map { $0.isFinite ? Int32($0 * 3) : 100 }
      Self.expect(
        Column(.int32(whole), nulls: bits), present(whole, hasNulls, Double.init), edges: edges)
      Self.expect(
        Column(.int16(whole.map(Int16.init)), nulls: bits),
        present(whole, hasNulls, Double.init), edges: edges)
      Self.expect(
        Column(.int64(whole.map(Int64.init)), nulls: bits),
        present(whole, hasNulls, Double.init), edges: edges)
      let flags = whole.map { $0 > 0 }
      Self.expect(
        Column(.bool(flags), nulls: bits), present(flags, hasNulls) { $0 ? 1 : 0 }, edges: [1])
    }
  }

  @Test func vectorsEqualTheirScalarTwins() {
    var random = SplitMix64(seed: 5)
    let edges = (1..<10).map { Double($0) / 10 }
    for count in [1, 9, 1000, 3000] {
      let values = (0..<count).map { _ in Float(random.unit()) }
      func moments() -> ck_moments {
        ck_moments(
          count: 0, missing: 0, mean: 0, m2: 0, minimum: .infinity, maximum: -.infinity)
      }
      var (one, other) = (moments(), moments())
      var bins = Array(repeating: Int64(0), count: 10)
      var otherBins = bins
      ck_profile_f32(values, nil, count, edges, 9, &one, &bins)
      ck_profile_f32_scalar(values, nil, count, edges, 9, &other, &otherBins)
      #expect(bins == otherBins)
      #expect(one.mean.bitPattern == other.mean.bitPattern)
      #expect(one.m2.bitPattern == other.m2.bitPattern)
      #expect(one.minimum == other.minimum && one.maximum == other.maximum)
    }
  }

  /// An edge that is no float lies between two; neither counts on the wrong side.
  @Test func edgesBetweenFloatsAreKept() {
    let edge = Double(Float(0.1)) + 1e-12
    var statistics = ColumnStatistics(binCount: 2)
    statistics.add(Column(.float32([0.1, Float(0.1).nextUp])), by: .edges([edge]))
    #expect(statistics.bins == [1, 1])
  }

  @Test func partsMergeToTheWhole() {
    var random = SplitMix64(seed: 3)
    let values = (0..<3000).map { _ in random.unit() * 4 + 1e6 }
    let edges: ColumnBins = .edges([1e6 + 1, 1e6 + 2])
    var whole = ColumnStatistics(binCount: 3)
    whole.add(Column(.float64(values)), by: edges)
    var merged = ColumnStatistics(binCount: 3)
    for part in [0..<10, 10..<10, 10..<1500, 1500..<3000] {
      var own = ColumnStatistics(binCount: 3)
      own.add(Column(.float64(Array(values[part]))), by: edges)
      merged.merge(own)
    }
    #expect(merged.bins == whole.bins && merged.valueCount == whole.valueCount)
    #expect(abs(merged.mean - whole.mean) < 1e-9)
    #expect(abs(merged.m2 / whole.m2 - 1) < 1e-9)
  }

  @Test func textsAreCountedByLabel() {
    let texts = ["red", "blue", "red", "", "green"]
    var statistics = ColumnStatistics(binCount: 3)
    statistics.add(
      Column(.string(texts), nulls: [0b10000]), by: .labels(["red": 0, "blue": 1]))
    #expect(statistics.bins == [2, 1, 1])
    #expect(statistics.missingCount == 1)
    #expect(statistics.mean == 2.5)
    #expect(statistics.minimum == 0 && statistics.maximum == 4)
  }
}
