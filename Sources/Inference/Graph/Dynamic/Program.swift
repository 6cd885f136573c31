/// A graph that is run node by node, each made into an operator when its inputs are there.
///
/// This is for what no plan can have: shapes that depend on values, loops, sequences. The operators
/// are the plan's own, made by the same factories with the inputs as constants.
final class Program: Sendable {
  enum Action: Sendable {
    /// An operator of tensors, from the registry.
    case tensors
    /// An operator of values of any kind, or with subgraphs.
    case values(any DynamicOperator)
  }

  struct Step: Sendable {
    let source: OnnxNode
    let opset: Int
    let action: Action
    let inputs: [Int?]
    let outputs: [Int?]
    /// For each subgraph the values that it takes from here.
    let captured: [[Int]]
    /// Values that nothing reads any more after this.
    let dead: [Int]
  }

  let steps: [Step]
  let inputs: [Int]
  let outputs: [Int]
  /// Names of the values that it takes from the graph around it, and their places.
  let captures: [(name: String, slot: Int)]
  /// The constants at their places.
  let constants: [DynamicValue?]
  /// What the outputs are declared to be.
  let outputTypes: [OnnxType?]

  /// - Parameters:
  ///   - outer: Names that are known around the graph.
  ///   - outerConstants: Those of them that are constants.
  /// - Throws: `ModelError` that names a node that is not supported, or a value that is not defined.
  init(
    _ graph: OnnxGraph, opsets: [String: Int64], outer: Set<String> = [],
    outerConstants: [String: Tensor] = [:], limits: ModelLimits
  ) throws(ModelError) {
    var slots: [String: Int] = [:]
    var constants: [DynamicValue?] = []
    func define(_ name: String, _ value: DynamicValue?) throws(ModelError) -> Int {
      guard slots.updateValue(constants.count, forKey: name) == nil else {
        throw ModelError(.malformed, "value \"\(name)\" is defined twice")
      }
      constants.append(value)
      return constants.count - 1
    }
    for (name, tensor) in graph.initializers { _ = try define(name, .tensor(tensor)) }
    var inputs: [Int] = []
    for input in graph.inputs {
      // Before IR 4 each initializer is also an input.
      if let slot = slots[input.name], constants[slot] != nil { continue }
      inputs.append(try define(input.name, nil))
    }
    var captures: [(name: String, slot: Int)] = []
    for name in graph.freeNames.sorted() {
      guard outer.contains(name) else {
        throw ModelError(.malformed, "value \"\(name)\" is not defined")
      }
      let constant = outerConstants[name]
      let slot = try define(name, constant.map(DynamicValue.tensor))
      if constant == nil { captures.append((name, slot)) }
    }
    let order = try NodeOrder(graph, known: Set(slots.keys))
    var steps: [Step] = []
    for index in order.live {
      let source = graph.nodes[index]
      let opset = Int(source.opset ?? opsets[source.domain] ?? 1)
      var known: [String: Tensor] = [:]
      for name in source.reads {
        if let slot = slots[name] { known[name] = constants[slot]?.tensor }
      }
      let node = try DynamicNode(
        source, opset: opset, opsets: opsets, outer: source.reads, constants: known,
        limits: limits)
      let captured = try node.programs.map { program throws(ModelError) in
        try program.captures.map { capture throws(ModelError) in
          guard let slot = slots[capture.name] else {
            throw ModelError(.malformed, "value \"\(capture.name)\" is not defined")
          }
          return slot
        }
      }
      let action = try Self.action(node)
      let reads = source.inputs.map { $0.isEmpty ? nil : slots[$0] }
      var writes: [Int?] = []
      for name in source.outputs { writes.append(name.isEmpty ? nil : try define(name, nil)) }
      steps.append(
        Step(
          source: source, opset: opset, action: action, inputs: reads, outputs: writes,
          captured: captured, dead: []))
    }
    self.inputs = inputs
    self.captures = captures
    self.constants = constants
    outputs = try graph.outputs.map { output throws(ModelError) in
      guard let slot = slots[output.name] else {
        throw ModelError(.malformed, "output \"\(output.name)\" is not defined")
      }
      return slot
    }
    outputTypes = graph.outputs.map(\.type)
    self.steps = Self.withDeaths(steps, keeping: outputs, constants)
  }

  private static func action(_ node: DynamicNode) throws(ModelError) -> Action {
    if let factory = OperatorRegistry.dynamicFactories[node.header.domain]?[node.header.type] {
      return .values(try factory(node))
    }
    guard OperatorRegistry.factories[node.header.domain]?[node.header.type] != nil else {
      throw OperatorRegistry.notSupported(node.header)
    }
    return .tensors
  }

  /// The steps, each with the values that it is the last to read or that nothing reads.
  private static func withDeaths(
    _ steps: [Step], keeping outputs: [Int], _ constants: [DynamicValue?]
  ) -> [Step] {
    var seen = Set(outputs)
    var result: [Step] = []
    for step in steps.reversed() {
      let ends = step.inputs + step.outputs + step.captured.flatMap { $0 }
      let dead = Set(ends.compactMap { $0 }).filter { seen.insert($0).inserted }
      result.append(
        Step(
          source: step.source, opset: step.opset, action: step.action, inputs: step.inputs,
          outputs: step.outputs, captured: step.captured,
          dead: dead.filter { constants[$0] == nil }))
    }
    return result.reversed()
  }
}

/// A node as the factory of a dynamic operator sees it.
struct DynamicNode {
  /// The node's attributes and name; its inputs are not known yet.
  let header: Node
  /// The subgraphs, by attribute in the order of their names.
  let programs: [Program]
  private let programNames: [String]

  init(
    _ source: OnnxNode, opset: Int, opsets: [String: Int64], outer: Set<String>,
    constants: [String: Tensor], limits: ModelLimits
  ) throws(ModelError) {
    header = Node(
      name: source.displayName, type: source.type, domain: source.domain, opset: opset,
      attributes: source.attributes, inputs: source.inputs.map { _ in nil },
      wantsOutput: source.outputs.map { !$0.isEmpty }, feature: nil, limits: limits)
    var names: [String] = []
    var programs: [Program] = []
    for (name, attribute) in source.attributes.sorted(by: { $0.key < $1.key }) {
      guard case .graph(let graph) = attribute else { continue }
      names.append(name)
      programs.append(
        try Program(
          graph, opsets: opsets, outer: outer, outerConstants: constants, limits: limits))
    }
    (programNames, self.programs) = (names, programs)
  }

  /// The number of a subgraph that must be there.
  func program(_ name: String) throws(ModelError) -> Int {
    guard let index = programNames.firstIndex(of: name) else {
      throw header.error(.malformed, "no subgraph \"\(name)\"")
    }
    return index
  }
}
