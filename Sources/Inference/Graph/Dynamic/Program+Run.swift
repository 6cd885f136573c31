extension Program {
  /// Runs the graph once.
  ///
  /// - Throws: `ModelError` that names the node at fault, also where a value is.
  func run(
    _ inputs: [DynamicValue?], captured: [DynamicValue] = [], _ execution: Execution
  ) throws(ModelError) -> [DynamicValue] {
    guard inputs.count == self.inputs.count, captured.count == captures.count else {
      throw ModelError(
        .malformed, "\(inputs.count) inputs for a graph of \(self.inputs.count)")
    }
    // A body without nodes costs something too: loops over it have to end.
    try execution.meter.spend(WorkMeter.perNode)
    var slots = constants
    for (slot, value) in zip(self.inputs, inputs) { slots[slot] = value }
    for (capture, value) in zip(captures, captured) { slots[capture.slot] = value }
    let table = execution.table(self)
    for (index, step) in steps.enumerated() {
      try execution.meter.spend(WorkMeter.perNode)
      let values = step.inputs.map { $0.flatMap { slots[$0] } }
      let results: [DynamicValue]
      switch step.action {
      case .values(let operation):
        let scopes = step.captured.map { $0.map { slots[$0] ?? .optional(nil) } }
        results = try operation.run(values, captured: scopes, execution)
      case .tensors:
        results = try tensors(step, index, values, table, execution).map(DynamicValue.tensor)
      }
      guard results.count >= step.outputs.count else {
        throw ModelError(
          .malformed,
          "operator \"\(step.source.type)\": \(step.outputs.count) outputs where "
            + "\(results.count) are there (node \"\(step.source.displayName)\")")
      }
      for (slot, value) in zip(step.outputs, results) { if let slot { slots[slot] = value } }
      for slot in step.dead { slots[slot] = nil }
    }
    return try outputs.map { slot throws(ModelError) in
      guard let value = slots[slot] else {
        throw ModelError(.malformed, "an output of a graph has no value")
      }
      return value
    }
  }

  /// Runs an operator of tensors, made for their values or, from the second time on, for their
  /// shapes where it can be.
  private func tensors(
    _ step: Step, _ index: Int, _ values: [DynamicValue?], _ table: OperatorTable,
    _ execution: Execution
  ) throws(ModelError) -> [Tensor] {
    var inputs: [Tensor?] = []
    for (number, value) in values.enumerated() {
      guard let value else {
        inputs.append(nil)
        continue
      }
      guard let tensor = value.tensor else {
        throw header(step, [], execution).error(
          .malformed, "input \(number) is of kind \(value.kind)")
      }
      try execution.meter.spend(tensor.count)
      inputs.append(tensor)
    }
    if case .made(let infos, let node, let operation, let cost) = table.entries[index],
      Self.fit(infos, inputs)
    {
      try execution.meter.spend(cost)
      return try Self.results(operation, inputs, node, execution)
    }
    switch table.entries[index] {
    case .new: table.entries[index] = .known
    case .needsValues: break
    case .known, .made:
      let infos = zip(step.inputs, inputs).map { slot, tensor in
        tensor.map { tensor in
          slot.flatMap { constants[$0] } == nil
            ? ValueInfo(tensor.type, Shape(tensor.dims)) : ValueInfo(constant: tensor)
        }
      }
      let node = header(step, infos, execution)
      let before = execution.meter.spent
      if let operation = try? OperatorRegistry.make(node) {
        let cost = execution.meter.spent - before
        table.entries[index] = .made(
          inputs: infos, node: node, operation: operation, cost: cost)
        return try Self.results(operation, inputs, node, execution)
      }
      table.entries[index] = .needsValues
    }
    let node = header(step, inputs.map { $0.map(ValueInfo.init(constant:)) }, execution)
    return try Self.results(OperatorRegistry.make(node), inputs, node, execution)
  }

  private func header(_ step: Step, _ inputs: [ValueInfo?], _ execution: Execution) -> Node {
    Node(
      name: step.source.displayName, type: step.source.type, domain: step.source.domain,
      opset: step.opset, attributes: step.source.attributes, inputs: inputs,
      wantsOutput: step.source.outputs.map { !$0.isEmpty }, feature: nil,
      limits: execution.limits, meter: execution.meter)
  }

  private static func fit(_ infos: [ValueInfo?], _ inputs: [Tensor?]) -> Bool {
    zip(infos, inputs).allSatisfy { info, tensor in
      guard let info, let tensor else { return info == nil && tensor == nil }
      return info.type == tensor.type && info.shape.dims == tensor.dims
    }
  }

  private static func results(
    _ operation: any Operator, _ inputs: [Tensor?], _ node: Node, _ execution: Execution
  ) throws(ModelError) -> [Tensor] {
    for info in operation.outputs {
      try execution.meter.spend(info.shape.elementCount)
      // What a node holds itself is there once.
      guard node.type != "Constant", !operation.isView else { continue }
      try execution.meter.hold(info.shape.elementCount, of: info.type)
    }
    do {
      return try operation.results(
        inputs, node, limit: execution.limits.elementCount * 16)
    } catch { throw error.modelError }
  }
}
