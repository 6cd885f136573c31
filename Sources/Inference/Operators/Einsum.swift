/// Einsum: sums of products over named axes, kept in double in the order of the summed axes.
struct Einsum: Operator {
  let outputs: [ValueInfo]
  /// For each input the label of each axis.
  private let labels: [[Int]]
  private let outputLabels: [Int]
  private let summed: [Int]

  init(_ node: Node) throws(ModelError) {
    guard let equation = try node.string("equation") else {
      throw node.error(.malformed, "no equation")
    }
    let parsed = try Equation(equation, node)
    var sizes: [Int: (size: Int, isRows: Bool)] = [:]
    for (index, labels) in parsed.inputs.enumerated() {
      let info = try node.input(index)
      guard info.type.isNumeric, info.type == (try node.input(0)).type else {
        throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
      }
      for (axis, label) in labels.enumerated() {
        let (size, isRows) = (info.shape.dims[axis], info.shape.rowAxis == axis)
        guard let known = sizes[label] else {
          sizes[label] = (size, isRows)
          continue
        }
        // An axis of one meets any other; rows meet themselves alone.
        guard
          known.isRows == isRows
            ? known.size == size || known.size == 1 || size == 1
            : (known.isRows ? size : known.size) == 1
        else { throw node.error(.malformed, "axes of one name are of different sizes") }
        if known.size == 1 && !known.isRows { sizes[label] = (size, isRows) }
      }
    }
    labels = parsed.inputs
    outputLabels = parsed.output
    summed = sizes.keys.filter { !parsed.output.contains($0) }.sorted()
    var dims: [Int] = []
    var rowAxis: Int?
    for label in parsed.output {
      guard let entry = sizes[label] else {
        throw node.error(.malformed, "an axis of the output is in no input")
      }
      if entry.isRows { rowAxis = dims.count }
      dims.append(entry.size)
    }
    guard summed.allSatisfy({ sizes[$0]?.isRows != true }) else {
      throw node.mixing("rows are added to each other")
    }
    let shape = Shape(dims, rowAxis: rowAxis)
    outputs = [try node.output(try node.input(0).type, shape)]
    try node.spend(
      shape.elementCount, summed.reduce(1) { $0 &* (sizes[$1]?.size ?? 1) }, labels.count)
  }

  func run(_ call: Call) {
    let out = call.output(0)
    var sizes: [Int: Int] = [:]
    // For each input the step of each label: none where its own axis is one.
    var steps: [[Int: Int]] = []
    for (input, names) in zip(call.inputs, labels) {
      guard let input else { return }
      var own: [Int: Int] = [:]
      for (axis, step) in StridedWalk.strides(input.dims).enumerated() {
        let size = input.dims[axis]
        sizes[names[axis]] = max(sizes[names[axis]] ?? size, size)
        if size == 0 { sizes[names[axis]] = 0 }
        if size != 1 { own[names[axis], default: 0] += step }
      }
      steps.append(own)
    }
    let inputs = call.inputs.compactMap { $0 }
    let sums = summed.map { sizes[$0] ?? 1 }
    let outerSteps = steps.map { own in outputLabels.map { own[$0] ?? 0 } }
    let innerSteps = steps.map { own in summed.map { own[$0] ?? 0 } }
    var offsets: [[Int]] = []
    for input in inputs.indices {
      var list: [Int] = []
      StridedWalk.forEach(sums, innerSteps[input]) { list.append($1) }
      offsets.append(list)
    }
    let count = offsets[0].count
    var bases = Array(repeating: Array(repeating: 0, count: out.count), count: inputs.count)
    for input in inputs.indices {
      StridedWalk.forEach(out.dims, outerSteps[input]) { bases[input][$0] = $1 }
    }
    for element in 0..<out.count {
      var sum = 0.0
      for term in 0..<count {
        var product = 1.0
        for input in inputs.indices {
          product *= inputs[input].double(bases[input][element] + offsets[input][term])
        }
        sum += product
      }
      out.set(element, sum)
    }
  }

