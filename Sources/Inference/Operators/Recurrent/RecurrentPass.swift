internal import CKernels

/// One direction of one run of a recurrent layer.
struct RecurrentPass {
  private let layer: Recurrence
  private let call: Call
  private let rows: Int
  private let direction: Int
  private let weights: RecurrentWeights
  private let functions: [RecurrentFunction]
  private let isReversed: Bool
  /// Steps of each row; nil where each has all.
  private let lengths: [Int]?
  private let hidden: Int
  private let columns: Int
  /// Added to the products of inputs.
  private let bias: UnsafeMutablePointer<Float>
  /// Added to the candidate's products of the state where the reset gate comes after them.
  private let lateBias: UnsafeMutablePointer<Float>
  private let zeros: UnsafeMutablePointer<Float>
  private let gathered: UnsafeMutablePointer<Float>
  private let gates: UnsafeMutablePointer<Float>
  private let products: UnsafeMutablePointer<Float>
  private let state: UnsafeMutablePointer<Float>
  private let cell: UnsafeMutablePointer<Float>
  private let scratch: UnsafeMutablePointer<Float>

  init(
    _ layer: Recurrence, _ call: Call, rows: Int, direction: Int, weights: RecurrentWeights,
    lengths: [Int]?
  ) {
    (self.layer, self.call, self.rows, self.direction) = (layer, call, rows, direction)
    (self.weights, self.lengths) = (weights, lengths)
    (isReversed, functions) = layer.directions[direction]
    hidden = layer.sizes.hidden
    columns = layer.kind.gates * hidden
    var place = call.scratch.assumingMemoryBound(to: Float.self)
    let bases = layer.parts(rows).map { size in
      defer { place += size }
      return place
    }
    (bias, lateBias, zeros, gathered, gates) = (bases[0], bases[1], bases[2], bases[3], bases[4])
    (products, state, cell, scratch) = (bases[5], bases[6], bases[7], bases[8])
  }

  func run() {
    prepare()
    let steps = layer.stepCount(rows)
    var first = 0
    while first < layer.length {
      let count = min(steps, layer.length - first)
      for step in 0..<count { gather(first + step, into: gathered + step * rows * inputSize) }
      ck_layer_f32(
        gathered, count * rows, inputSize, weights.input.base, columns, bias, 0, gates)
      for step in 0..<count {
        let gates = gates + step * rows * columns
        switch layer.kind {
        case .lstm: advanceLSTM(first + step, gates)
        case .gru: advanceGRU(first + step, gates)
        case .plain: advancePlain(first + step, gates)
        }
        write(first + step)
      }
      first += count
    }
    finish()
  }

  private var inputSize: Int { layer.sizes.input }

  private func input(_ index: Int) -> TensorView? {
    index < call.inputs.count ? call.inputs[index] : nil
  }

  // MARK: Before and after

  private func prepare() {
    let padded = (columns + 15) & ~15
    zeros.update(repeating: 0, count: padded)
    bias.update(repeating: 0, count: padded)
    lateBias.update(repeating: 0, count: (hidden + 15) & ~15)
    if let view = input(3) {
      let own = view.floats + direction * 2 * columns
      let late = layer.kind == .gru && layer.resetsLate ? columns - hidden : columns
      for i in 0..<columns { bias[i] = own[i] + (i < late ? own[columns + i] : 0) }
      for i in late..<columns { lateBias[i - late] = own[columns + i] }
    }
    load(input(5), state)
    if layer.kind == .lstm { load(input(6), cell) }
  }

  /// A first state, or zeros.
  private func load(_ view: TensorView?, _ target: UnsafeMutablePointer<Float>) {
    guard let view else {
      target.update(repeating: 0, count: rows * hidden)
      return
    }
    let count = view.count / max(layer.directions.count * hidden, 1)
    for row in 0..<rows {
      let own = count == 1 ? 0 : row
      let place =
        layer.isBatchFirst ? own * layer.directions.count + direction : direction * count + own
      (target + row * hidden).update(from: view.floats + place * hidden, count: hidden)
    }
  }

  private func finish() {
    store(state, call.output(1))
    if layer.kind == .lstm { store(cell, call.output(2)) }
  }

  private func store(_ source: UnsafeMutablePointer<Float>, _ target: TensorView) {
    for row in 0..<rows {
      let place =
        layer.isBatchFirst ? row * layer.directions.count + direction : direction * rows + row
      (target.floats + place * hidden).update(from: source + row * hidden, count: hidden)
    }
  }

  // MARK: Steps

  private func isOver(_ row: Int, _ step: Int) -> Bool { lengths.map { step >= $0[row] } ?? false }

