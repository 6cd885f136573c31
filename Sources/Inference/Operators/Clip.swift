/// Clip: bounds the elements; the bounds are attributes before opset 11, inputs of one element
/// after.
struct Clip: Operator {
  let outputs: [ValueInfo]
  private let least: Double?
  private let greatest: Double?

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    guard info.type.isNumeric else {
      throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
    }
    if node.opset < 11 {
      try node.checkInputs(1...1)
      least = try node.float("min").map(Double.init)
      greatest = try node.float("max").map(Double.init)
    } else {
      for index in 1...2 {
        guard let bound = node.optionalInput(index) else { continue }
        guard bound.type == info.type, bound.shape.elementCount == 1, !bound.shape.isBatched else {
          throw node.error(.malformed, "a bound of shape \(bound.shape) is not one number")
        }
      }
      (least, greatest) = (nil, nil)
    }
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    switch call.input(0).type {
    case .float32: clip(call, Float.self)
    case .float64: clip(call, Double.self)
    case let type: if let integer = type.integer { clip(call, integer) }
    }
  }

  private func clip<T: NumericElement & Comparable>(_ call: Call, _ type: T.Type) {
    func bound(_ index: Int, _ attribute: Double?) -> T? {
      if let attribute { return T(converting: attribute) }
      guard index < call.inputs.count, let view = call.inputs[index] else { return nil }
      return view.pointer(as: T.self)[0]
    }
    let from: UnsafeMutablePointer<T> = call.input(0).pointer()
    let to: UnsafeMutablePointer<T> = call.output(0).pointer()
    let (low, high) = (bound(1, least), bound(2, greatest))
    // Comparisons with NaN are false, so it stays.
    for i in 0..<call.input(0).count {
      var x = from[i]
      if let low, x < low { x = low }
      if let high, x > high { x = high }
      to[i] = x
    }
  }
}
