/// What the outputs of a graph mean: the label, and a column for each class or value.
///
/// ONNX says only names and types, so the meaning is read from the nodes that the outputs come
/// from: a ZipMap and a classifier name their classes, and an output beside a label is a
/// probability where its last step makes one, else a decision value.
struct OnnxOutputs {
  private(set) var columns: [Signature.Output] = []
  private(set) var slots: [GraphPredictor.OutputSlot] = []
  private var names: Set<String> = []

  /// - Parameter keepsVectors: Whether an output of several numbers a row that are not those of classes is one
  ///   column, as networks have it, and not one each.
  init(
    _ graph: Graph, _ source: OnnxGraph, labels: [String]?, keepsVectors: Bool = false,
    limits: ModelLimits
  ) throws(ModelError) {
    let trace = OnnxTrace(source)
    let infos = graph.outputs.map { graph.values[$0.value] }
    for (output, info) in zip(graph.outputs, infos) {
      guard let axis = info.shape.rowAxis, info.shape.dims[axis] == 1 else {
        throw ModelError(
          .unsupported, "output \"\(output.name)\" of shape \(info.shape) is not row by row")
      }
      guard info.shape.elementCount <= limits.features else {
        throw ModelError(
          .tooLarge, "output \"\(output.name)\" has more than \(limits.features) columns")
      }
    }
    let label = infos.indices.first { index in
      guard !infos[index].type.isFloatingPoint, infos[index].shape.elementCount == 1 else {
        return false
      }
      let name = graph.outputs[index].name
      return infos.count > 1 || name.lowercased().contains("label")
        || trace.classes(of: name) != nil
    }
    let classes = try Self.classes(graph, trace, label: label, labels: labels)
    if labels != nil, label == nil {
      throw ModelError(.mismatch, "labels were given, but the model has no label output")
    }
    if let label {
      add(
        Signature.Output(
          name: "label", type: labels == nil ? infos[label].type.elementType : .string,
          role: .label),
        .init(
          output: label, element: 0, width: 1, type: infos[label].type,
          names: try labels.map { names throws(ModelError) in
            try Self.names(classes, infos[label].type, names)
          }))
    }
    let scores = infos.indices.filter { $0 != label }
    for index in scores {
      let name = graph.outputs[index].name
      let width = infos[index].shape.elementCount
      let own = trace.classes(of: name) ?? (label == nil ? nil : classes)
      let classNames = own.flatMap { $0.count == width ? labels ?? $0.names : nil }
      if keepsVectors, classNames == nil, infos[index].shape.rowAxis == 0, width > 1 {
        let shape = infos[index].shape.rowTensor
        add(
          Signature.Output(
            name: Self.identifier(name), type: infos[index].type.elementType, role: .value,
            shape: shape),
          .init(
            output: index, element: 0, width: width, type: infos[index].type, names: nil,
            shape: shape))
        continue
      }
      let isReversed = trace.isReversed(name)
      let parts = infos[index].shape.dims[..<(infos[index].shape.rowAxis ?? 0)].reduce(1, *)
      let partWidth = width / max(parts, 1)
      for element in 0..<width {
        add(
          Self.column(
            name, infos[index].type.elementType, element: element, width: width,
            classes: width > 1 ? classNames : nil, hasLabel: label != nil,
            isOnlyScore: scores.count == 1, isProbability: trace.isProbability(name)),
          .init(
            output: index,
            element: isReversed ? width - 1 - element : element % max(partWidth, 1),
            width: partWidth, type: infos[index].type, names: nil,
            part: isReversed ? 0 : element / max(partWidth, 1)))
      }
    }
  }

  private mutating func add(_ column: Signature.Output, _ slot: GraphPredictor.OutputSlot) {
    var column = column
    var number = 2
    let name = column.name
    while !names.insert(column.name).inserted {
      column.name = "\(name)_\(number)"
      number += 1
    }
    columns.append(column)
    slots.append(slot)
  }

  private static func column(
    _ name: String, _ type: ElementType, element: Int, width: Int, classes: [String]?,
    hasLabel: Bool, isOnlyScore: Bool, isProbability: Bool
  ) -> Signature.Output {
    let role: Signature.Role = isProbability ? .probability : .decision
    if let classes {
      return .init(
        name: "\(role.rawValue)_\(identifier(classes[element]))", type: type, role: role,
        className: classes[element])
    }
    if width == 1 && hasLabel { return .init(name: role.rawValue, type: type, role: role) }
    if width == 1 && isOnlyScore { return .init(name: "score", type: type, role: .score) }
    let base = identifier(name)
    return .init(name: width == 1 ? base : "\(base)_\(element)", type: type, role: .value)
  }

  /// The classes of a label output, where they can be known.
  private static func classes(
    _ graph: Graph, _ trace: OnnxTrace, label: Int?, labels: [String]?
  ) throws(ModelError) -> OnnxClasses? {
    guard let label else { return nil }
    var found = trace.classes(of: graph.outputs[label].name)
    for output in graph.outputs where found == nil { found = trace.classes(of: output.name) }
    if found == nil, trace.isSign(graph.outputs[label].name) { found = .ints([-1, 1]) }
    guard let labels else { return found }
    guard let found else {
      throw ModelError(.mismatch, "labels were given, but the model does not name its classes")
    }
    guard found.count == labels.count else {
      throw ModelError(.mismatch, "\(labels.count) labels for \(found.count) classes")
    }
    return found
  }

