extension Model {
  /// The categories that training had of a feature, in their order; nil where it has none, or where they are
  /// not kept as such.
  public func categories(ofFeature index: Int) -> [String]? {
    guard let encoders = (predictor as? CategoryPredictor)?.encoders,
      encoders.indices.contains(index)
    else { return nil }
    switch encoders[index] {
    case .words(let places, _): return Self.ordered(places) { $0 }
    case .numbers(let places, _): return Self.ordered(places) { String($0) }
    case .reals(let places, _): return Self.ordered(places) { "\($0)" }
    case .hash, nil: return nil
    }
  }

  private static func ordered<Value>(
    _ places: [Value: Float], _ text: (Value) -> String
  ) -> [String] {
    places.sorted { $0.value < $1.value }.map { text($0.key) }
  }
}
