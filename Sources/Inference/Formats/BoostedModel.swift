/// A boosted model as its importer read it, before it is chosen how to score it.
struct BoostedModel {
  var format: ModelFormat
  var forest: Forest
  var features: [Signature.Feature]
  var outputs: ForestOutputs
  /// Where sums start, one an output.
  var base: [Double]
  /// Sums are divided by this, but for margins.
  var divisor = 1.0
  /// Whether a row with an infinite value is refused.
  var refusesInfinite = false
  /// How features that are categories become numbers.
  var encoders: [CategoryEncoder?]?

  /// A forest whose leaves are numbered is enough for `.leaf`.
  func model(
    as type: (some ForestReal).Type, options: ModelOptions
  ) throws(ModelError) -> Model {
    let answer = options.answer
    var outputs = outputs
    outputs.answersMargins = answer == .margin || answer == .contribution
    var features = features
    for feature in forest.unreadFeatures {
      (features[feature].isUsed, features[feature].missing) = (false, .allowed)
    }
    var (predictor, byteCount) = try predictor(as: type, outputs, answer)
    var written =
      answer == .leaf
      ? forest.trees.indices.map {
        Signature.Output(name: "leaf_\($0)", type: .int64, role: .value)
      } : outputs.signature(type.elementType)
    if options.explains {
      let explainer = try ForestExplainer(
        forest, as: type, base: base, scale: outputs.affine?.scale ?? 1,
        addends: outputs.affine?.addends)
      byteCount += explainer.byteCount
      (predictor, written) = try Explanation(
        explainer: explainer, features: features, outputs: outputs
      ).wrap(predictor, written, options)
    }
    return Model(
      format: format, signature: Signature(features: features, outputs: written),
      byteCount: byteCount,
      givesReasons: format != .catboost && forest.isExplained && outputs.hasOneMargin,
      predictor: encoders.map {
        CategoryPredictor(features: features, encoders: $0, trees: predictor)
      } ?? predictor)
  }

  private func predictor<Real: ForestReal>(
    as type: Real.Type, _ outputs: ForestOutputs, _ answer: ModelOptions.Answer
  ) throws(ModelError) -> (any Predictor, byteCount: Int) {
    let divisor = answer == .margin || answer == .contribution ? 1 : Real(divisor)
    let base = base.map { Real($0) }
    if answer != .leaf, forest.linearLeaves == nil,
      let plan = try Self.plan(forest, Real.precision, nil)
    {
      let scoring = ForestScoring<Real>(
        plan: plan, features: features, outputs: outputs, base: base, divisor: divisor,
        refusesInfinite: refusesInfinite)
      return (Real.predictor(scoring), plan.byteCount)
    }
    if let found = try leafPredictor(as: type, outputs, answer, base: base, divisor: divisor) {
      return found
    }
    let walk = ForestWalk(forest)
    let predictor = WalkPredictor<Real>(
      walk: walk, features: features,
      answer: answer == .leaf ? .leaves : .sums(outputs, base: base, divisor: divisor),
      refusesInfinite: refusesInfinite)
    return (predictor, walk.byteCount)
  }

  /// For leaf numbers and linear leaves; nil where no plan takes the forest.
  private func leafPredictor<Real: ForestReal>(
    as type: Real.Type, _ outputs: ForestOutputs, _ answer: ModelOptions.Answer, base: [Real],
    divisor: Real
  ) throws(ModelError) -> (any Predictor, byteCount: Int)? {
    let isFloat = Real.precision == .float
    // Functions are added up as doubles, as the one library does that has them.
    guard answer == .leaf || (!isFloat && forest.linearLeaves != nil), !forest.trees.isEmpty,
      let plan = try Self.plan(
        Forest(numberingLeavesOf: forest), .double, isFloat ? .floats : .doubles)
    else { return nil }
    var found = LeafPredictor.Answer.numbers
    if answer != .leaf, let functions = forest.linearLeaves {
      var leaves = forest
      leaves.dropSplits()
      let sums = LeafPredictor.LinearSums(
        forest: leaves, functions: functions, base: base.map { Double($0) },
        divisor: Double(divisor))
      found = .sums(sums, outputs)
    }
    let predictor = LeafPredictor(
      plan: plan, features: features, answer: found, readsFloats: isFloat,
      refusesInfinite: refusesInfinite)
    return (predictor, predictor.byteCount)
  }

  /// Nil where only a walk scores the forest: where the views of its splits are more than a plan
  /// counts.
  private static func plan(
    _ forest: Forest, _ precision: ForestPlan.Precision, _ values: ForestPlan.Values?
  ) throws(ModelError) -> ForestPlan? {
    do {
      return try ForestPlan(forest, precision: precision, values: values)
    } catch {
      if error.code == .tooLarge { return nil }
      throw error
    }
  }
}
