/// What is asked of a model, where that is more than its predictions.
///
/// The registry serves predictions. Margins and leaves are for those who check a model, or feed
/// another with it: the command line offers them (`rowcast predict --raw`, `--leaves`).
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
  }

  public var answer: Answer
  /// The boosting rounds that count, all trees of a round; nil for those that the library counts.
  public var iterations: Range<Int>?

  public init(answer: Answer = .prediction, iterations: Range<Int>? = nil) {
    self.answer = answer
    self.iterations = iterations
  }
}
