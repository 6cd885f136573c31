internal import CDNN
internal import CKernels

/// MatMul and Gemm of floats: rows times weights, or matrices of a batch with each other.
///
/// By oneDNN where it is, else by the kernels of layers, with the right matrix packed at each run
/// unless it is constant.
struct FloatProduct: NetworkLayer {
  let outputs: [ValueInfo]
  let stages: [LayerStage]
  /// The right matrix where it is one for all rows; its strides say how it lies.
  private let weights: Tensor?
  private let weightStrides: (depth: Int, column: Int)
  private let bias: [Float]?
  private let depth: Int
  private let columns: Int
  private let packed: TensorBuffer?
  private let biases: TensorBuffer?
  private let form: Primitive?
  private let usesOneDNN: Bool

  var channelAxis: Int { outputs[0].shape.rank - 1 }
  var sourceLayout: TensorLayout { .plain }
  var targetLayout: TensorLayout { .plain }
  var overwrites: Int? { stages.contains(.sum) ? 1 : nil }
  var constantByteCount: Int { ((packed?.capacity ?? 0) + columns) * 4 }

  /// - Returns: nil where the product is not of floats in a network, or of another form.
  init?(matMul node: Node, _ a: ValueInfo, _ b: ValueInfo) throws(ModelError) {
    guard node.isOfNetwork, a.type == .float32, b.type == .float32, a.shape.rank >= 2,
      b.shape.rank >= 2, a.shape.rowAxis == nil || a.shape.rowAxis! < a.shape.rank - 1,
      a.constant == nil
    else { return nil }
    depth = a.shape.dims[a.shape.rank - 1]
    columns = b.shape.dims[b.shape.rank - 1]
    guard depth == b.shape.dims[b.shape.rank - 2], depth > 0, columns > 0 else {
      throw node.error(.malformed, "inputs of shapes \(a.shape) and \(b.shape) do not fit")
    }
    if let constant = b.constant, b.shape.dims.dropLast(2).allSatisfy({ $0 == 1 }),
      b.shape.rank <= a.shape.rank
    {
      weights = constant
      outputs = [
        try node.output(
          .float32, Shape(a.shape.dims.dropLast() + [columns], rowAxis: a.shape.rowAxis))
      ]
    } else {
      // One matrix of each for each row of the same axes.
      let outer = a.shape.rank - 2
      guard b.shape.rank == a.shape.rank, a.shape.dims[..<outer] == b.shape.dims[..<outer],
        a.shape.rowAxis == b.shape.rowAxis, a.shape.rowAxis.map({ $0 < outer }) ?? true
      else { return nil }
      weights = nil
      outputs = [
        try node.output(
          .float32, Shape(a.shape.dims.dropLast() + [columns], rowAxis: a.shape.rowAxis))
      ]
    }
    weightStrides = (columns, 1)
    (bias, packed, biases, form, stages) = (nil, nil, nil, nil, [])
    usesOneDNN = NetworkKernels.usesOneDNN
  }

  init?(
    gemm node: Node, _ a: ValueInfo, _ b: ValueInfo, alpha: Double, beta: Double
  ) throws(ModelError) {
    guard node.isOfNetwork, a.type == .float32, let constant = b.constant,
      a.shape.rowAxis == 0 || !a.shape.isBatched, a.constant == nil,
      try node.int("transA", default: 0) == 0, alpha == 1
    else { return nil }
    let transB = try node.int("transB", default: 0) != 0
    let (first, second) = (b.shape.dims[0], b.shape.dims[1])
    (depth, columns) = transB ? (second, first) : (first, second)
    guard a.shape.dims[1] == depth, depth > 0, columns > 0 else {
      throw node.error(.malformed, "inputs of shapes \(a.shape) and \(b.shape) do not fit")
    }
    var bias: [Float]?
    if let c = node.optionalInput(2), beta != 0 {
      guard let values = c.constant?.doubles, c.shape.dims.dropLast().allSatisfy({ $0 == 1 }),
        values.count == columns || values.count == 1
      else { return nil }
      bias = (0..<columns).map { Float(beta * values[values.count == 1 ? 0 : $0]) }
    }
    self.bias = bias
    weights = constant
    weightStrides = transB ? (1, depth) : (columns, 1)
    outputs = [
      try node.output(.float32, Shape([a.shape.dims[0], columns], rowAxis: a.shape.rowAxis))
    ]
    (packed, biases, form, stages) = (nil, nil, nil, [])
    usesOneDNN = NetworkKernels.usesOneDNN
  }

