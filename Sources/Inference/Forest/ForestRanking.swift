/// A feature's thresholds, and the tables from rank to what splits see.
///
/// A class, so that reading one in a loop copies a single reference.
final class RankedFeature: Sendable {
  enum Table: Sendable {
    /// Less 128, as the kernels compare signed bytes.
    case narrow([UInt8])
    case wide([UInt16])
  }

  /// Cuts laid out for `ck_forest_rank…`: a tree of sixteens, its single topmost block first.
  struct Search<Value: BinaryFloatingPoint & Sendable>: Sendable {
    var cuts: [Value]
    /// Where each level starts.
    var levels: [UInt32]

    /// - Parameter isGrid: two levels whatever the number of cuts, of 16 and 256 places.
    init(_ sorted: [Value], isGrid: Bool) {
      let places = isGrid ? 256 : (sorted.count / 16 + 1) * 16
      var upward = [sorted + Array(repeating: .infinity, count: places - sorted.count)]
      while let below = upward.last, below.count > 16 {
        let lasts = stride(from: 15, to: below.count, by: 16).map { below[$0] }
        let whole = (lasts.count + 15) / 16 * 16
        upward.append(lasts + Array(repeating: .infinity, count: whole - lasts.count))
      }
      cuts = []
      levels = []
      for level in upward.reversed() {
        levels.append(UInt32(cuts.count))
        cuts.append(contentsOf: level)
      }
    }
  }

  /// The model's number of the feature.
  let feature: Int
  let cutCount: Int
  let doubles: Search<Double>
  /// The same rounded down: for any float x, `t < x` means the same of t and of t rounded down.
  let floats: Search<Float>
  /// Whether one byte counts the ranks and NaN, so that both searches are grids.
  let isGrid: Bool
  let firstView: Int
  /// One a view, each `cutCount + 2` long; the last entry is NaN's.
  let tables: [Table]
  /// Where ranks need no table but for NaN's (the last of the only one).
  let isDirect: Bool

  init(feature: Int, cuts: [Double], firstView: Int, tables: [Table], isDirect: Bool) {
    self.feature = feature
    self.firstView = firstView
    self.tables = tables
    self.isDirect = isDirect
    cutCount = cuts.count
    isGrid = cuts.count <= 254
    doubles = Search(cuts, isGrid: isGrid)
    floats = Search(cuts.map(Self.roundedDown), isGrid: isGrid)
  }

  static func roundedDown(_ value: Double) -> Float {
    let nearest = Float(value)
    return Double(nearest) > value ? nearest.nextDown : nearest
  }

  var byteCount: Int {
    doubles.cuts.count * 12
      + tables.reduce(0) { sum, table in
        switch table {
        case .narrow(let table): sum + table.count
        case .wide(let table): sum + 2 * table.count
        }
      }
  }
}

/// Works out thresholds, ranks and views of a forest.
struct ForestRanking {
  /// Bounds of what LightGBM takes for zero: 1e-35 as a float.
  static let zeroBound = Double(1e-35 as Float)

  struct Assigned {
    var view: UInt16 = 0
    var cut: UInt16 = 0
  }

  private enum Kind: Hashable {
    case ordered
    case matching(Forest.Test)
  }

  private struct Key: Hashable {
    var feature: Int32
    var missing: Forest.Missing
    var missingLeft: Bool
    var kind: Kind
  }

  private struct View {
    var key: Key
    /// Ordered views: which of the feature's cuts its splits compare with, ascending.
    var cuts: [Int32] = []
    var firstView = 0
    func pieces(_ ranksPerView: Int) -> Int {
      key.kind == .ordered ? max(1, (cuts.count + ranksPerView - 1) / ranksPerView) : 1
    }
  }

  private let forest: Forest
  private var cuts: [Int32: [Double]] = [:]
  private var views: [View] = []
  private var viewOfNode: [Int32] = []
  private(set) var viewCount = 0
  private var ranksPerView = 255

  init(_ forest: Forest) {
    self.forest = forest
    collectCuts()
    collectViews()
  }

  func viewCount(ranksPerView: Int) -> Int {
    views.reduce(0) { $0 + $1.pieces(ranksPerView) }
  }

  private mutating func collectCuts() {
    for index in forest.features.indices where forest.features[index] >= 0 {
      let feature = forest.features[index]
      switch forest.tests[index] {
      case .atMost(let threshold):
        cuts[feature, default: []].append(threshold)
      case .equal(let value):
        cuts[feature, default: []].append(contentsOf: [value.nextDown, value])
      case .among(let set):
        for category in forest.categorySets[set] {
          cuts[feature, default: []].append(contentsOf: bounds(of: category))
        }
      }
      if forest.missing[index] == .zero {
        cuts[feature, default: []].append(
          contentsOf: [(-Self.zeroBound).nextDown, Self.zeroBound])
      }
    }
    for feature in cuts.keys {
      cuts[feature]!.sort()
      var last = Double.nan
      cuts[feature]!.removeAll { cut in
        defer { last = cut }
        return cut == last
      }
    }
  }

  /// Values above the first and at most the second are this category once cut to an integer.
  private func bounds(of category: Int32) -> [Double] {
    let low = category == 0 && forest.cutsCategories ? -1 : Double(category).nextDown
    return [low, (Double(category) + 1).nextDown]
  }

