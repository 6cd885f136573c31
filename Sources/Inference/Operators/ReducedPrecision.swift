/// An operator of numbers of 16 bits, computed in floats: inputs are widened, outputs rounded once.
struct ReducedPrecision: Operator {
  let outputs: [ValueInfo]
  private let inner: any Operator
  /// What the inner operator reads of each input; nil where it reads the input itself.
  private let widened: [ValueInfo?]

  /// Wraps the operator that `factory` makes, where an input is of such numbers.
  static func make(
    _ node: Node, _ factory: OperatorFactory
  ) throws(ModelError) -> any Operator {
    guard node.inputs.contains(where: { $0?.type.isReduced == true }) else {
      return try factory(node)
    }
    return try ReducedPrecision(node, factory)
  }

  private init(_ node: Node, _ factory: OperatorFactory) throws(ModelError) {
    widened = node.inputs.map { info in
      guard let info, info.type.isReduced else { return nil }
      guard let constant = info.constant, let values = constant.doubles else {
        return ValueInfo(.float32, info.shape)
      }
      return ValueInfo(constant: Tensor(values.map { Float($0) }, dims: constant.dims))
    }
    inner = try factory(
      node.with(inputs: zip(node.inputs, widened).map { $1 ?? $0 }))
    // The first input tells the type of the results.
    let reduced = node.inputs.first.flatMap { $0?.type }.flatMap { $0.isReduced ? $0 : nil }
    outputs = inner.outputs.map { info in
      guard info.type == .float32, let reduced else { return info }
      return ValueInfo(reduced, info.shape)
    }
  }

  private func byteCount(_ info: ValueInfo, _ rows: Int) -> Int {
    (info.shape.elementCount(rows: rows) * 4 + 63) & ~63
  }

  private func isRounded(_ output: Int) -> Bool { outputs[output].type.isReduced }

  func scratchByteCount(rows: Int) -> Int {
    var sum = inner.scratchByteCount(rows: rows)
    for case let info? in widened where info.constant == nil { sum += byteCount(info, rows) }
    for index in outputs.indices where isRounded(index) { sum += byteCount(outputs[index], rows) }
    return sum
  }

  func run(_ call: Call) {
    var scratch = call.scratch
    var inputs = call.inputs
    for (index, info) in widened.enumerated() {
      guard let info, let source = call.inputs[index] else { continue }
      if let constant = info.constant {
        inputs[index] = constant.view
        continue
      }
      let view = TensorView(type: .float32, dims: source.dims, base: scratch)
      for i in 0..<source.count { view.floats[i] = Float(source.double(i)) }
      inputs[index] = view
      scratch += byteCount(info, call.rowCount)
    }
    var results = call.outputs
    for index in outputs.indices where isRounded(index) {
      results[index] = TensorView(
        type: .float32, dims: call.outputs[index].dims, base: scratch)
      scratch += byteCount(outputs[index], call.rowCount)
    }
    if inner.isView, let source = inputs[0] {
      results[0].base.copyMemory(
        from: source.base, byteCount: source.count * source.type.stride)
    } else {
      inner.run(
        Call(
          rowCount: call.rowCount, inputs: inputs, outputs: results, scratch: scratch,
          failures: call.failures))
    }
    for index in outputs.indices where isRounded(index) {
      let target = call.outputs[index]
      for i in 0..<target.count { target.set(i, Double(results[index].floats[i])) }
    }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    inner.mayBeMissing(input: input, count: count, outputs: outputs)
  }

  func readElements(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    inner.readElements(input: input, count: count, outputs: outputs)
  }
}
