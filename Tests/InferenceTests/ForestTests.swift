import CKernels
import Inference
import TestRandom
import Testing

/// A forest scored node by node, without ranks: what every kernel must equal.
struct ForestOracle {
  let forest: Forest

  func sums(_ row: [Double], start: Double = 0) -> [Double] {
    var sums = [Double](repeating: start, count: forest.outputCount)
    for tree in forest.trees {
      let value = leaf(tree, row)
      switch tree.output {
      case .one(let index): sums[index] += forest.values[value]
      case .all: for k in sums.indices { sums[k] += forest.values[value + k] }
      }
    }
    return sums
  }

  private func leaf(_ tree: Forest.Tree, _ row: [Double]) -> Int {
    var node = tree.root
    while forest.features[node] >= 0 {
      let goesLeft = goesLeft(node, row[Int(forest.features[node])])
      node = Int(forest.children[node]) + (goesLeft ? 0 : 1)
    }
    return Int(forest.children[node])
  }

  private func goesLeft(_ node: Int, _ value: Double) -> Bool {
    var value = value
    switch forest.missing[node] {
    case .none:
      if value.isNaN, case .among = forest.tests[node] { return false }
      if value.isNaN { value = 0 }
    case .nan:
      if value.isNaN { return forest.missingLeft[node] }
    case .zero:
      if value.isNaN || value.magnitude <= Double(1e-35 as Float) {
        return forest.missingLeft[node]
      }
    }
    switch forest.tests[node] {
    case .atMost(let threshold): return value <= threshold
    case .equal(let wanted): return value == wanted
    case .among(let set):
      guard value > (forest.cutsCategories ? -1 : -Double.leastNonzeroMagnitude),
        value < 2_147_483_648
      else { return false }
      return forest.categorySets[set].contains(Int32(value))
    }
  }
}

extension Forest {
  /// Trees of up to `leaves` leaves with thresholds from a small set, so that rows hit them.
  static func random(
    trees: Int, leaves: Int, features: Int, outputs: Int, thresholds: [Double],
    mixed: Bool, vectors: Bool = false, scalarsBetween: Bool = false, seed: UInt64
  ) throws -> Forest {
    var random = SplitMix64(seed: seed)
    var forest = try Forest(featureCount: features, outputCount: outputs)
    let sets = [[0, 2, 3], [1], [4, 5, 6, 9], []].map { forest.addCategorySet($0) }
    for number in 0..<trees {
      var nodes: [Node] = [.leaf(value: 0)]
      var open = [0]
      while open.count < Int.random(in: 1...leaves, using: &random) {
        let place = Int.random(in: 0..<open.count, using: &random)
        let node = open[place]
        let threshold = thresholds.randomElement(using: &random)!
        var split = Split(
          feature: Int.random(in: 0..<features, using: &random), test: .atMost(threshold),
          missing: .nan, missingLeft: false)
        if mixed {
          split.missing = [.none, .nan, .zero].randomElement(using: &random)!
          split.missingLeft = Bool.random(using: &random)
          switch Int.random(in: 0..<8, using: &random) {
          case 0: split.test = .equal(threshold)
          case 1: (split.test, split.missing) = (.among(sets.randomElement(using: &random)!), .none)
          default: break
          }
        }
        nodes[node] = .split(split, left: nodes.count, right: nodes.count + 1)
        open[place] = nodes.count
        open.append(nodes.count + 1)
        nodes += [.leaf(value: 0), .leaf(value: 0)]
      }
      let isVector = vectors && !(scalarsBetween && number % 2 == 1)
      let width = isVector ? outputs : 1
      for (leaf, node) in open.enumerated() { nodes[node] = .leaf(value: leaf * width) }
      let values = (0..<(open.count * width)).map { _ in
        Double(Float.random(in: -1...1, using: &random))
      }
      try forest.append(
        nodes, values: values, output: isVector ? .all : .one(number % outputs))
    }
    return forest
  }
}

