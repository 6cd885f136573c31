internal import CKernels

/// LSTM, GRU and RNN: a state that is carried along the sequence of each row, forwards, backwards or both.
///
/// A row's results depend on neither its neighbours nor their number: sums are those of the layers'
/// kernels. Weights are packed at load where they are constant, else at each run.
struct Recurrence: Operator {
  enum Kind: Sendable {
    case lstm, gru, plain

    var gates: Int {
      switch self {
      case .lstm: 4
      case .gru: 3
      case .plain: 1
      }
    }
  }

  let outputs: [ValueInfo]
  let kind: Kind
  let sizes: (input: Int, hidden: Int)
  let length: Int
  /// Rows of the batch that a row of the model has; one but in a model of a fixed batch.
  private let batch: Int
  let directions: [(isReversed: Bool, functions: [RecurrentFunction])]
  /// Whether the batch is the first axis.
  let isBatchFirst: Bool
  let clip: Float?
  let couplesForget: Bool
  let resetsLate: Bool
  private let weights: [RecurrentWeights]?

  static let lstm: OperatorFactory = { node throws(ModelError) in try Recurrence(node, .lstm) }
  static let gru: OperatorFactory = { node throws(ModelError) in try Recurrence(node, .gru) }
  static let plain: OperatorFactory = { node throws(ModelError) in try Recurrence(node, .plain) }

  private init(_ node: Node, _ kind: Kind) throws(ModelError) {
    self.kind = kind
    try node.checkInputs(3...(kind == .lstm ? 8 : 6))
    let (x, w, r) = (
      try node.input(0, .float32), try node.input(1, .float32), try node.input(2, .float32)
    )
    isBatchFirst = try node.int("layout", default: 0) != 0
    let batchAxis = isBatchFirst ? 0 : 1
    guard x.shape.rank == 3, w.shape.rank == 3, r.shape.rank == 3, !w.shape.isBatched,
      !r.shape.isBatched
    else {
      throw node.error(
        .malformed, "inputs of shapes \(x.shape), \(w.shape) and \(r.shape) do not fit")
    }
    guard x.shape.rowAxis == nil || x.shape.rowAxis == batchAxis else {
      // Not a reason to take a row for a batch: what varies along the first axis is time.
      var error = node.error(
        .mismatch, "the first axis of \(x.shape) is the sequence, not the rows")
      error.hint = "Export the model with the batch as the first axis of its inputs."
      throw error
    }
    (length, batch) = (x.shape.dims[1 - batchAxis], x.shape.dims[batchAxis])
    let hidden = r.shape.dims[2]
    sizes = (x.shape.dims[2], hidden)
    let direction = try node.string("direction", default: "forward").lowercased()
    guard
      let reversals = ["forward": [false], "reverse": [true], "bidirectional": [false, true]][
        direction]
    else { throw node.error(.malformed, "direction \"\(direction)\" is not known") }
    let columns = kind.gates * hidden
    guard hidden > 0, sizes.input > 0, w.shape.dims == [reversals.count, columns, sizes.input],
      r.shape.dims == [reversals.count, columns, hidden],
      try node.int("hidden_size", default: hidden) == hidden
    else {
      throw node.error(
        .malformed, "weights of shapes \(w.shape) and \(r.shape) for inputs of \(sizes.input)")
    }
    let defaults: [RecurrentFunction] =
      switch kind {
      case .lstm: [.sigmoid, .tanh, .tanh]
      case .gru: [.sigmoid, .tanh]
      case .plain: [.tanh]
      }
    let functions = try RecurrentFunction.list(
      node, directions: reversals.count, defaults: defaults)
    directions = reversals.enumerated().map { index, isReversed in
      let first = index * defaults.count
      return (isReversed, Array(functions[first..<(first + defaults.count)]))
    }
    let clip = try node.float("clip", default: 0)
    guard clip >= 0 else { throw node.error(.malformed, "clip \(clip) is below zero") }
    self.clip = clip > 0 ? clip : nil
    couplesForget = try node.int("input_forget", default: 0) != 0
    resetsLate = try node.int("linear_before_reset", default: 0) != 0
    try Self.checkRest(
      node, kind, x.shape, batchAxis: batchAxis, directions: reversals.count, hidden: hidden)
    let partsCandidate = kind == .gru
    if let w = w.constant, let r = r.constant {
      weights = Self.packed(
        w.view, r.view, (sizes.input, hidden, kind.gates), reversals.count, partsCandidate)
    } else {
      weights = nil
    }
    let count = reversals.count
    let state =
      isBatchFirst
      ? Shape([batch, count, hidden], rowAxis: x.shape.rowAxis)
      : Shape([count, batch, hidden], rowAxis: x.shape.rowAxis)
    let all =
      isBatchFirst
      ? Shape([batch, length, count, hidden], rowAxis: x.shape.rowAxis)
      : Shape([length, count, batch, hidden], rowAxis: x.shape.rowAxis.map { $0 + 1 })
    var outputs = [try node.output(.float32, all), try node.output(.float32, state)]
    if kind == .lstm { outputs.append(try node.output(.float32, state)) }
    self.outputs = outputs
    try node.spend(count * length, batch * columns, sizes.input + hidden)
  }

