/// Inputs that are maps, made tensors: a feature for each key that the graph can read.
///
/// A row brings the values of its own map. What reads a map tells the keys: the vocabulary of a
/// DictVectorizer, or the numbers below `max_map` of a sparse CastMap.
extension OnnxGraph {
  /// - Returns: The keys of each input that was a map, by the input's name.
  /// - Throws: `.unsupported` where the keys cannot be known before a row is there.
  mutating func replaceMapInputs(_ limits: ModelLimits) throws(ModelError) -> [String: [String]] {
    var result: [String: [String]] = [:]
    var readers: [String: [OnnxNode]] = [:]
    for input in inputs {
      if case .map? = input.type { readers[input.name] = [] }
    }
    guard !readers.isEmpty else { return [:] }
    for node in nodes {
      for name in Set(node.inputs) { readers[name]?.append(node) }
    }
    for index in inputs.indices {
      guard case .map(_, let value)? = inputs[index].type else { continue }
      let name = inputs[index].name
      guard result[name] == nil else {
        throw ModelError(.malformed, "input \"\(name)\" is defined twice")
      }
      guard case .tensor(let elementType, _) = value else {
        throw ModelError(.unsupported, "input \"\(name)\" is a map of what is no tensor")
      }
      let keys = try Self.keys(of: name, readers[name] ?? [], limits)
      inputs[index].type = .tensor(elementType: elementType, dims: [nil, Int64(keys.count)])
      result[name] = keys
    }
    return result
  }

  private static func keys(
    of name: String, _ readers: [OnnxNode], _ limits: ModelLimits
  ) throws(ModelError) -> [String] {
    var found: [String]?
    for node in readers {
      let keys: [String]
      switch (node.type, node.attributes["string_vocabulary"], node.attributes["int64_vocabulary"])
      {
      case ("DictVectorizer", .strings(let words)?, _) where !words.isEmpty: keys = words
      case ("DictVectorizer", _, .ints(let numbers)?) where !numbers.isEmpty:
        keys = numbers.map(String.init)
      case ("CastMap", _, _): keys = try sparseKeys(node, limits)
      default:
        throw ModelError(
          .unsupported,
          "operator \"\(node.type)\" does not tell the keys of the map \"\(name)\" (node \"\(node.displayName)\")"
        )
      }
      guard found == nil || found == keys else {
        throw ModelError(.unsupported, "map \"\(name)\" is read by two vocabularies")
      }
      found = keys
    }
    guard let found, Set(found).count == found.count else {
      throw ModelError(
        .malformed, "the keys of map \"\(name)\" are not distinct, or nothing reads it")
    }
    return found
  }

  private static func sparseKeys(
    _ node: OnnxNode, _ limits: ModelLimits
  ) throws(ModelError) -> [String] {
    guard case .string("SPARSE")? = node.attributes["map_form"] else {
      throw ModelError(
        .unsupported,
        "operator \"CastMap\" of a dense map has no fixed number of values (node \"\(node.displayName)\")",
        hint: "Export the model with map_form SPARSE and max_map.")
    }
    var count = 1
    if case .int(let most)? = node.attributes["max_map"] { count = Int(most) }
    guard (1...limits.features).contains(count) else {
      throw ModelError(.malformed, "max_map is \(count) (node \"\(node.displayName)\")")
    }
    return (0..<count).map(String.init)
  }
}
