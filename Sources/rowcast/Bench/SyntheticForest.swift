/// A made-up LightGBM regression: complete trees over columns `f0`, `f1`, … with values from -4 to 4.
struct SyntheticForest {
  /// Another forest for each.
  var number: Int
  var trees: Int
  /// Of each tree; it has two to that power leaves.
  var depth: Int
  var featureCount = 10

  var features: [String] { (0..<featureCount).map { "f\($0)" } }

  /// The file's bytes.
  var bytes: [UInt8] {
    var state = UInt64(number) &* 0x9E37_79B9_7F4A_7C15 &+ 1
    func draw(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(bound))
    }
    func list(_ count: Int, _ value: (Int) -> String) -> String {
      (0..<count).map(value).joined(separator: " ")
    }
    let leaves = 1 << depth
    let splits = leaves - 1
    /// Splits come level by level; below the last are the leaves, whose numbers are negative.
    func child(_ place: Int) -> String { place < splits ? "\(place)" : "\(splits - place - 1)" }
    var text = """
      tree
      version=v4
      num_class=1
      num_tree_per_iteration=1
      label_index=0
      max_feature_idx=\(featureCount - 1)
      objective=regression
      feature_names=\(features.joined(separator: " "))
      feature_infos=\(features.map { _ in "[-4:4]" }.joined(separator: " "))


      """
    for tree in 0..<trees {
      text += """
        Tree=\(tree)
        num_leaves=\(leaves)
        num_cat=0
        split_feature=\(list(splits) { _ in "\(draw(featureCount))" })
        split_gain=\(list(splits) { _ in "1" })
        threshold=\(list(splits) { _ in "\(Double(draw(800)) / 100 - 4 + 0.005)" })
        decision_type=\(list(splits) { _ in "2" })
        left_child=\(list(splits) { child(2 * $0 + 1) })
        right_child=\(list(splits) { child(2 * $0 + 2) })
        leaf_value=\(list(leaves) { _ in "\(Double(draw(2000)) / 1000 - 1)" })
        leaf_weight=\(list(leaves) { _ in "1" })
        leaf_count=\(list(leaves) { _ in "1" })
        internal_value=\(list(splits) { _ in "0" })
        internal_weight=\(list(splits) { _ in "2" })
        internal_count=\(list(splits) { _ in "2" })
        is_linear=0
        shrinkage=1


        """
    }
    text += "\nend of trees\n"
    return Array(text.utf8)
  }
}
