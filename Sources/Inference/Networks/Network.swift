internal import Synchronization

/// A graph over tensors whose sizes may be open, with a plan for each set of sizes that was asked for.
///
/// Shared by all threads that score with it; weights are the same memory in all plans.
final class Network: Sendable {
  struct Input: Sendable {
    let name: String
    let type: TensorType
    /// Sizes of a row's tensor; -1 where open.
    let shape: [Int]

    var isTensor: Bool { !shape.isEmpty }
    var isOpen: Bool { shape.contains(-1) }
  }

  let inputs: [Input]
  /// What runs the plans.
  let backend: any ExecutionBackend
  private let source: OnnxGraph
  private let opsets: [String: Int64]
  private let limits: ModelLimits
  private let weights: WeightStore
  private let plans: Mutex<[(sizes: [[Int]], plan: Plan)]>

  /// Plans that are kept; the one that was used longest ago goes first.
  private static let mostPlans = 32

  /// - Parameters:
  ///   - source: What plans for other sizes are made of; empty where all sizes are known.
  ///   - first: The plan for some sizes, made to find out whether there can be one, and loaded.
  init(
    _ source: OnnxGraph, inputs: [Input], opsets: [String: Int64], limits: ModelLimits,
    weights: WeightStore, first: (sizes: [[Int]], plan: Plan), backend: any ExecutionBackend
  ) {
    (self.inputs, self.backend) = (inputs, backend)
    self.source = source
    (self.opsets, self.limits, self.weights) = (opsets, limits, weights)
    plans = Mutex([first])
  }

  /// The plan for inputs of these sizes, one list an input.
  func plan(for sizes: [[Int]]) throws(ModelError) -> Plan {
    let known = plans.withLock { plans -> Plan? in
      guard let index = plans.lastIndex(where: { $0.sizes == sizes }) else { return nil }
      if index < plans.count - 1 { plans.append(plans.remove(at: index)) }
      return plans[plans.count - 1].plan
    }
    if let known { return known }
    // Two threads may make the same; that is rarer than waiting for each other would be slow.
    var source = source
    let made = try Self.plan(
      &source, inputs, sizes, opsets: opsets, limits: limits, weights: weights)
    try backend.load(made)
    plans.withLock { plans in
      if plans.count >= Self.mostPlans { plans.removeFirst() }
      plans.append((sizes, made))
    }
    return made
  }

  /// Checks a graph and lays it out for inputs of given sizes.
  ///
  /// - Parameter source: Is empty afterwards: weights that nobody else holds are let go as they are packed.
  static func plan(
    _ source: inout OnnxGraph, _ inputs: [Input], _ sizes: [[Int]], opsets: [String: Int64],
    limits: ModelLimits, weights: WeightStore
  ) throws(ModelError) -> Plan {
    for (input, size) in zip(inputs, sizes) {
      guard let index = source.inputs.firstIndex(where: { $0.name == input.name }),
        case .tensor(let type, let dims)? = source.inputs[index].type, let first = dims?.first
      else { continue }
      source.inputs[index].type = .tensor(
        elementType: type, dims: [first] + size.map { Int64($0) })
    }
    var graph: Graph
    do {
      graph = try Graph(source, opsets: opsets, limits: limits, isNetwork: true)
    } catch {
      guard error.code == .unsupported else { throw error }
      // Shapes that rows go into in ways that cannot be followed: each row is a batch of its own.
      graph = try Graph(
        source, opsets: opsets, limits: limits, isNetwork: true, isOfOneRow: true)
    }
    source = OnnxGraph()
    graph.lowerNetwork(weights)
    return try Plan(graph, limits: limits)
  }
}