  private func position(_ cut: Double, in feature: Int32) -> Int {
    let cuts = cuts[feature]!
    var low = 0
    var high = cuts.count
    while low < high {
      let middle = (low + high) / 2
      if cuts[middle] < cut { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private mutating func collectViews() {
    var numbers: [Key: Int32] = [:]
    viewOfNode = [Int32](repeating: -1, count: forest.features.count)
    for index in forest.features.indices where forest.features[index] >= 0 {
      let test = forest.tests[index]
      let rule = forest.missing[index]
      var kind = Kind.ordered
      if case .atMost = test {} else { kind = .matching(test) }
      let key = Key(
        feature: forest.features[index], missing: rule,
        missingLeft: rule == .none ? false : forest.missingLeft[index], kind: kind)
      let number: Int32
      if let known = numbers[key] {
        number = known
      } else {
        number = Int32(views.count)
        numbers[key] = number
        views.append(View(key: key))
      }
      viewOfNode[index] = number
      if case .atMost(let threshold) = test {
        views[Int(number)].cuts.append(Int32(position(threshold, in: key.feature)))
      }
    }
    // A feature's views lie side by side.
    let order = views.indices.sorted {
      (views[$0].key.feature, $0) < (views[$1].key.feature, $1)
    }
    var moved = [Int32](repeating: 0, count: views.count)
    for (new, old) in order.enumerated() { moved[old] = Int32(new) }
    views = order.map { views[$0] }
    for index in viewOfNode.indices where viewOfNode[index] >= 0 {
      viewOfNode[index] = moved[Int(viewOfNode[index])]
    }
    for number in views.indices {
      views[number].cuts = Array(Set(views[number].cuts)).sorted()
    }
  }

  /// Gives each split its view and the largest rank there that goes left.
  mutating func assignViews(ranksPerView: Int) -> [Assigned] {
    self.ranksPerView = ranksPerView
    viewCount = 0
    for number in views.indices {
      views[number].firstView = viewCount
      viewCount += views[number].pieces(ranksPerView)
    }
    var assigned = [Assigned](repeating: Assigned(), count: forest.features.count)
    guard viewCount <= 65_536 else { return assigned }
    for index in forest.features.indices where forest.features[index] >= 0 {
      let view = views[Int(viewOfNode[index])]
      guard case .atMost(let threshold) = forest.tests[index] else {
        assigned[index] = Assigned(view: UInt16(view.firstView), cut: 0)
        continue
      }
      let cut = Int32(position(threshold, in: view.key.feature))
      let rank = view.cuts.partitioningIndex { $0 >= cut }
      assigned[index] = Assigned(
        view: UInt16(view.firstView + rank / ranksPerView), cut: UInt16(rank % ranksPerView))
    }
    return assigned
  }

  /// The features that the trees read, in the model's order, each with the tables of its views.
  func rankedFeatures(wide: Bool) -> [RankedFeature] {
    var ranked: [RankedFeature] = []
    var first = 0
    while first < views.count {
      let feature = views[first].key.feature
      let mine = views[first...].prefix { $0.key.feature == feature }
      var tables: [RankedFeature.Table] = []
      var isDirect = false
      for view in mine {
        let seen = table(of: view)
        isDirect = seen.dropLast().enumerated().allSatisfy { $0.offset == $0.element }
        for piece in 0..<view.pieces(ranksPerView) {
          let base = piece * ranksPerView
          let clamped = seen.map { min(max($0 - base, 0), ranksPerView) }
          tables.append(
            wide
              ? .wide(clamped.map { UInt16($0) }) : .narrow(clamped.map { UInt8($0) ^ 0x80 }))
        }
      }
      ranked.append(
        RankedFeature(
          feature: Int(feature), cuts: cuts[feature]!, firstView: mine.first!.firstView,
          tables: tables, isDirect: isDirect && tables.count == 1))
      first = mine.endIndex
    }
    return ranked
  }

  /// What a view's splits see for each rank of the feature, NaN last: the number of the view's own
  /// cuts below, or 0 for a match and 1 for none.
  private func table(of view: View) -> [Int] {
    let feature = view.key.feature
    let cuts = cuts[feature]!
    let left = 0
    let right = view.key.kind == .ordered ? view.cuts.count : 1
    let otherwise = view.key.missingLeft ? left : right
    var table = [Int](repeating: right, count: cuts.count + 2)
    switch view.key.kind {
    case .ordered:
      var below = 0
      for rank in 0...cuts.count {
        if below < view.cuts.count, rank > Int(view.cuts[below]) { below += 1 }
        table[rank] = below
      }
    case .matching(.among(let set)):
      for category in forest.categorySets[set] {
        let bounds = bounds(of: category)
        let low = position(bounds[0], in: feature)
        let high = position(bounds[1], in: feature)
        for rank in (low + 1)...high { table[rank] = left }
      }
    case .matching(.equal(let value)):
      table[position(value, in: feature)] = left
    case .matching(.atMost):
      break
    }
    let zero = position(0, in: feature)
    switch view.key.missing {
    case .none:
      // A category split sends NaN to the right instead, as LightGBM does.
      if case .matching(.among) = view.key.kind { break }
      table[cuts.count + 1] = table[zero]
    case .nan:
      table[cuts.count + 1] = otherwise
    case .zero:
      let low = position((-Self.zeroBound).nextDown, in: feature)
      let high = position(Self.zeroBound, in: feature)
      for rank in (low + 1)...high { table[rank] = otherwise }
      table[cuts.count + 1] = otherwise
    }
    return table
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
