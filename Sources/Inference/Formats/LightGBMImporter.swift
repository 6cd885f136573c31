/// Reads LightGBM's text models (`save_model`, `model_to_string`), versions 2 to 4.
///
/// Scores are those of LightGBM's own `predict`: a split compares doubles, leaves are added as
/// doubles in the order of the trees.
enum LightGBMImporter {
  static func load(
    _ bytes: [UInt8], labels: [String]?, limits: ModelLimits
  ) throws(ModelError) -> Model {
    var text = LightGBMText(bytes)
    let header = try LightGBMHeader(&text, limits: limits)
    var forest = try Forest(
      featureCount: header.featureNames.count, outputCount: header.treesPerIteration,
      limits: limits)
    try readTrees(&text, header, into: &forest)

    let outputs = try header.outputs(labels: labels)
    let plan = try ForestPlan(forest, precision: .double)
    let features = header.featureNames.map {
      Signature.Feature(name: $0, type: .float64, missing: .allowed)
    }
    let iterations = max(forest.trees.count / header.treesPerIteration, 1)
    let scoring = ForestScoring<Double>(
      plan: plan, features: features, outputs: outputs,
      base: Array(repeating: 0, count: header.treesPerIteration),
      divisor: header.averagesOutput ? Double(iterations) : 1, refusesInfinite: false)
    return Model(
      format: .lightgbm,
      signature: Signature(features: features, outputs: outputs.signature(.float64)),
      byteCount: plan.byteCount, predictor: ForestPredictor.double(scoring))
  }

  private static func readTrees(
    _ text: inout LightGBMText, _ header: LightGBMHeader, into forest: inout Forest
  ) throws(ModelError) {
    // The header's last line is "Tree=0", or "end of trees" where there is none.
    var heading = header.firstTree
    while let line = heading {
      if text.starts(line, with: "end of trees") { break }
      let number = forest.trees.count
      guard text.string(line) == "Tree=\(number)" else {
        throw ModelError(
          .malformed,
          "\"\(text.string(line).prefix(40))\" where tree \(number) is due (line \(text.line))")
      }
      let headingLine = text.line
      let section = try text.section()
      let tree = LightGBMTree(
        number: number, line: headingLine, text: text, entries: section.entries)
      try tree.append(to: &forest, output: number % header.treesPerIteration)
      heading = nil
      while let next = text.nextLine() {
        if next.isEmpty { continue }
        heading = next
        break
      }
      if heading == nil {
        throw ModelError(
          .truncated, "the file ends after tree \(number), before \"end of trees\"")
      }
    }
    if let declared = header.treeCount, declared != forest.trees.count {
      throw ModelError(
        .malformed, "\(forest.trees.count) trees where \"tree_sizes\" lists \(declared)")
    }
    guard forest.trees.count % header.treesPerIteration == 0 else {
      throw ModelError(
        .malformed,
        "\(forest.trees.count) trees do not divide by \(header.treesPerIteration) an iteration")
    }
  }
}

/// What stands before the first tree.
struct LightGBMHeader {
  let featureNames: [String]
  let treesPerIteration: Int
  let averagesOutput: Bool
  /// How many `tree_sizes` lists.
  let treeCount: Int?
  /// The line that ended the header: the first tree's heading.
  let firstTree: Range<Int>?
  /// The objective's words; empty for a model of an objective of its user's own.
  private let objective: [String]
  private let objectiveLine: Int

