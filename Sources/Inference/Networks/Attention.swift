internal import CKernels
internal import Foundation

/// Attention: softmax of queries times keys, times values, head by head.
///
/// Numbers of 16 bits are rounded where the standard's steps round them.
struct Attention: Operator {
  let outputs: [ValueInfo]
  private let heads: (queries: Int, keys: Int)
  private let sizes: (head: Int, value: Int)
  private let lengths: (queries: Int, keys: Int, past: Int)
  private let isFlat: Bool
  private let isCausal: Bool
  private let scale: Double
  private let softcap: Double
  private let mode: Int
  private let window: (left: Int, right: Int)
  private let mask: ValueInfo?

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(3...7)
    let q = try node.input(0, .float32, .float64, .float16, .bfloat16)
    let (k, v) = (try node.input(1), try node.input(2))
    let rank = q.shape.rank
    guard rank == 3 || rank == 4, k.shape.rank == rank, v.shape.rank == rank, k.type == q.type,
      v.type == q.type, q.shape.rowAxis == nil || q.shape.rowAxis == 0,
      k.shape.rowAxis == q.shape.rowAxis, v.shape.rowAxis == q.shape.rowAxis,
      k.shape.dims[0] == q.shape.dims[0], v.shape.dims[0] == q.shape.dims[0]
    else {
      throw node.error(
        .unsupported, "inputs of shapes \(q.shape), \(k.shape) and \(v.shape) row by row")
    }
    isFlat = rank == 3
    let (a, b, c) = (q.shape.dims, k.shape.dims, v.shape.dims)
    if isFlat {
      guard let queries = try node.int("q_num_heads"), let keys = try node.int("kv_num_heads"),
        queries > 0, keys > 0, a[2] % queries == 0, b[2] % keys == 0, c[2] % keys == 0
      else { throw node.error(.malformed, "numbers of heads that the inputs have not") }
      heads = (queries, keys)
      sizes = (a[2] / queries, c[2] / keys)
      guard b[2] / keys == sizes.head else { throw node.error(.malformed, "heads of two sizes") }
    } else {
      heads = (a[1], b[1])
      sizes = (a[3], c[3])
      guard b[3] == sizes.head, c[1] == heads.keys, heads.keys > 0 else {
        throw node.error(.malformed, "heads of two sizes")
      }
    }
    guard heads.queries % heads.keys == 0, b[rank - 2] == c[rank - 2] else {
      throw node.error(.malformed, "\(heads.queries) heads of queries for \(heads.keys) of keys")
    }
    let past = node.optionalInput(4)
    let pastLength = past.map { $0.shape.rank == 4 ? $0.shape.dims[2] : -1 } ?? 0
    guard pastLength >= 0, (past == nil) == (node.optionalInput(5) == nil),
      past == nil || past?.type == q.type && node.optionalInput(5)?.type == q.type
    else { throw node.error(.malformed, "past keys without past values, or of another shape") }
    lengths = (a[rank - 2], pastLength + b[rank - 2], pastLength)
    isCausal = try node.int("is_causal", default: 0) != 0
    scale = Double(
      try node.float("scale", default: Float(1 / Double(max(sizes.head, 1)).squareRoot())))
    softcap = Double(try node.float("softcap", default: 0))
    mode = try node.int("qk_matmul_output_mode", default: 0)
    window = (
      try node.int("left_window_size", default: -1), try node.int("right_window_size", default: -1)
    )
    mask = node.optionalInput(3)
    if let mask {
      let full = Shape(
        [a[0], heads.queries, lengths.queries, lengths.keys], rowAxis: q.shape.rowAxis)
      var own = mask.shape.dims
      if let last = own.last, last < lengths.keys { own[own.count - 1] = lengths.keys }
      guard mask.type == .bool || mask.type == q.type,
        full.broadcast(with: Shape(own, rowAxis: mask.shape.rowAxis)) == full
      else { throw node.error(.malformed, "a mask of shape \(mask.shape) does not fit") }
    }
    let batch = a[0]
    let rowAxis = q.shape.rowAxis
    let result =
      isFlat
      ? [batch, lengths.queries, heads.queries * sizes.value]
      : [batch, heads.queries, lengths.queries, sizes.value]
    let all = [
      result, [batch, heads.keys, lengths.keys, sizes.head],
      [batch, heads.keys, lengths.keys, sizes.value],
      [batch, heads.queries, lengths.queries, lengths.keys],
    ]
    var outputs: [ValueInfo] = []
    for dims in all { outputs.append(try node.output(q.type, Shape(dims, rowAxis: rowAxis))) }
    self.outputs = outputs
    try node.spend(
      outputs[3].shape.elementCount, sizes.head + sizes.value)
  }

  func run(_ call: Call) {
    let batch = call.input(0).dims[0]
    copyKeys(call, batch)
    let known = call.inputs.count > 6 ? call.inputs[6] : nil
    var scores = [Double](repeating: 0, count: lengths.keys)
    var bias = scores
    let (out, products) = (call.output(0), call.output(3))
    let (keys, values) = (call.output(1), call.output(2))
    let round = Self.rounding(out.type)
    let factor = round(scale.squareRoot())
    for image in 0..<batch {
      let filled = known.map { $0.integer(image) } ?? lengths.keys
      let offset =
        call.inputs.count > 4 && call.inputs[4] != nil
        ? lengths.past : known.map { _ in filled - lengths.queries } ?? 0
      for head in 0..<heads.queries {
        let other = head / (heads.queries / heads.keys)
        let keyBase = (image * heads.keys + other) * lengths.keys
        for row in 0..<lengths.queries {
          let from = place(image, head, row, heads.queries, lengths.queries, sizes.head)
          let productBase = ((image * heads.queries + head) * lengths.queries + row) * lengths.keys
          var greatestBias = -Double.infinity
          for key in 0..<lengths.keys {
            var sum = 0.0
            for i in 0..<sizes.head {
              sum +=
                round(call.input(0).double(from + i) * factor)
                * round(keys.double((keyBase + key) * sizes.head + i) * factor)
            }
            sum = round(sum)
            if mode == 0 { products.set(productBase + key, sum) }
            if softcap > 0 { sum = round(softcap * round(tanh(round(sum / softcap)))) }
            if mode == 1 { products.set(productBase + key, sum) }
            bias[key] = self.bias(call, image, head, row, key, offset, filled)
            greatestBias = max(greatestBias, bias[key])
            scores[key] = round(sum + bias[key])
            if mode == 2 { products.set(productBase + key, scores[key]) }
          }
          soften(&scores, isMasked: greatestBias == -.infinity, round)
          let to = place(image, head, row, heads.queries, lengths.queries, sizes.value)
          for i in 0..<sizes.value {
            var sum = 0.0
            for key in 0..<lengths.keys where scores[key] != 0 {
              sum += scores[key] * values.double((keyBase + key) * sizes.value + i)
            }
            out.set(to + i, sum)
          }
          if mode == 3 {
            for key in 0..<lengths.keys { products.set(productBase + key, scores[key]) }
          }
        }
      }
    }
  }

  private static func rounding(_ type: TensorType) -> (Double) -> Double {
    switch type {
    case .float16: { Half(converting: $0).double }
    case .bfloat16: { BFloat16(converting: $0).double }
    default: { $0 }
    }
  }

  /// Past keys and values with the present ones after them.
  private func copyKeys(_ call: Call, _ batch: Int) {
    for (present, past, target, size) in [
      (1, 4, call.output(1), sizes.head), (2, 5, call.output(2), sizes.value),
    ] {
      let source = call.input(present)
      let own = lengths.keys - lengths.past
      let copy = ElementCopy(source, target)
      for image in 0..<batch {
        for head in 0..<heads.keys {
          let to = (image * heads.keys + head) * lengths.keys * size
          if lengths.past > 0, call.inputs.count > past, let old = call.inputs[past] {
            ElementCopy(old, target)(
              from: (image * heads.keys + head) * lengths.past * size, to: to,
              count: lengths.past * size)
          }
          for row in 0..<own {
            copy(
              from: place(image, head, row, heads.keys, own, size),
              to: to + (lengths.past + row) * size, count: size)
          }
        }
      }
    }
  }

  /// Where a head's vector of a row begins.
  private func place(
    _ image: Int, _ head: Int, _ row: Int, _ heads: Int, _ rows: Int, _ size: Int
  ) -> Int {
    isFlat
      ? ((image * rows + row) * heads + head) * size : ((image * heads + head) * rows + row) * size
  }

  /// What is added to the score of a key: 0 or less where it may not be looked at.
  private func bias(
    _ call: Call, _ image: Int, _ head: Int, _ row: Int, _ key: Int, _ offset: Int, _ filled: Int
  ) -> Double {
    var bias = 0.0
    if let mask, call.inputs.count > 3, let view = call.inputs[3] {
      let dims = view.dims
      let places = [image, head, row, key].suffix(dims.count)
      if key >= dims[dims.count - 1], dims[dims.count - 1] != 1 || lengths.keys == 1 {
        return -.infinity
      }
      var at = 0
      for (size, place) in zip(dims, places) { at = at * size + (size == 1 ? 0 : place) }
      bias = mask.type == .bool ? (view.bools[at] ? 0 : -.infinity) : view.double(at)
    }
    let distance = row + offset - key
    if isCausal, distance < 0 { bias = -.infinity }
    if window.left >= 0, distance > window.left { bias = -.infinity }
    if window.right >= 0, -distance > window.right { bias = -.infinity }
    return key < filled ? bias : -.infinity
  }

  /// A row without a key to look at is zero.
  private func soften(_ scores: inout [Double], isMasked: Bool, _ round: (Double) -> Double) {
    let greatest = scores.max() ?? 0
    guard !isMasked, greatest != -.infinity else {
      for index in scores.indices { scores[index] = 0 }
      return
    }
    var sum = 0.0
    for index in scores.indices {
      scores[index] = round(ck_exp(round(scores[index] - greatest)))
      // As NumPy adds up: halves in floats, bfloat16 as they are.
      sum = outputs[0].type == .bfloat16 ? round(sum + scores[index]) : sum + scores[index]
    }
    sum = round(sum)
    for index in scores.indices { scores[index] = round(scores[index] / sum) }
  }
}

