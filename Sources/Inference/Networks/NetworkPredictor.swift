/// Scores batches of tensors: images, sequences of tokens, signals.
///
/// A batch is run in blocks of rows, each block by one thread or, where rows are fewer than the
/// workspace's threads, by all of them together.
final class NetworkPredictor: Predictor {
  let network: Network
  var isNetwork: Bool { true }
  private let outputs: [(type: TensorType, isTensor: Bool)]

  init(_ network: Network, outputs: [(type: TensorType, isTensor: Bool)]) {
    (self.network, self.outputs) = (network, outputs)
  }

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    var sizes: [[Int]] = []
    for (column, input) in zip(batch.columns, network.inputs) {
      try check(column, input)
      sizes.append(column.shape)
    }
    let plan = try network.plan(for: sizes)
    let answer = NetworkAnswer(plan, rowCount: batch.rowCount)
    let threads = workspace.threads
    // As many rows as each thread gets the same number of; all threads share the rest.
    let apart = threads > 1 ? batch.rowCount / threads * threads : 0
    if apart > 0 {
      while workspace.helpers.count < threads { workspace.helpers.append(Workspace()) }
      nonisolated(unsafe) let helpers = workspace.helpers
      let share = apart / threads
      _ = Concurrently.map(threads) { part in
        withThreads(1) {
          run(plan, batch, (part * share)..<((part + 1) * share), helpers[part], into: answer)
        }
      }
    }
    if apart < batch.rowCount {
      withThreads(threads) {
        run(plan, batch, apart..<batch.rowCount, workspace, into: answer)
      }
    }
    return answer.predictions(outputs)
  }

  /// - Throws: `.mismatch` where no value of the column could be read as the input.
  private func check(_ column: Column, _ input: Network.Input) throws(ModelError) {
    guard column.kind == (input.type == .string ? .text : .number) else {
      throw ModelError(
        .mismatch,
        "feature \"\(input.name)\" is \(input.type.onnxName), its column is "
          + (column.kind == .text ? "text" : column.kind == .bytes ? "bytes" : "not text"))
    }
  }

  private func run(
    _ plan: Plan, _ batch: Batch, _ rows: Range<Int>, _ workspace: Workspace,
    into answer: NetworkAnswer
  ) {
    var start = rows.lowerBound
    while start < rows.upperBound {
      // Blocks of equal length, so that few sizes of primitives are made.
      let left = rows.upperBound - start
      let blocks = (left + plan.blockRows - 1) / plan.blockRows
      let block = start..<(start + (left + blocks - 1) / blocks)
      let frame = workspace.frame(plan, rowCount: block.count)
      frame.failures.removeAll()
      for (index, column) in batch.columns.enumerated() {
        TensorReader.read(
          column, block, network.inputs[index], into: frame.inputs[index], frame.failures)
      }
      network.backend.run(frame)
      answer.take(frame, block)
      start = block.upperBound
    }
  }
}

/// What the threads of one batch write, each to the places of its own rows.
private final class NetworkAnswer: @unchecked Sendable {
  private let rowCount: Int
  private let buffers: [TensorBuffer]
  private let shapes: [[Int]]
  private let failures: UnsafeMutableBufferPointer<Predictions.Failure?>

  init(_ plan: Plan, rowCount: Int) {
    self.rowCount = rowCount
    let infos = plan.graph.outputs.map { plan.graph.values[$0.value] }
    shapes = infos.map { $0.shape.rowTensor }
    buffers = infos.map {
      TensorBuffer($0.type, capacity: $0.shape.elementCount * rowCount)
    }
    failures = .allocate(capacity: rowCount)
    failures.initialize(repeating: nil)
  }

  deinit {
    failures.deinitialize()
    failures.deallocate()
  }

  func take(_ frame: Frame, _ rows: Range<Int>) {
    for (buffer, view) in zip(buffers, frame.outputs) {
      let target = TensorView(type: buffer.type, dims: [buffer.capacity], base: buffer.base)
      ElementCopy(view, target)(
        from: 0, to: rows.lowerBound * (view.count / rows.count), count: view.count)
    }
    for (row, failure) in frame.failures.reasons {
      failures[rows.lowerBound + row] = .init(
        row: rows.lowerBound + row, code: failure.code, reason: failure.reason)
    }
  }

  func predictions(_ outputs: [(type: TensorType, isTensor: Bool)]) -> Predictions {
    var columns: [Column] = []
    for (index, buffer) in buffers.enumerated() {
      let tensor = Tensor(dims: [buffer.capacity], buffer: buffer)
      let values: Column.Values =
        switch buffer.type {
        case .float32: .float32(tensor.values())
        case .float64: .float64(tensor.values())
        case .int64: .int64(tensor.values())
        case .bool: .bool(tensor.values())
        case .string: .string(tensor.values())
        case .float16, .bfloat16: .float32((tensor.doubles ?? []).map { Float($0) })
        default: .int64((tensor.integers ?? []).map { Int64($0) })
        }
      columns.append(Column(values, shape: outputs[index].isTensor ? shapes[index] : []))
    }
    return Predictions(columns: columns, failures: failures.compactMap { $0 })
  }
}

extension Shape {
  /// Sizes of what one row has of a value whose first axis is the rows.
  var rowTensor: [Int] { dims.first == 1 ? Array(dims.dropFirst()) : dims }
}
