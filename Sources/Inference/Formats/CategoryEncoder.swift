/// How a feature's categories become the numbers that trees split by.
enum CategoryEncoder: Sendable {
  /// Words by their place in a list; others cannot be scored.
  case words([String: Float])
  /// Integers by their place in a list; others cannot be scored.
  case numbers([Int64: Float])
  /// Words by CatBoost's hash; others than the trainer's match no split. An integer is the word
  /// that it is written as.
  case hash

  /// What could not be read of a column.
  enum Problem: Error {
    /// The column is of a type that no category of this feature has.
    case type
  }

  /// A column of numbers, NaN where a category has none; and the rows whose category is not known.
  func encode(_ column: Column) throws(Problem) -> (column: Column, unseen: [Int]) {
    switch self {
    case .words(let places):
      guard case .string(let words) = column.values else { throw .type }
      return Self.look(words, places, column.nulls)
    case .numbers(let places):
      guard let numbers = column.integers else { throw .type }
      return Self.look(numbers, places, column.nulls)
    case .hash:
      if case .string(let words) = column.values {
        return (Column(.float64(Self.hashes(words)), nulls: column.nulls), [])
      }
      guard let numbers = column.integers else { throw .type }
      return (Column(.float64(Self.hashes(numbers.map(String.init))), nulls: column.nulls), [])
    }
  }

  private static func look<Value: Hashable>(
    _ values: [Value], _ places: [Value: Float], _ nulls: [UInt64]?
  ) -> (column: Column, unseen: [Int]) {
    var unseen: [Int] = []
    var numbers = [Float](repeating: .nan, count: values.count)
    let source = Column(.float32([]), nulls: nulls)
    for (row, value) in values.enumerated() where !source.isNull(row) {
      if let place = places[value] { numbers[row] = place } else { unseen.append(row) }
    }
    return (Column(.float32(numbers)), unseen)
  }

  /// Each word is hashed once.
  private static func hashes(_ words: [String]) -> [Double] {
    var known: [String: Double] = [:]
    return words.map { word in
      if let hash = known[word] { return hash }
      let hash = Double(CityHash.category(word))
      known[word] = hash
      return hash
    }
  }
}

extension Column {
  /// The values of a column of integers.
  fileprivate var integers: [Int64]? {
    switch values {
    case .int16(let values): values.map { Int64($0) }
    case .int32(let values): values.map { Int64($0) }
    case .int64(let values): values
    default: nil
    }
  }
}

/// Encodes the categories of a batch, and leaves the rest to the trees' predictor.
struct CategoryPredictor: Predictor {
  let features: [Signature.Feature]
  /// One a feature; nil for numbers.
  let encoders: [CategoryEncoder?]
  let trees: any Predictor

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    var encoded = batch
    var failures: [Int: Predictions.Failure] = [:]
    for (index, encoder) in encoders.enumerated() {
      guard let encoder else { continue }
      let feature = features[index]
      do throws(CategoryEncoder.Problem) {
        let (column, unseen) = try encoder.encode(batch.columns[index])
        encoded.columns[index] = column
        for row in unseen where failures[row] == nil {
          failures[row] = Predictions.Failure(
            row: row, code: .unseenCategory,
            reason: "feature \"\(feature.name)\" has a category that training had not")
        }
      } catch {
        throw ModelError(
          .mismatch,
          "feature \"\(feature.name)\" is neither \(feature.type == .string ? "text nor " : "")an integer, the model's categories are"
        )
      }
      guard feature.missing == .refused else { continue }
      for row in 0..<batch.rowCount where batch.columns[index].isNull(row) {
        guard failures[row] == nil else { continue }
        failures[row] = Predictions.Failure(
          row: row, code: .missing,
          reason: "feature \"\(feature.name)\" has no value, and the model has no rule for that")
      }
    }
    var predictions = try trees.predict(encoded, workspace: workspace)
    for failure in predictions.failures where failures[failure.row] == nil {
      failures[failure.row] = failure
    }
    predictions.failures = failures.values.sorted { $0.row < $1.row }
    return predictions
  }
}