  /// The element of a row's sequence that a step reads and writes.
  private func time(_ row: Int, _ step: Int) -> Int {
    let length = lengths?[row] ?? layer.length
    return isReversed && step < length ? length - 1 - step : step
  }

  private func gather(_ step: Int, into target: UnsafeMutablePointer<Float>) {
    let source = call.input(0).floats
    for row in 0..<rows {
      let time = time(row, step)
      let place = layer.isBatchFirst ? row * layer.length + time : time * rows + row
      (target + row * inputSize).update(from: source + place * inputSize, count: inputSize)
    }
  }

  private func write(_ step: Int) {
    let out = call.output(0).floats
    let count = layer.directions.count
    for row in 0..<rows {
      let time = time(row, step)
      let place =
        layer.isBatchFirst
        ? (row * layer.length + time) * count + direction
        : (time * count + direction) * rows + row
      if isOver(row, step) {
        (out + place * hidden).update(repeating: 0, count: hidden)
      } else {
        (out + place * hidden).update(from: state + row * hidden, count: hidden)
      }
    }
  }

  /// Adds the state's products to those of the inputs.
  private func addState(_ gates: UnsafeMutablePointer<Float>, _ panels: RecurrentWeights.Panels) {
    ck_layer_f32(state, rows, hidden, panels.base, panels.columns, zeros, 0, products)
    for row in 0..<rows {
      let (to, from) = (gates + row * columns, products + row * panels.columns)
      for i in 0..<panels.columns { to[i] += from[i] }
    }
  }

  private func apply(_ function: Int, _ values: UnsafeMutablePointer<Float>, _ count: Int) {
    if let clip = layer.clip {
      for i in 0..<count { values[i] = max(-clip, min(clip, values[i])) }
    }
    functions[function].apply(values, count)
  }

  private func advancePlain(_ step: Int, _ gates: UnsafeMutablePointer<Float>) {
    addState(gates, weights.state)
    for row in 0..<rows where !isOver(row, step) {
      let own = gates + row * hidden
      apply(0, own, hidden)
      (state + row * hidden).update(from: own, count: hidden)
    }
  }

  private func advanceLSTM(_ step: Int, _ gates: UnsafeMutablePointer<Float>) {
    addState(gates, weights.state)
    let peepholes = input(7).map { $0.floats + direction * 3 * hidden }
    for row in 0..<rows where !isOver(row, step) {
      let (i, o) = (gates + row * columns, gates + row * columns + hidden)
      let (f, c) = (o + hidden, o + 2 * hidden)
      let (state, cell) = (state + row * hidden, cell + row * hidden)
      if let peepholes {
        for k in 0..<hidden {
          i[k] += peepholes[k] * cell[k]
          f[k] += peepholes[2 * hidden + k] * cell[k]
        }
        apply(0, i, hidden)
        apply(0, f, hidden)
      } else {
        apply(0, i, 3 * hidden)
      }
      if layer.couplesForget { for k in 0..<hidden { f[k] = 1 - i[k] } }
      apply(1, c, hidden)
      for k in 0..<hidden { cell[k] = f[k] * cell[k] + i[k] * c[k] }
      if let peepholes {
        for k in 0..<hidden { o[k] += peepholes[hidden + k] * cell[k] }
        apply(0, o, hidden)
      }
      // As ONNX Runtime has it: the clip is for the gates, not for what goes out of the cell.
      state.update(from: cell, count: hidden)
      functions[2].apply(state, hidden)
      for k in 0..<hidden { state[k] *= o[k] }
    }
  }

  private func advanceGRU(_ step: Int, _ gates: UnsafeMutablePointer<Float>) {
    guard let panels = weights.candidate else { return }
    addState(gates, weights.state)
    let candidates = products + rows * 2 * hidden
    for row in 0..<rows { apply(0, gates + row * columns, 2 * hidden) }
    if layer.resetsLate {
      ck_layer_f32(state, rows, hidden, panels.base, hidden, lateBias, 0, candidates)
    } else {
      for row in 0..<rows {
        let reset = gates + row * columns + hidden
        for k in 0..<hidden { scratch[row * hidden + k] = reset[k] * state[row * hidden + k] }
      }
      ck_layer_f32(scratch, rows, hidden, panels.base, hidden, zeros, 0, candidates)
    }
    for row in 0..<rows where !isOver(row, step) {
      let (z, r) = (gates + row * columns, gates + row * columns + hidden)
      let (h, own) = (r + hidden, candidates + row * hidden)
      for k in 0..<hidden { h[k] += layer.resetsLate ? r[k] * own[k] : own[k] }
      apply(1, h, hidden)
      let state = state + row * hidden
      for k in 0..<hidden { state[k] = (1 - z[k]) * h[k] + z[k] * state[k] }
    }
  }
}
