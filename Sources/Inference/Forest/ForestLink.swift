#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A type that leaves are added up in, with what links need of it.
protocol ForestReal: BinaryFloatingPoint, Sendable {
  static func exponential(_ x: Self) -> Self
  static func logOnePlus(_ x: Self) -> Self
  /// 1 / (1 + exp(-x)) as the library of this type's models computes it.
  static func logistic(_ x: Self) -> Self
  static func column(_ values: [Self]) -> Column.Values
  static var elementType: ElementType { get }
  static var precision: ForestPlan.Precision { get }
  static func predictor(_ scoring: ForestScoring<Self>) -> ForestPredictor
  /// `ForestCalls.add` of this type.
  static func add(
    _ calls: ForestCalls, _ scratch: UnsafeMutableRawPointer, count: Int,
    to sums: UnsafeMutablePointer<Self>)
  /// `ForestCalls.encode` of this type.
  static func encode(
    _ calls: ForestCalls, rows: UnsafePointer<Self>, width: Int, count: Int,
    into scratch: UnsafeMutableRawPointer)
  /// The array of this type, whose place is taken by an empty one; empty where it is of another.
  static func take(from values: inout Column.Values) -> [Self]
}

extension ForestReal {
  /// An array of so many values, whatever they are: one of the columns' if its count is right.
  static func array(count: Int, in columns: inout [Column]) -> [Self] {
    if !columns.isEmpty {
      let known = take(from: &columns[columns.count - 1].values)
      if known.count == count { return known }
    }
    return [Self](repeating: 0, count: count)
  }
}

extension Float: ForestReal {
  static func exponential(_ x: Float) -> Float { expf(x) }
  static func logOnePlus(_ x: Float) -> Float { log1pf(x) }
  /// XGBoost bounds the exponent, so that no probability is zero.
  static func logistic(_ x: Float) -> Float { 1 / (expf(min(-x, 88.7)) + 1) }
  static func column(_ values: [Float]) -> Column.Values { .float32(values) }
  static var elementType: ElementType { .float32 }
  static var precision: ForestPlan.Precision { .float }
  static func predictor(_ scoring: ForestScoring<Float>) -> ForestPredictor { .float(scoring) }
  static func add(
    _ calls: ForestCalls, _ scratch: UnsafeMutableRawPointer, count: Int,
    to sums: UnsafeMutablePointer<Float>
  ) {
    calls.add(scratch, count: count, to: sums)
  }
  static func encode(
    _ calls: ForestCalls, rows: UnsafePointer<Float>, width: Int, count: Int,
    into scratch: UnsafeMutableRawPointer
  ) {
    calls.encode(rows: rows, width: width, count: count, into: scratch)
  }
  static func take(from values: inout Column.Values) -> [Float] {
    guard case .float32(let known) = values else { return [] }
    values = .float32([])
    return known
  }
}

extension Double: ForestReal {
  static func exponential(_ x: Double) -> Double { exp(x) }
  static func logOnePlus(_ x: Double) -> Double { log1p(x) }
  static func logistic(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
  static func column(_ values: [Double]) -> Column.Values { .float64(values) }
  static var elementType: ElementType { .float64 }
  static var precision: ForestPlan.Precision { .double }
  static func predictor(_ scoring: ForestScoring<Double>) -> ForestPredictor { .double(scoring) }
  static func add(
    _ calls: ForestCalls, _ scratch: UnsafeMutableRawPointer, count: Int,
    to sums: UnsafeMutablePointer<Double>
  ) {
    calls.add(scratch, count: count, to: sums)
  }
  static func encode(
    _ calls: ForestCalls, rows: UnsafePointer<Double>, width: Int, count: Int,
    into scratch: UnsafeMutableRawPointer
  ) {
    calls.encode(rows: rows, width: width, count: count, into: scratch)
  }
  static func take(from values: inout Column.Values) -> [Double] {
    guard case .float64(let known) = values else { return [] }
    values = .float64([])
    return known
  }
}

/// What an objective does to margins.
enum ForestLink: Sendable, Equatable {
  case identity
  /// sign(x) x², the way back from a square root of the target.
  case square
  case exponential
  /// 1 / (1 + exp(-slope x)).
  case logistic(slope: Double)
  case softmax
  /// log(1 + exp(x)).
  case softplus
  /// Each output is the one before and a softplus of its margin, so that none is below the one
  /// before (XGBoost's expectiles). The first is its margin.
  case ascending
  /// A mean as it is, and a variance from the logarithm of its root (CatBoost's uncertainty).
  case meanAndVariance

  /// XGBoost's kRtEps: the least step of `ascending`, the bounds of a logistic base score.
  static let epsilon = 1e-6

  /// - Parameter margins: one array an output, all of one length; becomes the outputs.
  func apply<Real: ForestReal>(_ margins: inout [[Real]]) {
    switch self {
    case .softmax: Self.softmax(&margins)
    case .meanAndVariance:
      for k in margins.indices.dropFirst() {
        for row in margins[k].indices {
          margins[k][row] = Real.exponential(2 * margins[k][row])
        }
      }
    case .ascending:
      for k in margins.indices.dropFirst() {
        for row in margins[k].indices {
          let x = margins[k][row]
          let softplus =
            x > 0
            ? x + Real.logOnePlus(Real.exponential(-x)) : Real.logOnePlus(Real.exponential(x))
          margins[k][row] = margins[k - 1][row] + (Real(Self.epsilon) + softplus)
        }
      }
    case .identity, .square, .exponential, .logistic, .softplus:
      for k in margins.indices { margins[k].withUnsafeMutableBufferPointer { apply(toEach: $0) } }
    }
  }

  /// Whether an output depends on its own margin alone.
  var isElementwise: Bool {
    switch self {
    case .identity, .square, .exponential, .logistic, .softplus: true
    case .softmax, .ascending, .meanAndVariance: false
    }
  }

  /// Replaces each margin by its output, where the link `isElementwise`.
  func apply<Real: ForestReal>(toEach margins: UnsafeMutableBufferPointer<Real>) {
    switch self {
    case .identity: break
    case .square: Self.transform(margins) { $0 < 0 ? -($0 * $0) : $0 * $0 }
    case .exponential: Self.transform(margins) { Real.exponential($0) }
    case .logistic(let slope):
      let slope = Real(slope)
      Self.transform(margins) { Real.logistic(slope * $0) }
    case .softplus: Self.transform(margins) { Real.logOnePlus(Real.exponential($0)) }
    case .softmax, .ascending, .meanAndVariance:
      preconditionFailure("an output depends on other margins")
    }
  }

  /// Exponentials are added as doubles in either type, as the libraries do.
  private static func softmax<Real: ForestReal>(_ margins: inout [[Real]]) {
    guard let rows = margins.first?.indices else { return }
    for row in rows {
      var largest = margins[0][row]
      for k in margins.indices.dropFirst() { largest = max(largest, margins[k][row]) }
      var sum = 0.0
      for k in margins.indices {
        let value = Real.exponential(margins[k][row] - largest)
        margins[k][row] = value
        sum += Double(value)
      }
      let divisor = Real(sum)
      for k in margins.indices { margins[k][row] /= divisor }
    }
  }

  @inline(__always)
  private static func transform<Real: ForestReal>(
    _ margins: UnsafeMutableBufferPointer<Real>, _ link: (Real) -> Real
  ) {
    for row in margins.indices { margins[row] = link(margins[row]) }
  }
}
