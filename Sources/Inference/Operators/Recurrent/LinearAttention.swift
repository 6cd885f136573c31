internal import CKernels

/// LinearAttention: queries read a matrix that keys and values have written, element by element of a
/// sequence, and that may fade or be corrected before.
struct LinearAttention: Operator {
  let outputs: [ValueInfo]
  private let heads: (queries: Int, keys: Int)
  private let sizes: (key: Int, value: Int)
  private let length: Int
  private let scale: Double
  private let fades: Bool
  private let corrects: Bool

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(3...6)
    let q = try node.input(0, .float32, .float64, .float16, .bfloat16)
    let (k, v) = (try node.input(1), try node.input(2))
    guard let queries = try node.int("q_num_heads"), let keys = try node.int("kv_num_heads"),
      queries > 0, keys > 0, queries % keys == 0
    else { throw node.error(.malformed, "numbers of heads that do not fit") }
    let (batch, rowAxis) = (q.shape.dims.first ?? 0, q.shape.rowAxis)
    guard q.shape.rank == 3, k.shape.rank == 3, v.shape.rank == 3, k.type == q.type,
      v.type == q.type, rowAxis == nil || rowAxis == 0, k.shape.rowAxis == rowAxis,
      v.shape.rowAxis == rowAxis, q.shape.dims[2] % queries == 0, v.shape.dims[2] % keys == 0,
      k.shape.dims == [batch, q.shape.dims[1], q.shape.dims[2] / queries * keys],
      v.shape.dims[..<2] == q.shape.dims[..<2]
    else {
      throw node.error(
        .malformed, "inputs of shapes \(q.shape), \(k.shape) and \(v.shape) do not fit")
    }
    heads = (queries, keys)
    length = q.shape.dims[1]
    let (key, value) = (q.shape.dims[2] / queries, v.shape.dims[2] / keys)
    sizes = (key, value)
    let rule = try node.string("update_rule", default: "gated_delta")
    guard ["linear", "gated", "delta", "gated_delta"].contains(rule) else {
      throw node.error(.unsupported, "update_rule \"\(rule)\" is not supported")
    }
    (fades, corrects) = (rule.hasPrefix("gated"), rule.hasSuffix("delta"))
    let state = Shape([batch, keys, key, value], rowAxis: rowAxis)
    let (past, decay, beta) = (
      node.optionalInput(3), node.optionalInput(4), node.optionalInput(5)
    )
    let lines = Array(q.shape.dims[..<2])
    guard (decay != nil) == fades, (beta != nil) == corrects,
      past == nil || past?.shape == state && past?.type.isFloatingPoint == true,
      decay == nil
        || [Shape(lines + [keys], rowAxis: rowAxis), Shape(lines + [keys * key], rowAxis: rowAxis)]
          .contains(decay?.shape),
      beta == nil
        || [Shape(lines + [keys], rowAxis: rowAxis), Shape(lines + [1], rowAxis: rowAxis)]
          .contains(beta?.shape),
      decay.map(\.type.isFloatingPoint) ?? true, beta.map(\.type.isFloatingPoint) ?? true
    else { throw node.error(.malformed, "a state, decay or beta that does not fit") }
    let given = Double(try node.float("scale", default: 0))
    scale = given == 0 ? 1 / Double(max(key, 1)).squareRoot() : given
    outputs = [
      try node.output(q.type, Shape(lines + [queries * value], rowAxis: rowAxis)),
      try node.output(past?.type ?? q.type, state),
    ]
    try node.spend(batch * queries * length, key, value, 4)
  }

  func run(_ call: Call) {
    let past = call.inputs.count > 3 ? call.inputs[3] : nil
    let group = heads.queries / heads.keys
    var state = Array(repeating: 0.0, count: sizes.key * sizes.value)
    var added = Array(repeating: 0.0, count: sizes.value)
    for image in 0..<call.input(0).dims[0] {
      for head in 0..<heads.keys {
        let base = (image * heads.keys + head) * state.count
        for index in state.indices { state[index] = past?.double(base + index) ?? 0 }
        for time in 0..<length {
          let line = image * length + time
          write(call, line, head, &state, &added)
          for own in 0..<group {
            read(call, line, head * group + own, state)
          }
        }
        for index in state.indices { call.output(1).set(base + index, state[index]) }
      }
    }
  }

  private func write(
    _ call: Call, _ line: Int, _ head: Int, _ state: inout [Double], _ added: inout [Double]
  ) {
    let (k, v) = (call.input(1), call.input(2))
    let key = (line * heads.keys + head) * sizes.key
    let value = (line * heads.keys + head) * sizes.value
    if fades {
      let decay = call.input(4)
      let own = decay.dims[2] / heads.keys
      for d in 0..<sizes.key {
        let factor = ck_exp(
          decay.double((line * heads.keys + head) * own + (own == sizes.key ? d : 0)))
        for m in 0..<sizes.value { state[d * sizes.value + m] *= factor }
      }
    }
    for m in 0..<sizes.value { added[m] = v.double(value + m) }
    if corrects {
      let beta = call.input(5)
      let factor = beta.double(line * beta.dims[2] + (beta.dims[2] == 1 ? 0 : head))
      for m in 0..<sizes.value {
        var known = 0.0
        for d in 0..<sizes.key { known += state[d * sizes.value + m] * k.double(key + d) }
        added[m] = factor * (added[m] - known)
      }
    }
    for d in 0..<sizes.key {
      let factor = k.double(key + d)
      for m in 0..<sizes.value { state[d * sizes.value + m] += factor * added[m] }
    }
  }

  private func read(_ call: Call, _ line: Int, _ head: Int, _ state: [Double]) {
    let query = (line * heads.queries + head) * sizes.key
    let target = (line * heads.queries + head) * sizes.value
    for m in 0..<sizes.value {
      var sum = 0.0
      for d in 0..<sizes.key { sum += call.input(0).double(query + d) * state[d * sizes.value + m] }
      call.output(0).set(target + m, scale * sum)
    }
  }
}
