internal import CKernels
internal import Foundation

extension OperatorRegistry {
  /// Functions of one number that neural networks use.
  static let activations: [String: OperatorFactory] = [
    "Celu": UnaryElementwise.computed { node throws(ModelError) in
      let alpha = Double(try node.float("alpha", default: 1))
      return { max($0, 0) + min(alpha * (ck_exp($0 / alpha) - 1), 0) }
    },
    "Elu": UnaryElementwise.computed { node throws(ModelError) in
      let alpha = Double(try node.float("alpha", default: 1))
      return { $0 < 0 ? alpha * (ck_exp($0) - 1) : $0 }
    },
    "Gelu": UnaryElementwise.computed { node throws(ModelError) in
      switch try node.string("approximate", default: "none") {
      case "none": return { 0.5 * $0 * (1 + ck_erf($0 * 0.5.squareRoot())) }
      case "tanh":
        return { x in
          let inner = (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)
          return 0.5 * x * (1 + ck_tanh(inner))
        }
      case let name: throw node.error(.malformed, "approximation \"\(name)\" is not known")
      }
    },
    "HardSigmoid": UnaryElementwise.computed { node throws(ModelError) in
      let alpha = Double(try node.float("alpha", default: 0.2))
      let beta = Double(try node.float("beta", default: 0.5))
      return { $0.isNaN ? $0 : max(0, min(1, alpha * $0 + beta)) }
    },
    "HardSwish": UnaryElementwise.computed { $0 * max(0, min(1, $0 / 6 + 0.5)) },
    "LeakyRelu": UnaryElementwise.computed { node throws(ModelError) in
      let alpha = Double(try node.float("alpha", default: 0.01))
      return { $0 < 0 ? alpha * $0 : $0 }
    },
    "Mish": UnaryElementwise.computed { $0 * ck_tanh(softplus($0)) },
    "PRelu": { node throws(ModelError) in try ParametricRectifier(node) },
    "Relu": UnaryElementwise.sign(Rectifier.self),
    "Selu": UnaryElementwise.computed { node throws(ModelError) in
      let alpha = Double(try node.float("alpha", default: 1.673_263_2))
      let gamma = Double(try node.float("gamma", default: 1.050_701))
      return { $0 > 0 ? gamma * $0 : gamma * (alpha * ck_exp($0) - alpha) }
    },
    "Shrink": UnaryElementwise.shrink,
    "Sigmoid": UnaryElementwise.function(
      UnaryElementwise.floats { ck_logistic_f32($0, $1, $2) },
      UnaryElementwise.doubles { ck_logistic_f64($0, $1, $2) }),
    "Softplus": UnaryElementwise.computed { softplus($0) },
    "Softsign": UnaryElementwise.computed { $0 / (1 + abs($0)) },
    "Swish": UnaryElementwise.computed { node throws(ModelError) in
      let alpha = Double(try node.float("alpha", default: 1))
      return { $0 * ck_logistic(alpha * $0) }
    },
    "ThresholdedRelu": UnaryElementwise.computed { node throws(ModelError) in
      let alpha = Double(try node.float("alpha", default: 1))
      return { $0 > alpha ? $0 : 0 }
    },
  ]

  /// Angles and hyperbolic functions, by the C library in double and rounded once.
  static let trigonometry: [String: OperatorFactory] = [
    "Acos": UnaryElementwise.computed { acos($0) },
    "Acosh": UnaryElementwise.computed { acosh($0) },
    "Asin": UnaryElementwise.computed { asin($0) },
    "Asinh": UnaryElementwise.computed { asinh($0) },
    "Atan": UnaryElementwise.computed { atan($0) },
    "Atanh": UnaryElementwise.computed { atanh($0) },
    "Cos": UnaryElementwise.computed { cos($0) },
    "Cosh": UnaryElementwise.computed { cosh($0) },
    "Sin": UnaryElementwise.computed { sin($0) },
    "Sinh": UnaryElementwise.computed { sinh($0) },
    "Tan": UnaryElementwise.computed { tan($0) },
  ]

  private static func softplus(_ x: Double) -> Double { max(x, 0) + ck_log(1 + ck_exp(-abs(x))) }
}

extension UnaryElementwise {
  /// Shrink: towards zero by a bias, and zero around it.
  fileprivate static let shrink: OperatorFactory = { node throws(ModelError) in
    let bias = Double(try node.float("bias", default: 0))
    let lambda = Double(try node.float("lambd", default: 0.5))
    guard !(try node.input(0).type.isFloatingPoint) else {
      return try computed { $0 < -lambda ? $0 + bias : ($0 > lambda ? $0 - bias : 0) }(node)
    }
    return try ShrinkWhole(node, bias: bias, lambda: lambda)
  }
}

/// Shrink of integers.
private struct ShrinkWhole: Operator {
  let outputs: [ValueInfo]
  let bias: Double
  let lambda: Double

  init(_ node: Node, bias: Double, lambda: Double) throws(ModelError) {
    let info = try node.input(0)
    guard info.type.isInteger else {
      throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
    }
    (self.bias, self.lambda) = (bias, lambda)
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    for index in 0..<call.input(0).count {
      let x = call.input(0).double(index)
      call.output(0).set(index, x < -lambda ? x + bias : (x > lambda ? x - bias : 0))
    }
  }
}

/// PRelu: a slope of its own for each element that is below zero.
private struct ParametricRectifier: Operator {
  let outputs: [ValueInfo]
  private let isPerChannel: Bool

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...2)
    let (info, slope) = (try node.input(0), try node.input(1))
    // Before opset 7 a slope for each channel was told by its size alone.
    isPerChannel =
      node.opset < 7 && slope.shape.rank == 1 && info.shape.rank > 1
      && slope.shape.dims[0] == info.shape.dims[1] && !slope.shape.isBatched
    guard info.type.isNumeric, slope.type == info.type,
      isPerChannel || info.shape.broadcast(with: slope.shape) == info.shape
    else {
      throw node.error(
        .malformed, "inputs of shapes \(info.shape) and \(slope.shape) do not fit row by row")
    }
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, slope, out) = (call.input(0), call.input(1), call.output(0))
    let ones = Array(repeating: 1, count: max(input.dims.count - 2, 0))
    let walk = BroadcastWalk(
      output: out.dims, inputs: [input.dims, isPerChannel ? slope.dims + ones : slope.dims])
    walk.forEachStretch { output, offsets, steps, count in
      for i in 0..<count {
        let x = input.double(offsets[0] + i * steps[0])
        out.set(output + i, x < 0 ? x * slope.double(offsets[1] + i * steps[1]) : x)
      }
    }
  }
}
