/// What stands before the first tree.
struct LightGBMHeader {
  let featureNames: [String]
  /// The values that training saw of each feature; nil where the file does not say.
  let featureInfos: LightGBMText.Entry?
  let treesPerIteration: Int
  let averagesOutput: Bool
  /// How many `tree_sizes` lists.
  let treeCount: Int?
  /// The line that ended the header: the first tree's heading.
  let firstTree: Range<Int>?
  /// The version of the format, as "v4"; nil where the file does not say.
  let version: String?
  let objective: LightGBMObjective

  init(_ text: inout LightGBMText, limits: ModelLimits) throws(ModelError) {
    guard let first = text.nextLine(), text.string(first) == "tree" else {
      throw ModelError(.malformed, "a LightGBM model starts with the line \"tree\" (line 1)")
    }
    var entries: [String: LightGBMText.Entry] = [:]
    var firstTree: Range<Int>?
    repeat {
      let lineBefore = text.line
      let copy = text
      let section = try text.section { line in
        copy.starts(line, with: "Tree=") || copy.starts(line, with: "end of trees")
      }
      entries.merge(section.entries) { first, _ in first }
      firstTree = section.stop
      if firstTree == nil, text.line == lineBefore {
        throw ModelError(.truncated, "the file ends before its first tree (line \(text.line))")
      }
    } while firstTree == nil
    self.firstTree = firstTree

    func integer(_ key: String) throws(ModelError) -> Int? {
      guard let entry = entries[key] else { return nil }
      let values = try text.integers(entry) { _ in key }
      guard values.count == 1 else {
        throw ModelError(.malformed, "\(key) is not one integer (line \(entry.line))")
      }
      return values[0]
    }
    version = entries["version"].map { text.string($0.value) }
    if let version = entries["version"] {
      guard ["v2", "v3", "v4"].contains(text.string(version.value)) else {
        throw ModelError(
          .unsupported,
          "version \"\(text.string(version.value).prefix(40))\" of LightGBM's text is not supported (line \(version.line))"
        )
      }
    }
    guard let lastFeature = try integer("max_feature_idx") else {
      throw ModelError(.malformed, "the header lacks \"max_feature_idx\"")
    }
    guard lastFeature >= 0, lastFeature < limits.features else {
      throw ModelError(
        .tooLarge, "max_feature_idx is \(lastFeature), at most \(limits.features) features are read"
      )
    }
    if let names = entries["feature_names"] {
      featureNames = text.words(names).map(text.string)
      guard featureNames.count == lastFeature + 1 else {
        throw ModelError(
          .malformed,
          "\(featureNames.count) feature names for \(lastFeature + 1) features (line \(names.line))"
        )
      }
    } else {
      featureNames = (0...lastFeature).map { "Column_\($0)" }
    }
    featureInfos = entries["feature_infos"]
    let classes = try integer("num_class") ?? 1
    treesPerIteration = try integer("num_tree_per_iteration") ?? classes
    guard (1...limits.features).contains(treesPerIteration) else {
      throw ModelError(.malformed, "num_tree_per_iteration is \(treesPerIteration)")
    }
    averagesOutput = entries["average_output"] != nil
    treeCount = entries["tree_sizes"].map { text.words($0).count }
    objective = LightGBMObjective(
      words: entries["objective"].map { text.words($0).map(text.string) } ?? [],
      line: entries["objective"]?.line ?? 0)
  }

  func outputs(labels: [String]?) throws(ModelError) -> ForestOutputs {
    try objective.outputs(count: treesPerIteration, labels: labels)
  }
}
