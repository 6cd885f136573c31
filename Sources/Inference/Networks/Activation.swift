internal import CDNN

/// A function of one element that a layer can end with.
enum Activation: Sendable, Equatable {
  /// Below zero times a slope.
  case relu(slope: Float)
  case clip(Float, Float)
  case elu(Float)
  case sigmoid
  case tanh
  case hardSwish
  case hardSigmoid(alpha: Float, beta: Float)
  /// x * sigmoid(alpha * x)
  case swish(Float)
  case gelu
  case geluByTanh
  case mish
  case softplus
  case sqrt
  case abs
  case exp
  /// alpha * x + beta
  case linear(Float, Float)

  /// The function that a node computes of its first input; nil where it is none of these.
  init?(_ node: Node) {
    guard node.domain.isEmpty, let input = node.optionalInput(0), input.type == .float32 else {
      return nil
    }
    func number(_ name: String, _ value: Float) -> Float? {
      try? node.float(name, default: value)
    }
    switch node.type {
    case "Relu": self = .relu(slope: 0)
    case "LeakyRelu":
      guard let slope = number("alpha", 0.01) else { return nil }
      self = .relu(slope: slope)
    case "Clip":
      guard let bounds = Self.bounds(node) else { return nil }
      self = .clip(bounds.0, bounds.1)
    case "Elu":
      guard let alpha = number("alpha", 1) else { return nil }
      self = .elu(alpha)
    case "Sigmoid": self = .sigmoid
    case "Tanh": self = .tanh
    case "HardSwish": self = .hardSwish
    case "HardSigmoid":
      guard let alpha = number("alpha", 0.2), let beta = number("beta", 0.5) else { return nil }
      self = .hardSigmoid(alpha: alpha, beta: beta)
    case "Swish":
      guard let alpha = number("alpha", 1) else { return nil }
      self = .swish(alpha)
    case "Gelu":
      let form = (try? node.string("approximate", default: "none")) ?? "none"
      self = form == "tanh" ? .geluByTanh : .gelu
    case "Mish": self = .mish
    case "Softplus": self = .softplus
    case "Sqrt": self = .sqrt
    case "Abs": self = .abs
    case "Exp": self = .exp
    default: return nil
    }
  }

  private static func bounds(_ node: Node) -> (Float, Float)? {
    if node.opset < 11 {
      return (
        (try? node.float("min")).flatMap { $0 } ?? -.greatestFiniteMagnitude,
        (try? node.float("max")).flatMap { $0 } ?? .greatestFiniteMagnitude
      )
    }
    var bounds: (Float, Float) = (-.greatestFiniteMagnitude, .greatestFiniteMagnitude)
    if let info = node.optionalInput(1) {
      guard let value = info.constant?.doubles?.first else { return nil }
      bounds.0 = Float(value)
    }
    if let info = node.optionalInput(2) {
      guard let value = info.constant?.doubles?.first else { return nil }
      bounds.1 = Float(value)
    }
    return bounds
  }

  /// The function as oneDNN has it: one step, or several one after the other.
  var postOps: [dn_post_op] {
    func op(_ kind: Int, _ alpha: Float = 0, _ beta: Float = 0) -> dn_post_op {
      dn_post_op(kind: Int32(kind), alpha: alpha, beta: beta)
    }
    switch self {
    case .relu(let slope): return [op(DN_RELU, slope)]
    case .clip(let least, let greatest): return [op(DN_CLIP, least, greatest)]
    case .elu(let alpha): return [op(DN_ELU, alpha)]
    case .sigmoid: return [op(DN_LOGISTIC)]
    case .tanh: return [op(DN_TANH)]
    case .hardSwish: return [op(DN_HARDSWISH)]
    case .hardSigmoid(let alpha, let beta): return [op(DN_LINEAR, alpha, beta), op(DN_CLIP, 0, 1)]
    case .swish(let alpha): return [op(DN_SWISH, alpha)]
    case .gelu: return [op(DN_GELU_ERF)]
    case .geluByTanh: return [op(DN_GELU_TANH)]
    case .mish: return [op(DN_MISH)]
    case .softplus: return [op(DN_SOFT_RELU)]
    case .sqrt: return [op(DN_SQRT)]
    case .abs: return [op(DN_ABS)]
    case .exp: return [op(DN_EXP)]
    case .linear(let alpha, let beta): return [op(DN_LINEAR, alpha, beta)]
    }
  }
}
