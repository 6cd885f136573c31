import Foundation
import Inference
import TestRandom

/// Models for tests: small enough to read, exact enough to compare bit for bit.
enum TestModel {
  /// A LightGBM regression over named features: for each, a tree of two leaves whose threshold and
  /// values follow from the seed.
  static func sum(of features: [String], seed: UInt64 = 1) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    var trees = ""
    for index in features.indices {
      let threshold = (random.unit() * 20 - 10).rounded(.down) + 0.5
      let left = random.unit() * 4 - 2
      let right = random.unit() * 4 - 2
      trees += """
        Tree=\(index)
        num_leaves=2
        num_cat=0
        split_feature=\(index)
        split_gain=1
        threshold=\(threshold)
        decision_type=10
        left_child=-1
        right_child=-2
        leaf_value=\(left) \(right)
        leaf_weight=1 1
        leaf_count=1 1
        internal_value=0
        internal_weight=2
        internal_count=2
        is_linear=0
        shrinkage=1


        """
    }
    let text = """
      tree
      version=v4
      num_class=1
      num_tree_per_iteration=1
      label_index=0
      max_feature_idx=\(features.count - 1)
      objective=regression
      feature_names=\(features.joined(separator: " "))
      feature_infos=\(features.map { _ in "[-100:100]" }.joined(separator: " "))

      \(trees)
      end of trees

      """
    return Array(text.utf8)
  }

  /// The committed anomaly detector of a device's sensor: one input `value`, which must be there;
  /// outputs `label` and `decision`.
  static func anomaly(device: Int, sensor: Int) throws -> [UInt8] {
    try read("deploy/demo/models/anomaly_\(device)_\(sensor).onnx")
  }

  /// A model with several classes, of the engine's fixtures.
  static func fixture(_ path: String) throws -> [UInt8] {
    try read("Tests/InferenceTests/Fixtures/\(path)")
  }

  static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  static func read(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: root.appending(path: path)))
  }
}
