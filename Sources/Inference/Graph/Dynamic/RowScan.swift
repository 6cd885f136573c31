/// A Scan over the rows whose states never change: distances to constant points, for one.
///
/// The body has a plan of its own for one row; its memory is scratch of the plan around it.
struct RowScan: Operator {
  let outputs: [ValueInfo]
  private let plan: Plan
  /// The first scan input.
  private let stateCount: Int
  private let axes: [Int]
  private let outputAxes: [Int]

  /// - Returns: nil where the node is another kind of loop.
  init?(
    _ node: Node, _ body: OnnxGraph, constants: [String: Tensor], opsets: [String: Int64]
  ) throws(ModelError) {
    guard let scanCount = try node.int("num_scan_inputs"),
      (1...node.inputs.count).contains(scanCount)
    else { return nil }
    stateCount = node.inputs.count - scanCount
    let outputCount = body.outputs.count - stateCount
    guard outputCount >= 0 else { return nil }
    let directions =
      (try node.ints("scan_input_directions") ?? Array(repeating: 0, count: scanCount))
      + (try node.ints("scan_output_directions") ?? Array(repeating: 0, count: outputCount))
    // Each row's result is at the row's own place.
    guard Set(directions).count <= 1 else { return nil }
    let given = try node.ints("scan_input_axes") ?? Array(repeating: 0, count: scanCount)
    let targets = try node.ints("scan_output_axes") ?? Array(repeating: 0, count: outputCount)
    guard given.count == scanCount, targets.count == outputCount else { return nil }
    var arguments: [ValueInfo] = []
    var axes: [Int] = []
    for (index, info) in node.inputs.enumerated() {
      guard let info else { return nil }
      if index < stateCount {
        guard info.constant != nil else { return nil }
        arguments.append(info)
      } else {
        guard let axis = info.shape.rowAxis, info.shape.dims[axis] == 1,
          try node.axis(given[index - stateCount], rank: info.shape.rank) == axis
        else { return nil }
        var dims = info.shape.dims
        dims.remove(at: axis)
        axes.append(axis)
        arguments.append(ValueInfo(info.type, Shape(dims)))
      }
    }
    let graph = try Graph(
      body: body, arguments: arguments, constants: constants, opsets: opsets,
      limits: node.limits)
    var outputs: [ValueInfo] = []
    var outputAxes: [Int] = []
    for (index, output) in graph.outputs.enumerated() {
      let info = graph.values[output.value]
      if index < stateCount {
        guard let constant = info.constant, constant.buffer === arguments[index].constant?.buffer
        else { return nil }
        outputs.append(info)
      } else {
        let axis = try node.axis(targets[index - stateCount], rank: info.shape.rank + 1)
        var dims = info.shape.dims
        dims.insert(1, at: axis)
        outputAxes.append(axis)
        outputs.append(try node.output(info.type, Shape(dims, rowAxis: axis)))
      }
    }
    (self.outputs, self.axes, self.outputAxes) = (outputs, axes, outputAxes)
    plan = try Plan(graph, limits: node.limits)
  }

  func scratchByteCount(rows: Int) -> Int { plan.byteCount }

  func run(_ call: Call) {
    let frame = Frame(plan, rowCount: 1, memory: call.scratch)
    let (inputs, results) = (frame.inputs, frame.outputs)
    for row in 0..<call.rowCount {
      for (index, axis) in axes.enumerated() {
        let source = call.input(stateCount + index)
        let copy = ElementCopy(source, inputs[index])
        let inner = source.dims[(axis + 1)...].reduce(1, *)
        for outer in 0..<source.dims[..<axis].reduce(1, *) {
          copy(
            from: (outer * call.rowCount + row) * inner, to: outer * inner, count: inner)
        }
      }
      frame.failures.removeAll()
      frame.run()
      for (index, axis) in outputAxes.enumerated() {
        let target = call.output(stateCount + index)
        let copy = ElementCopy(results[stateCount + index], target)
        let inner = target.dims[(axis + 1)...].reduce(1, *)
        for outer in 0..<target.dims[..<axis].reduce(1, *) {
          copy(
            from: outer * inner, to: (outer * call.rowCount + row) * inner, count: inner)
        }
      }
      if let failure = frame.failures.reasons.min(by: { $0.key < $1.key })?.value {
        call.failures.add(row: row, failure.code, failure.reason)
      }
    }
  }
}