  /// The inputs that may be left out: bias, lengths, first states, peepholes.
  private static func checkRest(
    _ node: Node, _ kind: Kind, _ x: Shape, batchAxis: Int, directions: Int, hidden: Int
  ) throws(ModelError) {
    func check(_ index: Int, _ type: TensorType, _ dims: [Int], axis: Int?) throws(ModelError) {
      guard let info = node.optionalInput(index) else { return }
      var own = info.shape.dims
      // One first state for all rows.
      if let axis, info.shape.rowAxis == nil, axis < own.count, own[axis] == 1 {
        own[axis] = dims[axis]
      }
      guard info.type == type, own == dims,
        info.shape.rowAxis == nil || info.shape.rowAxis == axis && x.isBatched,
        info.shape.rowAxis != nil || axis == nil || !x.isBatched || x.dims[batchAxis] == 1
      else {
        throw node.error(.malformed, "input \(index) of shape \(info.shape) for \(x)")
      }
    }
    let batch = x.dims[batchAxis]
    let state = batchAxis == 0 ? [batch, directions, hidden] : [directions, batch, hidden]
    try check(3, .float32, [directions, 2 * kind.gates * hidden], axis: nil)
    try check(4, .int32, [batch], axis: 0)
    try check(5, .float32, state, axis: batchAxis)
    guard kind == .lstm else { return }
    try check(6, .float32, state, axis: batchAxis)
    try check(7, .float32, [directions, 3 * hidden], axis: nil)
  }

  private static func packed(
    _ w: TensorView, _ r: TensorView, _ sizes: (input: Int, hidden: Int, gates: Int),
    _ directions: Int, _ partsCandidate: Bool
  ) -> [RecurrentWeights] {
    let columns = sizes.gates * sizes.hidden
    return (0..<directions).map { direction in
      RecurrentWeights(
        w: w.floats + direction * columns * sizes.input,
        r: r.floats + direction * columns * sizes.hidden, sizes: sizes,
        partsCandidate: partsCandidate)
    }
  }

  var constantByteCount: Int { weights?.reduce(0) { $0 + $1.byteCount } ?? 0 }

  // MARK: Running

  /// Steps whose inputs are multiplied at once.
  func stepCount(_ rows: Int) -> Int { max(1, min(length, 64 / max(rows, 1))) }

  /// Floats of each part of the scratch memory for a batch of `rows`, as a pass takes them.
  func parts(_ rows: Int) -> [Int] {
    let columns = kind.gates * sizes.hidden
    let steps = stepCount(rows)
    let state = rows * sizes.hidden
    return [
      columns, sizes.hidden, columns, steps * rows * sizes.input, steps * rows * columns,
      rows * columns, state, state, state,
    ].map { ($0 + 15) & ~15 }
  }

  func scratchByteCount(rows: Int) -> Int {
    let all = outputs[1].shape.isBatched ? batch * rows : batch
    return parts(all).reduce(0, +) * 4
  }

  func run(_ call: Call) {
    let x = call.input(0)
    let rows = x.dims[isBatchFirst ? 0 : 1]
    let packed =
      weights
      ?? Self.packed(
        call.input(1), call.input(2), (sizes.input, sizes.hidden, kind.gates), directions.count,
        kind == .gru)
    let lengths = lengths(call, rows)
    for direction in directions.indices {
      RecurrentPass(
        self, call, rows: rows, direction: direction, weights: packed[direction],
        lengths: lengths
      ).run()
    }
  }

  /// Steps of each row; one that is not of the sequence is a failure.
  private func lengths(_ call: Call, _ rows: Int) -> [Int]? {
    guard call.inputs.count > 4, let view = call.inputs[4] else { return nil }
    return (0..<rows).map { row in
      let own = view.integer(view.count == 1 ? 0 : row)
      if !(0...length).contains(own) {
        call.failures.add(
          row: row * call.rowCount / max(rows, 1), .wrongType,
          "a sequence of \(own) of \(length) elements")
      }
      return min(max(own, 0), length)
    }
  }
}