  private init(
    _ other: Self, weights: Tensor?, strides: (depth: Int, column: Int), bias: [Float]?,
    stages: [LayerStage], form: Primitive?, packed: TensorBuffer?, biases: TensorBuffer?
  ) {
    (outputs, depth, columns) = (other.outputs, other.depth, other.columns)
    (self.weights, weightStrides, self.bias, self.stages) = (weights, strides, bias, stages)
    (self.form, self.packed, self.biases) = (form, packed, biases)
    usesOneDNN = other.usesOneDNN
  }

  // MARK: At load

  func extended(
    factors: [Float]?, shifts: [Float]?, stages added: [LayerStage]
  ) -> (any NetworkLayer)? {
    if factors != nil || shifts != nil, !stages.isEmpty { return nil }
    var (changed, strides, biases) = (weights, weightStrides, bias)
    if let factors {
      guard let weights else { return nil }
      let from = weights.view.floats
      var list = [Float](repeating: 0, count: depth * columns)
      for k in 0..<depth {
        for column in 0..<columns {
          list[k * columns + column] =
            from[k * weightStrides.depth + column * weightStrides.column] * factors[column]
        }
      }
      changed = Tensor(list, dims: [depth, columns])
      strides = (columns, 1)
      biases = biases.map { zip($0, factors).map { $0 * $1 } }
    }
    if let shifts { biases = biases.map { zip($0, shifts).map { $0 + $1 } } ?? shifts }
    let made = Self(
      self, weights: changed, strides: strides, bias: biases, stages: stages + added, form: nil,
      packed: nil, biases: nil)
    return made.primitive(outer: 1, rows: 64, like: nil) != nil ? made : nil
  }

  /// The layer with its constant matrix packed.
  func packing(_ store: WeightStore) -> FloatProduct {
    let biases = TensorBuffer(.float32, capacity: (columns + 15) / 16 * 16)
    let target = biases.base.assumingMemoryBound(to: Float.self)
    for (index, value) in (bias ?? []).enumerated() { target[index] = value }
    guard let weights else {
      return Self(
        self, weights: nil, strides: weightStrides, bias: bias, stages: stages, form: nil,
        packed: nil, biases: biases)
    }
    if usesOneDNN, !prefersPanels, let form = primitive(outer: 1, rows: 64, like: nil),
      let packed = store.packed(
        weights, isTransposed: weightStrides.depth == 1, form: form,
        {
          form.packed(
            weights.view.floats, dims: [depth, columns],
            strides: [weightStrides.depth, weightStrides.column])
        })
    {
      return Self(
        self, weights: nil, strides: weightStrides, bias: bias, stages: stages, form: form,
        packed: packed, biases: biases)
    }
    let panels = store.packed(weights, isTransposed: weightStrides.depth == 1, form: nil) {
      let made = TensorBuffer(.float32, capacity: ck_layer_panel_size(depth, columns))
      pack(weights.view.floats, into: made.base.assumingMemoryBound(to: Float.self))
      return made
    }
    return Self(
      self, weights: nil, strides: weightStrides, bias: bias, stages: stages, form: nil,
      packed: panels, biases: biases)
  }

  private func pack(
    _ from: UnsafeMutablePointer<Float>, into target: UnsafeMutablePointer<Float>
  ) {
    let width = Int(CK_LAYER_PANEL)
    for first in stride(from: 0, to: columns, by: width) {
      let panel = target + first * depth
      let count = min(width, columns - first)
      for k in 0..<depth {
        let row = from + k * weightStrides.depth + first * weightStrides.column
        for j in 0..<count { panel[k * width + j] = row[j * weightStrides.column] }
        for j in count..<width { panel[k * width + j] = 0 }
      }
    }
  }

  private var isShared: Bool { weights != nil || packed != nil }

  private func primitive(outer: Int, rows: Int, like: Primitive?) -> Primitive? {
    guard usesOneDNN else { return nil }
    var spec = dn_product_spec()
    (spec.rows, spec.depth, spec.columns) = (Int64(rows), Int64(depth), Int64(columns))
    spec.batch = isShared ? 0 : Int64(outer)
    spec.packs_weights = isShared ? 1 : 0
    fill(&spec.source_strides, [rows * depth, depth, 1])
    fill(&spec.weight_strides, [depth * columns, columns, 1])
    fill(&spec.target_strides, [rows * columns, columns, 1])
    spec.has_bias = bias != nil ? 1 : 0
    guard stages.write(&spec.post_op_count, &spec.post_ops) else { return nil }
    return Primitive(dn_product(&spec, like?.handle))
  }

