extension Batch {
  /// - Throws: where a column is text, since trees and linear boosters read numbers.
  func requireNumbers(_ features: [Signature.Feature]) throws(ModelError) {
    for (column, feature) in zip(columns, features) {
      guard case .string = column.values else { continue }
      throw ModelError(.mismatch, "feature \"\(feature.name)\" is text, the model wants numbers")
    }
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
