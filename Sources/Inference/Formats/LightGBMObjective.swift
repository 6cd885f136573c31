/// What an objective does to margins, by LightGBM's words for it.
struct LightGBMObjective {
  /// Empty for a model of an objective of its user's own.
  private let words: [String]
  private let line: Int

  init(words: [String], line: Int) { (self.words, self.line) = (words, line) }

  /// The link that `predict` applies.
  ///
  /// - Parameter count: trees an iteration.
  func outputs(count: Int, labels: [String]?) throws(ModelError) -> ForestOutputs {
    func scores(_ link: ForestLink) throws(ModelError) -> ForestOutputs {
      try ForestOutputs(link: link, kind: .scores, count: count, labels: labels)
    }
    guard let name = words.first else { return try scores(.identity) }
    switch name {
    case "regression", "regression_l2", "mean_squared_error", "mse", "l2", "l2_root",
      "root_mean_squared_error", "rmse", "regression_l1", "mean_absolute_error", "l1", "mae",
      "fair", "quantile", "mape", "mean_absolute_percentage_error":
      // Labels were square roots of the target.
      return try scores(words.contains("sqrt") ? .square : .identity)
    case "huber", "lambdarank", "rank_xendcg", "xendcg", "xe_ndcg", "xe_ndcg_mart", "xendcg_mart",
      "custom", "none", "null", "na":
      return try scores(.identity)
    case "poisson", "gamma", "tweedie":
      return try scores(.exponential)
    case "cross_entropy", "xentropy":
      return try scores(.logistic(slope: 1))
    case "cross_entropy_lambda", "xentlambda":
      return try scores(.softplus)
    case "binary":
      guard count == 1 else {
        throw ModelError(
          .malformed, "objective \"binary\" with \(count) trees an iteration (line \(line))")
      }
      return try ForestOutputs(
        link: .logistic(slope: parameter("sigmoid")), kind: .binary, count: 1, labels: labels)
    case "multiclass", "softmax":
      return try ForestOutputs(link: .softmax, kind: .multiclass, count: count, labels: labels)
    case "multiclassova", "multiclass_ova", "ova", "ovr":
      return try ForestOutputs(
        link: .logistic(slope: parameter("sigmoid")), kind: .multiclass, count: count,
        labels: labels)
    default:
      throw ModelError(
        .unsupported, "objective \"\(name.prefix(40))\" is not supported (line \(line))")
    }
  }

  private func parameter(_ name: String) throws(ModelError) -> Double {
    guard let word = words.first(where: { $0.hasPrefix("\(name):") }) else { return 1 }
    var text = word.dropFirst(name.count + 1)
    guard let value = text.withUTF8({ NumberText.double(UnsafeRawBufferPointer($0)) }), value > 0,
      value.isFinite
    else {
      throw ModelError(
        .malformed, "\"\(word.prefix(40))\" is not a positive number (line \(line))")
    }
    return value
  }
}