  // MARK: Running

  private func sizes(_ call: Call) -> (outer: Int, rows: Int) {
    let all = call.output(0).count / columns
    if isShared { return (1, all) }
    let rows = call.input(0).dims[call.input(0).dims.count - 2]
    return (rows > 0 ? all / rows : 0, rows)
  }

  /// Whether the engine's own kernel, which reads packed weights, is faster than oneDNN's product,
  /// which packs plain ones at each run where the CPU has no AVX-512.
  private var prefersPanels: Bool {
    guard Int(dn_channel_block()) == Int(CK_POINTWISE_BLOCK), outputs[0].shape.rank > 2 else {
      return false
    }
    let ending = stages.first == .sum ? stages.dropFirst() : stages[...]
    guard ending.count <= 1 else { return false }
    if case .function(let activation)? = ending.first { return activation.postOps.count == 1 }
    return ending.isEmpty
  }

  func prepared(for call: Call) -> any Operator {
    if packed != nil, form == nil, case .function(let activation)? = stages.last,
      activation != .relu(slope: 0)
    {
      let (count, to) = (Int64(call.output(0).count), call.output(0).floats)
      var op = activation.postOps[0]
      return ProductWithFunction(
        product: self,
        function: BoundPrimitive(
          Primitive(dn_function(count, &op)), outputs: outputs, source: to, target: to))
    }
    let (outer, rows) = sizes(call)
    guard !isShared || form != nil,
      let primitive = primitive(outer: outer, rows: rows, like: form)
    else { return self }
    let right = stages.contains(.sum) ? 2 : 1
    return BoundPrimitive(
      primitive, outputs: outputs, source: call.input(0).floats,
      weights: packed?.base.assumingMemoryBound(to: Float.self) ?? call.input(right).floats,
      bias: biases?.base.assumingMemoryBound(to: Float.self), target: call.output(0).floats,
      keeping: [packed, biases].compactMap { $0 })
  }

  func scratchByteCount(rows: Int) -> Int {
    packed == nil ? (ck_layer_panel_size(depth, columns) + (columns + 15) / 16 * 16) * 4 : 0
  }

  func run(_ call: Call) {
    let (outer, rows) = sizes(call)
    if let packed, let biases {
      runRows(
        call, rows, packed.base.assumingMemoryBound(to: Float.self),
        biases.base.assumingMemoryBound(to: Float.self))
      return
    }
    // Without oneDNN, which alone has stages.
    let scratch = call.scratch.assumingMemoryBound(to: Float.self)
    let zeros = scratch + ck_layer_panel_size(depth, columns)
    zeros.update(repeating: 0, count: (columns + 15) / 16 * 16)
    for index in 0..<outer {
      pack((weights?.view.floats ?? call.input(1).floats) + index * depth * columns, into: scratch)
      ck_layer_f32(
        call.input(0).floats + index * rows * depth, rows, depth, scratch, columns, zeros, 0,
        call.output(0).floats + index * rows * columns)
    }
    if let bias {
      for index in 0..<call.output(0).count {
        call.output(0).floats[index] += bias[index % columns]
      }
    }
  }

  /// Rows that a thread takes at least.
  private static let leastRows = 12

  private func runRows(
    _ call: Call, _ rows: Int, _ panels: UnsafePointer<Float>, _ bias: UnsafePointer<Float>
  ) {
    let flags =
      (stages.first == .sum ? CK_LAYER_ADDS : 0)
      | (stages.last == .function(.relu(slope: 0)) ? CK_LAYER_RELU : 0)
    let (from, to) = (call.input(0).floats, call.output(0).floats)
    let parts = max(min(call.threads * 2, rows / Self.leastRows), 1)
    parallel(parts, threads: call.threads) { part in
      let (first, last) = (rows * part / parts, rows * (part + 1) / parts)
      ck_layer_f32(
        from + first * depth, last - first, depth, panels, columns, bias, Int32(flags),
        to + first * columns)
    }
  }
}

/// A product by the engine's own kernel, then a function of each element.
private struct ProductWithFunction: Operator {
  let product: FloatProduct
  let function: BoundPrimitive

  var outputs: [ValueInfo] { product.outputs }

  func run(_ call: Call) {
    product.run(call)
    function.run(call)
  }
}
