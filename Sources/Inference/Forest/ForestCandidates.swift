internal import CKernels

/// The kernels that fit a forest.
struct ForestCandidates {
  private let forest: Forest
  private let leaves: LeafValues
  private let aggregate: ForestPlan.Aggregate
  private let values: ForestPlan.Values
  private var ranking: ForestRanking
  private var isRanked = false
  /// Kernels of one kind of codes share them.
  private var codes: [ForestCodes.Kind: ForestCodes] = [:]

  init(
    _ forest: Forest, leaves: LeafValues, aggregate: ForestPlan.Aggregate,
    values: ForestPlan.Values
  ) {
    self.forest = forest
    self.leaves = leaves
    self.aggregate = aggregate
    self.values = values
    ranking = ForestRanking(forest)
  }

  /// The wanted one if it fits; else all that may be the fastest.
  mutating func kernels(_ wanted: ForestPlan.Kernel?) -> [any ForestKernel] {
    ranking.collect()
    if let wanted, let kernel = kernel(wanted) { return [kernel] }
    var kernels: [any ForestKernel] = []
    let fitsBytes = thresholdsFitBytes
    if fitsBytes {
      kernels += [.masks, .lanes, .walkOfBytes].compactMap { kernel($0) }
    }
    if let floats = kernel(.walkOfFloats) { kernels.append(floats) }
    // The general one is slower than any other that takes single rows as well as many.
    if !kernels.contains(where: { $0.name.hasPrefix("walk") }), let walk = kernel(.walk) {
      kernels.append(walk)
    }
    return kernels
  }

  /// Whether cutting views into pieces of 255 thresholds costs neither much time nor memory.
  private var thresholdsFitBytes: Bool {
    var pieces = 0
    var entries = 0
    var first = 0
    let views = ranking.views
    while first < views.count {
      let mine = views[first...].prefix { $0.feature == views[first].feature }
      let cuts = mine.indices.reduce(0) { $0 + ranking.thresholdCounts[$1] }
      let own = mine.indices.reduce(0) { $0 + max((ranking.thresholdCounts[$1] + 254) / 255, 1) }
      pieces += own
      entries += own * cuts
      first = mine.endIndex
    }
    return pieces <= max(2 * views.count, 256) && entries <= 1 << 16 + 4 * forest.features.count
  }

  private mutating func ranked() -> ForestRanking {
    if !isRanked {
      ranking.rankThresholds()
      isRanked = true
    }
    return ranking
  }

  private mutating func codes(_ kind: ForestCodes.Kind) -> ForestCodes? {
    if let known = codes[kind] { return known }
    codes[kind] = ForestCodes(kind == .floats ? ranking : ranked(), kind: kind)
    return codes[kind]
  }

  private var treesFitMasks: Bool {
    aggregate == .sum && !leaves.isShared
      && forest.trees.allSatisfy { $0.end - $0.root <= 2 * ForestMasks.mostLeaves - 1 }
  }

  private var comparesFloats: Bool {
    values == .floats && !ranking.hasCategories
      && forest.tests.allSatisfy {
        if case .atMost(let threshold) = $0 { threshold < .infinity } else { false }
      }
  }

  private mutating func kernel(_ kind: ForestPlan.Kernel) -> (any ForestKernel)? {
    switch kind {
    case .masks, .portableMasks:
      guard treesFitMasks, let codes = codes(.bytesByView) else {
        return nil
      }
      return ForestMasks(
        ranking, codes: codes, values: leaves, isPortable: kind == .portableMasks)
    case .lanes, .portableLanes:
      guard treesFitMasks, let codes = codes(.bytesByRow), ForestLanes.takes(codes) else {
        return nil
      }
      return ForestLanes(
        ranking, codes: codes, values: leaves, isPortable: kind == .portableLanes)
    case .walkOfBytes:
      guard !ranking.hasCategories, let codes = codes(.bytesByRow) else {
        return nil
      }
      return ForestNodes(ranking, codes: codes, values: leaves, aggregate: kernelAggregate)
    case .walkOfFloats:
      guard comparesFloats, let codes = codes(.floats) else { return nil }
      return ForestNodes(ranking, codes: codes, values: leaves, aggregate: kernelAggregate)
    case .walk:
      guard let codes = codes(.words) else { return nil }
      return ForestNodes(ranking, codes: codes, values: leaves, aggregate: kernelAggregate)
    }
  }

  private var kernelAggregate: ck_forest_aggregate {
    switch aggregate {
    case .sum: CK_FOREST_SUM
    case .min: CK_FOREST_MIN
    case .max: CK_FOREST_MAX
    }
  }
}

/// The fastest of some kernels for few rows and for many.
struct ForestChoice {
  let few: any ForestKernel
  let many: any ForestKernel
  /// The most rows that `few` is taken for.
  let fewRows: Int
  let reports: [KernelReport]

  /// - Parameter kernels: at least one.
  init(
    _ kernels: [any ForestKernel], thresholds: [[Float]], precision: ForestPlan.Precision,
    sumStride: Int
  ) {
    guard kernels.count > 1 else {
      (few, many, fewRows) = (kernels[0], kernels[0], 0)
      reports = [
        KernelReport(
          part: "trees", leastRows: 1, mostRows: nil, name: kernels[0].name,
          reason: "the only one that fits the trees", alternatives: [])
      ]
      return
    }
    let trial = ForestTrial(thresholds)
    let figures = kernels.map {
      trial.measure($0, precision: precision, sumStride: sumStride)
    }
    let one = figures.min { $0.one < $1.one }!
    let most = figures.min { $0.many < $1.many }!
    let alternatives = figures.map { figure in
      KernelReport.Alternative(
        name: figure.kernel.name,
        nanosecondsPerRow: [
          .init(rows: 1, nanoseconds: figure.one),
          .init(rows: ForestTrial.fewRows, nanoseconds: figure.few),
          .init(rows: figure.manyRows, nanoseconds: figure.many),
        ])
    }
    (few, many) = (one.kernel, most.kernel)
    func report(_ kernel: any ForestKernel, from least: Int, to: Int?) -> KernelReport {
      KernelReport(
        part: "trees", leastRows: least, mostRows: to, name: kernel.name,
        reason: "the fastest of \(kernels.count) when the model was loaded",
        alternatives: alternatives)
    }
    guard few !== many else {
      fewRows = 0
      reports = [report(many, from: 1, to: nil)]
      return
    }
    // Kernels for many rows cost the same for any few of them.
    let batch = most.few * Double(ForestTrial.fewRows)
    fewRows = min(max(Int(batch / one.one), 1), 2 * ForestTrial.fewRows)
    reports = [
      report(few, from: 1, to: fewRows), report(many, from: fewRows + 1, to: nil),
    ]
  }
}
