/// A Scan of a fixed number of steps, each for all rows at once: distances of rows to one constant
/// point after the other, or states that each row carries along.
///
/// The body has a plan of its own, run for as many rows at once as fit the caches; its memory is
/// scratch of the plan around it.
struct StepScan: Operator {
  let outputs: [ValueInfo]
  private let plan: Plan
  private let states: [ValueInfo]
  private let scanned: [Scanned]
  private let produced: [Produced]
  private let length: Int

  private struct Scanned: Sendable {
    let axis: Int
    let isReversed: Bool
    let shape: Shape
  }

  private struct Produced: Sendable {
    let axis: Int
    let isReversed: Bool
    /// Of one step.
    let shape: Shape
  }

  /// - Returns: nil where the node is another kind of loop.
  init?(
    _ node: Node, _ body: OnnxGraph, constants: [String: Tensor], opsets: [String: Int64]
  ) throws(ModelError) {
    guard let scanCount = try node.int("num_scan_inputs"),
      (1...node.inputs.count).contains(scanCount)
    else { return nil }
    let stateCount = node.inputs.count - scanCount
    let outputCount = body.outputs.count - stateCount
    guard outputCount >= 0 else { return nil }
    func list(_ name: String, _ count: Int) throws(ModelError) -> [Int] {
      let list = try node.ints(name) ?? Array(repeating: 0, count: count)
      guard list.count == count else {
        throw node.error(.malformed, "\(name) has \(list.count) of \(count) values")
      }
      return list
    }
    let axes = try list("scan_input_axes", scanCount)
    let directions = try list("scan_input_directions", scanCount)
    let targets = try list("scan_output_axes", outputCount)
    let targetDirections = try list("scan_output_directions", outputCount)
    var arguments: [ValueInfo] = []
    var scanned: [Scanned] = []
    var lengths: Set<Int> = []
    for (index, info) in node.inputs.enumerated() {
      guard let info else { return nil }
      guard index >= stateCount else {
        arguments.append(ValueInfo(info.type, info.shape))
        continue
      }
      let place = index - stateCount
      let axis = try node.axis(axes[place], rank: info.shape.rank)
      guard axis != info.shape.rowAxis else { return nil }
      lengths.insert(info.shape.dims[axis])
      var dims = info.shape.dims
      dims.remove(at: axis)
      let shape = Shape(dims, rowAxis: info.shape.rowAxis.map { $0 > axis ? $0 - 1 : $0 })
      scanned.append(
        Scanned(axis: axis, isReversed: directions[place] != 0, shape: info.shape))
      arguments.append(ValueInfo(info.type, shape))
    }
    guard lengths.count == 1, let length = lengths.first, length <= 1 << 20 else { return nil }
    var graph = try Graph(
      body: body, arguments: arguments, constants: constants, opsets: opsets,
      limits: node.limits)
    let results = graph.outputs
    guard !graph.exchangesInputs(results.prefix(stateCount).map(\.value)) else { return nil }
    graph.keepInputs()
    var outputs: [ValueInfo] = []
    var produced: [Produced] = []
    for (index, output) in results.enumerated() {
      let info = graph.values[output.value]
      if index < stateCount {
        guard info.type == arguments[index].type, info.shape == arguments[index].shape else {
          return nil
        }
        outputs.append(try node.output(info.type, info.shape))
      } else {
        let place = index - stateCount
        let axis = try node.axis(targets[place], rank: info.shape.rank + 1)
        var dims = info.shape.dims
        dims.insert(length, at: axis)
        let rowAxis = info.shape.rowAxis.map { $0 >= axis ? $0 + 1 : $0 }
        produced.append(
          Produced(axis: axis, isReversed: targetDirections[place] != 0, shape: info.shape))
        outputs.append(try node.output(info.type, Shape(dims, rowAxis: rowAxis)))
      }
    }
    (self.outputs, self.scanned, self.produced) = (outputs, scanned, produced)
    (states, self.length) = (Array(arguments[..<stateCount]), length)
    plan = try Plan(graph, limits: node.limits)
  }

