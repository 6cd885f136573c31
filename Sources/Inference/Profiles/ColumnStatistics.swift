internal import CKernels

/// How the values of a column are counted: by ascending edges, or by name.
public enum ColumnBins: Sendable, Equatable {
  /// Bin `b` counts the numbers with exactly `b` of the ascending edges at or below them. Without
  /// edges one bin counts all.
  case edges([Double])
  /// A bin a label, then one for all other texts.
  case labels([String: Int])

  public var count: Int {
    switch self {
    case .edges(let edges): edges.count + 1
    case .labels(let labels): labels.count + 1
    }
  }
}

/// What a column looks like: count, mean, spread, extremes and a histogram, of any number of rows,
/// to be merged with those of other rows.
///
/// A NULL, a NaN and an infinite number are missing. Of texts, the mean, spread and extremes are those of
/// their lengths in UTF-8; images count as the numbers of their bytes.
public struct ColumnStatistics: Sendable, Equatable {
  /// Rows that were looked at.
  public var rowCount: Int { valueCount + missingCount }
  public private(set) var valueCount = 0
  public private(set) var missingCount = 0
  /// 0 where there is no value.
  public private(set) var mean = 0.0
  /// Sum of squared distances from the mean.
  public private(set) var m2 = 0.0
  /// Infinite, the wrong way round, where there is no value.
  public private(set) var minimum = Double.infinity
  public private(set) var maximum = -Double.infinity
  public private(set) var bins: [Int64]

  public init(binCount: Int) { bins = Array(repeating: 0, count: binCount) }

  /// Texts that are looked up at most, of each column given: others are passed over evenly.
  public static let textSample = 512

  /// Adds a column's rows.
  ///
  /// - Complexity: About 2 ns a number with nine edges; a look-up a text.
  public mutating func add(_ column: Column, by kind: ColumnBins) {
    precondition(bins.count == kind.count, "\(bins.count) bins for \(kind.count)")
    switch (column.values, kind) {
    case (.string(let texts), .labels(let labels)): add(texts, column.nulls, labels)
    case (.string, .edges), (_, .labels): missingCount += column.count
    case (.bytes(let values), .edges(let edges)):
      add(Column(.float64(values.map { Double($0.count) }), nulls: column.nulls), edges)
    case (_, .edges(let edges)): add(column, edges)
    }
  }

  /// Adds what another has seen of other rows, in the same bins.
  public mutating func merge(_ other: ColumnStatistics) {
    var own = moments
    var others = other.moments
    ck_moments_merge(&own, &others)
    moments = own
    for bin in bins.indices { bins[bin] += other.bins[bin] }
  }

  private var moments: ck_moments {
    get {
      ck_moments(
        count: valueCount, missing: missingCount, mean: mean, m2: m2, minimum: minimum,
        maximum: maximum)
    }
    set {
      valueCount = newValue.count
      missingCount = newValue.missing
      (mean, m2) = (newValue.mean, newValue.m2)
      (minimum, maximum) = (newValue.minimum, newValue.maximum)
    }
  }

  private mutating func add(_ column: Column, _ edges: [Double]) {
    var moments = moments
    column.withNulls { nulls in
      edges.withUnsafeBufferPointer { edges in
        bins.withUnsafeMutableBufferPointer { bins in
          let (edge, edgeCount, bin) = (edges.baseAddress, edges.count, bins.baseAddress!)
          switch column.values {
          case .int16(let v):
            ck_profile_i16(v, nulls, v.count, edge, edgeCount, &moments, bin)
          case .int32(let v):
            ck_profile_i32(v, nulls, v.count, edge, edgeCount, &moments, bin)
          case .int64(let v):
            ck_profile_i64(v, nulls, v.count, edge, edgeCount, &moments, bin)
          case .float32(let v):
            ck_profile_f32(v, nulls, v.count, edge, edgeCount, &moments, bin)
          case .float64(let v):
            ck_profile_f64(v, nulls, v.count, edge, edgeCount, &moments, bin)
          case .bool(let v):
            v.withUnsafeBytes { bytes in
              ck_profile_bool(
                bytes.bindMemory(to: UInt8.self).baseAddress, nulls, v.count, edge, edgeCount,
                &moments, bin)
            }
          case .string, .bytes: break
          }
        }
      }
    }
    self.moments = moments
  }

  private mutating func add(_ texts: [String], _ nulls: [UInt64]?, _ labels: [String: Int]) {
    let step = max(1, (texts.count + Self.textSample - 1) / Self.textSample)
    for row in stride(from: 0, to: texts.count, by: step) {
      if let nulls, nulls[row >> 6] & (1 << UInt64(row & 63)) != 0 {
        missingCount += 1
        continue
      }
      bins[labels[texts[row]] ?? labels.count] += 1
      let length = Double(texts[row].utf8.count)
      valueCount += 1
      let distance = length - mean
      mean += distance / Double(valueCount)
      m2 += distance * (length - mean)
      minimum = min(minimum, length)
      maximum = max(maximum, length)
    }
  }
}

extension Column {
  fileprivate func withNulls(_ body: (UnsafePointer<UInt64>?) -> Void) {
    guard let nulls else { return body(nil) }
    nulls.withUnsafeBufferPointer { body($0.baseAddress) }
  }
}
