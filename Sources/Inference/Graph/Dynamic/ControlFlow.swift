extension OperatorRegistry {
  /// If, Loop and Scan.
  static let controlFlow: [String: DynamicOperatorFactory] = [
    "If": { node throws(ModelError) in try Conditional(node) },
    "Loop": { node throws(ModelError) in try Loop(node) },
    "Scan": { node throws(ModelError) in
      if node.header.opset < 9 { return try BatchedScan(node) }
      return try Scan(node)
    },
  ]
}

/// If: one of two subgraphs.
private struct Conditional: DynamicOperator {
  private let node: Node
  private let programs: [Program]
  private let branches: (then: Int, otherwise: Int)

  init(_ node: DynamicNode) throws(ModelError) {
    self.node = node.header
    programs = node.programs
    branches = (try node.program("then_branch"), try node.program("else_branch"))
    for program in programs where !program.inputs.isEmpty {
      throw node.header.error(.malformed, "a branch has inputs")
    }
  }

  func run(
    _ inputs: [DynamicValue?], captured: [[DynamicValue]], _ execution: Execution
  ) throws(ModelError) -> [DynamicValue] {
    guard let condition = try node.truth(inputs, 0) else {
      throw node.error(.malformed, "no condition")
    }
    let branch = condition ? branches.then : branches.otherwise
    return try programs[branch].run([], captured: captured[branch], execution)
  }
}

/// Loop: a subgraph again and again, with states that it passes on and outputs that pile up.
private struct Loop: DynamicOperator {
  private let node: Node
  private let body: Program
  private let stateCount: Int

  init(_ node: DynamicNode) throws(ModelError) {
    self.node = node.header
    body = node.programs[try node.program("body")]
    stateCount = max(node.header.inputs.count - 2, 0)
    guard body.inputs.count == stateCount + 2, body.outputs.count > stateCount else {
      throw node.header.error(
        .malformed,
        "a body of \(body.inputs.count) inputs and \(body.outputs.count) outputs for "
          + "\(stateCount) states")
    }
  }

  func run(
    _ inputs: [DynamicValue?], captured: [[DynamicValue]], _ execution: Execution
  ) throws(ModelError) -> [DynamicValue] {
    let most = try node.integer(inputs, 0) ?? .max
    var goesOn = try node.truth(inputs, 1) ?? true
    var states = Array(inputs.dropFirst(2))
    var scans: [[Tensor]] = Array(repeating: [], count: body.outputs.count - 1 - stateCount)
    var turn = 0
    while goesOn && turn < most {
      let arguments: [DynamicValue?] = [.tensor(Tensor(turn)), .tensor(Tensor(goesOn))] + states
      let results = try body.run(arguments, captured: captured[0], execution)
      goesOn = try node.truth(results, 0) ?? false
      states = Array(results.dropFirst().prefix(stateCount))
      for index in scans.indices {
        guard let part = results[1 + stateCount + index].tensor else {
          throw node.error(.malformed, "a scan output is no tensor")
        }
        scans[index].append(part)
      }
      turn += 1
    }
    var outputs: [DynamicValue] = states.map { $0 ?? .optional(nil) }
    for (index, parts) in scans.enumerated() {
      outputs.append(
        .tensor(
          try node.stacked(
            parts, axis: 0, type: body.outputTypes[1 + stateCount + index], execution)))
    }
    return outputs
  }
}

/// Scan from opset 9 on: a subgraph for each place of an axis of its scan inputs.
private struct Scan: DynamicOperator {
  private let node: Node
  private let body: Program
  private let stateCount: Int
  private let scanCount: Int
  private let axes: [Int]
  private let isReversed: [Bool]
  private let outputAxes: [Int]
  private let isOutputReversed: [Bool]