extension ForestPlan {
  /// Sums of rows, an array a row, in batches of `together`.
  func sums<Real: BinaryFloatingPoint>(
    _ rows: [[Double]], as type: Real.Type, start: Real = 0, asFloats: Bool = false,
    together: Int? = nil
  ) -> [[Real]] {
    let scratch = UnsafeMutableRawPointer.allocate(byteCount: scratchByteCount, alignment: 64)
    // Whatever memory holds must not matter.
    scratch.initializeMemory(as: UInt8.self, repeating: 0x7F, count: scratchByteCount)
    defer { scratch.deallocate() }
    var result: [[Real]] = []
    let size = min(together ?? blockRows, blockRows)
    for first in stride(from: 0, to: rows.count, by: size) {
      let block = rows[first..<min(first + size, rows.count)]
      let width = rows[0].count
      if asFloats || precision == .float {
        encode(
          rows: block.flatMap { $0.map { Float($0) } }, width: width, count: block.count,
          into: scratch)
      } else {
        encode(rows: block.flatMap(\.self), width: width, count: block.count, into: scratch)
      }
      let sums = sums(in: scratch, as: Real.self)
      for place in 0..<(sumStride * block.count) { sums[place] = start }
      switch sums {
      case let doubles as UnsafeMutablePointer<Double>:
        add(scratch, count: block.count, to: doubles)
      case let floats as UnsafeMutablePointer<Float>:
        add(scratch, count: block.count, to: floats)
      default: fatalError("sums are floats or doubles")
      }
      for row in 0..<block.count {
        result.append((0..<outputCount).map { sums[row * sumStride + $0] })
      }
    }
    return result
  }

  func doubleSums(_ rows: [[Double]], asFloats: Bool = false) -> [[Double]] {
    sums(rows, as: Double.self, asFloats: asFloats)
  }

  func floatSums(_ rows: [[Double]]) -> [[Float]] { sums(rows, as: Float.self, start: 0.5) }
}

@Suite struct ForestTests {
  static let counts = [1, 3, 4, 7, 8, 9, 31, 32, 33, 64, 65, 127, 128, 129, 300]
  static let thresholds = [-3, -1, -0.0, 1e-36, 0.1, 0.5, 1, 2, 2.5, 4, 5, 1e300]

  /// Values on, just below and just above the thresholds, categories, NaN and infinities.
  static func rows(_ count: Int, width: Int, seed: UInt64) -> [[Double]] {
    var random = SplitMix64(seed: seed)
    let special: [Double] = [.nan, .infinity, -.infinity, 0, -0.0, 1e-40, 3, 6, 9.9, -0.5, 1e12]
    return (0..<count).map { _ in
      (0..<width).map { _ in
        let threshold = thresholds.randomElement(using: &random)!
        switch Int.random(in: 0..<6, using: &random) {
        case 0: return threshold
        case 1: return threshold.nextUp
        case 2: return threshold.nextDown
        case 3: return special.randomElement(using: &random)!
        default: return Double.random(in: -4...6, using: &random)
        }
      }
    }
  }

