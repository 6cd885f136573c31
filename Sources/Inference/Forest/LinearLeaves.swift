/// Linear functions in place of leaf values, as LightGBM's linear trees have them.
///
/// A leaf adds `constant + coefficient · value + …`, term by term in the order of the file; where
/// a value that a term names is NaN, it adds its plain value instead. Leaves of trees without
/// functions have their value as the constant and no terms, which adds the same.
package struct LinearLeaves: Sendable {
  /// One leaf's function.
  package struct Leaf: Sendable {
    package var constant: Double
    package var features: [Int]
    package var coefficients: [Double]

    package init(constant: Double, features: [Int], coefficients: [Double]) {
      self.constant = constant
      self.features = features
      self.coefficients = coefficients
    }
  }

  /// One for each of the forest's leaf values.
  package private(set) var constants: [Double]
  /// Where the terms of each leaf end; they start where those of the leaf before end.
  package private(set) var ends: [Int]
  package private(set) var features: [Int32] = []
  package private(set) var coefficients: [Double] = []

  init(constants: [Double]) {
    self.constants = constants
    ends = Array(repeating: 0, count: constants.count)
  }

  mutating func append(constants: [Double]) {
    self.constants.append(contentsOf: constants)
    ends.append(contentsOf: repeatElement(features.count, count: constants.count))
  }

  mutating func append(_ other: LinearLeaves) {
    let first = features.count
    constants += other.constants
    ends += other.ends.lazy.map { $0 + first }
    features += other.features
    coefficients += other.coefficients
  }

  /// - Throws: where a feature does not exist or a number is not finite.
  mutating func append(
    _ leaves: [Leaf], tree: Int, featureCount: Int
  ) throws(ModelError) {
    for (number, leaf) in leaves.enumerated() {
      func malformed(_ what: String) -> ModelError {
        ModelError(.malformed, "tree \(tree), leaf \(number): \(what)")
      }
      guard leaf.features.count == leaf.coefficients.count else {
        throw malformed(
          "\(leaf.coefficients.count) coefficients for \(leaf.features.count) features")
      }
      for feature in leaf.features where !(0..<featureCount).contains(feature) {
        throw malformed("feature \(feature) of \(featureCount)")
      }
      guard leaf.constant.isFinite, leaf.coefficients.allSatisfy(\.isFinite) else {
        throw malformed("a coefficient is not finite")
      }
      constants.append(leaf.constant)
      features.append(contentsOf: leaf.features.map { Int32($0) })
      coefficients.append(contentsOf: leaf.coefficients)
      ends.append(features.count)
    }
  }

  package func terms(of leaf: Int) -> Range<Int> {
    (leaf == 0 ? 0 : ends[leaf - 1])..<ends[leaf]
  }

  /// What the leaf adds for a row; `plain` is its value where the function has none.
  @inline(__always)
  package func value(of leaf: Int, plain: Double, _ row: (Int) -> Double) -> Double {
    var sum = constants[leaf]
    for term in terms(of: leaf) {
      let value = row(Int(features[term]))
      if value.isNaN { return plain }
      // What counts as zero to a split does so here.
      if value.magnitude > ForestRanking.zeroBound { sum += coefficients[term] * value }
    }
    return sum
  }
}
