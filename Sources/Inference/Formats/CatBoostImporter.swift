/// Reads CatBoost's models in JSON (`save_model(…, format="json")`): symmetric trees and others,
/// of features that are numbers or one-hot categories.
///
/// Scores are CatBoost's: features are floats, leaves are added as doubles in the order of the
/// trees, then scaled and shifted. What it computes from statistics of categories (CTRs), texts
/// and embeddings is refused.
enum CatBoostImporter {
  static func document(
    _ bytes: [UInt8], limits: ModelLimits
  ) throws(ModelError) -> CatBoostDocument {
    var reader = JSONReader(bytes, limits: limits)
    let document = try CatBoostDocument(&reader, limits: limits)
    try reader.end()
    return document
  }

  static func load(
    _ bytes: [UInt8], labels: [String]?, options: ModelOptions, limits: ModelLimits
  ) throws(ModelError) -> Model {
    guard !options.explains else {
      throw ModelError(
        .unsupported, "contributions of CatBoost's models are not supported",
        hint: "LightGBM and XGBoost models, and linear ones, can be explained.")
    }
    let document = try document(bytes, limits: limits)
    let outputCount = try document.outputCount()
    guard outputCount <= limits.features else {
      throw ModelError(.tooLarge, "\(outputCount) outputs")
    }
    let features = try CatBoostFeatures(document, limits: limits)
    var forest = try Forest(
      featureCount: features.signature.count, outputCount: outputCount, limits: limits)
    let treeCount = document.obliviousTrees.count + document.trees.count
    let counted = options.iterations ?? 0..<treeCount
    guard counted.lowerBound >= 0, counted.upperBound <= treeCount else {
      throw ModelError(
        .mismatch, "iterations up to \(counted.upperBound) are wanted, the model has \(treeCount)")
    }
    // Trees are of one kind: see `outputCount`.
    let nodes =
      document.obliviousTrees.reduce(0) { $0 + 2 * $1.leafValues.count }
      + document.trees.reduce(0) { $0 + $1.count }
    try forest.append(count: counted.count, nodes: nodes) { forest, index throws(ModelError) in
      let number = counted.lowerBound + index
      if document.trees.isEmpty {
        try document.obliviousTrees[number].append(
          to: &forest, number: number, features, limits: limits)
      } else {
        try append(document.trees[number], to: &forest, number: number, features)
      }
    }

    guard document.scale.isFinite, document.biases.allSatisfy(\.isFinite) else {
      throw ModelError(.malformed, "\"scale_and_bias\" is not finite")
    }
    var outputs = try document.outputs(count: outputCount, labels: labels)
    // A tree that is left out takes no bias with it: it stays with the first ones.
    let biases =
      counted.lowerBound > 0 ? Array(repeating: 0, count: outputCount) : document.biases
    outputs.affine = ForestOutputs.Affine(scale: document.scale, addends: biases)
    return try BoostedModel(
      format: .catboost, forest: forest, features: features.signature, outputs: outputs,
      base: Array(repeating: 0, count: outputCount),
      encoders: features.encoders.contains { $0 != nil } ? features.encoders : nil
    ).model(as: Double.self, options: options)
  }

  /// A tree that is not symmetric.
  private static func append(
    _ tree: [CatBoostDocument.Node], to forest: inout Forest, number: Int,
    _ features: CatBoostFeatures
  ) throws(ModelError) {
    var values: [Double] = []
    var nodes: [Forest.Node] = []
    for (index, node) in tree.enumerated() {
      switch node {
      case .leaf(let leaf):
        guard leaf.count == forest.outputCount else {
          throw ModelError(
            .malformed,
            "tree \(number), node \(index): \(leaf.count) values for \(forest.outputCount) outputs")
        }
        nodes.append(.leaf(value: values.count))
        values.append(contentsOf: leaf)
      case .split(let split, let left, let right):
        nodes.append(
          try features.node(split, left: left, right: right, place: "tree \(number), node \(index)")
        )
      }
    }
    try forest.append(nodes, values: values, output: forest.outputCount == 1 ? .one(0) : .all)
  }
}

/// The features of a model in the order of its rows, and how its splits name them.
struct CatBoostFeatures {
  private(set) var signature: [Signature.Feature]
  private(set) var encoders: [CategoryEncoder?]
  private let floatPlaces: [Int]
  private let missingIsLow: [Bool]
  private let categoryPlaces: [Int]

  init(_ document: CatBoostDocument, limits: ModelLimits) throws(ModelError) {
    floatPlaces = document.floatFeatures.map(\.flatIndex)
    missingIsLow = document.floatFeatures.map(\.missingIsLow)
    categoryPlaces = document.categoricalFeatures.map(\.flatIndex)
    let places = floatPlaces + categoryPlaces
    guard !places.isEmpty, places.count <= limits.features else {
      throw ModelError(
        .tooLarge, "\(places.count) features, 1 to \(limits.features) are read")
    }
    guard Set(places) == Set(0..<places.count) else {
      throw ModelError(
        .malformed, "the flat indices of \(places.count) features are not those from 0 on")
    }
    signature = (0..<places.count).map {
      Signature.Feature(name: String($0), type: .float32, missing: .allowed)
    }
    encoders = Array(repeating: nil, count: places.count)
    for feature in document.floatFeatures where !feature.name.isEmpty {
      signature[feature.flatIndex].name = feature.name
    }
    for feature in document.categoricalFeatures {
      if !feature.name.isEmpty { signature[feature.flatIndex].name = feature.name }
      signature[feature.flatIndex].type = .string
      signature[feature.flatIndex].missing = .refused
      encoders[feature.flatIndex] = .hash
    }
    if Set(signature.map(\.name)).count != signature.count {
      // Nameless features are called by their number, which another's name may be.
      for (index, feature) in signature.enumerated() where feature.name == String(index) {
        signature[index].name = "feature_\(index)"
      }
    }
  }