  @Test(arguments: counts, ForestPlan.Kernel.allCases)
  func kernelsEqualTheOracleBitForBit(count: Int, kernel: ForestPlan.Kernel) throws {
    for (outputs, vectors, scalarsBetween) in [
      (1, false, false), (3, false, false), (3, true, false), (1, true, false), (3, true, true),
    ] {
      for mixed in [false, true] {
        let forest = try Forest.random(
          trees: 43, leaves: 40, features: 5, outputs: outputs, thresholds: Self.thresholds,
          mixed: mixed, vectors: vectors, scalarsBetween: scalarsBetween, seed: UInt64(count))
        let values: ForestPlan.Values = kernel == .walkOfFloats ? .floats : .doubles
        let plan = try ForestPlan(forest, precision: .double, values: values, kernel: kernel)
        if !mixed { #expect(plan.kernelReports.map(\.name) == [kernel.rawValue]) }
        let rows = Self.rows(count, width: 5, seed: UInt64(count) + 99)
        let oracle = ForestOracle(forest: forest)
        if values == .doubles { #expect(plan.doubleSums(rows) == rows.map { oracle.sums($0) }) }
        // Floats are compared as the doubles that they are.
        let floats = rows.map { $0.map { Double(Float($0)) } }
        #expect(plan.doubleSums(floats, asFloats: true) == floats.map { oracle.sums($0) })
      }
    }
  }

  /// Trees of one leaf, of 256, and deep ones; many categories; float and double sums.
  @Test(arguments: [1, 2, 255, 256, 257, 4000], [true, false])
  func kernelsEqualEachOtherWhateverTheTreesAre(leaves: Int, categories: Bool) throws {
    let forest = try Forest.random(
      trees: 9, leaves: leaves, features: 40, outputs: 2,
      thresholds: (0..<700).map { Double($0) / 8 }, mixed: categories, vectors: leaves == 4000,
      seed: UInt64(leaves))
    let oracle = ForestOracle(forest: forest)
    let rows = Self.rows(150, width: 40, seed: 12).map { $0.map { Double(Float($0 * 8)) } }
    let expected = rows.map { oracle.sums($0) }
    for kernel in ForestPlan.Kernel.allCases {
      let plan = try ForestPlan(forest, precision: .double, values: .floats, kernel: kernel)
      #expect(plan.doubleSums(rows, asFloats: true) == expected, "\(plan.kernelReports)")
    }
    let chosen = try ForestPlan(forest, precision: .double)
    for together in [1, 5, 16, 40, 150] {
      #expect(chosen.sums(rows, as: Double.self, together: together) == expected)
    }
  }

  @Test func splitsByManyCategoriesStayExact() throws {
    for count in [100, 126, 127, 300, 5000] {
      var forest = try Forest(featureCount: 2, outputCount: 1)
      for number in 0..<40 {
        let categories = (0..<count).filter { ($0 * 7 + number) % 5 < 2 }.map { Int32($0) }
        let split = Forest.Split(
          feature: number % 2, test: .among(forest.addCategorySet(categories)),
          missing: number % 3 == 0 ? .nan : .none, missingLeft: number % 2 == 0)
        try forest.append(
          [.split(split, left: 1, right: 2), .leaf(value: 0), .leaf(value: 1)],
          values: [Double(number), 0.25], output: .one(0))
      }
      let oracle = ForestOracle(forest: forest)
      let rows = (-3..<(count + 5)).map { [Double($0) + 0.5, Double($0)] } + [[.nan, .nan]]
      for kernel in [nil, ForestPlan.Kernel.masks, .walk] {
        let plan = try ForestPlan(forest, precision: .double, kernel: kernel)
        #expect(plan.doubleSums(rows) == rows.map { oracle.sums($0) })
      }
    }
  }

  /// Counts of cuts on both sides of where the search changes.
  @Test(arguments: [0, 1, 15, 16, 17, 31, 32, 33, 100, 239, 240, 254])
  func vectorEncodersEqualTheirScalarTwins(cutCount: Int) {
    var random = SplitMix64(seed: UInt64(cutCount))
    let cuts = (0..<cutCount).map { Float($0) / 4 - 9 }
    let places = cutCount <= 16 ? 16 : (cutCount / 16 + 1) * 16
    let last = cuts + Array(repeating: .infinity, count: places - cutCount)
    let pivots = stride(from: 15, to: places, by: 16).map { last[$0] }
    let top = places == 16 ? [] : pivots + Array(repeating: .infinity, count: 16 - pivots.count)
    let floats = top + last
    let doubles = floats.map { Double($0) }
    for count in [0, 1, 7, 8, 9, 15, 16, 17, 128, 300] {
      let values = (0..<(3 * count)).map { _ in
        [
          Float.nan, .infinity, -.infinity, -0.0, .leastNonzeroMagnitude,
          Float(Int.random(in: -50...250, using: &random)) / 4,
        ]
        .randomElement(using: &random)!
      }
      floats.withUnsafeBufferPointer { floats in
        doubles.withUnsafeBufferPointer { doubles in
          var feature = ck_forest_feature()
          feature.cuts_f32 = floats.baseAddress
          feature.cuts_f64 = doubles.baseAddress
          feature.levels.1 = UInt32(top.count)
          feature.level_count = top.isEmpty ? 1 : 2
          feature.nan_rank = UInt32(cutCount + 1)
          feature.view_count = 1
          (feature.flip, feature.nan_code) = (0x80, 7)
          for stride in [1, 3] {
            var vector = [UInt8](repeating: 1, count: 2 * count)
            var scalar = vector
            ck_forest_encode_u8_f32(&feature, values, stride, count, &vector, 0, 2)
            ck_forest_encode_u8_f32_scalar(&feature, values, stride, count, &scalar, 0, 2)
            #expect(vector == scalar)
            let expected = (0..<count).map { row in
              let value = values[row * stride]
              return value.isNaN ? 7 : UInt8(cuts.count { $0 < value }) ^ 0x80
            }
            #expect((0..<count).map { vector[2 * $0] } == expected)
            ck_forest_encode_u8_f64(
              &feature, values.map { Double($0) }, stride, count, &vector, 0, 2)
            ck_forest_encode_u8_f64_scalar(
              &feature, values.map { Double($0) }, stride, count, &scalar, 0, 2)
            #expect(vector == scalar)
          }
        }
      }
    }
  }

  @Test(arguments: counts)
  func floatSumsOfAllKernelsAreTheSame(count: Int) throws {
    let forest = try Forest.random(
      trees: 37, leaves: 64, features: 7, outputs: 2, thresholds: Self.thresholds, mixed: false,
      seed: 5)
    let rows = Self.rows(count, width: 7, seed: 11)
    let walk = try ForestPlan(forest, precision: .float, kernel: .walk).floatSums(rows)
    for kernel in ForestPlan.Kernel.allCases {
      let plan = try ForestPlan(forest, precision: .float, kernel: kernel)
      #expect(plan.kernelReports.map(\.name) == [kernel.rawValue])
      #expect(plan.floatSums(rows) == walk)
    }
  }

  @Test func aRowsSumDependsNeitherOnItsBatchNorItsPlace() throws {
    let forest = try Forest.random(
      trees: 50, leaves: 31, features: 6, outputs: 1, thresholds: Self.thresholds, mixed: false,
      seed: 8)
    let plan = try ForestPlan(forest, precision: .float)
    let rows = Self.rows(200, width: 6, seed: 3)
    let together = plan.floatSums(rows)
    for (row, sums) in zip(rows, together) { #expect(plan.floatSums([row]) == [sums]) }
    #expect(plan.floatSums(rows.reversed()) == together.reversed())
  }

  /// More thresholds of a feature than a byte counts: views in pieces, then two-byte ranks.
  @Test(arguments: [300, 2_000, 40_000, 140_000])
  func manyThresholdsOfAFeatureStayExact(count: Int) throws {
    let thresholds = (0..<count).map { Double($0) / 7 - 3 }
    var forest = try Forest(featureCount: 1, outputCount: 1)
    // A chain of splits in tree 0 would be deep: many small trees instead.
    for (number, threshold) in thresholds.enumerated() {
      let split = Forest.Split(
        feature: 0, test: .atMost(threshold), missing: .nan, missingLeft: number % 2 == 0)
      try forest.append(
        [.split(split, left: 1, right: 2), .leaf(value: 0), .leaf(value: 1)],
        values: [0, 1], output: .one(0))
    }
    let plan = try ForestPlan(forest, precision: .double)
    let rows = [thresholds[0], thresholds[count / 2], thresholds[count / 2].nextUp, 1e9, -1e9]
    let below = [0, count / 2, count / 2 + 1, count, 0]
    #expect(plan.doubleSums(rows.map { [$0] }) == below.map { [Double($0)] })
    #expect(plan.doubleSums([[.nan]]) == [[Double(count / 2)]])
  }

  @Test func extremesOfLeavesAreKept() throws {
    var forest = try Forest(featureCount: 1, outputCount: 1)
    for value in [3.0, -2, 5] {
      try forest.append([.leaf(value: 0)], values: [value], output: .one(0))
    }
    let largest = try ForestPlan(forest, precision: .double, aggregate: .max)
    #expect(largest.doubleSums([[0]]) == [[5]])
    let least = try ForestPlan(forest, precision: .double, aggregate: .min)
    #expect(least.doubleSums([[0]]) == [[-2]])
  }

  // MARK: Hostile trees

  private static func split(
    _ left: Int, _ right: Int, feature: Int = 0, threshold: Double = 0
  ) -> Forest.Node {
    .split(
      Forest.Split(feature: feature, test: .atMost(threshold), missing: .nan, missingLeft: false),
      left: left, right: right)
  }

  static let malformed: [([Forest.Node], String)] = [
    ([], "tree 0 has no nodes"),
    ([split(0, 1), .leaf(value: 0)], "node 0: leads to node 0, which has a parent already"),
    ([split(1, 1), .leaf(value: 0)], "node 0: leads to node 1, which has a parent already"),
    (
      [split(1, 2), split(3, 0), .leaf(value: 0), .leaf(value: 0)],
      "node 1: leads to node 0, which has a parent already"
    ),
    ([split(1, 2), .leaf(value: 0)], "node 0: leads to node 2 of 2"),
    ([split(1, -2), .leaf(value: 0)], "node 0: leads to node -2 of 2"),
    (
      [split(1, 2, feature: 2), .leaf(value: 0), .leaf(value: 0)],
      "node 0: feature 2 of 2"
    ),
    (
      [split(1, 2, threshold: .nan), .leaf(value: 0), .leaf(value: 0)],
      "node 0: the threshold is not a number"
    ),
    ([.leaf(value: 2)], "node 0: leaf value 2 of 2"),
    ([.leaf(value: -1)], "node 0: leaf value -1 of 2"),
    ([.leaf(value: 1)], "node 0: the value of the leaf is not a number"),
  ]

  @Test(arguments: malformed)
  func malformedTreesAreRefusedByNumber(nodes: [Forest.Node], reason: String) throws {
    var forest = try Forest(featureCount: 2, outputCount: 1)
    let error = #expect(throws: ModelError.self) {
      try forest.append(nodes, values: [1, .nan], output: .one(0))
    }
    #expect(error?.code == .malformed)
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
  }

  @Test func nodesThatNobodyReachesAreDropped() throws {
    var forest = try Forest(featureCount: 1, outputCount: 1)
    try forest.append(
      [.leaf(value: 7), Self.split(3, 0), .leaf(value: 9), .leaf(value: 0)], root: 1,
      values: Array(repeating: 1, count: 8), output: .one(0))
    #expect(forest.features.count == 3)
    #expect(throws: ModelError.self) {
      try forest.append([.leaf(value: 0)], values: [1], output: .one(1))
    }
  }
}
