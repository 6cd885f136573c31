/// How a model's contributions are answered.
struct Explanation {
  let explainer: any Explainer
  let features: [Signature.Feature]
  let outputs: ForestOutputs

  /// A predictor that answers contributions, in place of the prediction or beside it, and what it
  /// answers.
  ///
  /// - Parameters:
  ///   - predictor: answers `written`.
  /// - Throws: where reasons are asked for, and there is no one margin that they could be of.
  func wrap(
    _ predictor: any Predictor, _ written: [Signature.Output], _ options: ModelOptions
  ) throws(ModelError) -> (any Predictor, [Signature.Output]) {
    guard options.reasons > 0 else {
      return (
        ContributionPredictor(
          margins: predictor, explainer: explainer, featureCount: features.count),
        contributionOutputs
      )
    }
    guard options.answer == .prediction else {
      throw ModelError(.mismatch, "reasons come with predictions, not with margins or leaves")
    }
    guard outputs.hasOneMargin else {
      throw ModelError(
        .unsupported, "a model of \(outputs.count) scores has no one prediction to give reasons for"
      )
    }
    let reasons = ReasonPredictor(
      predictor: predictor, explainer: explainer, names: features.map(\.name),
      count: options.reasons,
      choice: outputs.kind == .multiclass ? .column(1..<(1 + outputs.count)) : .only)
    return (reasons, written + Signature.Output.reasons(options.reasons))
  }

  /// For each margin the features in order, then the base.
  private var contributionOutputs: [Signature.Output] {
    let margins = outputs.signature(.float64)
    return margins.flatMap { margin in
      // "margin", or "margin_setosa".
      let suffix = margin.name.dropFirst("margin".count)
      func output(_ name: String) -> Signature.Output {
        Signature.Output(
          name: name + suffix, type: .float64, role: .contribution,
          className: margins.count > 1 ? margin.className : nil)
      }
      return features.map { output("contribution_\($0.name)") } + [output("base")]
    }
  }
}

extension ForestOutputs {
  /// Whether a row's prediction follows from one margin, be it that of the predicted class.
  var hasOneMargin: Bool { kind != .scores || count == 1 }
}

extension Signature.Output {
  /// The columns of so many reasons: a feature's name, and what it contributes.
  public static func reasons(_ count: Int) -> [Signature.Output] {
    (0..<count).flatMap {
      [
        Signature.Output(name: "reason_\($0 + 1)", type: .string, role: .reason),
        Signature.Output(name: "contribution_\($0 + 1)", type: .float64, role: .contribution),
      ]
    }
  }
}
