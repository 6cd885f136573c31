/// A node whose values are not all tensors, or that runs subgraphs.
protocol DynamicOperator: Sendable {
  /// - Parameter captured: For each subgraph the values that it takes from around it.
  func run(
    _ inputs: [DynamicValue?], captured: [[DynamicValue]], _ execution: Execution
  ) throws(ModelError) -> [DynamicValue]
}

/// Makes a dynamic operator from a node.
typealias DynamicOperatorFactory = @Sendable (DynamicNode) throws(ModelError) -> any DynamicOperator

extension OperatorRegistry {
  /// Operators that only a graph without a plan can have, by domain and type.
  static let dynamicFactories: [String: [String: DynamicOperatorFactory]] = [
    "": controlFlow.merging(sequences) { $1 },
    "ai.onnx.preview": [
      "FlexAttention": { node throws(ModelError) in try FlexAttention(node) }
    ],
  ]

  static func notSupported(_ node: Node) -> ModelError {
    ModelError(
      .unsupported,
      "operator \"\(node.type)\" of opset \(node.opset)"
        + (node.domain.isEmpty ? "" : " of \"\(node.domain)\"")
        + " is not supported (node \"\(node.name)\")")
  }
}

/// One run of a program on one thread: what it may still do, and operators to be used again.
final class Execution {
  let limits: ModelLimits
  private(set) var meter: WorkMeter
  private var tables: [ObjectIdentifier: OperatorTable] = [:]

  /// A tensor of a run may not have more elements.
  private static let mostElements = 1 << 26

  init(limits: ModelLimits) {
    var limits = limits
    limits.elementCount = min(limits.elementCount, Self.mostElements)
    self.limits = limits
    meter = WorkMeter()
  }

  /// Begins another row.
  func renew() { meter = WorkMeter() }

  func table(_ program: Program) -> OperatorTable {
    if let table = tables[ObjectIdentifier(program)] { return table }
    let table = OperatorTable(count: program.steps.count)
    tables[ObjectIdentifier(program)] = table
    return table
  }
}

/// Operators that a program's steps have made, each for the shapes that it was made for.
final class OperatorTable {
  enum Entry {
    /// Not run yet.
    case new
    /// Run before, not tried without constants yet.
    case known
    /// Fits inputs of these types and shapes, whatever their values.
    case made(inputs: [ValueInfo?], node: Node, operation: any Operator, cost: Int)
    /// Cannot be made without the values.
    case needsValues
  }

  var entries: [Entry]

  init(count: Int) { entries = Array(repeating: .new, count: count) }
}
