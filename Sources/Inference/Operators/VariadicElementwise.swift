/// Sum, Mean, Max, Min: any number of inputs that broadcast, taken from left to right.
struct VariadicElementwise: Operator {
  let outputs: [ValueInfo]
  private let combine: BinaryElementwise.Kernel
  private let divisor: Int?

  private init(
    _ node: Node, combine: @escaping BinaryElementwise.Kernel, divides: Bool
  ) throws(ModelError) {
    let first = try node.input(0)
    var shape = first.shape
    for index in node.inputs.indices.dropFirst() {
      let info = try node.input(index)
      guard info.type == first.type, let wider = shape.broadcast(with: info.shape) else {
        throw node.error(
          .malformed,
          "input \(index) of shape \(info.shape) does not fit \(shape) row by row")
      }
      shape = wider
    }
    self.combine = combine
    divisor = divides ? node.inputs.count : nil
    outputs = [try node.output(first.type, shape)]
  }

  static func factory<F: ArithmeticFunction>(
    _ function: F.Type, divides: Bool = false
  ) -> OperatorFactory {
    { node throws(ModelError) in
      let type = try node.input(0).type
      guard !divides || type.isFloatingPoint else {
        throw node.error(.unsupported, "inputs of type \(type.onnxName) are not supported")
      }
      return try VariadicElementwise(
        node, combine: BinaryElementwise.arithmeticKernel(function, node, type),
        divides: divides)
    }
  }

  func run(_ call: Call) {
    let out = call.output(0)
    let stride = out.type.stride
    let first = BroadcastWalk(output: out.dims, inputs: [call.input(0).dims])
    first.forEachStretch { output, offsets, steps, count in
      for i in 0..<count {
        (out.base + (output + i) * stride).copyMemory(
          from: call.input(0).base + (offsets[0] + i * steps[0]) * stride, byteCount: stride)
      }
    }
    for index in call.inputs.indices.dropFirst() {
      let next = call.input(index)
      let walk = BroadcastWalk(output: out.dims, inputs: [out.dims, next.dims])
      walk.forEachStretch { output, offsets, steps, count in
        combine(
          out.base + output * stride, 1, next.base + offsets[1] * stride, steps[1],
          out.base + output * stride, count)
      }
    }
    guard let divisor else { return }
    if out.type == .float32 {
      for i in 0..<out.count { out.floats[i] /= Float(divisor) }
    } else {
      for i in 0..<out.count { out.doubles[i] /= Double(divisor) }
    }
  }
}
