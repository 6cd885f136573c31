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
  static func column(_ values: [Self]) -> Column.Values
  static var elementType: ElementType { get }
  /// `ForestPlan.add` of this type.
  static func add(
    _ plan: ForestPlan, _ scratch: UnsafeMutableRawPointer, count: Int,
    to sums: UnsafeMutablePointer<Self>)
}

extension Float: ForestReal {
  static func exponential(_ x: Float) -> Float { expf(x) }
  static func logOnePlus(_ x: Float) -> Float { log1pf(x) }
  static func column(_ values: [Float]) -> Column.Values { .float32(values) }
  static var elementType: ElementType { .float32 }
  static func add(
    _ plan: ForestPlan, _ scratch: UnsafeMutableRawPointer, count: Int,
    to sums: UnsafeMutablePointer<Float>
  ) {
    plan.add(scratch, count: count, to: sums)
  }
}

extension Double: ForestReal {
  static func exponential(_ x: Double) -> Double { exp(x) }
  static func logOnePlus(_ x: Double) -> Double { log1p(x) }
  static func column(_ values: [Double]) -> Column.Values { .float64(values) }
  static var elementType: ElementType { .float64 }
  static func add(
    _ plan: ForestPlan, _ scratch: UnsafeMutableRawPointer, count: Int,
    to sums: UnsafeMutablePointer<Double>
  ) {
    plan.add(scratch, count: count, to: sums)
  }
}

/// How margins become the outputs of a boosted model.
struct ForestOutputs: Sendable {
  enum Link: Sendable, Equatable {
    case identity
    /// sign(x) x², the way back from a square root of the target.
    case square
    case exponential
    /// 1 / (1 + exp(-slope x)).
    case logistic(slope: Double)
    case softmax
    /// log(1 + exp(x)).
    case softplus
  }

  enum Kind: Sendable, Equatable {
    /// One score, or one for each of several targets.
    case scores
    /// Class 1 where its probability is over one half.
    case binary
    /// Class 1 where the margin is over zero; the margin is the decision value.
    case binaryMargin
    /// The class of the largest output.
    case multiclass
  }

  var link: Link
  var kind: Kind
  /// Margins a row.
  var count: Int
  /// One a class, where the user names them.
  var labels: [String]?

  init(link: Link, kind: Kind, count: Int, labels: [String]?) throws(ModelError) {
    (self.link, self.kind, self.count) = (link, kind, count)
    if let labels {
      guard classCount > 0 else {
        throw ModelError(.mismatch, "\(labels.count) labels for a model without classes")
      }
      guard labels.count == classCount else {
        throw ModelError(.mismatch, "\(labels.count) labels for \(classCount) classes")
      }
    }
    self.labels = labels
  }

  var classCount: Int {
    switch kind {
    case .scores: 0
    case .binary, .binaryMargin: 2
    case .multiclass: count
    }
  }

  private func className(_ index: Int) -> String { labels?[index] ?? String(index) }

  func signature(_ type: ElementType) -> [Signature.Output] {
    let label = Signature.Output(
      name: "label", type: labels == nil ? .int64 : .string, role: .label)
    switch kind {
    case .scores:
      return (0..<count).map {
        Signature.Output(name: count == 1 ? "score" : "score_\($0)", type: type, role: .score)
      }
    case .binary:
      return [
        label,
        Signature.Output(
          name: "probability", type: type, role: .probability, className: className(1)),
      ]
    case .binaryMargin:
      return [
        label,
        Signature.Output(name: "decision", type: type, role: .decision, className: className(1)),
      ]
    case .multiclass:
      let names = Signature.Output.columnNames(
        prefix: "probability", classes: (0..<count).map(className))
      return [label]
        + (0..<count).map {
          Signature.Output(
            name: names[$0], type: type, role: .probability, className: className($0))
        }
    }
  }

  /// - Parameter margins: one array an output, all of one length.
  func columns<Real: ForestReal>(_ margins: consuming [[Real]]) -> [Column] {
    apply(&margins)
    switch kind {
    case .scores:
      return margins.map { Column(Real.column($0)) }
    case .binary:
      return [labelColumn(margins[0].map { $0 > 0.5 ? 1 : 0 }), Column(Real.column(margins[0]))]
    case .binaryMargin:
      return [labelColumn(margins[0].map { $0 > 0 ? 1 : 0 }), Column(Real.column(margins[0]))]
    case .multiclass:
      let best = margins[0].indices.map { row in
        var best = 0
        for k in 1..<count where margins[k][row] > margins[best][row] { best = k }
        return best
      }
      return [labelColumn(best)] + margins.map { Column(Real.column($0)) }
    }
  }

  private func labelColumn(_ classes: [Int]) -> Column {
    if let labels { return Column(.string(classes.map { labels[$0] })) }
    return Column(.int64(classes.map(Int64.init)))
  }

  private func apply<Real: ForestReal>(_ margins: inout [[Real]]) {
    switch link {
    case .identity: break
    case .square:
      transform(&margins) { $0 < 0 ? -($0 * $0) : $0 * $0 }
    case .exponential:
      transform(&margins) { Real.exponential($0) }
    case .logistic(let slope):
      let slope = Real(slope)
      transform(&margins) { 1 / (1 + Real.exponential(-slope * $0)) }
    case .softplus:
      transform(&margins) { Real.logOnePlus(Real.exponential($0)) }
    case .softmax:
      guard let rows = margins.first?.indices else { return }
      for row in rows {
        var largest = margins[0][row]
        for k in 1..<count { largest = max(largest, margins[k][row]) }
        var sum: Real = 0
        for k in 0..<count {
          let value = Real.exponential(margins[k][row] - largest)
          margins[k][row] = value
          sum += value
        }
        for k in 0..<count { margins[k][row] /= sum }
      }
    }
  }

  private func transform<Real: ForestReal>(_ margins: inout [[Real]], _ link: (Real) -> Real) {
    for k in margins.indices {
      for row in margins[k].indices { margins[k][row] = link(margins[k][row]) }
    }
  }
}

extension Signature.Output {
  /// Names fit for columns, all different: `probability_setosa`. What no identifier should hold
  /// becomes `_`; a name that is taken gets a number.
  static func columnNames(prefix: String, classes: [String]) -> [String] {
    var taken: Set<String> = []
    return classes.map { name in
      let fit = String(
        name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
      // PostgreSQL cuts identifiers at 63 bytes.
      let stem = String("\(prefix)_\(fit)".prefix(56))
      var candidate = stem
      var number = 2
      while !taken.insert(candidate).inserted {
        candidate = "\(stem)_\(number)"
        number += 1
      }
      return candidate
    }
  }
}