  func scratchByteCount(rows: Int) -> Int { plan.byteCount }

  func run(_ call: Call) {
    let isBatched =
      (states.map(\.shape) + scanned.map(\.shape)).contains { $0.isBatched }
    // What no row takes part in is computed once.
    let total = isBatched ? call.rowCount : 1
    var start = 0
    while start < total {
      let rows = start..<min(start + plan.blockRows, total)
      run(call, rows, total)
      start = rows.upperBound
    }
  }

  private func run(_ call: Call, _ rows: Range<Int>, _ total: Int) {
    let frame = Frame(plan, rowCount: rows.count, memory: call.scratch)
    for (index, info) in states.enumerated() {
      RowCopy(info.shape, rows, of: total).take(call.input(index), into: frame.inputs[index])
    }
    for step in 0..<length {
      for (index, input) in scanned.enumerated() {
        RowCopy(input.shape, rows, of: total).take(
          call.input(states.count + index), into: frame.inputs[states.count + index],
          at: input.isReversed ? length - 1 - step : step, axis: input.axis)
      }
      frame.run()
      for (index, output) in produced.enumerated() {
        RowCopy(outputs[states.count + index].shape, rows, of: total).put(
          frame.outputs[states.count + index], into: call.output(states.count + index),
          at: output.isReversed ? length - 1 - step : step, axis: output.axis)
      }
      for index in states.indices where frame.outputs[index].base != frame.inputs[index].base {
        let source = frame.outputs[index]
        ElementCopy(source, frame.inputs[index])(from: 0, to: 0, count: source.count)
      }
    }
    for (index, info) in states.enumerated() {
      RowCopy(info.shape, rows, of: total).put(frame.inputs[index], into: call.output(index))
    }
    for (row, failure) in frame.failures.reasons {
      call.failures.add(row: rows.lowerBound + row, failure.code, failure.reason)
    }
  }
}

/// Copies some rows between a value of all rows and one of those rows alone, whole or at one place
/// of a fixed axis.
private struct RowCopy {
  private let shape: Shape
  private let rows: Range<Int>
  private let total: Int

  init(_ shape: Shape, _ rows: Range<Int>, of total: Int) {
    (self.shape, self.rows, self.total) = (shape, rows, total)
  }

  func take(_ all: TensorView, into part: TensorView, at place: Int = 0, axis: Int? = nil) {
    let copy = ElementCopy(all, part)
    forEach(place, axis) { inAll, inPart, count in copy(from: inAll, to: inPart, count: count) }
  }

  func put(_ part: TensorView, into all: TensorView, at place: Int = 0, axis: Int? = nil) {
    let copy = ElementCopy(part, all)
    forEach(place, axis) { inAll, inPart, count in copy(from: inPart, to: inAll, count: count) }
  }

  /// Calls `body` for each stretch with its offsets and length. `shape` is that of all rows, with
  /// the axis.
  private func forEach(_ place: Int, _ axis: Int?, _ body: (Int, Int, Int) -> Void) {
    let dims = shape.dims(rows: total)
    let strides = StridedWalk.strides(dims)
    var first = Array(repeating: 0, count: dims.count)
    var sizes = dims
    if let rowAxis = shape.rowAxis {
      let each = shape.dims[rowAxis]
      first[rowAxis] = rows.lowerBound * each
      sizes[rowAxis] = rows.count * each
    }
    if let axis { (first[axis], sizes[axis]) = (place, 1) }
    // Behind the last axis that is cut, elements lie together.
    let cut = sizes.indices.last { sizes[$0] != dims[$0] } ?? 0
    let count = dims.isEmpty ? 1 : sizes[cut] * dims[(cut + 1)...].reduce(1, *)
    let origin = zip(first, strides).reduce(0) { $0 + $1.0 * $1.1 }
    guard count > 0 else { return }
    StridedWalk.forEach(Array(sizes[..<cut]), Array(strides[..<cut])) { number, offset in
      body(origin + offset, number * count, count)
    }
  }
}
