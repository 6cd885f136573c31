extension LightGBMTree {
  /// The training rows of each node, as the file counts them: splits first, then leaves.
  func covers(leafCount: Int) throws(ModelError) -> [Double] {
    // A tree of a single leaf has no counts that matter.
    guard leafCount > 1 else { return [1] }
    return try counts("internal_count", leafCount - 1) + counts("leaf_count", leafCount)
  }

  private func counts(_ key: String, _ count: Int) throws(ModelError) -> [Double] {
    guard let entry = entries[key] else {
      throw ModelError(
        .unsupported,
        "tree \(number) lacks \"\(key)\" (line \(line)), without which the model cannot be explained"
      )
    }
    let values = try text.doubles(entry) { "tree \(number), node \($0): \(key)" }
    guard values.count == count else {
      throw ModelError(
        .malformed,
        "tree \(number): \(values.count) entries of \"\(key)\" for \(count) (line \(entry.line))")
    }
    return values
  }
}
