/// What the splits of a forest see of its features.
///
/// Splits of one feature that treat missing values alike share a view, so that one code a value
/// answers them all. A view of thresholds counts how many are below a value; one of categories
/// numbers those that its splits name; a split that asks for one value has a view of its own.
struct ForestRanking {
  /// Bounds of what LightGBM takes for zero: 1e-35 as a float.
  static let zeroBound = Double(1e-35 as Float)

  enum Kind {
    case thresholds
    case categories
    /// 0 where the test holds, else 1.
    case test(Forest.Test)
  }

  struct View {
    let feature: Int32
    let missing: Forest.Missing
    let missingLeft: Bool
    let kind: Kind
    /// Thresholds of the view's splits, ascending and distinct.
    var cuts: [Double] = []
    /// Categories that its splits name, ascending and distinct.
    var categories: [Int32] = []

    /// Numbers of categories, then of all others, then of NaN.
    var otherCategory: Int { categories.count }
    var nanCategory: Int { categories.count + 1 }
    var isCategories: Bool { if case .categories = kind { true } else { false } }
  }

  let forest: Forest
  /// Views of one feature lie side by side, features ascend.
  private(set) var views: [View] = []
  /// -1 at leaves.
  private(set) var viewOfNode: [Int32] = []
  /// The place of a split's threshold among its view's cuts; filled by `rankThresholds`.
  private(set) var rankOfNode: [Int32] = []
  /// Whether some view numbers categories.
  private(set) var hasCategories = false
  private var thresholds = ForestThresholds()
  private var thresholdOfNode: [Int32] = []
  private var isRanked = false

  init(_ forest: Forest) {
    self.forest = forest
    findViews()
  }

  /// Views of this many are as fast as memory; more would not fit the kernels' numbers.
  static let mostViews = 65_536

  /// Finds the view of each split.
  private mutating func findViews() {
    let forest = self.forest
    // Where features are many, a table for each part would take more than the trees.
    let isNarrow = forest.featureCount < 4096
    let ranges =
      isNarrow
      ? Concurrently.ranges(forest.features.count, least: 1 << 14) : [forest.features.indices]
    let parts = Concurrently.map(ranges.count) { part in
      var table = ViewTable(featureCount: forest.featureCount)
      let numbers = ranges[part].map { node in
        forest.features[node] < 0
          ? -1
          : table.number(
            feature: forest.features[node], missing: forest.missing[node],
            missingLeft: forest.missingLeft[node], test: forest.tests[node])
      }
      return (views: table.views, numbers: numbers)
    }
    var table = ViewTable(featureCount: forest.featureCount)
    var joined = parts.map { part in part.views.map { table.number(of: $0) } }
    hasCategories = table.views.contains { $0.isCategories }
    let order = table.views.indices.sorted {
      (table.views[$0].feature, $0) < (table.views[$1].feature, $1)
    }
    var moved = [Int32](repeating: -1, count: order.count)
    for (new, old) in order.enumerated() { moved[old] = Int32(new) }
    views = order.map { table.views[$0] }
    for part in joined.indices { joined[part] = joined[part].map { moved[Int($0)] } }
    viewOfNode = Concurrently.array(starts: [0] + ranges.map(\.upperBound)) { part, target in
      for (place, number) in parts[part].numbers.enumerated() {
        (target + place).initialize(to: number < 0 ? -1 : joined[part][Int(number)])
      }
    }
  }

  /// Views as they come, each once.
  private struct ViewTable {
    private(set) var views: [View] = []
    private var slots: [Int32]
    private var ofTests: [TestKey: Int32] = [:]

    init(featureCount: Int) { slots = Array(repeating: -1, count: featureCount * 12) }

    mutating func number(of view: View) -> Int32 {
      switch view.kind {
      case .thresholds: number(of: view, slot: Self.slot(view))
      case .categories: number(of: view, slot: Self.slot(view) + 6)
      case .test(let test): number(of: view, test)
      }
    }

    @inline(__always)
    mutating func number(
      feature: Int32, missing rule: Forest.Missing, missingLeft: Bool, test: Forest.Test
    ) -> Int32 {
      let isLeft = rule == .none ? false : missingLeft
      func view(_ kind: Kind) -> View {
        View(feature: feature, missing: rule, missingLeft: isLeft, kind: kind)
      }
      switch test {
      case .atMost:
        // Most splits by far.
        let slot = Int(feature) * 12 + Int(rule.rawValue) * 2 + (isLeft ? 1 : 0)
        return slots[slot] >= 0 ? slots[slot] : number(of: view(.thresholds), slot: slot)
      case .among where rule != .zero: return number(of: view(.categories))
      default: return number(of: view(.test(test)))
      }
    }

    private static func slot(_ view: View) -> Int {
      Int(view.feature) * 12 + Int(view.missing.rawValue) * 2 + (view.missingLeft ? 1 : 0)
    }

    private mutating func number(of view: View, slot: Int) -> Int32 {
      if slots[slot] < 0 { slots[slot] = append(view) }
      return slots[slot]
    }