  private static func names(
    _ classes: OnnxClasses?, _ type: TensorType, _ labels: [String]
  ) throws(ModelError) -> ClassNames {
    switch (classes, type) {
    case (.ints(let keys)?, .int64):
      return .ofInts(Dictionary(zip(keys, labels), uniquingKeysWith: { first, _ in first }))
    case (.strings(let keys)?, .string):
      return .ofStrings(Dictionary(zip(keys, labels), uniquingKeysWith: { first, _ in first }))
    default:
      throw ModelError(.mismatch, "labels were given, but the model does not name its classes")
    }
  }

  /// A name made fit for a column: letters, digits and underscores, at most 40 of them.
  static func identifier(_ name: String) -> String {
    var result = name.hasPrefix("-") ? "minus_" : ""
    for character in name.drop(while: { $0 == "-" }).prefix(40) {
      result.append(character.isLetter || character.isNumber ? character : "_")
    }
    return result.isEmpty ? "empty" : result
  }
}

/// The classes that a model tells apart.
enum OnnxClasses {
  case ints([Int64])
  case strings([String])

  var count: Int {
    switch self {
    case .ints(let list): list.count
    case .strings(let list): list.count
    }
  }

  var names: [String] {
    switch self {
    case .ints(let list): list.map(String.init)
    case .strings(let list): list
    }
  }
}

/// Follows values back to the nodes that made them.
///
/// The graph is known to be acyclic; a walk is bounded by the number of nodes.
struct OnnxTrace {
  private var producers: [String: OnnxNode] = [:]
  private var constants: [String: Tensor] = [:]

  init(_ graph: OnnxGraph) {
    for node in graph.nodes {
      for output in node.outputs { producers[output] = node }
    }
    for (name, tensor) in graph.initializers { constants[name] = tensor }
  }

  private static let passing: Set<String> = [
    "Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze",
  ]

  /// The first node on the way back that computes something.
  private func maker(_ name: String) -> OnnxNode? {
    var node = producers[name]
    while let here = node, Self.passing.contains(here.type), let input = here.inputs.first {
      node = producers[input]
    }
    return node
  }

  /// The classes that the value is about: the labels themselves, or a score for each.
  func classes(of name: String) -> OnnxClasses? {
    guard let node = maker(name) else { return nil }
    switch node.type {
    case "ZipMap", "LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier":
      for key in ["classlabels_int64s", "classlabels_ints"] {
        if case .ints(let list)? = node.attributes[key], !list.isEmpty { return .ints(list) }
      }
      if case .strings(let list)? = node.attributes["classlabels_strings"], !list.isEmpty {
        return .strings(list)
      }
      return nil
    case "Normalizer":
      return node.inputs.first.flatMap(classes)
    case "ArrayFeatureExtractor", "Gather":
      // The class of the greatest score: a list of classes, indexed.
      guard let data = node.inputs.first.flatMap({ constants[$0] }) else { return nil }
      if data.type == .string { return .strings(data.values()) }
      return data.integers.map { .ints($0.map(Int64.init)) }
    default: return nil
    }
  }

  /// True where the value is -1 or 1: an outlier detector's label.
  func isSign(_ name: String) -> Bool {
    switch maker(name)?.type {
    case "Sign", "Where", "Sub", "Add", "Mul": true
    default: false
    }
  }

  /// True where the last step that computes gives probabilities.
  func isProbability(_ name: String) -> Bool {
    var name = name
    while let node = maker(name) {
      switch node.type {
      case "ZipMap", "ArrayFeatureExtractor", "Gather", "Concat", "Mul", "Sum":
        // A weight leaves a probability one, and so does a sum of weighted ones.
        guard let input = node.inputs.last(where: { constants[$0] == nil }) else { return false }
        name = input
      case "LinearClassifier": return postTransform(node) != "NONE"
      case "SVMClassifier": return node.attributes["prob_a"] != nil
      case "TreeEnsembleClassifier", "Normalizer", "LpNormalization", "Softmax", "Sigmoid", "Exp",
        "Div",
        "ReduceMean":
        return true
      case "Sub":
        // One minus the probability of the other class.
        guard let one = node.inputs.first.flatMap({ constants[$0] })?.doubles, one == [1],
          node.inputs.count == 2
        else { return false }
        name = node.inputs[1]
      default: return false
      }
    }
    return false
  }

  /// True for the two scores of a support vector machine without probabilities.
  ///
  /// Its sum speaks for the first class where it is positive, and ONNX Runtime gives the negated
  /// sum first: each score belongs to the other score's class.
  func isReversed(_ name: String) -> Bool {
    var node = maker(name)
    if let map = node, map.type == "ZipMap", let input = map.inputs.first { node = maker(input) }
    guard let node, node.type == "SVMClassifier", node.attributes["prob_a"] == nil,
      postTransform(node) == "NONE", case .ints(let vectors)? = node.attributes["vectors_per_class"]
    else { return false }
    return vectors.count == 2
  }

  private func postTransform(_ node: OnnxNode) -> String {
    if case .string(let name)? = node.attributes["post_transform"] { name } else { "NONE" }
  }
}
