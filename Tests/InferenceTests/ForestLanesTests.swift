import Inference
import TestRandom
import Testing

@Suite struct ForestLanesTests {
  /// Trees of up to `leaves` leaves; features from 3 on are categories.
  private static func forest(leaves: Int, trees: Int) throws -> Forest {
    var random = SplitMix64(seed: UInt64(leaves))
    var forest = try Forest(featureCount: 5, outputCount: 1)
    let sets = [[0, 2, 3], [1], [4, 5, 6, 9], []].map { forest.addCategorySet($0) }
    for _ in 0..<trees {
      var nodes: [Forest.Node] = [.leaf(value: 0)]
      var open = [0]
      while open.count < Int.random(in: 1...leaves, using: &random) {
        let place = Int.random(in: 0..<open.count, using: &random)
        let node = open[place]
        let feature = Int.random(in: 0..<5, using: &random)
        let split = Forest.Split(
          feature: feature,
          test: feature < 3
            ? .atMost(ForestTests.thresholds.randomElement(using: &random)!)
            : .among(sets.randomElement(using: &random)!),
          missing: feature < 3 || Bool.random(using: &random) ? .nan : .none,
          missingLeft: Bool.random(using: &random))
        nodes[node] = .split(split, left: nodes.count, right: nodes.count + 1)
        open[place] = nodes.count
        open.append(nodes.count + 1)
        nodes += [.leaf(value: 0), .leaf(value: 0)]
      }
      for (leaf, node) in open.enumerated() { nodes[node] = .leaf(value: leaf) }
      let values = open.map { _ in Double.random(in: -1...1, using: &random) }
      try forest.append(nodes, values: values, output: .one(0))
    }
    return forest
  }

  @Test(arguments: [1, 9, 40, 200], [ForestPlan.Kernel.lanes, .portableLanes, .masks, .walk])
  func categoriesLeaveWhatTheirSplitsDo(leaves: Int, kernel: ForestPlan.Kernel) throws {
    for trees in [1, 31, 33, 70] {
      let forest = try Self.forest(leaves: leaves, trees: trees)
      let plan = try ForestPlan(forest, precision: .double, kernel: kernel)
      #expect(plan.kernelReports.map(\.name) == [kernel.rawValue])
      let oracle = ForestOracle(forest: forest)
      let rows = ForestTests.rows(40, width: 5, seed: 7)
      let expected = rows.map { oracle.sums($0) }
      for together in [1, 2, 3, 7, 8, 17, 33, 40] {
        #expect(plan.sums(rows, as: Double.self, together: together) == expected)
      }
    }
  }

  /// Codes of a row fill one to eight registers.
  @Test(arguments: [15, 17, 33, 60, 70, 90, 100, 120, 128])
  func manyFeaturesTakeSeveralRegisters(features: Int) throws {
    var random = SplitMix64(seed: UInt64(features))
    var forest = try Forest(featureCount: features, outputCount: 1)
    for tree in 0..<70 {
      // A chain, so that all features are read.
      let splits = 40
      var nodes: [Forest.Node] = []
      for split in 0..<splits {
        let test = Forest.Test.atMost(ForestTests.thresholds.randomElement(using: &random)!)
        nodes.append(
          .split(
            Forest.Split(
              feature: (tree * splits + split) % features, test: test, missing: .nan,
              missingLeft: false),
            left: splits + split, right: split + 1 == splits ? 2 * splits : split + 1))
      }
      nodes += (0...splits).map { .leaf(value: $0) }
      let values = (0...splits).map { _ in Double.random(in: -1...1, using: &random) }
      try forest.append(nodes, values: values, output: .one(0))
    }
    let plan = try ForestPlan(forest, precision: .double, kernel: .lanes)
    #expect(plan.kernelReports.map(\.name) == ["lanes"])
    let oracle = ForestOracle(forest: forest)
    let rows = ForestTests.rows(37, width: features, seed: 5)
    let expected = rows.map { oracle.sums($0) }
    for together in [1, 2, 17, 37] {
      #expect(plan.sums(rows, as: Double.self, together: together) == expected)
    }
  }

  @Test func leavesAreNumberedAsTheyWereGiven() throws {
    let forest = try Self.forest(leaves: 60, trees: 5)
    let numbering = Forest(numberingLeavesOf: forest)
    let rows = ForestTests.rows(30, width: 5, seed: 9)
    let numbers = try ForestPlan(numbering, precision: .double).doubleSums(rows)
    for (row, numbers) in zip(rows, numbers) {
      let sum = zip(forest.trees, numbers).reduce(0) { sum, leaf in
        sum + forest.values[leaf.0.firstValue + Int(leaf.1)]
      }
      #expect([sum] == ForestOracle(forest: forest).sums(row))
    }
  }
}
