/// Parts a model's margins among the features of a row.
protocol Explainer: Sendable {
  /// The features that can contribute, ascending; all others contribute zero.
  var features: [Int] { get }
  /// What is explained: one margin, or one for each class or target.
  var outputCount: Int { get }
  /// What each margin is where nothing is known of a row; contributions are the rest.
  var bases: [Double] { get }

  /// Rows that are explained together.
  var blockRows: Int { get }
  /// Memory that a block takes, for `blockRows` rows.
  var scratchByteCount: Int { get }

  /// The contributions of a few rows, at most `blockRows`.
  ///
  /// - Parameters:
  ///   - batch: columns of numbers, one a feature of the model.
  ///   - scratch: aligned memory.
  ///   - target: for each output and place of a feature `blockRows` numbers, one a row; all of it
  ///     is written.
  func explain(
    _ batch: Batch, _ rows: Range<Int>, scratch: UnsafeMutableRawPointer,
    into target: UnsafeMutablePointer<Double>)
}
