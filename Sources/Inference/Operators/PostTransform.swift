internal import CKernels

/// What ai.onnx.ml applies to a row's scores, as ONNX Runtime does.
enum PostTransform: String, Sendable, CaseIterable {
  // In the order of TreeEnsemble's numbers.
  case none = "NONE"
  case softmax = "SOFTMAX"
  case logistic = "LOGISTIC"
  case softmaxZero = "SOFTMAX_ZERO"
  case probit = "PROBIT"

  init(_ node: Node) throws(ModelError) {
    let name = try node.string("post_transform", default: "NONE")
    guard let value = PostTransform(rawValue: name) else {
      throw node.error(.malformed, "post_transform \"\(name)\" does not exist")
    }
    self = value
  }

  /// Transforms `count` scores of a row in place. A single score has nothing to be weighed against,
  /// and only PROBIT changes it, as in ONNX Runtime.
  func apply(_ scores: UnsafeMutablePointer<Float>, count: Int) {
    guard count > 1 || self == .probit else { return }
    switch self {
    case .none: break
    case .logistic: ck_logistic_f32(scores, count, scores)
    case .softmax: ck_softmax_f32(scores, 1, count, scores)
    case .softmaxZero: softmaxZero(scores, count)
    case .probit: for i in 0..<count { scores[i] = Self.probit(scores[i]) }
    }
  }

  /// Softmax that leaves scores close to zero out of the sum.
  private func softmaxZero(_ scores: UnsafeMutablePointer<Float>, _ count: Int) {
    var greatest = -Double.infinity
    for i in 0..<count { greatest = max(greatest, Double(scores[i])) }
    let scale = ck_exp(-greatest)
    var sum = 0.0
    for i in 0..<count where abs(scores[i]) > 0.0000001 {
      sum += ck_exp(Double(scores[i]) - greatest)
    }
    for i in 0..<count {
      let score = Double(scores[i])
      scores[i] = Float(
        (abs(scores[i]) > 0.0000001 ? ck_exp(score - greatest) : score * scale) / sum)
    }
  }

  /// The quantile of the normal distribution, by Winitzki's approximation of the inverse error
  /// function with ONNX Runtime's constants.
  static func probit(_ value: Float) -> Float { Float(probit(Double(value))) }

  static func probit(_ value: Double) -> Double {
    let x = 2 * value - 1
    let log = ck_log((1 - x) * (1 + x))
    let v = 2 / (3.14159 * 0.147) + 0.5 * log
    let root = (-v + (v * v - log / 0.147).squareRoot()).squareRoot()
    return 1.41421356 * (x < 0 ? -root : root)
  }
}

// MARK: In double

extension PostTransform {
  static func logistic(_ x: Double) -> Double { 1 / (1 + ck_exp(-x)) }

  /// The same for scores in double.
  func apply(_ scores: UnsafeMutablePointer<Double>, count: Int) {
    guard count > 1 || self == .probit else { return }
    switch self {
    case .none: break
    case .logistic: for k in 0..<count { scores[k] = Self.logistic(scores[k]) }
    case .probit: for k in 0..<count { scores[k] = Self.probit(scores[k]) }
    case .softmax, .softmaxZero:
      var largest = scores[0]
      for k in 1..<count { largest = max(largest, scores[k]) }
      var sum = 0.0
      for k in 0..<count {
        // SOFTMAX_ZERO keeps what is (almost) zero out of the sum.
        if self == .softmaxZero, scores[k].magnitude <= 1e-7 {
          scores[k] *= ck_exp(-largest)
        } else {
          scores[k] = ck_exp(scores[k] - largest)
          sum += scores[k]
        }
      }
      guard sum > 0 else { return }
      for k in 0..<count { scores[k] /= sum }
    }
  }
}

/// The classes that a classifier's label output names.
enum ClassLabels: Sendable {
  case ints([Int64])
  case strings([String])

  /// Reads `classlabels_ints` (or `intsName`) or `classlabels_strings`.
  init?(_ node: Node, intsName: String = "classlabels_ints") throws(ModelError) {
    let ints = try node.ints(intsName) ?? []
    let strings = try node.strings("classlabels_strings") ?? []
    guard ints.isEmpty || strings.isEmpty else {
      throw node.error(.malformed, "class labels are both numbers and strings")
    }
    if !strings.isEmpty {
      self = .strings(strings)
    } else if !ints.isEmpty {
      self = .ints(ints.map(Int64.init))
    } else {
      return nil
    }
  }

  var count: Int {
    switch self {
    case .ints(let list): list.count
    case .strings(let list): list.count
    }
  }

  var type: TensorType {
    switch self {
    case .ints: .int64
    case .strings: .string
    }
  }

  /// Writes a row's label.
  func write(_ index: Int, to view: TensorView, row: Int) {
    switch self {
    case .ints(let list): view.int64s[row] = list[index]
    case .strings(let list): view.strings[row] = list[index]
    }
  }
}
