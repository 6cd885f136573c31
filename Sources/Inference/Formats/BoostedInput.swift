extension Batch {
  /// - Throws: where a column is text, since trees and linear boosters read numbers.
  func requireNumbers(_ features: [Signature.Feature]) throws(ModelError) {
    let text = columns.withUnsafeBufferPointer { columns in
      columns.indices.first { columns[$0].kind != .number }
    }
    guard let text, text < features.count else { return }
    throw ModelError(
      .mismatch, "feature \"\(features[text].name)\" is text, the model wants numbers")
  }
}

extension Predictions.Failure {
  /// A row with a value that the model's library would not read.
  static func infinite(row: Int, _ feature: Signature.Feature) -> Self {
    Self(
      row: row, code: .notFinite,
      reason: "feature \"\(feature.name)\" is infinite or too large")
  }
}