    private mutating func number(of view: View, _ test: Forest.Test) -> Int32 {
      let key = TestKey(
        feature: view.feature, missing: view.missing, missingLeft: view.missingLeft, test: test)
      if let known = ofTests[key] { return known }
      let number = append(view)
      ofTests[key] = number
      return number
    }

    private mutating func append(_ view: View) -> Int32 {
      views.append(view)
      return Int32(views.count - 1)
    }
  }

  private struct TestKey: Hashable {
    var feature: Int32
    var missing: Forest.Missing
    var missingLeft: Bool
    var test: Forest.Test
  }

  /// Collects thresholds and categories: how many there are decides which codes are possible.
  ///
  /// - Parameter most: stops once there are more distinct thresholds; nil for never.
  mutating func collect(most: Int? = nil) {
    guard let most else { return rankAll() }
    let forest = self.forest
    var thresholds = ForestThresholds()
    var numbers = [Int32](repeating: -1, count: viewOfNode.count)
    var named = [[Int32]](repeating: [], count: hasCategories ? views.count : 0)
    for node in viewOfNode.indices where viewOfNode[node] >= 0 {
      switch forest.tests[node] {
      case .atMost(let threshold):
        numbers[node] = thresholds.number(view: viewOfNode[node], value: threshold)
      case .among(let set):
        if hasCategories {
          named[Int(viewOfNode[node])].append(contentsOf: forest.categorySets[set])
        }
      case .equal: break
      }
      if thresholds.values.count > most {
        isCollected = false
        thresholdCounts = [Int](repeating: 0, count: views.count)
        return
      }
    }
    for view in named.indices {
      if case .categories = views[view].kind {
        views[view].categories = Array(Set(named[view])).sorted()
      }
    }
    thresholdCounts = [Int](repeating: 0, count: views.count)
    for view in thresholds.views { thresholdCounts[Int(view)] += 1 }
    self.thresholds = thresholds
    thresholdOfNode = numbers
    isCollected = true
  }

  /// Collects and ranks thresholds view by view, on all cores.
  private mutating func rankAll() {
    let forest = self.forest
    var starts = [Int](repeating: 0, count: views.count + 1)
    for view in viewOfNode where view >= 0 { starts[Int(view) + 1] += 1 }
    for view in views.indices { starts[view + 1] += starts[view] }
    var nodes = [Int32](repeating: 0, count: starts[views.count])
    var next = starts
    for (node, view) in viewOfNode.enumerated() where view >= 0 {
      nodes[next[Int(view)]] = Int32(node)
      next[Int(view)] += 1
    }
    var ranks = [Int32](repeating: 0, count: viewOfNode.count)
    let found = ranks.withUnsafeMutableBufferPointer { ranks in
      // Each node has one view.
      nonisolated(unsafe) let ranks = ranks
      return Concurrently.map(views.count) { view -> (cuts: [Double], categories: [Int32]) in
        let mine = nodes[starts[view]..<starts[view + 1]]
        switch views[view].kind {
        case .thresholds: return (Self.rank(mine, of: forest, into: ranks), [])
        case .categories:
          var named: Set<Int32> = []
          for node in mine {
            if case .among(let set) = forest.tests[Int(node)] {
              named.formUnion(forest.categorySets[set])
            }
          }
          return ([], named.sorted())
        case .test: return ([], [])
        }
      }
    }
    for view in views.indices { (views[view].cuts, views[view].categories) = found[view] }
    rankOfNode = ranks
    thresholdCounts = found.map(\.cuts.count)
    (isCollected, isRanked) = (true, true)
  }

  /// Ranks the splits of one view.
  ///
  /// - Returns: the distinct thresholds, ascending.
  private static func rank(
    _ nodes: ArraySlice<Int32>, of forest: Forest, into ranks: UnsafeMutableBufferPointer<Int32>
  ) -> [Double] {
    var thresholds = ForestThresholds(count: 2 * nodes.count)
    for node in nodes {
      guard case .atMost(let threshold) = forest.tests[Int(node)] else { continue }
      ranks[Int(node)] = thresholds.number(view: 0, value: threshold)
    }
    let values = thresholds.values
    let order = values.indices.sorted { values[$0] < values[$1] }
    var rankOfNumber = [Int32](repeating: 0, count: order.count)
    for (rank, number) in order.enumerated() { rankOfNumber[number] = Int32(rank) }
    for node in nodes { ranks[Int(node)] = rankOfNumber[Int(ranks[Int(node)])] }
    return order.map { values[$0] }
  }

  /// Whether all thresholds were collected.
  private(set) var isCollected = false

  /// Distinct thresholds of each view, once they are collected.
  private(set) var thresholdCounts: [Int] = []

