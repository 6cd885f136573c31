#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Reads XGBoost's JSON models (`save_model("….json")`), versions 1 to 3, boosters gbtree and dart.
///
/// Scores are those of XGBoost's own predictor: a split asks whether a float is below its
/// threshold, and leaves are added to the base score as floats in the order of the trees. All
/// trees count, as in `Booster.predict` without an iteration range.
enum XGBoostImporter {
  static func load(
    _ bytes: [UInt8], labels: [String]?, limits: ModelLimits
  ) throws(ModelError) -> Model {
    var reader = JSONReader(bytes, limits: limits)
    let document = try XGBoostDocument(&reader)
    try reader.end()

    let groups = max(document.classCount, document.targetCount, 1)
    guard document.featureCount >= 1, document.featureCount <= limits.features else {
      throw ModelError(
        .tooLarge, "num_feature is \(document.featureCount), 1 to \(limits.features) are read")
    }
    guard groups <= limits.features else { throw ModelError(.tooLarge, "\(groups) outputs") }
    let objective = try XGBoostObjective(document.objective, groups: groups)
    let outputs = try ForestOutputs(
      link: objective.link, kind: objective.kind, count: groups, labels: labels)

    guard document.treeGroups.count == document.trees.count else {
      throw ModelError(
        .malformed,
        "\(document.treeGroups.count) entries of \"tree_info\" for \(document.trees.count) trees")
    }
    if let declared = document.treeCount, declared != document.trees.count {
      throw ModelError(
        .malformed, "\(document.trees.count) trees where \"num_trees\" is \(declared)")
    }
    var weights: [Float]?
    if document.booster == "dart" {
      guard document.treeWeights.count == document.trees.count else {
        throw ModelError(
          .malformed,
          "\(document.treeWeights.count) entries of \"weight_drop\" for \(document.trees.count) trees"
        )
      }
      weights = document.treeWeights
    }
    var forest = try Forest(
      featureCount: document.featureCount, outputCount: groups, limits: limits)
    for (number, tree) in document.trees.enumerated() {
      try tree.append(
        to: &forest, output: document.treeGroups[number], weight: weights?[number] ?? 1)
    }

    let plan = try ForestPlan(forest, precision: .float)
    let features = try document.features()
    let scoring = ForestScoring<Float>(
      plan: plan, features: features, outputs: outputs,
      base: try base(document, objective, groups: groups), divisor: 1, refusesInfinite: true)
    return Model(
      format: .xgboost,
      signature: Signature(features: features, outputs: outputs.signature(.float32)),
      byteCount: plan.byteCount, predictor: ForestPredictor.float(scoring))
  }

  /// The base score is written on the scale of outputs; sums start from its margin.
  private static func base(
    _ document: XGBoostDocument, _ objective: XGBoostObjective, groups: Int
  ) throws(ModelError) -> [Float] {
    let scores =
      document.baseScores.count == 1 && groups > 1
      ? Array(repeating: document.baseScores[0], count: groups) : document.baseScores
    guard scores.count == groups else {
      throw ModelError(.malformed, "\(scores.count) base scores for \(groups) outputs")
    }
    let margins = scores.map(objective.margin)
    guard margins.allSatisfy(\.isFinite) else {
      throw ModelError(
        .malformed, "base score \(scores) is out of range for objective \"\(document.objective)\"")
    }
    return margins
  }
}

/// What an objective does to margins, by XGBoost's name for it.
struct XGBoostObjective {
  let link: ForestOutputs.Link
  let kind: ForestOutputs.Kind
  private let baseLink: ForestOutputs.Link

  init(_ name: String, groups: Int) throws(ModelError) {
    switch name {
    case "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror",
      "reg:absoluteerror", "reg:quantileerror", "rank:pairwise", "rank:ndcg", "rank:map":
      (link, kind, baseLink) = (.identity, .scores, .identity)
    case "reg:logistic":
      (link, kind, baseLink) = (.logistic(slope: 1), .scores, .logistic(slope: 1))
    case "binary:logistic":
      (link, kind, baseLink) = (
        .logistic(slope: 1), groups == 1 ? .binary : .scores, .logistic(slope: 1)
      )
    case "binary:logitraw":
      // Margins in and out: its base score is one too, unlike that of binary:logistic.
      (link, kind, baseLink) = (.identity, .scores, .identity)
    case "binary:hinge":
      (link, kind, baseLink) = (.identity, groups == 1 ? .binaryMargin : .scores, .identity)
    case "multi:softprob", "multi:softmax":
      (link, kind, baseLink) = (.softmax, .multiclass, .identity)
    case "count:poisson", "reg:gamma", "reg:tweedie":
      (link, kind, baseLink) = (.exponential, .scores, .exponential)
    default:
      throw ModelError(.unsupported, "objective \"\(name.prefix(40))\" is not supported")
    }
  }

  func margin(_ base: Float) -> Float {
    switch baseLink {
    case .logistic: -logf(1 / base - 1)
    case .exponential: logf(base)
    default: base
    }
  }
}