  init(_ text: inout LightGBMText, limits: ModelLimits) throws(ModelError) {
    guard let first = text.nextLine(), text.string(first) == "tree" else {
      throw ModelError(.malformed, "a LightGBM model starts with the line \"tree\" (line 1)")
    }
    var entries: [String: LightGBMText.Entry] = [:]
    var firstTree: Range<Int>?
    repeat {
      let lineBefore = text.line
      let copy = text
      let section = try text.section { line in
        copy.starts(line, with: "Tree=") || copy.starts(line, with: "end of trees")
      }
      entries.merge(section.entries) { first, _ in first }
      firstTree = section.stop
      if firstTree == nil, text.line == lineBefore {
        throw ModelError(.truncated, "the file ends before its first tree (line \(text.line))")
      }
    } while firstTree == nil
    self.firstTree = firstTree

    func integer(_ key: String) throws(ModelError) -> Int? {
      guard let entry = entries[key] else { return nil }
      let values = try text.integers(entry) { _ in key }
      guard values.count == 1 else {
        throw ModelError(.malformed, "\(key) is not one integer (line \(entry.line))")
      }
      return values[0]
    }
    if let version = entries["version"] {
      guard ["v2", "v3", "v4"].contains(text.string(version.value)) else {
        throw ModelError(
          .unsupported,
          "version \"\(text.string(version.value).prefix(40))\" of LightGBM's text is not supported (line \(version.line))"
        )
      }
    }
    guard let lastFeature = try integer("max_feature_idx") else {
      throw ModelError(.malformed, "the header lacks \"max_feature_idx\"")
    }
    guard lastFeature >= 0, lastFeature < limits.features else {
      throw ModelError(
        .tooLarge, "max_feature_idx is \(lastFeature), at most \(limits.features) features are read"
      )
    }
    if let names = entries["feature_names"] {
      featureNames = text.words(names).map(text.string)
      guard featureNames.count == lastFeature + 1 else {
        throw ModelError(
          .malformed,
          "\(featureNames.count) feature names for \(lastFeature + 1) features (line \(names.line))"
        )
      }
    } else {
      featureNames = (0...lastFeature).map { "Column_\($0)" }
    }
    let classes = try integer("num_class") ?? 1
    treesPerIteration = try integer("num_tree_per_iteration") ?? classes
    guard (1...limits.features).contains(treesPerIteration) else {
      throw ModelError(.malformed, "num_tree_per_iteration is \(treesPerIteration)")
    }
    averagesOutput = entries["average_output"] != nil
    treeCount = entries["tree_sizes"].map { text.words($0).count }
    objective = entries["objective"].map { text.words($0).map(text.string) } ?? []
    objectiveLine = entries["objective"]?.line ?? 0
  }

  /// The link that `predict` applies, by the objective.
  func outputs(labels: [String]?) throws(ModelError) -> ForestOutputs {
    let count = treesPerIteration
    func scores(_ link: ForestOutputs.Link) throws(ModelError) -> ForestOutputs {
      try ForestOutputs(link: link, kind: .scores, count: count, labels: labels)
    }
    guard let name = objective.first else { return try scores(.identity) }
    switch name {
    case "regression", "regression_l2":
      return try scores(objective.contains("sqrt") ? .square : .identity)
    case "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg",
      "custom",
      "none":
      return try scores(.identity)
    case "poisson", "gamma", "tweedie":
      return try scores(.exponential)
    case "cross_entropy":
      return try scores(.logistic(slope: 1))
    case "cross_entropy_lambda":
      return try scores(.softplus)
    case "binary":
      guard count == 1 else {
        throw ModelError(
          .malformed,
          "objective \"binary\" with \(count) trees an iteration (line \(objectiveLine))")
      }
      return try ForestOutputs(
        link: .logistic(slope: parameter("sigmoid")), kind: .binary, count: 1, labels: labels)
    case "multiclass":
      return try ForestOutputs(link: .softmax, kind: .multiclass, count: count, labels: labels)
    case "multiclassova":
      return try ForestOutputs(
        link: .logistic(slope: parameter("sigmoid")), kind: .multiclass, count: count,
        labels: labels)
    default:
      throw ModelError(
        .unsupported, "objective \"\(name.prefix(40))\" is not supported (line \(objectiveLine))")
    }
  }

  private func parameter(_ name: String) throws(ModelError) -> Double {
    guard let word = objective.first(where: { $0.hasPrefix("\(name):") }) else { return 1 }
    var text = word.dropFirst(name.count + 1)
    guard let value = text.withUTF8({ NumberText.double(UnsafeRawBufferPointer($0)) }), value > 0,
      value.isFinite
    else {
      throw ModelError(
        .malformed, "\"\(word.prefix(40))\" is not a positive number (line \(objectiveLine))")
    }
    return value
  }
}
