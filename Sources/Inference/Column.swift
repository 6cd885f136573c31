/// One value a row, with the rows that have none; the value may be a tensor.
public struct Column: Sendable, Equatable {
  public enum Values: Sendable, Equatable {
    case int16([Int16])
    case int32([Int32])
    case int64([Int64])
    case float32([Float])
    case float64([Double])
    case bool([Bool])
    case string([String])
    /// Encoded images.
    case bytes([[UInt8]])
  }

  public var values: Values
  /// Bit `i % 64` of word `i / 64` is set where row `i` has no value; nil where each row has one.
  /// The value at such a row is unspecified.
  public var nulls: [UInt64]?
  /// Sizes of each row's tensor, whose elements lie one row after the other in `values`, row-major;
  /// empty where a row has one number or text.
  public var shape: [Int]
  /// How many places of the first axis of each row's tensor are meant, where rows have lists of different
  /// lengths; nil where all are.
  public var counts: [Int]?

  public init(
    _ values: Values, nulls: [UInt64]? = nil, shape: [Int] = [], counts: [Int]? = nil
  ) {
    self.values = values
    self.nulls = nulls
    self.shape = shape
    self.counts = counts
  }

  /// Elements of a row.
  public var width: Int { shape.reduce(1, *) }

  /// Rows.
  public var count: Int { shape.isEmpty ? values.count : values.count / max(width, 1) }

  @inlinable
  public func isNull(_ row: Int) -> Bool {
    guard let nulls else { return false }
    return nulls[row >> 6] & (1 << UInt64(row & 63)) != 0
  }

  /// The element at a place of `values` as a number, true as 1; nil of texts and images.
  @inlinable
  public func number(_ index: Int) -> Double? {
    switch values {
    case .int16(let v): Double(v[index])
    case .int32(let v): Double(v[index])
    case .int64(let v): Double(v[index])
    case .float32(let v): Double(v[index])
    case .float64(let v): v[index]
    case .bool(let v): v[index] ? 1 : 0
    case .string, .bytes: nil
    }
  }
}

extension Column.Values {
  /// Elements of all rows.
  public var count: Int {
    switch self {
    case .int16(let v): v.count
    case .int32(let v): v.count
    case .int64(let v): v.count
    case .float32(let v): v.count
    case .float64(let v): v.count
    case .bool(let v): v.count
    case .string(let v): v.count
    case .bytes(let v): v.count
    }
  }
}

/// Rows given to the engine at once: a column for each feature, in the signature's order.
///
/// Any numeric column fits a numeric feature; values are converted on the way into the model. Texts
/// alone fit texts, and bytes images.
public struct Batch: Sendable {
  public var rowCount: Int
  public var columns: [Column]

  public init(rowCount: Int, columns: [Column]) {
    self.rowCount = rowCount
    self.columns = columns
  }
}

/// The engine's answer to a batch: a column for each output, in the signature's order.
public struct Predictions: Sendable {
  /// A row that could not be scored; its outputs are unspecified.
  public struct Failure: Sendable, Equatable {
    public enum Code: String, Sendable {
      /// NULL or NaN in a feature for which the model has no rule.
      case missing
      /// Infinite, or beyond the range of the model's type.
      case notFinite = "not_finite"
      /// A category that the model did not see in training, where it forbids those.
      case unseenCategory = "unseen_category"
      /// A value that cannot be read as the feature's type.
      case wrongType = "wrong_type"
      /// Bytes that are no image, a damaged one or one over the limits.
      case badImage = "bad_image"
    }
    public var row: Int
    public var code: Code
    /// Names the feature and the rule, never the value.
    public var reason: String

    public init(row: Int, code: Code, reason: String) {
      self.row = row
      self.code = code
      self.reason = reason
    }
  }

  public var columns: [Column]
  /// In row order, at most one a row.
  public var failures: [Failure]

  public init(columns: [Column], failures: [Failure] = []) {
    self.columns = columns
    self.failures = failures
  }
}