  init(_ node: DynamicNode) throws(ModelError) {
    self.node = node.header
    body = node.programs[try node.program("body")]
    guard let scanCount = try node.header.int("num_scan_inputs"),
      (1...max(body.inputs.count, 1)).contains(scanCount),
      body.inputs.count == node.header.inputs.count
    else { throw node.header.error(.malformed, "inputs do not fit the body") }
    self.scanCount = scanCount
    stateCount = body.inputs.count - scanCount
    guard body.outputs.count >= stateCount else {
      throw node.header.error(.malformed, "the body has too few outputs")
    }
    func list(_ name: String, _ count: Int) throws(ModelError) -> [Int] {
      let list = try node.header.ints(name) ?? Array(repeating: 0, count: count)
      guard list.count == count else {
        throw node.header.error(.malformed, "\(name) has \(list.count) of \(count) values")
      }
      return list
    }
    let outputCount = body.outputs.count - stateCount
    axes = try list("scan_input_axes", scanCount)
    isReversed = try list("scan_input_directions", scanCount).map { $0 != 0 }
    outputAxes = try list("scan_output_axes", outputCount)
    isOutputReversed = try list("scan_output_directions", outputCount).map { $0 != 0 }
  }

  func run(
    _ inputs: [DynamicValue?], captured: [[DynamicValue]], _ execution: Execution
  ) throws(ModelError) -> [DynamicValue] {
    var states = Array(inputs.prefix(stateCount))
    var scanned: [(tensor: Tensor, axis: Int)] = []
    for index in 0..<scanCount {
      let tensor = try node.tensor(inputs, stateCount + index)
      scanned.append((tensor, try node.axis(axes[index], rank: tensor.dims.count)))
    }
    let length = scanned[0].tensor.dims[scanned[0].axis]
    guard scanned.allSatisfy({ $0.tensor.dims[$0.axis] == length }) else {
      throw node.error(.malformed, "scan inputs are of different lengths")
    }
    var scans: [[Tensor]] = Array(repeating: [], count: outputAxes.count)
    for turn in 0..<length {
      var arguments = states
      for (index, input) in scanned.enumerated() {
        let place = isReversed[index] ? length - 1 - turn : turn
        arguments.append(.tensor(input.tensor.part(place, axis: input.axis)))
      }
      let results = try body.run(arguments, captured: captured[0], execution)
      states = Array(results.prefix(stateCount))
      for index in scans.indices {
        guard let part = results[stateCount + index].tensor else {
          throw node.error(.malformed, "a scan output is no tensor")
        }
        scans[index].append(part)
      }
    }
    var outputs: [DynamicValue] = states.map { $0 ?? .optional(nil) }
    for (index, parts) in scans.enumerated() {
      outputs.append(
        .tensor(
          try node.stacked(
            isOutputReversed[index] ? parts.reversed() : parts, axis: outputAxes[index],
            type: body.outputTypes[stateCount + index], execution)))
    }
    return outputs
  }
}

/// Scan of opset 8: along the second axis, for each place of the first.
private struct BatchedScan: DynamicOperator {
  private let node: Node
  private let body: Program
  private let scanCount: Int
  private let isReversed: [Bool]

  init(_ node: DynamicNode) throws(ModelError) {
    self.node = node.header
    body = node.programs[try node.program("body")]
    guard let scanCount = try node.header.int("num_scan_inputs"),
      (1...max(body.inputs.count, 1)).contains(scanCount),
      body.inputs.count + 1 == node.header.inputs.count,
      body.outputs.count >= body.inputs.count - scanCount
    else { throw node.header.error(.malformed, "inputs do not fit the body") }
    self.scanCount = scanCount
    let directions = try node.header.ints("directions") ?? Array(repeating: 0, count: scanCount)
    guard directions.count == scanCount else {
      throw node.header.error(.malformed, "\(directions.count) directions")
    }
    isReversed = directions.map { $0 != 0 }
  }

