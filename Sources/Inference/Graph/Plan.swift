import Synchronization

/// A graph with a place in memory for each of its values, ready to be run block by block.
///
/// Values that are never alive at the same time share memory. Rows are run in blocks, so that a
/// block's values stay in the caches and memory does not grow with the batch.
struct Plan: Sendable {
  enum Place: Sendable {
    case constant(Tensor)
    /// Bytes from the start of the workspace's memory.
    case memory(offset: Int)
    /// Strings are objects; the frame keeps a buffer of its own for each such value.
    case strings
    /// The same elements as another value.
    case view(of: Int)
    /// Never read or written.
    case unused
  }

  let graph: Graph
  let places: [Place]
  /// Rows that are run at once.
  let blockRows: Int
  /// Memory of a block, its operators' scratch included.
  let byteCount: Int
  /// Where the operators' scratch starts.
  let scratchOffset: Int
  /// Tells plans apart in a workspace.
  let id: Int

  private static let lastID = Atomic<Int>(0)
  /// Aimed at a core's second-level cache, beside the weights of a layer.
  private static let targetByteCount = 3 << 17
  private static let mostByteCount = 1 << 26
  private static let mostBlockRows = 1024
  /// Rows of a network that share a pass over its weights.
  static let networkRows = 8

  init(_ graph: Graph, limits: ModelLimits) throws(ModelError) {
    self.graph = graph
    var blockRows = graph.isNetwork ? Self.networkRows : Self.mostBlockRows
    if graph.isOfOneRow { blockRows = 1 }
    var layout = Layout(graph, rows: blockRows)
    // Wide rows run fewer at a time; very wide ones one by one, whatever they take.
    while blockRows > 1,
      layout.byteCount > (blockRows > 64 ? Self.targetByteCount : Self.mostByteCount)
    {
      blockRows /= 2
      layout = Layout(graph, rows: blockRows)
    }
    guard layout.byteCount <= limits.byteCount else {
      throw ModelError(
        .tooLarge, "a row takes \(layout.byteCount) bytes, the limit is \(limits.byteCount)")
    }
    self.blockRows = blockRows
    places = layout.places
    scratchOffset = layout.scratchOffset
    byteCount = layout.byteCount
    id = Self.lastID.add(1, ordering: .relaxed).newValue
  }
}

/// Offsets of a graph's values in memory for a number of rows.
private struct Layout {
  private(set) var places: [Plan.Place]
  private(set) var scratchOffset = 0
  private(set) var byteCount = 0

  /// Free stretches below `top`, by offset.
  private var free: [(offset: Int, size: Int)] = []
  private var top = 0

  init(_ graph: Graph, rows: Int) {
    places = Array(repeating: .unused, count: graph.values.count)
    for (value, info) in graph.values.enumerated() {
      if let constant = info.constant { places[value] = .constant(constant) }
    }
    // The last step that reads a value, counting a view as its original.
    var root = Array(graph.values.indices)
    var lastUse = Array(repeating: -1, count: graph.values.count)
    for (index, step) in graph.steps.enumerated() {
      if step.operation.isView, let input = step.inputs.first ?? nil {
        root[step.outputs[0]] = root[input]
        places[step.outputs[0]] = .view(of: root[input])
      }
      if let place = step.operation.overwrites, let input = step.inputs[place] {
        root[step.outputs[0]] = root[input]
        places[step.outputs[0]] = .view(of: root[input])
      }
      for input in step.inputs { if let input { lastUse[root[input]] = index } }
    }
    for output in graph.outputs { lastUse[root[output.value]] = .max }

    func size(_ value: Int) -> Int {
      let info = graph.values[value]
      let (bytes, overflow) = info.shape.elementCount.multipliedReportingOverflow(
        by: info.type.stride * (info.shape.isBatched ? rows : 1))
      // Larger than any limit, yet small enough to be added up.
      return overflow ? 1 << 40 : (min(bytes, 1 << 40) + 63) & ~63
    }
    for input in graph.inputs { place(input.value, graph, size(input.value)) }
    var scratch = 0
    for (index, step) in graph.steps.enumerated() where !step.operation.isView {
      for output in step.outputs where root[output] == output {
        place(output, graph, size(output))
      }
      scratch = max(scratch, step.operation.scratchByteCount(rows: rows))
      // An output may not take the place of an input of the same step, hence after placing.
      let ends = step.inputs.compactMap { $0.map { root[$0] } } + step.outputs.map { root[$0] }
      for value in Set(ends) where lastUse[value] <= index {
        if case .memory(let offset) = places[value] { release(offset, size(value)) }
      }
    }
    scratchOffset = top
    byteCount = top + scratch
  }

