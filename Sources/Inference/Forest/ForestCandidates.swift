internal import CKernels

/// The kernels that fit a forest.
struct ForestCandidates {
  private let forest: Forest
  private let leaves: LeafValues
  private let aggregate: ForestPlan.Aggregate
  private let values: ForestPlan.Values
  private var ranking: ForestRanking

  /// - Parameter ranking: with what was collected, thresholds perhaps not ranked.
  init(
    _ forest: Forest, ranking: ForestRanking, leaves: LeafValues,
    aggregate: ForestPlan.Aggregate, values: ForestPlan.Values
  ) {
    self.forest = forest
    self.leaves = leaves
    self.aggregate = aggregate
    self.values = values
    self.ranking = ranking
  }

  /// The wanted one if it fits; else all that may be the fastest.
  mutating func kernels(_ wanted: ForestPlan.Kernel?) -> [any ForestKernel] {
    if let wanted, let kernel = made([wanted]).first { return [kernel] }
    var kinds: [ForestPlan.Kernel] = thresholdsFitBytes ? [.masks, .lanes, .walkOfBytes] : []
    kinds.append(.walkOfFloats)
    let kernels = made(kinds)
    // The general one is slower than any other that takes single rows as well as many.
    return kernels.contains { $0.name.hasPrefix("walk") } ? kernels : kernels + made([.walk])
  }

  /// Whether cutting views into pieces of 255 thresholds costs neither much time nor memory.
  private var thresholdsFitBytes: Bool {
    guard ranking.isCollected else { return false }
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

  /// The kernels of these kinds that fit, made on all cores.
  private mutating func made(_ kinds: [ForestPlan.Kernel]) -> [any ForestKernel] {
    let fit = kinds.filter { mayFit($0) }
    if fit.contains(where: { $0 != .walkOfFloats }) { ranking.rankThresholds() }
    // Kernels of one kind of codes share them.
    let codeKinds = Array(Set(fit.map(\.codes)))
    let ranking = self.ranking
    enum Part {
      case codes(ForestCodes?)
      case slices(ForestSlices)
    }
    let hasMasks = fit.contains { $0.isOfMasks }
    let parts: [Part] = Concurrently.map(codeKinds.count + (hasMasks ? 1 : 0)) { part in
      part < codeKinds.count
        ? .codes(ForestCodes(ranking, kind: codeKinds[part]))
        : .slices(ForestSlices(ranking.forest))
    }
    var codes: [ForestCodes.Kind: ForestCodes] = [:]
    var slices: ForestSlices?
    for (index, part) in parts.enumerated() {
      switch part {
      case .codes(let found): codes[codeKinds[index]] = found
      case .slices(let found): slices = found
      }
    }
    return Concurrently.map(fit.count) { index in
      codes[fit[index].codes].flatMap { kernel(fit[index], $0, slices) }
    }.compactMap { $0 }
  }

  private var treesFitMasks: Bool {
    aggregate == .sum && !leaves.isShared
      && forest.trees.allSatisfy { $0.end - $0.root <= 2 * ForestMasks.mostLeaves - 1 }
  }

  private var comparesFloats: Bool {
    values == .floats && ForestCandidates.comparesFloats(forest)
  }

  /// Whether all splits compare with a threshold, and none by a rule that floats do not have.
  static func comparesFloats(_ forest: Forest) -> Bool {
    forest.tests.allSatisfy {
      if case .atMost(let threshold) = $0 { threshold < .infinity } else { false }
    }
  }

  /// More distinct thresholds than any forest has whose thresholds fit bytes.
  static func mostThresholds(views: Int) -> Int { 255 * max(2 * views, 256) }

  private func mayFit(_ kind: ForestPlan.Kernel) -> Bool {
    switch kind {
    case .masks, .portableMasks: treesFitMasks
    case .lanes, .portableLanes: treesFitMasks
    case .walkOfBytes: !ranking.hasCategories
    case .walkOfFloats: comparesFloats
    case .walk: true
    }
  }

  /// - Parameter slices: there for kernels of masks.
  private func kernel(
    _ kind: ForestPlan.Kernel, _ codes: ForestCodes, _ slices: ForestSlices?
  ) -> (any ForestKernel)? {
    switch kind {
    case .masks, .portableMasks:
      ForestMasks(
        ranking, codes: codes, values: leaves, slices: slices!, isPortable: kind == .portableMasks)
    case .lanes, .portableLanes:
      ForestLanes.takes(codes)
        ? ForestLanes(
          ranking, codes: codes, values: leaves, slices: slices!,
          isPortable: kind == .portableLanes)
        : nil
    case .walkOfBytes, .walkOfFloats, .walk:
      ForestNodes(ranking, codes: codes, values: leaves, aggregate: kernelAggregate)
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

extension ForestPlan.Kernel {
  /// Whether it is made of slices.
  fileprivate var isOfMasks: Bool {
    switch self {
    case .masks, .lanes, .portableMasks, .portableLanes: true
    case .walkOfBytes, .walkOfFloats, .walk: false
    }
  }

  /// What it is given in place of values.
  fileprivate var codes: ForestCodes.Kind {
    switch self {
    case .masks, .portableMasks: .bytesByView
    case .lanes, .portableLanes, .walkOfBytes: .bytesByRow
    case .walkOfFloats: .floats
    case .walk: .words
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
    let figures = trial.measure(kernels, precision: precision, sumStride: sumStride)
    let one = figures.min { $0.one < $1.one }!
    let most = figures.min { $0.many < $1.many }!
    let alternatives = figures.map { figure in
      KernelReport.Alternative(
        name: figure.kernel.name,
        nanosecondsPerRow: [
          (1, figure.one), (ForestTrial.fewRows, figure.few), (figure.manyRows, figure.many),
        ].filter { $1.isFinite }.map { .init(rows: $0, nanoseconds: $1) })
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
    // Kernels for many rows cost the same for any few of them; where it is close, theirs is the cost
    // that spreads less.
    let batch = 0.8 * most.few * Double(ForestTrial.fewRows)
    let row = min(one.one, one.few)
    fewRows = Int(min(max(batch / row, 1), Double(2 * ForestTrial.fewRows)))
    reports = [
      report(few, from: 1, to: fewRows), report(many, from: fewRows + 1, to: nil),
    ]
  }
}