  /// A split as our trees have it: those that pass the question go right, in ours only where it
  /// is a comparison.
  func node(
    _ split: CatBoostDocument.Split, left: Int, right: Int, place: String
  ) throws(ModelError) -> Forest.Node {
    switch split.test {
    case .border(let border):
      guard floatPlaces.indices.contains(split.feature) else {
        throw ModelError(
          .malformed, "\(place): float feature \(split.feature) of \(floatPlaces.count)")
      }
      return .split(
        Forest.Split(
          feature: floatPlaces[split.feature], test: .atMost(Self.largest(roundingUpTo: border)),
          missing: .nan, missingLeft: missingIsLow[split.feature]),
        left: left, right: right)
    case .category(let hash):
      guard categoryPlaces.indices.contains(split.feature) else {
        throw ModelError(
          .malformed, "\(place): categorical feature \(split.feature) of \(categoryPlaces.count)")
      }
      return .split(
        Forest.Split(
          feature: categoryPlaces[split.feature], test: .equal(Double(hash)), missing: .nan,
          missingLeft: false),
        left: right, right: left)
    }
  }

  /// The largest double that is at most `border` once rounded to a float, as CatBoost rounds what
  /// it is given before it compares.
  static func largest(roundingUpTo border: Float) -> Double {
    let next = border.nextUp
    guard border.isFinite, next.isFinite else {
      // Doubles up to here round to the largest float, beyond it to infinity.
      return border == .greatestFiniteMagnitude
        ? (Double(border) + Double(border.ulp) / 2).nextDown : Double(border)
    }
    // Half-way between two floats, where the even one wins.
    let middle = Double(border) / 2 + Double(next) / 2
    return Float(middle) <= border ? middle : middle.nextDown
  }
}

extension CatBoostDocument.ObliviousTree {
  fileprivate func append(
    to forest: inout Forest, number: Int, _ features: CatBoostFeatures, limits: ModelLimits
  ) throws(ModelError) {
    let width = forest.outputCount
    // Each level doubles the leaves, whose values are in the file: no depth is larger than it.
    guard splits.count < 32, leafValues.count == width << splits.count else {
      throw ModelError(
        .malformed,
        "tree \(number): \(leafValues.count) leaf values for \(splits.count) levels and \(width) outputs"
      )
    }
    var nodes: [Forest.Node] = []
    nodes.reserveCapacity(2 << splits.count)
    // The last question comes first, so that leaves are in the order of their numbers.
    for (level, split) in splits.reversed().enumerated() {
      let first = (1 << level) - 1
      for node in first..<(first + (1 << level)) {
        nodes.append(
          try features.node(
            split, left: 2 * node + 1, right: 2 * node + 2,
            place: "tree \(number), level \(splits.count - 1 - level)"))
      }
    }
    for leaf in 0..<(1 << splits.count) { nodes.append(.leaf(value: leaf * width)) }
    try forest.append(nodes, values: leafValues, output: width == 1 ? .one(0) : .all)
  }
}

extension CatBoostDocument {
  /// The release that wrote the file, as "1.2.10"; nil where the file does not say.
  var release: String? {
    // In words for people: "… Branch: tags/v1.2.10 …".
    guard let start = version?.firstRange(of: "tags/v")?.upperBound else { return nil }
    return version.map { String($0[start...].prefix { $0.isNumber || $0 == "." }) }
  }

  /// Values a leaf.
  func outputCount() throws(ModelError) -> Int {
    guard obliviousTrees.isEmpty || trees.isEmpty else {
      throw ModelError(.malformed, "trees of two kinds, symmetric and not")
    }
    guard !biases.isEmpty else {
      throw ModelError(.malformed, "the model has no \"scale_and_bias\"")
    }
    // A single bias stands for all outputs in files of the first releases.
    var width = biases.count
    if let tree = obliviousTrees.first, tree.splits.count < 32 {
      width = max(tree.leafValues.count >> tree.splits.count, 1)
    } else if let tree = trees.first {
      for case .leaf(let values) in tree { width = max(values.count, 1) }
    }
    guard biases.count == width else {
      throw ModelError(.malformed, "\(biases.count) biases for \(width) values a leaf")
    }
    return width
  }

  /// What the loss does to margins.
  func outputs(count: Int, labels: [String]?) throws(ModelError) -> ForestOutputs {
    func outputs(
      _ link: ForestLink, _ kind: ForestOutputs.Kind
    ) throws(ModelError) -> ForestOutputs {
      try ForestOutputs(
        link: link, kind: kind, count: count, labels: labels,
        classes: kind == .scores ? .indices : classes ?? .indices)
    }
    switch loss {
    case "Logloss", "CrossEntropy", "Focal":
      guard count == 1 else {
        throw ModelError(.malformed, "loss \"\(loss ?? "")\" with \(count) outputs")
      }
      return try outputs(.logistic(slope: 1), .binary)
    case "MultiClass": return try outputs(.softmax, .multiclass)
    case "MultiClassOneVsAll": return try outputs(.logistic(slope: 1), .multiclass)
    case "MultiLogloss", "MultiCrossEntropy": return try outputs(.logistic(slope: 1), .scores)
    case "Poisson", "Tweedie": return try outputs(.exponential, .scores)
    case "RMSEWithUncertainty": return try outputs(.meanAndVariance, .scores)
    default: return try outputs(.identity, .scores)
    }
  }
}
