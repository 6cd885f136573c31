internal import CKernels

/// The Scan that gives the squared distances of rows to constant points, by a kernel.
///
/// A loop over points (or over rows) whose body subtracts and sums squares. Differences are taken in
/// double, so they are not rounded before they are squared.
struct SquaredDistances: Operator {
  let outputs: [ValueInfo]
  private let points: Panels
  /// True where the node scans the rows, so that a row's distances lie together.
  private let isByRow: Bool
  /// The input that has the rows.
  private let rows: Int

  /// - Returns: nil where the node is another loop.
  init?(
    _ node: Node, _ body: OnnxGraph, constants: [String: Tensor]
  ) throws(ModelError) {
    guard node.inputs.count == 2, try node.int("num_scan_inputs") == 1, body.inputs.count == 2,
      body.outputs.count == 2, let state = node.inputs[0], let scan = node.inputs[1],
      try Self.isPlain(node), try Self.isDistance(body, constants, node),
      state.type == .float32, scan.type == .float32, state.shape.rank == 2, scan.shape.rank == 2,
      state.shape.dims[1] == scan.shape.dims[1]
    else { return nil }
    isByRow = state.constant != nil
    rows = isByRow ? 1 : 0
    let (batch, fixed) = isByRow ? (scan, state) : (state, scan)
    guard batch.shape.rowAxis == 0, batch.shape.dims[0] == 1, let constant = fixed.constant,
      constant.count > 0
    else { return nil }
    let values = constant.values(as: Float.self)
    let (count, depth) = (constant.dims[0], constant.dims[1])
    points = Panels(depth: depth, columns: count) { Double(values[$1 * depth + $0]) }
    outputs = [
      isByRow ? ValueInfo(constant: constant) : try node.output(.float32, state.shape),
      try node.output(
        .float32,
        isByRow ? .rows(count) : Shape([count, 1], rowAxis: 1)),
    ]
  }

  private static func isPlain(_ node: Node) throws(ModelError) -> Bool {
    for name in [
      "scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions",
    ] {
      if let list = try node.ints(name), list.contains(where: { $0 != 0 }) { return false }
    }
    return true
  }

  /// True where the body gives its state back and the sum of the squares of the difference of both
  /// inputs over the last axis.
  private static func isDistance(
    _ body: OnnxGraph, _ constants: [String: Tensor], _ node: Node
  ) throws(ModelError) -> Bool {
    var sources: [String: String] = [:]
    for other in body.nodes where other.type == "Identity" && other.domain.isEmpty {
      guard let input = other.inputs.first, let output = other.outputs.first else { return false }
      sources[output] = input
    }
    func source(_ name: String) -> String {
      var name = name
      for _ in 0..<body.nodes.count { name = sources[name] ?? name }
      return name
    }
    let working = body.nodes.filter { $0.type != "Identity" }
    guard working.count == 2, working.allSatisfy({ $0.domain.isEmpty }),
      let difference = working.first(where: { $0.type == "Sub" }),
      let sum = working.first(where: { $0.type == "ReduceSumSquare" }),
      Set(difference.inputs.map(source)) == Set(body.inputs.map(\.name)),
      let summed = sum.inputs.first, source(summed) == difference.outputs.first,
      source(body.outputs[0].name) == body.inputs[0].name,
      source(body.outputs[1].name) == sum.outputs.first,
      case .int(0)? = sum.attributes["keepdims"]
    else { return false }
    if case .ints(let axes)? = sum.attributes["axes"] { return axes == [1] }
    guard sum.inputs.count == 2 else { return false }
    let name = source(sum.inputs[1])
    let axes = constants[name] ?? body.initializers.first { $0.name == name }?.tensor
    return axes?.integers == [1]
  }

  func scratchByteCount(rows: Int) -> Int { rows * points.columns * 8 }

  func run(_ call: Call) {
    let (input, out) = (call.input(rows), call.output(1).floats)
    let distances = call.scratch.assumingMemoryBound(to: Double.self)
    let (count, columns) = (call.rowCount, points.columns)
    ck_distance_f32(
      input.floats, count, points.depth, points.pointer, columns, distances)
    if isByRow {
      for index in 0..<(count * columns) { out[index] = Float(distances[index]) }
      return
    }
    for row in 0..<count {
      for column in 0..<columns {
        out[column * count + row] = Float(distances[row * columns + column])
      }
    }
    ElementCopy(input, call.output(0))(from: 0, to: 0, count: input.count)
  }
}
