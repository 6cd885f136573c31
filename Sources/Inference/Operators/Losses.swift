internal import CKernels

/// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: how badly scores fit their classes.
struct Loss: Operator {
  enum Reduction: Sendable { case none, mean, sum }

  let outputs: [ValueInfo]
  private let takesSoftmax: Bool
  private let reduction: Reduction
  private let ignored: Int?

  static func factory(takesSoftmax: Bool) -> OperatorFactory {
    { node throws(ModelError) in try Loss(node, takesSoftmax: takesSoftmax) }
  }

  private init(_ node: Node, takesSoftmax: Bool) throws(ModelError) {
    let info = try node.input(0, .float32, .float64)
    let target = try node.input(1, .int32, .int64)
    let dims = info.shape.dims
    guard dims.count >= 2, !info.shape.isBatched, !target.shape.isBatched,
      target.shape.dims == [dims[0]] + dims[2...]
    else {
      throw node.error(
        .unsupported, "classes of shape \(target.shape) for scores of shape \(info.shape)")
    }
    if let weights = node.optionalInput(2) {
      guard weights.shape.dims == [dims[1]], weights.type == info.type else {
        throw node.error(.malformed, "weights of shape \(weights.shape) for \(dims[1]) classes")
      }
    }
    switch try node.string("reduction", default: "mean") {
    case "none": reduction = .none
    case "mean": reduction = .mean
    case "sum": reduction = .sum
    case let name: throw node.error(.malformed, "reduction \"\(name)\" is not known")
    }
    ignored = try node.int("ignore_index")
    self.takesSoftmax = takesSoftmax
    var outputs = [
      try node.output(info.type, reduction == .none ? target.shape : Shape([]))
    ]
    if takesSoftmax { outputs.append(try node.output(info.type, info.shape)) }
    self.outputs = outputs
  }

  func run(_ call: Call) {
    let (input, target, out) = (call.input(0), call.input(1), call.output(0))
    let weights = call.inputs.count > 2 ? call.inputs[2] : nil
    let classes = input.dims[1]
    let inner = input.dims[2...].reduce(1, *)
    var (sum, total) = (0.0, 0.0)
    for place in 0..<target.count {
      let base = place / max(inner, 1) * classes * inner + place % max(inner, 1)
      var logarithm = 0.0
      if takesSoftmax {
        var greatest = -Double.infinity
        for k in 0..<classes { greatest = max(greatest, input.double(base + k * inner)) }
        var exponentials = 0.0
        for k in 0..<classes { exponentials += ck_exp(input.double(base + k * inner) - greatest) }
        logarithm = greatest + ck_log(exponentials)
        for k in 0..<classes {
          call.output(1).set(base + k * inner, input.double(base + k * inner) - logarithm)
        }
      }
      let chosen = target.integer(place)
      var (loss, weight) = (0.0, 0.0)
      if chosen != ignored {
        guard (0..<classes).contains(chosen) else {
          call.failures.add(row: 0, .wrongType, "a class is beyond \(classes)")
          continue
        }
        weight = weights?.double(chosen) ?? 1
        loss = -(input.double(base + chosen * inner) - logarithm) * weight
      }
      if reduction == .none { out.set(place, loss) }
      sum += loss
      total += weight
    }
    switch reduction {
    case .none: break
    case .sum: out.set(0, sum)
    case .mean: out.set(0, sum / total)
    }
  }
}
