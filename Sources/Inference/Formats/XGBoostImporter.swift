/// Reads XGBoost's models (`save_model`), JSON or UBJSON, versions 1 to 3, of every booster.
///
/// Scores are those of XGBoost's own predictor: a split asks whether a float is below its
/// threshold, and leaves are added to the base score as floats in the order of the trees. Which
/// rounds count is said at `XGBoostDocument.countedTrees`.
enum XGBoostImporter {
  /// What the file says, whichever of both formats it is in.
  static func document(
    _ bytes: [UInt8], limits: ModelLimits
  ) throws(ModelError) -> XGBoostDocument {
    func read<Reader: DocumentReader>(
      _ reader: consuming Reader
    ) throws(ModelError) -> XGBoostDocument {
      let document = try XGBoostDocument(&reader)
      try reader.end()
      return document
    }
    return ModelFormat.isUBJSON(bytes)
      ? try read(UBJSONReader(bytes, limits: limits))
      : try read(JSONReader(bytes, limits: limits))
  }

  static func load(
    _ bytes: [UInt8], labels: [String]?, options: ModelOptions, limits: ModelLimits
  ) throws(ModelError) -> Model {
    let document = try document(bytes, limits: limits)
    let groups = document.outputCount
    guard document.featureCount >= 1, document.featureCount <= limits.features else {
      throw ModelError(
        .tooLarge, "num_feature is \(document.featureCount), 1 to \(limits.features) are read")
    }
    guard groups <= limits.features else { throw ModelError(.tooLarge, "\(groups) outputs") }
    let objective = try XGBoostObjective(
      document.objective, groups: groups, version: document.version)
    let outputs = try ForestOutputs(
      link: objective.link, kind: objective.kind, count: groups, labels: labels)
    let base = try document.baseMargins(objective)
    if document.booster == "gblinear" {
      return try LinearBooster.model(
        document, outputs: outputs, base: base[0], options: options)
    }

    let counted = try document.countedTrees(options.iterations)
    let factors = try document.treeFactors()
    var forest = try Forest(
      featureCount: document.featureCount, outputCount: groups, limits: limits)
    forest.cutsCategories = false
    let covers = try options.explains ? XGBoostCovers(bytes, limits: limits).trees : []
    forest.keepsCovers = options.explains
    let trees = document.trees[counted]
    try forest.append(count: trees.count, nodes: trees.reduce(0) { $0 + $1.nodeCount }) {
      forest, index throws(ModelError) in
      let number = trees.startIndex + index
      if options.answer == .leaf {
        try trees[number].appendNumbered(to: &forest)
      } else {
        try trees[number].append(
          to: &forest, output: Int(document.treeGroups[number]), weight: factors?[number] ?? 1,
          covers: number < covers.count ? covers[number] : nil)
      }
    }
    var features = try document.features()
    let encoders = try document.categories.encoders(&features)
    return try BoostedModel(
      format: .xgboost, forest: forest, features: features, outputs: outputs,
      base: base.map { Double($0) }, refusesInfinite: true, encoders: encoders
    ).model(as: Float.self, options: options)
  }
}
