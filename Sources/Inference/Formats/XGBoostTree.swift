/// One tree's parallel arrays.
struct XGBoostTree {
  private let number: Int
  private var left: [Int] = []
  private var right: [Int] = []
  private var features: [Int] = []
  /// Thresholds of splits, values of leaves.
  private var conditions: [Float] = []
  private var defaultLeft: [Int] = []
  private var types: [Int] = []

  init(_ reader: inout JSONReader, number: Int) throws(ModelError) {
    self.number = number
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "left_children": left = try reader.integers()
      case "right_children": right = try reader.integers()
      case "split_indices": features = try reader.integers()
      case "split_conditions": conditions = try reader.floats()
      case "default_left": defaultLeft = try reader.integers()
      case "split_type": types = try reader.integers()
      case "tree_param":
        try reader.object { reader, key throws(ModelError) in
          guard key == "size_leaf_vector" else { return try reader.skip() }
          guard try XGBoostDocument.integer(try reader.string(), key) <= 1 else {
            throw ModelError(
              .unsupported, "tree \(number) has vector leaves, which are not supported",
              hint: "Train with multi_strategy one_output_per_tree.")
          }
        }
      default: try reader.skip()
      }
    }
    let count = left.count
    for (name, found) in [
      ("right_children", right.count), ("split_indices", features.count),
      ("split_conditions", conditions.count), ("default_left", defaultLeft.count),
    ] where found != count {
      throw ModelError(
        .malformed, "tree \(number): \(found) entries of \"\(name)\" for \(count) nodes")
    }
    guard types.isEmpty || types.count == count else {
      throw ModelError(
        .malformed, "tree \(number): \(types.count) entries of \"split_type\" for \(count) nodes")
    }
  }

  /// - Parameter weight: multiplies the leaves as floats, as dart does when it scores.
  func append(
    to forest: inout Forest, output: Int, weight: Float
  ) throws(ModelError) {
    var nodes: [Forest.Node] = []
    nodes.reserveCapacity(left.count)
    var values: [Double] = []
    for node in left.indices {
      func malformed(_ what: String) -> ModelError {
        ModelError(.malformed, "tree \(number), node \(node): \(what)")
      }
      if left[node] == -1 {
        let value = conditions[node] * weight
        // Nodes that were pruned away keep whatever they had.
        nodes.append(.leaf(value: values.count))
        values.append(Double(value))
        continue
      }
      guard types.isEmpty || types[node] == 0 else {
        throw ModelError(
          .unsupported,
          "tree \(number), node \(node): categorical splits are not supported",
          hint: "Train on numbers, as from a one-hot or ordinal encoder.")
      }
      let threshold = conditions[node]
      guard !threshold.isNaN else { throw malformed("the threshold is not a number") }
      // `x < t` is `x <= t'` for the float t' before t.
      nodes.append(
        .split(
          Forest.Split(
            feature: features[node], test: .atMost(Double(threshold.nextDown)), missing: .nan,
            missingLeft: defaultLeft[node] != 0),
          left: left[node], right: right[node]))
    }
    try forest.append(nodes, values: values, output: .one(output))
  }
}
