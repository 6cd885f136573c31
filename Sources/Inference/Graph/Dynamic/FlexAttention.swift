internal import CKernels

/// FlexAttention: attention whose scores and probabilities go through graphs of the model's own.
struct FlexAttention: DynamicOperator {
  private let node: Node
  private let scores: Program?
  private let probabilities: Program?
  /// Among the node's subgraphs, for the values that they take from around them.
  private let places: (scores: Int, probabilities: Int)
  private let scale: Float?
  private let precision: TensorType?

  init(_ node: DynamicNode) throws(ModelError) {
    self.node = node.header
    let hasScores = node.header.attributes["score_mod"] != nil
    let hasProbabilities = node.header.attributes["prob_mod"] != nil
    places = (
      hasScores ? try node.program("score_mod") : 0,
      hasProbabilities ? try node.program("prob_mod") : 0
    )
    scores = hasScores ? node.programs[places.scores] : nil
    probabilities = hasProbabilities ? node.programs[places.probabilities] : nil
    scale = try node.header.float("scale")
    precision = try node.header.int("softmax_precision").map { code throws(ModelError) in
      guard let type = TensorType(rawValue: code), type.isFloatingPoint else {
        throw node.header.error(.unsupported, "softmax_precision \(code) is not supported")
      }
      return type
    }
  }

  func run(
    _ inputs: [DynamicValue?], captured: [[DynamicValue]], _ execution: Execution
  ) throws(ModelError) -> [DynamicValue] {
    let (q, k, v) = (
      try node.tensor(inputs, 0), try node.tensor(inputs, 1), try node.tensor(inputs, 2)
    )
    guard q.type.isFloatingPoint, k.type == q.type, v.type == q.type, q.dims.count == 4,
      k.dims.count == 4, v.dims.count == 4, k.dims[0] == q.dims[0], v.dims[0] == q.dims[0],
      k.dims[1] == v.dims[1], k.dims[2] == v.dims[2], k.dims[3] == q.dims[3], k.dims[1] > 0,
      q.dims[1] % k.dims[1] == 0
    else {
      throw node.error(.malformed, "inputs of shapes \(q.dims), \(k.dims) and \(v.dims) do not fit")
    }
    let (batch, heads, rows, keys) = (q.dims[0], q.dims[1], q.dims[2], k.dims[2])
    let dims = [batch, heads, rows, keys]
    try node.check(dims)
    try execution.meter.spend(dims.reduce(1, *) * (q.dims[3] + v.dims[3] + 8))
    let type = precision ?? (q.type.isReduced ? .float32 : q.type)
    try execution.meter.hold(dims.reduce(1, *) * 2, of: type)
    var products = self.products(q, k, type)
    if let scores {
      products = try changed(products, scores, captured[places.scores], execution)
    }
    soften(products)
    if let probabilities {
      products = try changed(products, probabilities, captured[places.probabilities], execution)
    }
    let size = v.dims[3]
    let result = [batch, heads, rows, size]
    try node.check(result)
    let out = Tensor(dims: result, buffer: TensorBuffer(v.type, capacity: result.reduce(1, *)))
    let group = heads / k.dims[1]
    for line in 0..<(batch * heads * rows) {
      let head = line / max(rows, 1)
      let base = (head / heads * k.dims[1] + head % heads / group) * keys
      for i in 0..<size {
        var sum = 0.0
        for key in 0..<keys {
          sum += products.view.double(line * keys + key) * v.view.double((base + key) * size + i)
        }
        out.view.set(line * size + i, sum)
      }
    }
    return [.tensor(out)]
  }

  /// Queries times keys, both scaled and rounded as they are.
  private func products(_ q: Tensor, _ k: Tensor, _ type: TensorType) -> Tensor {
    let (heads, rows, keys, size) = (q.dims[1], q.dims[2], k.dims[2], q.dims[3])
    let factor = Double((scale ?? Float(1 / Double(max(size, 1)).squareRoot())).squareRoot())
    let rounded = Self.rounding(q.type)
    func scaled(_ tensor: Tensor) -> [Double] {
      (0..<tensor.count).map { rounded(tensor.view.double($0) * rounded(factor)) }
    }
    let (a, b) = (scaled(q), scaled(k))
    let dims = [q.dims[0], heads, rows, keys]
    let out = Tensor(dims: dims, buffer: TensorBuffer(type, capacity: dims.reduce(1, *)))
    let group = heads / k.dims[1]
    for line in 0..<(q.dims[0] * heads * rows) {
      let head = line / max(rows, 1)
      let base = (head / heads * k.dims[1] + head % heads / group) * keys
      for key in 0..<keys {
        var sum = 0.0
        for i in 0..<size { sum += a[line * size + i] * b[(base + key) * size + i] }
        out.view.set(line * keys + key, rounded(sum))
      }
    }
    return out
  }

  private static func rounding(_ type: TensorType) -> (Double) -> Double {
    switch type {
    case .float16: { Half(converting: $0).double }
    case .bfloat16: { BFloat16(converting: $0).double }
    case .float32: { Double(Float($0)) }
    default: { $0 }
    }
  }

  /// What a graph makes of a tensor: one of the same shape.
  private func changed(
    _ tensor: Tensor, _ program: Program, _ captured: [DynamicValue], _ execution: Execution
  ) throws(ModelError) -> Tensor {
    let results = try program.run([.tensor(tensor)], captured: captured, execution)
    guard results.count == 1, let result = results[0].tensor, result.dims == tensor.dims,
      result.type.isFloatingPoint
    else { throw node.error(.malformed, "a graph that makes no tensor of the same shape") }
    // It may be a constant, or the graph's input itself.
    let copy = Tensor(
      dims: tensor.dims, buffer: TensorBuffer(tensor.type, capacity: tensor.count))
    for index in 0..<tensor.count { copy.view.set(index, result.view.double(index)) }
    return copy
  }

  /// The softmax of each line, in place.
  private func soften(_ tensor: Tensor) {
    let (view, keys) = (tensor.view, tensor.dims[3])
    guard keys > 0 else { return }
    for line in 0..<(tensor.count / keys) {
      let base = line * keys
      var greatest = -Double.infinity
      for key in 0..<keys { greatest = max(greatest, view.double(base + key)) }
      var sum = 0.0
      for key in 0..<keys {
        let value = ck_exp(view.double(base + key) - greatest)
        view.set(base + key, value)
        sum += value
      }
      for key in 0..<keys { view.set(base + key, view.double(base + key) / sum) }
    }
  }
}
