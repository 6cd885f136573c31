/// How a feature's categories become the numbers that trees split by.
enum CategoryEncoder: Sendable {
  /// Words by their place in a list.
  case words([String: Float], Unseen)
  /// Whole numbers by their place in a list.
  case numbers([Int64: Float], Unseen)
  /// Numbers by their place in a list.
  case reals([Double: Float], Unseen)
  /// Words by CatBoost's hash; others than the trainer's match no split. An integer is the word
  /// that it is written as.
  case hash

  /// What a category is that the list has not.
  enum Unseen: Sendable {
    /// The row cannot be scored.
    case refused
    /// The value is missing; a fraction is no whole number, and so is missing too.
    case missing
  }

  /// What could not be read of a column.
  enum Problem: Error {
    /// The column is of a type that no category of this feature has.
    case type
  }

  /// A column of numbers, NaN where a category has none; and the rows whose category is not known
  /// where those are refused.
  func encode(_ column: Column) throws(Problem) -> (column: Column, unseen: [Int]) {
    switch self {
    case .words(let places, let unseen):
      guard case .string(let words) = column.values else { throw .type }
      return Self.look(words, column.nulls, unseen) { places[$0] }
    case .numbers(let places, let unseen):
      if let numbers = column.integers {
        return Self.look(numbers, column.nulls, unseen) { places[$0] }
      }
      guard unseen == .missing, let numbers = column.reals else { throw .type }
      return Self.look(numbers, column.nulls, unseen) { number in
        Int64(exactly: number).flatMap { places[$0] }
      }
    case .reals(let places, let unseen):
      guard let numbers = column.reals else { throw .type }
      return Self.look(numbers, column.nulls, unseen) { places[$0] }
    case .hash:
      if case .string(let words) = column.values {
        return (Column(.float64(Self.hashes(words)), nulls: column.nulls), [])
      }
      guard let numbers = column.integers else { throw .type }
      return (Column(.float64(Self.hashes(numbers.map(String.init))), nulls: column.nulls), [])
    }
  }

  private static func look<Value>(
    _ values: [Value], _ nulls: [UInt64]?, _ rule: Unseen, _ place: (Value) -> Float?
  ) -> (column: Column, unseen: [Int]) {
    var unseen: [Int] = []
    var numbers = [Float](repeating: .nan, count: values.count)
    let source = Column(.float32([]), nulls: nulls)
    for (row, value) in values.enumerated() where !source.isNull(row) {
      if let place = place(value) {
        numbers[row] = place
      } else if rule == .refused {
        unseen.append(row)
      }
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
    case .bool(let values): values.map { $0 ? 1 : 0 }
    default: nil
    }
  }

  /// The values of a column of numbers of any kind.
  fileprivate var reals: [Double]? {
    switch values {
    case .float32(let values): values.map(Double.init)
    case .float64(let values): values
    default: integers?.map(Double.init)
    }
  }
}

extension CategoryEncoder {
  /// What a column should have been, for a message.
  fileprivate var wanted: String {
    switch self {
    case .words: "not text, the model's categories are"
    case .numbers(_, .missing), .reals: "text, the model's categories are numbers"
    case .numbers(_, .refused): "not an integer, the model's categories are"
    case .hash: "neither text nor an integer, the model's categories are"
    }
  }

  /// For each of a list's values its place.
  ///
  /// - Throws: where a value is there twice.
  static func places<Value: Hashable>(
    _ values: [Value], feature: String
  ) throws(ModelError) -> [Value: Float] {
    var places: [Value: Float] = [:]
    for (place, value) in values.enumerated() {
      guard places.updateValue(Float(place), forKey: value) == nil else {
        throw ModelError(.malformed, "feature \(feature) has category \"\(value)\" twice")
      }
    }
    return places
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
      guard feature.isUsed else {
        // No category of it is looked up: whatever it is, it makes no difference.
        encoded.columns[index] = Column(
          .float32(Array(repeating: .nan, count: batch.rowCount)))
        continue
      }
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
          "feature \"\(feature.name)\" is \(encoder.wanted)"
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