/// RotaryEmbedding: pairs of a head's elements turned by an angle of their position.
struct RotaryEmbedding: Operator {
  let outputs: [ValueInfo]
  private let heads: Int
  private let size: Int
  private let rotated: Int
  private let length: Int
  private let isFlat: Bool
  private let isInterleaved: Bool

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(3...4)
    let info = try node.input(0, .float32, .float64)
    let dims = info.shape.dims
    guard dims.count == 3 || dims.count == 4, info.shape.rowAxis == nil || info.shape.rowAxis == 0
    else { throw node.error(.unsupported, "input of shape \(info.shape) is not supported") }
    isFlat = dims.count == 3
    let given = try node.int("num_heads", default: 0)
    if isFlat {
      guard given > 0, dims[2] % given == 0 else {
        throw node.error(.malformed, "\(given) heads for \(dims[2]) elements")
      }
    }
    heads = isFlat ? given : dims[1]
    size = isFlat ? dims[2] / given : dims[3]
    length = isFlat ? dims[1] : dims[2]
    let asked = try node.int("rotary_embedding_dim", default: 0)
    rotated = asked == 0 ? size : asked
    isInterleaved = try node.int("interleaved", default: 0) != 0
    guard rotated > 0, rotated <= size, rotated % 2 == 0 else {
      throw node.error(.malformed, "\(rotated) of \(size) elements are turned")
    }
    for index in 1...2 {
      let cache = try node.input(index)
      guard cache.type == info.type, cache.shape.dims.last == rotated / 2,
        cache.shape.rank == (node.optionalInput(3) == nil ? 3 : 2)
      else { throw node.error(.malformed, "angles of shape \(cache.shape)") }
    }
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let (cosines, sines) = (call.input(1), call.input(2))
    let positions = call.inputs.count > 3 ? call.inputs[3] : nil
    let half = rotated / 2
    let count = max(cosines.count / max(half, 1), 1)
    for image in 0..<input.dims[0] {
      for row in 0..<length {
        let position = positions.map { $0.integer(image * length + row) } ?? image * length + row
        guard (0..<count).contains(position) else {
          call.failures.add(
            row: min(image, call.rowCount - 1), .wrongType, "a position is beyond the angles")
          continue
        }
        for head in 0..<heads {
          let base =
            isFlat
            ? ((image * length + row) * heads + head) * size
            : ((image * heads + head) * length + row) * size
          for i in 0..<half {
            let (a, b) = isInterleaved ? (2 * i, 2 * i + 1) : (i, half + i)
            let (x, y) = (input.double(base + a), input.double(base + b))
            let cosine = cosines.double(position * half + i)
            let sine = sines.double(position * half + i)
            out.set(base + a, cosine * x - sine * y)
            out.set(base + b, sine * x + cosine * y)
          }
          for i in rotated..<size { out.set(base + i, input.double(base + i)) }
        }
      }
    }
  }
}
