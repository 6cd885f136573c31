/// What is asked of a model, where that is more than its predictions.
///
/// The registry serves predictions, with reasons where a scorer wants them. Margins, leaves and
/// contributions are for those who check a model, or feed another with it: the command line offers
/// them (`rowcast predict --raw`, `--leaves`, `--contributions`).
public struct ModelOptions: Sendable, Equatable {
  /// What a model answers for a row; its signature's outputs follow.
  public enum Answer: String, Sendable, Codable, CaseIterable {
    /// What `predict` of the library that trained the model gives.
    case prediction
    /// The sums before the objective's link, as the library gives them raw: `margin`, or one for
    /// each class or target.
    case margin
    /// For each tree the number of the row's leaf, as the library numbers them: `leaf_0`, ….
    case leaf
    /// What each feature contributes to the margin, and the base to which they add, as the library's
    /// `pred_contrib` gives them: `contribution_<feature>`, …, `base`; for each class or target where
    /// there are several.
    case contribution
  }

  public var answer: Answer
  /// How many of each row's largest contributions are answered beside its prediction, as
  /// `reason_1`, `contribution_1`, ….
  public var reasons: Int
  /// The boosting rounds that count, all trees of a round; nil for those that the library counts.
  public var iterations: Range<Int>?
  /// What the file does not say of an ONNX model.
  public var setup: ModelSetup
  /// Where it is to run.
  public var device: Device

  public init(
    answer: Answer = .prediction, reasons: Int = 0, iterations: Range<Int>? = nil,
    setup: ModelSetup = ModelSetup(), device: Device = .cpu
  ) {
    self.answer = answer
    self.reasons = reasons
    self.iterations = iterations
    self.setup = setup
    self.device = device
  }

  /// More reasons a row are not answered.
  public static let mostReasons = 20

  /// Whether contributions of features are asked for, which takes more of the file than scores do.
  var explains: Bool { answer == .contribution || reasons > 0 }
}