  func run(
    _ inputs: [DynamicValue?], captured: [[DynamicValue]], _ execution: Execution
  ) throws(ModelError) -> [DynamicValue] {
    let stateCount = body.inputs.count - scanCount
    let lengths = try inputs[0].map { _ throws(ModelError) in try node.tensor(inputs, 0) }
    var tensors: [Tensor] = []
    for index in 1..<inputs.count { tensors.append(try node.tensor(inputs, index)) }
    guard let batch = tensors.first?.dims.first,
      tensors.allSatisfy({ $0.dims.first == batch }),
      tensors[stateCount...].allSatisfy({
        $0.dims.count >= 2 && $0.dims[1] == tensors[stateCount].dims[1]
      })
    else { throw node.error(.malformed, "inputs are of different lengths") }
    var results: [[Tensor]] = Array(repeating: [], count: body.outputs.count)
    for place in 0..<batch {
      var states = tensors[..<stateCount].map { $0.part(place, axis: 0) }
      let scanned = tensors[stateCount...].map { $0.part(place, axis: 0) }
      let most = scanned[0].dims[0]
      let length = min(max(lengths?.view.integer(place) ?? most, 0), most)
      var scans: [[Tensor]] = Array(repeating: [], count: body.outputs.count - stateCount)
      for turn in 0..<length {
        let parts = scanned.enumerated().map { index, tensor in
          tensor.part(isReversed[index] ? length - 1 - turn : turn, axis: 0)
        }
        let values = try body.run(
          (states + parts).map { .tensor($0) }, captured: captured[0], execution)
        let found = values.compactMap(\.tensor)
        guard found.count == values.count else {
          throw node.error(.malformed, "a value of the body is no tensor")
        }
        states = Array(found.prefix(stateCount))
        for index in scans.indices { scans[index].append(found[stateCount + index]) }
      }
      for index in 0..<stateCount { results[index].append(states[index]) }
      for (index, parts) in scans.enumerated() {
        results[stateCount + index].append(
          try node.stacked(
            parts, axis: 0, type: body.outputTypes[stateCount + index], execution))
      }
    }
    var outputs: [DynamicValue] = []
    for (index, parts) in results.enumerated() {
      outputs.append(
        .tensor(try node.stacked(parts, axis: 0, type: body.outputTypes[index], execution)))
    }
    return outputs
  }
}

// MARK: Reading values

extension Node {
  func tensor(_ inputs: [DynamicValue?], _ index: Int) throws(ModelError) -> Tensor {
    guard index < inputs.count, let tensor = inputs[index]?.tensor else {
      throw error(.malformed, "input \(index) is no tensor")
    }
    return tensor
  }

  /// An input of one integer; nil where it is left out.
  func integer(_ inputs: [DynamicValue?], _ index: Int) throws(ModelError) -> Int? {
    guard index < inputs.count, inputs[index] != nil else { return nil }
    guard let values = try tensor(inputs, index).integers, values.count == 1 else {
      throw error(.malformed, "input \(index) is not one integer")
    }
    return values[0]
  }

  /// A value of one truth; nil where it is left out.
  func truth(_ values: [DynamicValue?], _ index: Int) throws(ModelError) -> Bool? {
    guard index < values.count, values[index] != nil else { return nil }
    let tensor = try tensor(values, index)
    guard tensor.type == .bool, tensor.count == 1 else {
      throw error(.malformed, "value \(index) is not one truth value")
    }
    return tensor.view.bools[0]
  }

  /// Tensors along a new axis; of none, an empty tensor of the declared type.
  func stacked(
    _ parts: [Tensor], axis: Int, type: OnnxType?, _ execution: Execution
  ) throws(ModelError) -> Tensor {
    guard let first = parts.first else {
      guard case .tensor(let code, let dims)? = type,
        let element = TensorType(rawValue: Int(clamping: code))
      else { throw error(.malformed, "an output of no turns has no declared type") }
      var sizes = (dims ?? []).map { Int(clamping: max($0 ?? 0, 0)) }
      try check(sizes)
      sizes.insert(0, at: try self.axis(axis, rank: sizes.count + 1))
      return Tensor(dims: sizes, buffer: TensorBuffer(element, capacity: 0))
    }
    try execution.meter.spend(first.count * parts.count)
    try execution.meter.hold(first.count * parts.count, of: first.type)
    let place = try self.axis(axis, rank: first.dims.count + 1)
    guard let result = Tensor.stacked(parts, axis: place) else {
      throw error(.malformed, "a scan output changes its shape")
    }
    return result
  }
}
