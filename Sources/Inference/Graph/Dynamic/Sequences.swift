extension OperatorRegistry {
  /// Sequences of values, and values that may not be there.
  static let sequences: [String: DynamicOperatorFactory] = [
    "ConcatFromSequence": SequenceOperator.factory(concat),
    "Identity": SequenceOperator.factory { node, inputs, _ throws(ModelError) in
      guard let value = inputs.first ?? nil else { throw node.error(.malformed, "no input") }
      return value
    },
    "Optional": SequenceOperator.factory { _, inputs, _ throws(ModelError) in
      .optional(inputs.first ?? nil)
    },
    "OptionalGetElement": SequenceOperator.factory { node, inputs, _ throws(ModelError) in
      switch inputs.first ?? nil {
      case .optional(let value?)?: return value
      case .optional(nil)?, nil: throw node.error(.malformed, "an optional value is not there")
      case let value?: return value
      }
    },
    "OptionalHasElement": SequenceOperator.factory { _, inputs, _ throws(ModelError) in
      switch inputs.first ?? nil {
      case .optional(nil)?, nil: .tensor(Tensor(false))
      default: .tensor(Tensor(true))
      }
    },
    "SequenceAt": SequenceOperator.factory { node, inputs, _ throws(ModelError) in
      let list = try node.sequence(inputs)
      return list[try node.place(inputs, 1, in: list.count) ?? 0]
    },
    "SequenceConstruct": SequenceOperator.factory { node, inputs, execution throws(ModelError) in
      try execution.meter.spend(inputs.count)
      return .sequence(inputs.compactMap { $0 })
    },
    "SequenceEmpty": SequenceOperator.factory { _, _, _ throws(ModelError) in .sequence([]) },
    "SequenceErase": SequenceOperator.factory { node, inputs, execution throws(ModelError) in
      var list = try node.sequence(inputs)
      try execution.meter.spend(list.count)
      guard !list.isEmpty else { throw node.error(.malformed, "the sequence is empty") }
      list.remove(at: try node.place(inputs, 1, in: list.count) ?? list.count - 1)
      return .sequence(list)
    },
    "SequenceInsert": SequenceOperator.factory { node, inputs, execution throws(ModelError) in
      var list = try node.sequence(inputs)
      try execution.meter.spend(list.count)
      guard inputs.count > 1, let value = inputs[1] else {
        throw node.error(.malformed, "nothing to insert")
      }
      list.insert(value, at: try node.place(inputs, 2, in: list.count, orEnd: true) ?? list.count)
      return .sequence(list)
    },
    "SequenceLength": SequenceOperator.factory { node, inputs, _ throws(ModelError) in
      .tensor(Tensor(try node.sequence(inputs).count))
    },
    "SequenceMap": { node throws(ModelError) in try SequenceMap(node) },
    "SplitToSequence": SequenceOperator.factory(split),
  ]

  private static let concat: SequenceOperator.Function = {
    node, inputs, execution throws(ModelError) in
    let parts = try node.sequence(inputs).compactMap(\.tensor)
    guard let first = parts.first, let given = try node.int("axis") else {
      throw node.error(.malformed, "no axis, or nothing to put together")
    }
    let count = parts.reduce(0) { $0 + $1.count }
    try execution.meter.spend(count)
    try execution.meter.hold(count, of: first.type)
    let isNew = try node.int("new_axis", default: 0) != 0
    let axis = try node.axis(given, rank: first.dims.count + (isNew ? 1 : 0))
    let result =
      isNew ? Tensor.stacked(parts, axis: axis) : Tensor.concatenated(parts, axis: axis)
    guard let result else { throw node.error(.malformed, "the parts do not fit") }
    return .tensor(result)
  }

  private static let split: SequenceOperator.Function = {
    node, inputs, execution throws(ModelError) in
    let tensor = try node.tensor(inputs, 0)
    let axis = try node.axis(node.int("axis", default: 0), rank: tensor.dims.count)
    let size = tensor.dims[axis]
    try execution.meter.spend(tensor.count + size)
    try execution.meter.hold(tensor.count, of: tensor.type)
    var sizes = Array(repeating: 1, count: size)
    var drops = try node.int("keepdims", default: 1) == 0
    if inputs.count > 1, let lengths = inputs[1]?.tensor {
      drops = false
      guard let given = lengths.integers, given.allSatisfy({ $0 >= 0 }) else {
        throw node.error(.malformed, "the sizes are no integers")
      }
      if lengths.dims.isEmpty {
        guard given[0] > 0 else { throw node.error(.malformed, "a size is 0") }
        sizes = stride(from: 0, to: size, by: given[0]).map { min(given[0], size - $0) }
      } else {
        sizes = given
      }
    }
    guard sizes.reduce(0, { $0.addingReportingOverflow($1).partialValue }) == size else {
      throw node.error(.malformed, "the parts are not \(size) in all")
    }
    var start = 0
    var parts: [DynamicValue] = []
    for count in sizes {
      parts.append(
        .tensor(
          drops
            ? tensor.part(start, axis: axis)
            : tensor.slice(start..<(start + count), axis: axis)))
      start += count
    }
    return .sequence(parts)
  }
}

