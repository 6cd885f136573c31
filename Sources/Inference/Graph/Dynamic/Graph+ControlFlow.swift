extension Graph {
  /// Adds an If whose condition is known, or a Scan that keeps rows apart.
  ///
  /// - Returns: False where the node is another, and nothing was added.
  mutating func addControlFlow(
    _ source: OnnxNode, opsets: [String: Int64], numbers: inout [String: Int],
    limits: ModelLimits
  ) throws(ModelError) -> Bool {
    guard source.domain.isEmpty else { return false }
    switch source.type {
    case "If":
      guard let condition = source.inputs.first.flatMap({ numbers[$0] }),
        let constant = values[condition].constant, constant.type == .bool, constant.count == 1,
        case .graph(let branch)? = source.attributes[
          constant.view.bools[0] ? "then_branch" : "else_branch"],
        branch.inputs.isEmpty, branch.outputs.count >= source.outputs.count
      else { return false }
      try addBranch(branch, of: source, opsets: opsets, numbers: &numbers, limits: limits)
      return true
    case "Scan":
      return try addScan(source, opsets: opsets, numbers: &numbers, limits: limits)
    default: return false
    }
  }

  /// The branch's nodes in place of the node. Names are unique over a graph and its subgraphs.
  private mutating func addBranch(
    _ branch: OnnxGraph, of source: OnnxNode, opsets: [String: Int64],
    numbers: inout [String: Int], limits: ModelLimits
  ) throws(ModelError) {
    let before = (self, numbers)
    do throws(ModelError) {
      for (name, tensor) in branch.initializers {
        numbers[name] = append([ValueInfo(constant: tensor)])[0]
      }
      let order = try NodeOrder(branch, known: Set(numbers.keys))
      for index in order.live {
        try add(branch.nodes[index], opsets: opsets, numbers: &numbers, limits: limits)
      }
      for (output, name) in zip(branch.outputs, source.outputs) where !name.isEmpty {
        guard let number = numbers[output.name] else {
          throw ModelError(.malformed, "output \"\(output.name)\" is not defined")
        }
        numbers[name] = number
      }
    } catch {
      (self, numbers) = before
      throw error
    }
  }

  /// A Scan by a plan of its own for the body.
  private mutating func addScan(
    _ source: OnnxNode, opsets: [String: Int64], numbers: inout [String: Int],
    limits: ModelLimits
  ) throws(ModelError) -> Bool {
    guard Int(source.opset ?? opsets[""] ?? 1) >= 9,
      case .graph(let body)? = source.attributes["body"],
      body.inputs.count == source.inputs.count
    else { return false }
    let node = Node(
      name: source.displayName, type: source.type, domain: source.domain, opset: 9,
      attributes: source.attributes, inputs: source.inputs.map { numbers[$0].map { values[$0] } },
      wantsOutput: source.outputs.map { !$0.isEmpty }, feature: nil, limits: limits)
    var constants: [String: Tensor] = [:]
    for name in body.freeNames {
      guard let constant = numbers[name].flatMap({ values[$0].constant }) else { return false }
      constants[name] = constant
    }
    guard let operation = try Self.scan(node, body, constants, opsets) else { return false }
    let outputs = append(operation.outputs)
    for (name, number) in zip(source.outputs, outputs) where !name.isEmpty {
      numbers[name] = number
    }
    append(
      Step(
        name: node.name, operation: operation, inputs: source.inputs.map { numbers[$0] },
        outputs: outputs))
    return true
  }

  /// The way to take a Scan in a plan; nil where there is none.
  private static func scan(
    _ node: Node, _ body: OnnxGraph, _ constants: [String: Tensor], _ opsets: [String: Int64]
  ) throws(ModelError) -> (any Operator)? {
    if let distances = try SquaredDistances(node, body, constants: constants) {
      return distances
    }
    if let rows = try RowScan(node, body, constants: constants, opsets: opsets) { return rows }
    return try StepScan(node, body, constants: constants, opsets: opsets)
  }
}