  /// Sorts the thresholds and ranks the splits by them.
  mutating func rankThresholds() {
    guard !isRanked else { return }
    guard isCollected else { return rankAll() }
    isRanked = true
    var numbers = [[Int32]](repeating: [], count: views.count)
    for view in views.indices { numbers[view].reserveCapacity(thresholdCounts[view]) }
    for number in thresholds.views.indices {
      numbers[Int(thresholds.views[number])].append(Int32(number))
    }
    var ranks = [Int32](repeating: 0, count: thresholds.views.count)
    let values = thresholds.values
    let sorted = Concurrently.map(views.count) { view in
      numbers[view].sorted { values[Int($0)] < values[Int($1)] }
    }
    for view in views.indices {
      views[view].cuts = sorted[view].map { values[Int($0)] }
      for (rank, number) in sorted[view].enumerated() { ranks[Int(number)] = Int32(rank) }
    }
    rankOfNode = thresholdOfNode.map { $0 < 0 ? 0 : ranks[Int($0)] }
    thresholdOfNode = []
    thresholds = ForestThresholds()
  }

  /// Cuts of a feature that tell apart whatever its views do, ascending and distinct.
  func cuts(of views: ArraySlice<View>) -> [Double] {
    if views.count == 1, case .thresholds = views.first!.kind, views.first!.missing != .zero {
      return views.first!.cuts
    }
    var cuts: [Double] = []
    for view in views {
      cuts.append(contentsOf: view.cuts)
      for category in view.categories { cuts.append(contentsOf: bounds(of: category)) }
      switch view.kind {
      case .test(.equal(let value)): cuts.append(contentsOf: [value.nextDown, value])
      case .test(.among(let set)):
        for category in forest.categorySets[set] { cuts.append(contentsOf: bounds(of: category)) }
      default: break
      }
      if view.missing == .zero {
        cuts.append(contentsOf: [(-Self.zeroBound).nextDown, Self.zeroBound])
      }
    }
    cuts.sort()
    var last = Double.nan
    cuts.removeAll { cut in
      defer { last = cut }
      return cut == last
    }
    return cuts
  }

  /// Values above the first and at most the second are this category once cut to an integer.
  private func bounds(of category: Int32) -> [Double] {
    let low = category == 0 && forest.cutsCategories ? -1 : Double(category).nextDown
    return [low, (Double(category) + 1).nextDown]
  }

  /// What a view's splits see for each rank of the feature, NaN last: the number of the view's own
  /// cuts below, the number of a category, or 0 where a test holds and 1 where it does not.
  func table(of view: View, cuts: [Double]) -> [Int] {
    func position(_ cut: Double) -> Int { cuts.partitioningIndex { $0 >= cut } }
    let nan = cuts.count + 1
    let right: Int
    switch view.kind {
    case .thresholds: right = view.cuts.count
    case .categories: right = view.otherCategory
    case .test: right = 1
    }
    let otherwise = view.missingLeft ? 0 : right
    var table = [Int](repeating: right, count: cuts.count + 2)
    func fill(_ category: Int32, with value: Int) {
      let bounds = bounds(of: category)
      let (low, high) = (position(bounds[0]), position(bounds[1]))
      for rank in (low + 1)...high { table[rank] = value }
    }
    switch view.kind {
    case .thresholds:
      var below = 0
      for rank in 0...cuts.count {
        if below < view.cuts.count, rank > 0, cuts[rank - 1] >= view.cuts[below] { below += 1 }
        table[rank] = below
      }
    case .categories:
      for (number, category) in view.categories.enumerated() { fill(category, with: number) }
      table[nan] = view.nanCategory
      // What NaN does is in each split's set.
      return table
    case .test(.among(let set)):
      for category in forest.categorySets[set] { fill(category, with: 0) }
    case .test(.equal(let value)):
      table[position(value)] = 0
    case .test(.atMost):
      break
    }
    switch view.missing {
    case .none:
      // A category split sends NaN to the right instead, as LightGBM does.
      if case .test(.among) = view.kind { break }
      table[nan] = table[position(0)]
    case .nan:
      table[nan] = otherwise
    case .zero:
      let (low, high) = (position((-Self.zeroBound).nextDown), position(Self.zeroBound))
      for rank in (low + 1)...high { table[rank] = otherwise }
      table[nan] = otherwise
    }
    return table
  }

  /// The numbers, in the split's view, of categories that go left.
  func leftCategories(of node: Int, set: Int) -> [Int] {
    let view = views[Int(viewOfNode[node])]
    // Both ascend, and the view's have all of the set's.
    var numbers: [Int] = []
    let set = forest.categorySets[set]
    numbers.reserveCapacity(set.count + 1)
    var number = 0
    for category in set {
      if view.categories.count > 16 * set.count {
        number = view.categories[number...].partitioningIndex { $0 >= category }
      } else {
        while number < view.categories.count, view.categories[number] < category { number += 1 }
      }
      numbers.append(number)
    }
    if view.missing == .nan, view.missingLeft { numbers.append(view.nanCategory) }
    return numbers
  }
}

extension RandomAccessCollection where Index == Int {
  /// The first index whose element satisfies what all after it satisfy too.
  func partitioningIndex(where isSecond: (Element) -> Bool) -> Int {
    var low = startIndex
    var high = endIndex
    while low < high {
      let middle = (low + high) / 2
      if isSecond(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