/// An operator of sequences or optional values with one result.
private struct SequenceOperator: DynamicOperator {
  typealias Function =
    @Sendable (Node, [DynamicValue?], Execution) throws(ModelError) -> DynamicValue

  let node: Node
  let function: Function

  static func factory(_ function: @escaping Function) -> DynamicOperatorFactory {
    { node throws(ModelError) in SequenceOperator(node: node.header, function: function) }
  }

  func run(
    _ inputs: [DynamicValue?], captured: [[DynamicValue]], _ execution: Execution
  ) throws(ModelError) -> [DynamicValue] {
    let result = try function(node, inputs, execution)
    guard result.depth <= DynamicValue.mostDepth else {
      throw node.error(.tooLarge, "values are nested more than \(DynamicValue.mostDepth) deep")
    }
    return [result]
  }
}

/// SequenceMap: a subgraph for each element of its sequences.
private struct SequenceMap: DynamicOperator {
  private let node: Node
  private let body: Program

  init(_ node: DynamicNode) throws(ModelError) {
    self.node = node.header
    body = node.programs[try node.program("body")]
  }

  func run(
    _ inputs: [DynamicValue?], captured: [[DynamicValue]], _ execution: Execution
  ) throws(ModelError) -> [DynamicValue] {
    let count = try node.sequence(inputs).count
    var results: [[DynamicValue]] = Array(repeating: [], count: body.outputs.count)
    for index in 0..<count {
      var arguments: [DynamicValue?] = []
      for input in inputs {
        if case .sequence(let list)? = input {
          guard list.count == count else {
            throw node.error(.malformed, "sequences are of different lengths")
          }
          arguments.append(list[index])
        } else {
          arguments.append(input)
        }
      }
      for (output, value) in try body.run(
        arguments, captured: captured[0], execution
      ).enumerated() {
        results[output].append(value)
      }
    }
    return results.map(DynamicValue.sequence)
  }
}

extension Node {
  /// Input 0, a sequence.
  fileprivate func sequence(_ inputs: [DynamicValue?]) throws(ModelError) -> [DynamicValue] {
    guard case .sequence(let list)? = inputs.first ?? nil else {
      throw error(.malformed, "input 0 is no sequence")
    }
    return list
  }

  /// A place in a sequence, which may count from its end; nil where it is left out.
  fileprivate func place(
    _ inputs: [DynamicValue?], _ index: Int, in count: Int, orEnd: Bool = false
  ) throws(ModelError) -> Int? {
    guard let given = try integer(inputs, index) else { return nil }
    let place = given < 0 ? given &+ count : given
    guard place >= 0, orEnd ? place <= count : place < count else {
      throw error(.malformed, "place \(given) of a sequence of \(count)")
    }
    return place
  }
}