  private mutating func place(_ value: Int, _ graph: Graph, _ size: Int) {
    if graph.values[value].constant != nil { return }
    if graph.values[value].type == .string {
      places[value] = .strings
      return
    }
    if let index = free.firstIndex(where: { $0.size >= size }) {
      places[value] = .memory(offset: free[index].offset)
      free[index] = (free[index].offset + size, free[index].size - size)
      if free[index].size == 0 { free.remove(at: index) }
    } else {
      places[value] = .memory(offset: top)
      top += size
    }
  }

  private mutating func release(_ offset: Int, _ size: Int) {
    guard size > 0 else { return }
    let index = free.firstIndex { $0.offset > offset } ?? free.endIndex
    free.insert((offset, size), at: index)
    if index + 1 < free.count, free[index].offset + free[index].size == free[index + 1].offset {
      free[index].size += free.remove(at: index + 1).size
    }
    if index > 0, free[index - 1].offset + free[index - 1].size == free[index].offset {
      free[index - 1].size += free.remove(at: index).size
    }
  }
}

/// A plan's values at their places in a workspace, for a number of rows.
final class Frame {
  let planID: Int
  let rowCount: Int
  let failures = RowFailures()
  let inputs: [TensorView]
  let outputs: [TensorView]
  /// Where each input is, and each output.
  let inputBases: [UnsafeMutableRawPointer]
  let outputBases: [UnsafeMutableRawPointer]
  /// Memory of the frame's own, so that running copies nothing.
  private let steps: UnsafeMutableBufferPointer<Step>
  private let strings: [TensorBuffer]

  /// An operator with its arguments.
  private struct Step {
    let operation: any Operator
    let call: Call

    func run() { operation.run(call) }
  }

  init(_ plan: Plan, rowCount: Int, memory: UnsafeMutableRawPointer, threads: Int = 1) {
    (planID, self.rowCount) = (plan.id, rowCount)
    let graph = plan.graph
    var strings: [TensorBuffer] = []
    var bases: [UnsafeMutableRawPointer] = []
    bases.reserveCapacity(plan.places.count)
    for (value, place) in plan.places.enumerated() {
      switch place {
      case .constant(let tensor): bases.append(tensor.buffer.base)
      case .memory(let offset): bases.append(memory + offset)
      case .strings:
        let shape = graph.values[value].shape
        let buffer = TensorBuffer(.string, capacity: shape.elementCount(rows: rowCount))
        strings.append(buffer)
        bases.append(buffer.base)
      case .view, .unused: bases.append(memory)
      }
    }
    for (value, place) in plan.places.enumerated() {
      if case .view(let original) = place { bases[value] = bases[original] }
    }
    func view(_ value: Int) -> TensorView {
      let info = graph.values[value]
      return TensorView(
        type: info.type, dims: info.shape.dims(rows: rowCount), base: bases[value])
    }
    inputs = graph.inputs.map { view($0.value) }
    outputs = graph.outputs.map { view($0.value) }
    inputBases = graph.inputs.map { bases[$0.value] }
    outputBases = graph.outputs.map { bases[$0.value] }
    let failures = failures
    let steps = graph.steps.filter { !$0.operation.isView }.map { step in
      let call = Call(
        rowCount: rowCount, inputs: step.inputs.map { $0.map(view) },
        outputs: step.outputs.map(view), scratch: memory + plan.scratchOffset,
        failures: failures, threads: threads)
      return Step(operation: step.operation.prepared(for: call), call: call)
    }
    self.steps = .allocate(capacity: steps.count)
    _ = self.steps.initialize(from: steps)
    self.strings = strings
  }

  deinit {
    steps.deinitialize()
    steps.deallocate()
  }

  func run() {
    guard let first = steps.baseAddress else { return }
    for index in 0..<steps.count { (first + index).pointee.run() }
  }
}

extension Workspace {
  /// Frames are cheap to make; more than these are not worth the memory.
  private static let mostFrames = 64

  /// The plan's frame for so many rows; the last batch's values are void.
  func frame(_ plan: Plan, rowCount: Int) -> Frame {
    frame(planID: plan.id, byteCount: plan.byteCount, rowCount: rowCount) {
      Frame(plan, rowCount: rowCount, memory: $0, threads: threads)
    }
  }

  /// The same, without the plan where the frame is known.
  func frame(
    planID: Int, byteCount: Int, rowCount: Int, _ make: (UnsafeMutableRawPointer) -> Frame
  ) -> Frame {
    let memory = scratch(byteCount: byteCount)
    if let frame = frames.last(where: { $0.planID == planID && $0.rowCount == rowCount }) {
      return frame
    }
    if frames.count >= Self.mostFrames { frames.removeFirst(Self.mostFrames / 2) }
    let frame = make(memory)
    frames.append(frame)
    return frame
  }
}
