internal import CKernels

/// What a text's prediction is made of: one output of the network, pooled, and brought to length 1 or to
/// probabilities.
struct TextAnswer: Sendable {
  enum Form: Sendable {
    /// A vector, or a number where its width is 1.
    case vector
    /// The most probable class and a number for each.
    case classes([String], softmax: Bool)
  }

  /// The place of the output among the network's.
  let output: Int
  let width: Int
  let pooling: TextSetup.Pooling?
  let normalizes: Bool
  let form: Form
  let isTensor: Bool

  func collector(rowCount: Int) -> [Float] { Array(repeating: 0, count: rowCount * width) }

  /// Takes the answers for some rows, whose tokens are the first (or last) of `length` places.
  func take(
    _ predictions: Predictions, rows: [Int], tokens: [Int], length: Int, padsLeft: Bool,
    into collected: inout [Float]
  ) throws(ModelError) {
    let column = predictions.columns[output]
    let values: [Float] =
      switch column.values {
      case .float32(let values): values
      case .float64(let values): values.map { Float($0) }
      case .int64(let values): values.map { Float($0) }
      default: []
      }
    let stride = pooling == nil ? width : length * width
    guard values.count == rows.count * stride else {
      throw ModelError(
        .mismatch, "text: the network's output has \(values.count) numbers for \(rows.count) texts")
    }
    for (index, row) in rows.enumerated() {
      let from = index * stride
      let into = row * width
      guard let pooling else {
        for place in 0..<width { collected[into + place] = values[from + place] }
        continue
      }
      let first = padsLeft ? length - tokens[index] : 0
      let last = first + tokens[index]
      switch pooling {
      case .cls:
        for place in 0..<width { collected[into + place] = values[from + first * width + place] }
      case .max:
        for place in 0..<width {
          var greatest = -Float.infinity
          for token in first..<last {
            greatest = max(greatest, values[from + token * width + place])
          }
          collected[into + place] = greatest
        }
      case .mean:
        for token in first..<last {
          let start = from + token * width
          for place in 0..<width { collected[into + place] += values[start + place] }
        }
        for place in 0..<width { collected[into + place] /= Float(tokens[index]) }
      }
    }
  }

  /// The prediction's columns.
  func columns(_ collected: [Float]) -> [Column] {
    var values = collected
    let rowCount = width == 0 ? 0 : values.count / width
    if normalizes {
      for row in 0..<rowCount {
        let own = (row * width)..<((row + 1) * width)
        // As PyTorch's normalize has it: the length is at least 1e-12.
        let length = max(
          values[own].reduce(Double(0)) { $0 + Double($1) * Double($1) }
            .squareRoot(), 1e-12)
        for place in own { values[place] = Float(Double(values[place]) / length) }
      }
    }
    guard case .classes(let classes, let softmax) = form else {
      return [Column(.float32(values), shape: isTensor ? [width] : [])]
    }
    var labels: [String] = []
    for row in 0..<rowCount {
      let own = (row * width)..<((row + 1) * width)
      var best = own.lowerBound
      for place in own where values[place] > values[best] { best = place }
      labels.append(classes[best - own.lowerBound])
      guard softmax else { continue }
      let greatest = values[best]
      let powers = values[own].map { ck_exp(Double($0 - greatest)) }
      let sum = powers.reduce(0, +)
      for (place, power) in zip(own, powers) { values[place] = Float(power / sum) }
    }
    return [Column(.string(labels))]
      + (0..<width).map { place in
        Column(.float32((0..<rowCount).map { values[$0 * width + place] }))
      }
  }
}