  /// The labels of an equation, those of an ellipsis as negative numbers counted from its end.
  private struct Equation {
    var inputs: [[Int]] = []
    var output: [Int] = []

    init(_ text: String, _ node: Node) throws(ModelError) {
      let compact = text.filter { $0 != " " }
      let sides = compact.split(separator: "-", omittingEmptySubsequences: false)
      guard sides.count == 1 || sides.count == 2 && sides[1].hasPrefix(">") else {
        throw node.error(.malformed, "equation \"\(text)\" is not one")
      }
      let terms = sides[0].split(separator: ",", omittingEmptySubsequences: false)
      guard terms.count == node.inputs.count else {
        throw node.error(.malformed, "\(terms.count) terms for \(node.inputs.count) inputs")
      }
      var widest = 0
      for (index, term) in terms.enumerated() {
        let rank = try node.input(index).shape.rank
        let named = term.filter { $0 != "." }.count
        let open = term.contains(".") ? rank - named : 0
        guard open >= 0, named + open == rank else {
          throw node.error(.malformed, "term \"\(term)\" does not fit rank \(rank)")
        }
        widest = max(widest, open)
        inputs.append(try Self.labels(term, open, node))
      }
      if sides.count == 2 {
        output = try Self.labels(sides[1].dropFirst(), widest, node)
      } else {
        // Without an output: what is there once, in the order of the alphabet.
        let all = inputs.flatMap { $0 }.filter { $0 >= 0 }
        let once = Set(all).filter { label in all.count { $0 == label } == 1 }
        output = (0..<widest).map { $0 - widest } + once.sorted()
      }
      guard Set(output).count == output.count else {
        throw node.error(.malformed, "the output has an axis twice")
      }
    }

    private static func labels(
      _ term: Substring, _ open: Int, _ node: Node
    ) throws(ModelError) -> [Int] {
      var result: [Int] = []
      var rest = term
      while let first = rest.first {
        if rest.hasPrefix("...") {
          result += (0..<open).map { $0 - open }
          rest = rest.dropFirst(3)
        } else if first.isLetter, let code = first.asciiValue {
          result.append(Int(code))
          rest = rest.dropFirst()
        } else {
          throw node.error(.malformed, "\"\(first)\" in an equation")
        }
      }
      return result
    }
  }
}

/// Det: the determinants of matrices, by elimination in double with the greatest pivots.
struct Determinant: Operator {
  let outputs: [ValueInfo]

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64)
    let rank = info.shape.rank
    guard rank >= 2, info.shape.dims[rank - 1] == info.shape.dims[rank - 2],
      info.shape.rowAxis.map({ $0 < rank - 2 }) ?? true
    else { throw node.error(.malformed, "input of shape \(info.shape) has no square matrices") }
    let shape = Shape(Array(info.shape.dims.dropLast(2)), rowAxis: info.shape.rowAxis)
    outputs = [try node.output(info.type, shape)]
    let size = info.shape.dims[rank - 1]
    try node.spend(shape.elementCount, size, size, size)
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let size = input.dims[input.dims.count - 1]
    var matrix = Array(repeating: 0.0, count: size * size)
    for element in 0..<out.count {
      for i in matrix.indices { matrix[i] = input.double(element * size * size + i) }
      var result = 1.0
      for step in 0..<size {
        let pivot = (step..<size).max {
          abs(matrix[$0 * size + step]) < abs(matrix[$1 * size + step])
        }
        guard let pivot, matrix[pivot * size + step] != 0 else {
          result = 0
          break
        }
        if pivot != step {
          for i in 0..<size { matrix.swapAt(pivot * size + i, step * size + i) }
          result = -result
        }
        result *= matrix[step * size + step]
        for row in (step + 1)..<max(size, step + 1) {
          let factor = matrix[row * size + step] / matrix[step * size + step]
          for i in step..<size { matrix[row * size + i] -= factor * matrix[step * size + i] }
        }
      }
      out.set(element, result)
    }
  }
}
