internal import CKernels
internal import Foundation

/// A function of the gates and states of a recurrent layer.
struct RecurrentFunction: Sendable {
  private enum Kind {
    case affine, elu, hardSigmoid, leakyRelu, relu, scaledTanh, sigmoid, softplus, softsign, tanh
    case thresholdedRelu
  }

  private let kind: Kind
  private let alpha: Float
  private let beta: Float

  static let sigmoid = RecurrentFunction(kind: .sigmoid, alpha: 0, beta: 0)
  static let tanh = RecurrentFunction(kind: .tanh, alpha: 0, beta: 0)

  /// The functions of a node, as many as `defaults` for each direction.
  ///
  /// Parameters belong to the functions that have them, in order; a function beyond their list has
  /// those of its own.
  static func list(
    _ node: Node, directions: Int, defaults: [RecurrentFunction]
  ) throws(ModelError) -> [RecurrentFunction] {
    guard let names = try node.strings("activations"), !names.isEmpty else {
      return Array(repeating: defaults, count: directions).flatMap { $0 }
    }
    guard names.count == defaults.count * directions else {
      throw node.error(
        .malformed,
        "\(names.count) activations where \(defaults.count * directions) are wanted")
    }
    var alphas = try node.floats("activation_alpha") ?? []
    var betas = try node.floats("activation_beta") ?? []
    func take(_ list: inout [Float], or value: Float) -> Float {
      list.isEmpty ? value : list.removeFirst()
    }
    return try names.map { name throws(ModelError) in
      switch name.lowercased() {
      case "affine":
        Self(kind: .affine, alpha: take(&alphas, or: 1), beta: take(&betas, or: 0))
      case "elu": Self(kind: .elu, alpha: take(&alphas, or: 1), beta: 0)
      case "hardsigmoid":
        Self(kind: .hardSigmoid, alpha: take(&alphas, or: 0.2), beta: take(&betas, or: 0.5))
      case "leakyrelu": Self(kind: .leakyRelu, alpha: take(&alphas, or: 0.01), beta: 0)
      case "relu": Self(kind: .relu, alpha: 0, beta: 0)
      case "scaledtanh":
        Self(kind: .scaledTanh, alpha: take(&alphas, or: 1), beta: take(&betas, or: 1))
      case "sigmoid": sigmoid
      case "softplus": Self(kind: .softplus, alpha: 0, beta: 0)
      case "softsign": Self(kind: .softsign, alpha: 0, beta: 0)
      case "tanh": tanh
      case "thresholdedrelu":
        Self(kind: .thresholdedRelu, alpha: take(&alphas, or: 1), beta: 0)
      default: throw node.error(.unsupported, "activation \"\(name)\" is not supported")
      }
    }
  }

  /// Puts the function's values in place of its arguments.
  func apply(_ values: UnsafeMutablePointer<Float>, _ count: Int) {
    switch kind {
    case .sigmoid: ck_logistic_f32(values, count, values)
    case .tanh: ck_tanh_f32(values, count, values)
    case .relu: for i in 0..<count { values[i] = max(values[i], 0) }
    case .affine: for i in 0..<count { values[i] = alpha * values[i] + beta }
    case .leakyRelu: for i in 0..<count where values[i] < 0 { values[i] *= alpha }
    case .thresholdedRelu: for i in 0..<count where !(values[i] > alpha) { values[i] = 0 }
    case .hardSigmoid:
      for i in 0..<count { values[i] = max(0, min(1, alpha * values[i] + beta)) }
    case .scaledTanh:
      for i in 0..<count { values[i] *= beta }
      ck_tanh_f32(values, count, values)
      for i in 0..<count { values[i] *= alpha }
    case .elu:
      for i in 0..<count where values[i] < 0 {
        values[i] = Float(Double(alpha) * (ck_exp(Double(values[i])) - 1))
      }
    case .softsign: for i in 0..<count { values[i] /= 1 + abs(values[i]) }
    case .softplus:
      for i in 0..<count {
        let x = Double(values[i])
        values[i] = Float(max(x, 0) + ck_log(1 + ck_exp(-abs(x))))
      }
    }
  }
}
